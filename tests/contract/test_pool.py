"""The starter pool's records: a driver of it is claimed once, whatever happens at the same time."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from livius.adapters.store import SqlStore
from livius.domain.driver import Driver, Event, Goal, Owner, Phase
from livius.domain.environment import Compute, EnvironmentVersion
from livius.domain.ids import (
    EnvironmentVersionId,
    PrincipalId,
    StatementNumber,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import Workspace
from livius.domain.pool import PoolKind
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import Ending
from livius.domain.statement import Phase as StatementPhase
from livius.ports.store import Claim
from livius.reconcile.drivers import _instead
from support.records import (
    NOW,
    code,
    make,
    own_driver,
    pooled_driver,
    published,
    warm_environment,
    with_end,
)

CLAIM = Claim(fingerprint="f", missed={"FallbackReasons": "StarterPoolEmpty"})


def pooled(fingerprint: str = "f", *, after: int = 0) -> Driver:
    return pooled_driver(fingerprint=fingerprint, created_at=NOW + timedelta(seconds=after))


async def warm(store: SqlStore, driver: Driver) -> Driver:
    assert await store.add_pooled(driver, most=100)
    for event in (Event.LAUNCH_BEGUN, Event.ATTACHED, Event.WARMED):
        assert await store.move_driver(driver.id, event, at=NOW)
    found = await store.driver(driver.id)
    assert found is not None
    assert found.phase is Phase.WARM
    return found


async def claim(store: SqlStore, with_claim: Claim = CLAIM) -> Session:
    session, driver = make()
    return await store.add_session(session, driver, claim=with_claim)


async def test_the_driver_that_is_warm_for_longest_is_claimed(store: SqlStore) -> None:
    young, old = await warm(store, pooled(after=1)), await warm(store, pooled())
    session = await claim(store)
    assert (session.driver, session.first_repl) == (old.id, old.first_repl)
    assert session.phase is SessionPhase.REQUESTED
    claimed = await store.driver(old.id)
    assert claimed is not None
    assert (claimed.owner, claimed.session, claimed.pooled) == (Owner.SESSION, session.id, True)
    repl = await store.repl(session.first_repl)
    assert repl is not None
    assert (repl.session, repl.driver) == (session.id, old.id)
    assert (await claim(store)).driver == young.id


async def test_a_driver_is_claimed_once_by_sessions_that_come_together(store: SqlStore) -> None:
    drivers = {(await warm(store, pooled(after=n))).id for n in range(3)}
    sessions = await asyncio.gather(*(claim(store) for _ in range(8)))
    got = [session for session in sessions if session.driver in drivers]
    assert {session.driver for session in got} == drivers
    assert len(got) == len(drivers)
    missed = [session for session in sessions if session.driver not in drivers]
    assert all(session.tags["FallbackReasons"] == "StarterPoolEmpty" for session in missed)
    assert not any("FallbackReasons" in session.tags for session in got)


async def test_no_other_driver_is_claimed(store: SqlStore) -> None:
    starting = pooled()
    assert await store.add_pooled(starting, most=9)
    await warm(store, pooled("other settings"))
    ending = await warm(store, pooled())
    assert await store.end_pooled(ending.id)
    ended = await warm(store, pooled())
    assert await store.end_driver(ended.id, at=NOW, reason="it died", end=with_end())
    session, own = make()
    session = await store.add_session(session, own, claim=CLAIM)
    assert session.driver == own.id
    assert session.first_repl == own.first_repl


async def versions(store: SqlStore, count: int) -> list[EnvironmentVersion]:
    """Published versions of environments, two in each of their workspaces."""
    found: list[EnvironmentVersion] = []
    for number in range(count):
        workspace = WorkspaceId(new_id()) if number % 2 == 0 else found[-1].workspace
        if number % 2 == 0:
            made = Workspace(id=workspace, name=workspace, created_at=NOW)
            await store.add_workspace(made, PrincipalId(new_id()))
        environment = warm_environment(workspace)
        assert await store.add_environment(environment)
        found.append(await published(store, environment, at=NOW + timedelta(seconds=number)))
    return found


def pooled_with(version: EnvironmentVersion | None, number: int = 0) -> Driver:
    """A driver of the pool with the libraries of a version, or one of the starter pool."""
    if version is None:
        return pooled(after=number)
    kind = PoolKind.of_environment("f", version, None)
    return replace(pooled(kind.fingerprint, after=number), environment=version.id)


async def claim_with(store: SqlStore, version: EnvironmentVersion | None) -> Session:
    session, driver = make()
    if version is None:
        return await store.add_session(session, driver, claim=CLAIM)
    kind = PoolKind.of_environment("f", version, None)
    wish = replace(CLAIM, fingerprint=kind.fingerprint, environment=version.id)
    return await store.add_session(
        replace(session, environment=version.id),
        replace(driver, environment=version.id),
        claim=wish,
    )


@pytest.mark.parametrize("seed", range(5))
async def test_a_driver_is_claimed_once_and_with_its_own_version_alone(
    store: SqlStore, seed: int
) -> None:
    chance = random.Random(seed)
    kinds: list[EnvironmentVersion | None] = [*await versions(store, 4), None]
    drivers = [
        await warm(store, pooled_with(kind, number))
        for number, kind in enumerate(chance.choices(kinds, k=6))
    ]
    wanted = chance.choices(kinds, k=14)
    sessions = await asyncio.gather(*(claim_with(store, kind) for kind in wanted))
    got = [one.driver for one in sessions if one.driver in {driver.id for driver in drivers}]
    assert len(got) == len(set(got))
    for session, kind in zip(sessions, wanted, strict=True):
        driver = await store.driver(session.driver)
        assert driver is not None
        version = None if kind is None else kind.id
        assert (driver.session, driver.environment) == (session.id, version)
        assert driver.pooled != ("FallbackReasons" in session.tags)
    for kind in kinds:
        of_kind = sum(pooled_with(kind).fingerprint == one.fingerprint for one in drivers)
        claimed = sum(
            one.driver in got for one, of in zip(sessions, wanted, strict=True) if of is kind
        )
        assert claimed == min(of_kind, wanted.count(kind))


async def test_the_fingerprint_alone_is_not_enough_for_a_claim(store: SqlStore) -> None:
    first, second = await versions(store, 2)
    driver = await warm(store, pooled_with(first))
    wish = replace(CLAIM, fingerprint=driver.fingerprint)
    for other in (None, second.id):
        session = await claim(store, replace(wish, environment=other))
        assert session.driver != driver.id
    assert (await claim(store, replace(wish, environment=first.id))).driver == driver.id


async def test_one_driver_waits_for_each_version_and_none_for_one_that_is_gone(
    store: SqlStore,
) -> None:
    first, second = await versions(store, 2)
    same = [store.add_pooled(pooled_with(first), most=1) for _ in range(4)]
    added = await asyncio.gather(*same, store.add_pooled(pooled_with(second), most=1))
    assert (sum(added[:4]), added[4]) == (1, True)
    assert await store.add_pooled(pooled(), most=1), "of the starter pool's own number"
    gone = replace(pooled_with(first), environment=EnvironmentVersionId(new_id()), fingerprint="x")
    assert not await store.add_pooled(gone, most=1)


async def test_versions_that_ask_for_a_driver_the_latest_first(store: SqlStore) -> None:
    first, second, third = await versions(store, 3)
    quiet = warm_environment(first.workspace, compute=Compute(runtime="2.0"))
    told = {"spark.example": "spark.livius.environment.warm", "spark.livius.environment.warm": "no"}
    no = warm_environment(first.workspace, compute=Compute(runtime="2.0", properties=told))
    for other in (quiet, no):
        await store.add_environment(other)
        await published(store, other)
    found = await store.warm_versions(most=9)
    assert [one.id for one in found] == [third.id, second.id, first.id]
    assert await store.warm_versions(most=2) == found[:2]
    await store.delete_environment(found[0].environment)
    assert await store.warm_versions(most=9) == found[1:]


async def test_a_version_stays_as_long_as_a_driver_waits_with_it(store: SqlStore) -> None:
    [version] = await versions(store, 1)
    driver = await warm(store, pooled_with(version))
    await store.delete_environment(version.environment)
    await store.forget_versions()
    assert version.id in await store.recorded_versions()
    await store.end_driver(driver.id, at=NOW, reason="unwanted", end=with_end())
    await store.forget_versions()
    assert version.id not in await store.recorded_versions()


async def test_a_session_that_outlives_its_driver_keeps_libraries_and_sizes(
    store: SqlStore,
) -> None:
    [version] = await versions(store, 1)
    driver = await warm(store, replace(pooled_with(version), cores=2, memory_mb=512))
    session = await claim_with(store, version)
    instead = _instead(await store.driver(driver.id) or driver, NOW)
    done = await store.end_driver(driver.id, at=NOW, reason="x", end=with_end(), instead=instead)
    assert done is not None
    assert done.instead is not None
    found = await store.driver(done.instead.id)
    assert found is not None
    assert (found.session, found.environment) == (session.id, version.id)
    assert (found.cores, found.memory_mb) == (2, 512)


async def test_what_is_refused_claims_nothing(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session, own = make()

    def refuse(_found: object) -> bool:
        raise LookupError

    [result] = await asyncio.gather(
        store.add_session(session, own, claim=CLAIM, admit=refuse), return_exceptions=True
    )
    assert isinstance(result, LookupError)
    assert (await claim(store)).driver == driver.id


async def test_there_are_never_more_than_wanted(store: SqlStore) -> None:
    added = await asyncio.gather(*(store.add_pooled(pooled(), most=2) for _ in range(6)))
    assert sum(added) == 2
    assert len(await store.live_drivers()) == 2


async def test_a_claimed_driver_is_not_ended_as_one_of_the_pool(store: SqlStore) -> None:
    for _ in range(10):
        driver = await warm(store, pooled())
        session, ended = await asyncio.gather(claim(store), store.end_pooled(driver.id))
        found = await store.driver(driver.id)
        assert found is not None
        assert (session.driver == driver.id) != ended
        assert (found.goal is Goal.END) == ended


async def test_ready_is_said_by_a_bound_driver(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session = await claim(store)
    moved = await store.move_driver(driver.id, Event.READIED, at=NOW, spark_app_id="local-1")
    assert moved is not None
    assert moved[1] is not None
    assert (moved[1].id, moved[1].phase) == (session.id, SessionPhase.READY)
    assert moved[1].spark_app_id == "local-1"


async def test_a_session_outlives_a_driver_that_was_not_bound_to_it_yet(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session = await claim(store)
    waiting = await store.add_statement(code(session), claim=True)
    assert waiting is not None
    assert waiting.phase is StatementPhase.WAITING
    await store.annotate_session(session.id, end_reason="it can't be bound", log=("of the first",))
    other = own_driver(make()[0])
    done = await store.end_driver(driver.id, at=NOW, reason="died", end=with_end(), instead=other)
    assert done is not None
    assert done.session is None
    assert done.instead is not None
    assert (done.instead.id, done.instead.session) == (other.id, session.id)
    now = await store.session(session.id)
    assert now is not None
    assert (now.driver, now.phase) == (other.id, SessionPhase.REQUESTED)
    assert (now.end_reason, now.log) == (None, ())
    [statement] = await store.open_statements(other.id)
    assert statement.number == waiting.number
    [repl] = await store.live_repls(other.id)
    assert repl.id == session.first_repl
    late = await store.add_statement(code(session), claim=False)
    assert late is not None
    assert late.driver == other.id
    assert set(await store.drivers_of(session.id)) == {driver.id, other.id}


async def test_what_has_ended_stays_with_the_driver_of_its_time(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session = await claim(store)
    assert await store.add_statement(code(session), claim=False)
    ending = Ending(ok=False, ename="ReplClosed")
    assert await store.close_repl(session.first_repl, at=NOW, reason=None, ending=ending)
    ended = await store.statement(session.first_repl, StatementNumber(0))
    closed = await store.repl(session.first_repl)
    other = own_driver(make()[0])
    assert await store.end_driver(driver.id, at=NOW, reason="died", end=with_end(), instead=other)
    assert await store.statement(session.first_repl, StatementNumber(0)) == ended
    assert await store.repl(session.first_repl) == closed


async def test_a_session_whose_code_ran_ends_with_its_driver(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session = await claim(store)
    assert await store.add_statement(code(session), claim=False)
    assert await store.repl_opened(session.first_repl)
    assert await store.claim_next(session.first_repl, at=NOW)
    await store.annotate_session(session.id, end_reason="it can't be bound", log=("of the first",))
    other = own_driver(make()[0])
    done = await store.end_driver(driver.id, at=NOW, reason="died", end=with_end(), instead=other)
    assert done is not None
    assert done.instead is None
    assert done.session is not None
    assert done.session.phase is SessionPhase.FAILED
    assert len(done.abandoned) == 1


async def test_a_ready_session_ends_with_its_driver(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session = await claim(store)
    await store.move_driver(driver.id, Event.READIED, at=NOW)
    done = await store.end_driver(
        driver.id, at=NOW, reason="died", end=with_end(), instead=own_driver(session)
    )
    assert done is not None
    assert done.instead is None
    assert done.session is not None
    assert done.session.phase is SessionPhase.DIED


async def test_a_stopped_session_gets_no_other_driver(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    session = await claim(store)
    await store.request_stop(session.id, end_reason="deleted")
    assert await store.drivers_to_end() == [driver.id]
    await store.move_driver(driver.id, Event.END_BEGUN, at=NOW)
    done = await store.end_driver(
        driver.id, at=NOW, reason=None, end=with_end(), instead=own_driver(session)
    )
    assert done is not None
    assert done.session is not None
    assert (done.instead, done.session.phase) == (None, SessionPhase.STOPPED)


async def test_drivers_that_nobody_claimed_are_forgotten(store: SqlStore) -> None:
    driver = await warm(store, pooled())
    await store.forget_pooled(driver.id)
    assert await store.driver(driver.id) is not None, "it runs"
    await store.end_driver(driver.id, at=NOW, reason="died", end=with_end())
    assert await store.pooled_ended_before(NOW) == []
    assert await store.pooled_ended_before(NOW + timedelta(seconds=1)) == [driver.id]
    await store.forget_pooled(driver.id)
    assert await store.driver(driver.id) is None
