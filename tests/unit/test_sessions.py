"""Creating, seeing and ending sessions, and what the reconciler makes of it."""

from datetime import timedelta

import pytest

from fakes.world import World, principal, submit_statement, with_rules
from livius.domain.driver import DriverEnd, verify_secret
from livius.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from livius.domain.ids import DriverId, new_id
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Event, Goal, Phase, Session, Sizes
from livius.domain.statement import Phase as StatementPhase
from livius.ports.launcher import DriverState
from livius.reconcile.drivers import end_orphans
from livius.usecases.sessions import (
    CreateSession,
    create_session,
    delete_session,
    get_session,
    list_sessions,
    reset_timeout,
)
from support.records import move_session


async def created(world: World, **wanted: object) -> Session:
    command = CreateSession(**wanted)  # type: ignore[arg-type]
    view = await create_session(world.context, world.admin, *world.place, command)
    return view.session


async def present(world: World, session: Session) -> Session:
    found = await world.store.session(session.id)
    assert found is not None
    return found


async def ready(world: World) -> Session:
    session = await created(world)
    await world.settle(session.id)
    now = world.clock.now()
    await move_session(world.store, session.id, Event.DRIVER_ATTACHED, at=now)
    await move_session(world.store, session.id, Event.DRIVER_READY, at=now, last_active_at=now)
    world.links.open.add(session.driver)
    return await present(world, session)


async def test_a_new_session_is_recorded_woken_and_launched(world: World) -> None:
    session = await created(world)
    assert world.woken == [session.driver]
    assert session.name == f"Bronze_{session.id}"
    await world.settle(session.id)
    assert (await present(world, session)).phase is Phase.LAUNCHING
    to = world.launcher.alive[session.driver].binding
    assert to is not None
    assert (to.database, to.lakehouse) == ("bronze", world.lakehouse.id)


async def test_only_the_hash_of_the_link_secret_is_kept(world: World) -> None:
    session = await created(world)
    await world.settle(session.id)
    driver = await world.store.driver(session.driver)
    secret = world.launcher.alive[session.driver].secret
    assert driver is not None
    assert driver.secret_hash != secret
    assert verify_secret(secret, driver.secret_hash)
    assert not verify_secret("x" + secret, driver.secret_hash)


@pytest.mark.parametrize(
    "wanted",
    [
        {"conf": {"spark.master": "yarn"}},
        {"conf": {"spark.livy.session.idle.timeout": "never"}},
        {"conf": {"spark.fabric.environment.id": new_id()}},
        {"sizes": Sizes(driver_memory="huge")},
        {"libraries": ("jars",)},
        {"name": "a\nb"},
        {"name": "x" * 300},
        {"tags": {"a": "x" * 300}},
    ],
)
async def test_what_can_be_known_to_fail_is_refused_and_nothing_is_recorded(
    world: World, wanted: dict[str, object]
) -> None:
    with pytest.raises(Invalid):
        await created(world, **wanted)
    assert await world.store.live_sessions() == []


async def test_places_that_are_not_there_are_not_found(world: World) -> None:
    workspace, lakehouse = world.place
    for place in ((new_id(), lakehouse), (workspace, new_id()), ("x", lakehouse), (workspace, "")):
        with pytest.raises(NotFound):
            await create_session(world.context, world.admin, *place, CreateSession())


async def test_roles_decide(world: World) -> None:
    session = await created(world)
    viewer, contributor = await world.member(Role.VIEWER), await world.member(Role.CONTRIBUTOR)
    stranger = principal("Eve")
    with pytest.raises(Forbidden):
        await list_sessions(world.context, stranger, *world.place, skip=0, top=10)
    with pytest.raises(Forbidden):
        await create_session(world.context, viewer, *world.place, CreateSession())
    page, total = await list_sessions(world.context, viewer, *world.place, skip=0, top=10)
    assert (total, page[0].session.id) == (1, session.id)
    for other in (viewer, contributor):
        with pytest.raises(NotFound):
            await get_session(world.context, other, world.path(session.id))
    mine = await create_session(world.context, contributor, *world.place, CreateSession())
    seen = await get_session(world.context, world.admin, world.path(mine.session.id))
    assert seen.session.id == mine.session.id


async def test_a_deleted_session_is_not_found_at_once_and_its_driver_ends(world: World) -> None:
    session = await ready(world)
    await delete_session(world.context, world.admin, world.path(session.id))
    with pytest.raises(NotFound):
        await get_session(world.context, world.admin, world.path(session.id))
    with pytest.raises(NotFound):
        await delete_session(world.context, world.admin, world.path(session.id))
    await world.settle(session.id)
    ended = await present(world, session)
    assert (ended.phase, ended.end_cause) == (Phase.STOPPED, EndCause.DELETED)
    assert world.launcher.alive == {}


@pytest.mark.parametrize("steps", range(6))
async def test_a_session_deleted_while_it_starts_leaves_no_driver(world: World, steps: int) -> None:
    session = await created(world)
    for _ in range(steps):
        await world.step(session.id)
    await delete_session(world.context, world.admin, world.path(session.id))
    await world.settle(session.id)
    assert (await present(world, session)).phase is Phase.STOPPED
    assert world.launcher.alive == {}


@pytest.mark.parametrize("steps", range(4))
async def test_a_gateway_restarted_while_a_session_starts_launches_it_once(
    world: World, steps: int
) -> None:
    session = await created(world)
    for _ in range(steps):
        await world.step(session.id)
    world.reconciler = world.restarted_reconciler()
    await world.settle(session.id)
    assert world.launcher.launches == 1
    assert (await present(world, session)).phase is Phase.LAUNCHING


async def test_a_driver_that_ends_while_starting_fails_the_session_with_its_log(
    world: World,
) -> None:
    session = await created(world)
    await world.settle(session.id)
    world.launcher.die(session.driver, DriverEnd(code=1, log=("Error: no such thing",)))
    await world.settle(session.id)
    failed = await present(world, session)
    assert (failed.phase, failed.end_cause) == (Phase.FAILED, EndCause.START_FAILED)
    assert failed.end_reason is not None
    assert "exit code 1" in failed.end_reason
    assert failed.log == ("Error: no such thing",)


async def test_a_launch_that_is_refused_fails_the_session_with_the_reason(world: World) -> None:
    world.launcher.refuse = Unavailable("X", "The supervisor did not start.")
    session = await created(world)
    await world.settle(session.id)
    failed = await present(world, session)
    assert (failed.phase, failed.end_reason) == (Phase.FAILED, "The supervisor did not start.")


async def test_a_start_has_a_deadline(world: World) -> None:
    session = await created(world)
    await world.settle(session.id)
    world.clock.advance(timedelta(minutes=5, seconds=1))
    await world.settle(session.id)
    ended = await present(world, session)
    assert ended.end_cause is EndCause.START_TIMED_OUT
    assert "300 seconds" in (ended.end_reason or "")
    assert world.launcher.alive == {}


async def test_a_driver_that_dies_gives_every_open_statement_an_end_with_the_reason(
    world: World,
) -> None:
    session = await ready(world)
    path = world.path(session.id)
    for _ in range(2):
        await submit_statement(
            world.context, world.admin, path, code="1", kind=None, source_id=None
        )
    world.links.close(session.driver)
    world.launcher.die(session.driver, DriverEnd(signal=9, log=("last words",)))
    await world.settle(session.id)
    died = await present(world, session)
    assert (died.phase, died.end_cause) == (Phase.DIED, EndCause.DRIVER_DIED)
    page, _ = await world.store.list_statements(session.first_repl, skip=0, top=10)
    for statement in page:
        assert statement.phase is StatementPhase.AVAILABLE
        assert statement.ending is not None
        assert "signal 9" in (statement.ending.evalue or "")
        assert statement.ending.traceback == ("last words\n",)


async def test_a_driver_without_a_link_is_waited_for_and_then_given_up(world: World) -> None:
    session = await ready(world)
    world.links.close(session.driver)
    assert await world.step(session.id)
    assert (await present(world, session)).phase is Phase.READY
    world.clock.advance(timedelta(seconds=61))
    await world.settle(session.id)
    assert (await present(world, session)).phase is Phase.DIED
    assert world.launcher.alive == {}


async def test_our_own_outage_does_not_count_against_a_driver(world: World) -> None:
    session = await ready(world)
    world.links.close(session.driver)
    world.clock.advance(timedelta(hours=5))
    world.reconciler = world.restarted_reconciler()
    await world.settle(session.id)
    assert (await present(world, session)).phase is Phase.READY


async def test_idle_sessions_end_and_busy_ones_never(world: World) -> None:
    idle, busy = await ready(world), await ready(world)
    await submit_statement(
        world.context, world.admin, world.path(busy.id), code="1", kind=None, source_id=None
    )
    house = world.housekeeping()
    world.clock.advance(timedelta(minutes=21))
    await house.end_idle()
    await world.settle(idle.id)
    await world.settle(busy.id)
    ended = await present(world, idle)
    assert (ended.phase, ended.end_cause) == (Phase.STOPPED, EndCause.IDLE)
    assert "20 minutes" in (ended.end_reason or "")
    assert (await present(world, busy)).phase is Phase.READY
    world.clock.advance(timedelta(days=31))
    await house.forget()
    assert await world.store.session(idle.id) is None
    assert await world.store.session(busy.id) is not None


async def test_a_session_that_was_ended_in_the_records_alone_is_seen_to(world: World) -> None:
    wanted, unwanted = await ready(world), await ready(world)
    await world.store.request_stop(unwanted.id, end_cause=EndCause.DELETED)
    world.woken.clear()
    await world.housekeeping().end_unwanted()
    assert world.woken == [unwanted.driver]
    await world.settle(unwanted.id)
    world.woken.clear()
    await world.housekeeping().end_unwanted()
    assert world.woken == []
    assert (await present(world, wanted)).phase is Phase.READY


async def test_places_are_told_when_they_have_changed(world: World) -> None:
    supervisor = world.housekeeping()
    await supervisor.publish_lakehouse_index()
    first = world.launcher.places
    assert [place.lakehouse_name for place in first] == ["Bronze"]
    await supervisor.publish_lakehouse_index()
    assert world.launcher.places is first  # told once
    await world.store.change_lakehouse(world.lakehouse.id, name="Silver", description="")
    await supervisor.publish_lakehouse_index()
    assert [place.lakehouse_name for place in world.launcher.places] == ["Silver"]


async def test_reset_timeout_starts_the_idle_time_anew(world: World) -> None:
    session = await ready(world)
    world.clock.advance(timedelta(minutes=19))
    await reset_timeout(world.context, world.admin, world.path(session.id))
    world.clock.advance(timedelta(minutes=19))
    await world.housekeeping().end_idle()
    assert (await present(world, session)).goal is Goal.RUN
    world.clock.advance(timedelta(minutes=1))
    await world.housekeeping().end_idle()
    assert (await present(world, session)).goal is Goal.STOP


async def test_an_ended_session_can_not_be_kept_alive(world: World) -> None:
    session = await ready(world)
    world.links.close(session.driver)
    world.launcher.die(session.driver, DriverEnd(code=3))
    await world.settle(session.id)
    with pytest.raises(Conflict):
        await reset_timeout(world.context, world.admin, world.path(session.id))


async def test_orphans_are_ended_and_wanted_drivers_are_not(world: World) -> None:
    session = await ready(world)
    orphan = await ready(world)
    await move_session(world.store, orphan.id, Event.DRIVER_ENDED, at=world.clock.now())
    assert await end_orphans(world.store, world.launcher) == 1
    assert set(world.launcher.alive) == {session.driver}
    assert (await world.launcher.observe(session.driver)).vital is DriverState.ALIVE


async def test_a_session_that_does_not_exist_needs_no_step(world: World) -> None:
    assert await world.reconciler.step(DriverId(new_id())) is None


async def test_a_second_person_runs_no_code_where_all_code_is_one_users(world: World) -> None:
    session = await ready(world)
    contributor, admin = await world.member(Role.CONTRIBUTOR), await world.member(Role.ADMIN)
    alone = with_rules(world, trusted=frozenset({world.admin.oid}))
    await create_session(alone, world.admin, *world.place, CreateSession())
    for second in (contributor, admin):
        with pytest.raises(Forbidden, match=f"LIVIUS_OWNERS .object id {second.oid}") as refused:
            await create_session(alone, second, *world.place, CreateSession())
        assert refused.value.code == "SecondPersonNotTrusted"
    # An Admin steers what is not theirs, but puts no code into it.
    with pytest.raises(Forbidden, match="LIVIUS_TRUST_ALL_USERS"):
        await submit_statement(
            alone, admin, world.path(session.id), code="1", kind=None, source_id=None
        )
    await delete_session(alone, admin, world.path(session.id))
    both = with_rules(world, trusted=frozenset({world.admin.oid, contributor.oid}))
    await create_session(both, contributor, *world.place, CreateSession())
