"""A check and the act that rests on it are one step, however many ask at once."""

import asyncio
import dataclasses
import multiprocessing
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.world import World
from livius.adapters.capacity import MachineCapacity
from livius.adapters.store import SqlStore, open_store
from livius.domain.audit import Action
from livius.domain.errors import Conflict, Exhausted, Unavailable
from livius.domain.ids import (
    LakehouseId,
    PrincipalId,
    SessionId,
    StatementNumber,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import Lakehouse, Role, RoleAssignment, Workspace
from livius.domain.session import EndCause, Phase, Session
from livius.domain.session import Event as SessionEvent
from livius.domain.statement import FINAL, Ending, Event
from livius.ports.capacity import Occupancy
from livius.ports.catalog import Outcome
from livius.ports.store import AuditQuery, SessionEnd, Store
from livius.usecases.audit_throttle import act
from livius.usecases.catalog import create_lakehouse
from livius.usecases.context import Context
from livius.usecases.sessions import CreateSession, create_session
from support.records import NOW, added, code, end_session, make, move_session, spark_pool, with_end

AT_ONCE = 16
LIMIT = 8
KINDS = [threading.Thread, multiprocessing.get_context("spawn").Process]
ADMIN = PrincipalId(new_id())


def room_for(limit: int) -> Callable[[Occupancy], bool]:
    def admit(found: Occupancy) -> bool:
        if found.drivers >= limit:
            raise Exhausted("TooManyRequestsForCapacity", "full")
        return True

    return admit


async def create(store: Store, limit: int = LIMIT) -> bool:
    session, driver = make()
    try:
        await store.add_session(session, driver, admit=room_for(limit))
    except Exhausted:
        return False
    return True


async def test_of_sixteen_creates_at_once_one_gets_the_last_place(store: Store) -> None:
    for _ in range(LIMIT - 1):
        assert await create(store)
    done = await asyncio.gather(*(create(store) for _ in range(AT_ONCE)))
    assert done.count(True) == 1
    assert len(await store.live_sessions()) == LIMIT


@pytest.mark.timeout(120)  # four processes begin at once
@pytest.mark.parametrize("kind", KINDS)
def test_nor_do_two_get_it_through_stores_of_their_own(kind: Any, tmp_path: Path) -> None:
    database = tmp_path / "livius.db"
    with_store(database, lambda store: fill(store, LIMIT - 1))
    workers = [kind(target=create_four, args=(database,)) for _ in range(AT_ONCE // 4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(with_store(database, lambda store: store.live_sessions())) == LIMIT


async def test_of_sixteen_requests_at_seven_of_eight_one_is_accepted(
    store: SqlStore, tmp_path: Path
) -> None:
    """The same through the use case; the refusal has the numbers, and nothing is recorded."""
    world = await World(store=store).begin()
    world.room.real = MachineCapacity(
        max_drivers=LIMIT, per_driver=0, reserve=0, disk=tmp_path, disk_reserve=0
    )

    async def request(context: Context) -> object:
        wanted = CreateSession(conf={"spark.mine.password": "x"})
        return await create_session(context, world.admin, *world.place, wanted)

    for _ in range(LIMIT - 1):
        await request(world.context)
    done = await asyncio.gather(
        *(request(world.context) for _ in range(AT_ONCE)), return_exceptions=True
    )
    refused = [one for one in done if isinstance(one, Exhausted)]
    assert len(refused) == AT_ONCE - 1
    assert {one.message.split(" sessions")[0] for one in refused} == {f"{LIMIT} of {LIMIT}"}
    assert len(await store.live_sessions()) == LIMIT == len(world.conf_secrets)


async def test_of_lakehouses_of_one_name_one_is_made_and_the_others_leave_nothing(
    store: SqlStore,
) -> None:
    world = await World(store=store).begin()

    async def create(name: str) -> Lakehouse:
        return await create_lakehouse(world.context, world.admin, world.workspace.id, name, "")

    done = await asyncio.gather(*(create("Silver") for _ in range(6)), return_exceptions=True)
    [made] = [one for one in done if isinstance(one, Lakehouse)]
    assert sum(isinstance(one, Conflict) for one in done) == 5
    assert list(world.lakehouses.present) == [made.id]
    # Names that differ, and would have one database: each gets its own.
    several = await asyncio.gather(create("gold_1"), create("gold__1"), create("gold___1"))
    assert len({one.database for one in several}) == 3


@pytest.mark.timeout(120)  # four processes begin at once
@pytest.mark.parametrize("kind", KINDS)
def test_two_owners_never_get_one_number(kind: Any, tmp_path: Path) -> None:
    database = tmp_path / "livius.db"
    with_store(database, lambda store: store.ping())
    workers = [kind(target=give_numbers, args=(database,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    numbers = with_store(database, numbers_of_all)
    assert sorted(numbers) == list(range(100, 100 + len(OWNERS)))


OWNERS = [f"owner {number}" for number in range(20)]


def give_numbers(database: Path) -> None:
    with_store(database, numbers_of_all)


async def numbers_of_all(store: SqlStore) -> list[int]:
    return [await store.number_of(owner, range(100, 200)) for owner in OWNERS]


def create_four(database: Path) -> None:
    with_store(database, four)


async def four(store: Store) -> None:
    await asyncio.gather(*(create(store) for _ in range(4)))


async def fill(store: Store, number: int) -> None:
    for _ in range(number):
        assert await create(store)


def with_store(database: Path, work: Callable[[SqlStore], Any]) -> Any:
    store = SqlStore(open_store(database))
    try:
        return asyncio.run(work(store))
    finally:
        store.close()


async def test_what_is_promised_to_starting_drivers_counts(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for three is free; a fourth is refused before any of the three has taken its own."""
    free = {"available": 3500}
    monkeypatch.setattr(
        "psutil.virtual_memory", lambda: dataclasses.make_dataclass("M", free)(**free)
    )
    capacity = MachineCapacity(
        max_drivers=100, per_driver=1000, reserve=500, disk=tmp_path, disk_reserve=0
    )

    def admit(found: Occupancy) -> bool:
        capacity.admit(found)
        return True

    async def one() -> Session | None:
        session, driver = make()
        try:
            await store.add_session(session, driver, admit=admit)
        except Exhausted:
            return None
        return session

    begun = [
        session for session in await asyncio.gather(*(one() for _ in range(AT_ONCE))) if session
    ]
    assert len(begun) == 3
    await become_ready(store, begun[0])
    free["available"] = 2500  # it has taken its memory, which the system counts from now on
    assert await one() is None
    free["available"] = 3500
    assert await one() is not None


async def become_ready(store: Store, session: Session) -> None:
    for event in (
        SessionEvent.LAUNCH_BEGUN,
        SessionEvent.DRIVER_ATTACHED,
        SessionEvent.DRIVER_READY,
    ):
        assert await move_session(store, session.id, event, at=NOW) is not None


async def test_a_session_gets_no_lakehouse_that_was_deleted_in_the_same_moment(
    store: Store,
) -> None:
    """Whichever comes first: never a live session in a lakehouse that is not there."""
    for _ in range(10):
        lakehouse = await with_lakehouse(store)
        session, driver = make()
        session = dataclasses.replace(
            session, workspace=lakehouse.workspace, lakehouse=lakehouse.id
        )

        def admit(found: Occupancy) -> bool:
            if not found.has_lakehouse:
                raise Exhausted("ItemNotFound", "gone")
            return True

        created, deleted = await asyncio.gather(
            store.add_session(session, driver, admit=admit),
            store.delete_lakehouse(lakehouse.id, at=NOW, by=ADMIN),
            return_exceptions=True,
        )
        assert isinstance(created, Session) != (deleted is Outcome.DONE)


async def test_of_two_workspaces_of_one_name_one_is_made(store: Store) -> None:
    name = new_id()
    made = [
        Workspace(id=WorkspaceId(new_id()), name=one, created_at=NOW)
        for one in (name, name.upper())
    ]
    done = await asyncio.gather(*(store.add_workspace(one, ADMIN) for one in made))
    assert sorted(done) == [False, True]


async def test_a_lakehouse_gets_no_database_of_a_deleted_one(store: Store) -> None:
    """Between the choice of the name and the insert, another may have come and gone."""
    first = await with_lakehouse(store)
    assert await store.delete_lakehouse(first.id, at=NOW, by=ADMIN)
    again = dataclasses.replace(first, id=LakehouseId(new_id()))
    assert await store.add_lakehouse(again) is Outcome.DATABASE_TAKEN
    assert (
        await store.add_lakehouse(dataclasses.replace(again, workspace=WorkspaceId(new_id())))
        is Outcome.MISSING
    )


async def test_names_are_unique(store: SqlStore) -> None:
    await check_names(store)


async def test_names_are_unique_though_transactions_see_each_other(
    read_committed: SqlStore,
) -> None:
    await check_names(read_committed)


async def check_names(store: Store) -> None:
    """Give names that differ in case alone at once, to new workspaces and lakehouses and others."""
    for _ in range(3):
        name = f"Ünique {new_id()}"
        spellings = [name, name.upper(), name.lower(), name.swapcase()]
        workspaces = [
            Workspace(id=WorkspaceId(new_id()), name=one, created_at=NOW) for one in spellings * 2
        ]
        done = await asyncio.gather(*(store.add_workspace(one, ADMIN) for one in workspaces))
        assert done.count(True) == 1
        place = workspaces[done.index(True)].id
        new = [lakehouse_in(place, one) for one in spellings * 2]
        outcomes = await asyncio.gather(*(store.add_lakehouse(one) for one in new))
        assert sorted(outcomes) == sorted([Outcome.DONE, *[Outcome.TAKEN] * 7])
        others = [lakehouse_in(place, new_id()) for _ in spellings]
        for other in others:
            assert await store.add_lakehouse(other) is Outcome.DONE
        outcomes = await asyncio.gather(
            *(
                store.change_lakehouse(other.id, name=f"New {spelling}")
                for other, spelling in zip(others, spellings, strict=True)
            )
        )
        assert sorted(outcomes) == sorted([Outcome.DONE, *[Outcome.TAKEN] * 3])


async def test_a_workspace_has_no_more_pools_than_it_may(store: SqlStore) -> None:
    await check_pools(store)


async def test_a_workspace_has_no_more_pools_though_transactions_see_each_other(
    read_committed: SqlStore,
) -> None:
    await check_pools(read_committed)


async def check_pools(store: Store) -> None:
    """Create many at once in a workspace that has room for one more."""
    for _ in range(3):
        place = Workspace(id=WorkspaceId(new_id()), name=new_id(), created_at=NOW)
        assert await store.add_workspace(place, ADMIN)
        first, *others = [spark_pool(workspace=place.id, name=new_id()) for _ in range(AT_ONCE)]
        assert await store.add_spark_pool(first, most=2)
        outcomes = await asyncio.gather(*(store.add_spark_pool(one, most=2) for one in others))
        assert sorted(outcomes) == sorted([Outcome.DONE, *[Outcome.FULL] * (AT_ONCE - 2)])
        assert len((await store.spark_configuration(place.id)).pools) == 2


async def test_numbers_are_unique(store: SqlStore) -> None:
    await check_numbers(store)


async def test_numbers_are_unique_though_transactions_see_each_other(
    read_committed: SqlStore,
) -> None:
    await check_numbers(read_committed)


async def check_numbers(store: SqlStore) -> None:
    """Ask for numbers at once, twice for each owner."""
    owners = [new_id() for _ in range(AT_ONCE)]
    among = range(100, 100 + AT_ONCE)
    numbers = await asyncio.gather(*(store.number_of(owner, among) for owner in owners * 2))
    assert sorted(set(numbers)) == list(among)
    assert numbers[:AT_ONCE] == numbers[AT_ONCE:]
    with pytest.raises(Unavailable, match="LIVIUS_LAUNCH_UIDS"):
        await store.number_of(new_id(), among)


async def test_two_changes_of_different_things_both_count(store: Store) -> None:
    lakehouse = await with_lakehouse(store)
    await asyncio.gather(
        store.change_lakehouse(lakehouse.id, name="Renamed"),
        store.change_lakehouse(lakehouse.id, description="described"),
        store.change_workspace(lakehouse.workspace, name=f"renamed {lakehouse.id}"),
        store.change_workspace(lakehouse.workspace, description="described"),
    )
    found = await store.lakehouse(lakehouse.id)
    workspace = await store.workspace(lakehouse.workspace)
    assert found is not None
    assert workspace is not None
    assert (found.name, found.description) == ("Renamed", "described")
    assert (workspace.name, workspace.description) == (f"renamed {lakehouse.id}", "described")


async def test_a_role_is_given_once_and_a_removed_one_is_not_changed(store: Store) -> None:
    lakehouse = await with_lakehouse(store)
    guest = PrincipalId(new_id())

    def as_(role: Role) -> RoleAssignment:
        return RoleAssignment(workspace=lakehouse.workspace, principal=guest, role=role)

    given = await asyncio.gather(
        store.assign_role(as_(Role.VIEWER), has_role=False),
        store.assign_role(as_(Role.ADMIN), has_role=False),
    )
    assert sorted(given) == [Outcome.DONE, Outcome.TAKEN]
    assert await store.remove_role(lakehouse.workspace, guest)
    assert await store.assign_role(as_(Role.MEMBER), has_role=True) is Outcome.MISSING
    assert await store.role(lakehouse.workspace, guest) is None
    elsewhere = dataclasses.replace(as_(Role.MEMBER), workspace=WorkspaceId(new_id()))
    assert await store.assign_role(elsewhere) is Outcome.MISSING


async def test_a_session_that_gets_a_statement_is_not_ended_as_idle(store: Store) -> None:
    """Both at once, many times: an accepted statement never finds its session stopped as idle."""
    late = NOW + timedelta(hours=1)
    for _ in range(20):
        session = await added(store, phase=Phase.READY)
        statement, idle = await asyncio.gather(
            store.add_statement(code(session, at=late), claim=True),
            store.stop_idle(now=late, reason=lambda _: "idle"),
        )
        assert (statement is None) == (session.driver in idle)
        touched, _ = await asyncio.gather(
            store.touch(session.id, at=late),
            store.stop_idle(now=late, reason=lambda _: "idle"),
        )
        found = await store.session(session.id)
        assert found is not None
        assert touched == (found.end_cause is None)


async def test_a_cause_written_a_moment_before_the_end_counts(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    seen: list[EndCause | None] = []

    def end(present: Session) -> SessionEnd:
        seen.append(present.end_cause)
        return SessionEnd(ending=Ending(ok=False), cause=present.end_cause or EndCause.DRIVER_DIED)

    await asyncio.gather(
        store.request_stop(session.id, end_cause=EndCause.DELETED),
        end_session(store, session.id, at=NOW, end=end),
    )
    found = await store.session(session.id)
    assert found is not None
    # Whichever came first: what the end was made with is what the record says.
    assert found.end_cause is (seen[-1] or EndCause.DRIVER_DIED)
    assert found.phase is Phase.DIED


async def test_a_statement_is_open_in_no_ended_session(store: Store) -> None:
    for _ in range(20):
        session = await added(store, phase=Phase.READY)
        statement, done = await asyncio.gather(
            store.add_statement(code(session), claim=True),
            end_session(store, session.id, at=NOW, end=with_end()),
        )
        assert done is not None
        assert await store.open_statements(session.driver) == []
        assert [one.number for one in done[1]] == ([] if statement is None else [0])


async def test_the_audit_log_has_no_move_that_did_not_happen(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await store.add_statement(code(session), claim=True)
    lakehouse = await with_lakehouse(store)
    admin = RoleAssignment(workspace=lakehouse.workspace, principal=ADMIN, role=Role.VIEWER)
    entry = act(FakeClock(), Action.ROLE_ASSIGN)
    key = (session.first_repl, StatementNumber(0))
    late = Ending(ok=True)
    await store.move_statement(*key, Event.FINISHED, at=NOW, ending=late)
    before = len(await store.audit(AuditQuery(limit=100)))
    assert await store.move_statement(*key, Event.CANCEL_REQUESTED, at=NOW, audit=entry) is None
    moved, _ = await store.end_statement(
        *key, Event.FINISHED, at=NOW, ending=late, audit=entry, claim=True
    )
    assert moved is None
    await store.request_stop(session.id, end_cause=EndCause.IDLE)
    await store.request_stop(session.id, audit=entry, end_cause=EndCause.IDLE)
    await store.request_stop(SessionId(new_id()), audit=entry)
    await store.assign_role(admin, audit=entry)
    await store.remove_role(lakehouse.workspace, ADMIN, audit=entry)
    await store.remove_role(lakehouse.workspace, PrincipalId(new_id()), audit=entry)
    await store.add_lakehouse(lakehouse, audit=entry)
    await store.change_lakehouse(LakehouseId(new_id()), name="x", audit=entry)
    await store.change_workspace(WorkspaceId(new_id()), name="x", audit=entry)
    await store.delete_lakehouse(LakehouseId(new_id()), at=NOW, by=ADMIN, audit=entry)
    assert len(await store.audit(AuditQuery(limit=100))) == before


async def test_cancels_and_ends_at_once_agree_on_one_story(store: Store) -> None:
    """The results of moves, the record and the audit log agree."""
    entry = act(FakeClock(), Action.STATEMENT_CANCEL)
    for _ in range(20):
        session = await added(store, phase=Phase.READY)
        await store.add_statement(code(session), claim=True)
        key = (session.first_repl, StatementNumber(0))
        before = len(await store.audit(AuditQuery(limit=1000)))
        moves = await asyncio.gather(
            store.move_statement(*key, Event.CANCEL_REQUESTED, at=NOW, audit=entry),
            store.move_statement(*key, Event.STOPPED, at=NOW, ending=Ending(ok=False), audit=entry),
            store.move_statement(*key, Event.FINISHED, at=NOW, ending=Ending(ok=True), audit=entry),
        )
        made = [one for one in moves if one is not None]
        assert sum(one.phase in FINAL for one in made) == 1
        found = await store.statement(*key)
        assert found is not None
        assert found in made
        assert len(await store.audit(AuditQuery(limit=1000))) == before + len(made)


async def with_lakehouse(store: Store) -> Lakehouse:
    workspace = Workspace(id=WorkspaceId(new_id()), name=new_id(), created_at=NOW)
    assert await store.add_workspace(workspace, ADMIN)
    lakehouse = lakehouse_in(workspace.id, "Bronze")
    assert await store.add_lakehouse(lakehouse)
    return lakehouse


def lakehouse_in(workspace: WorkspaceId, name: str) -> Lakehouse:
    return Lakehouse(
        id=LakehouseId(new_id()),
        workspace=workspace,
        name=name,
        database=new_id(),
        created_at=NOW,
    )
