"""The use cases of monitoring and their rights, during a session's life and after it."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.world import World, submit_statement, with_rules
from livius.domain import outline as outlined
from livius.domain.activity import ActivityState
from livius.domain.errors import Forbidden, NotFound
from livius.domain.lakehouse import Role
from livius.domain.principal import Principal
from livius.domain.session import Event, Session
from livius.usecases import monitoring, statement_reads
from livius.usecases.driver_link import SessionLost
from livius.usecases.drivers import LinkMemory, report
from livius.usecases.monitoring import Wanted
from livius.usecases.sessions import CreateSession, create_session, delete_session
from livius_agent.wire import MOST_JOBS, Beat, Finished, Heap, Job, Jobs, Output, Ready, Stage
from support.records import first_repl, move_session


async def started(world: World, caller: Principal, **wanted: Any) -> Session:
    """A session whose driver takes a second for each step."""
    made = await create_session(world.context, caller, *world.place, CreateSession(**wanted))
    key = made.session.id
    world.clock.advance(timedelta(seconds=1))
    await world.settle(key)
    world.clock.advance(timedelta(seconds=1))
    attached = await move_session(world.store, key, Event.DRIVER_ATTACHED, at=world.clock.now())
    assert attached is not None
    world.links.open.add(attached.driver)
    world.clock.advance(timedelta(seconds=1))
    versions = {"spark": "4.1", "delta": "4.2"}
    conf = {"spark.x": "1", "spark.y": "*********(redacted)"}
    ready = Ready(spark_app_id="local-1", versions=versions, conf=conf)
    await report(world.context, attached, ready)
    await report(world.context, attached, ready)  # as after a redial
    session = await world.store.session(key)
    assert session is not None
    return session


async def ran(world: World, session: Session, caller: Principal, *messages: Any) -> None:
    await submit_statement(
        world.context,
        caller,
        world.path(session.id),
        code="spark.range(9).count()",
        kind=None,
        source_id=None,
    )
    for message in messages:
        await report(world.context, session, message)


def job(number: int, **changes: Any) -> Job:
    stage = Stage(
        id=number, attempt=0, name="count", status="ACTIVE", tasks=4, done=1, active=1, failed=0
    )
    made = Job(
        id=number,
        name="count",
        status="RUNNING",
        tasks=4,
        done=1,
        active=1,
        failed=0,
        skipped=0,
        started=1.5,
        stages=(stage,),
    )
    return replace(made, **changes)


async def test_the_steps_say_why_one_waits_and_are_kept(world: World) -> None:
    session = await started(world, world.admin)
    world.clock.advance(timedelta(seconds=7))
    await ran(world, session, world.admin)
    await delete_session(world.context, world.admin, world.path(session.id))
    world.clock.advance(timedelta(seconds=2))
    await world.settle(session.id)
    detail = await monitoring.describe(
        world.context, world.admin, world.workspace.id, session.id, lakehouse=world.lakehouse.id
    )
    began = detail.steps[0].at
    assert [(step.name, (step.at - began).total_seconds()) for step in detail.steps] == [
        ("accepted", 0),
        ("driver_starting", 1),
        ("driver_connected", 2),
        ("ready", 3),
        ("first_statement", 10),
        ("stopping", 12),
        ("ended", 12),
    ]
    assert detail.activity.state is ActivityState.STOPPED
    assert detail.activity.session.versions == {"spark": "4.1", "delta": "4.2"}


async def test_conf_is_told_as_asked_as_effective_and_without_effect(world: World) -> None:
    conf = {"spark.sql.shuffle.partitions": "3", "spark.native.enabled": "true"}
    request = {"conf": conf, "driverMemory": "56g"}
    session = await started(world, world.admin, conf=conf, request=request)
    detail = await monitoring.describe(world.context, world.admin, world.workspace.id, session.id)
    assert detail.conf is not None
    assert detail.conf.asked == conf
    assert detail.conf.effective == {"spark.x": "1", "spark.y": "*********(redacted)"}
    assert detail.conf.without_effect == ("spark.native.enabled",)
    assert detail.conf.sizes_asked == {"driverMemory": "56g"}


async def test_others_are_told_the_record_alone(world: World) -> None:
    session = await started(world, world.admin)
    place = (world.workspace.id, session.id)
    for role in (Role.VIEWER, Role.CONTRIBUTOR, Role.MEMBER):
        other = await world.member(role)
        assert (await monitoring.describe(world.context, other, *place)).conf is None
        with pytest.raises(Forbidden):
            await monitoring.own_activity(world.context, other, *place)
    admin = await world.member(Role.ADMIN)
    assert (await monitoring.describe(world.context, admin, *place)).conf is not None
    own = await monitoring.own_activity(world.context, admin, *place)
    assert own.session.id == session.id


async def test_a_list_over_all_workspaces_has_the_callers_only(world: World) -> None:
    session = await started(world, world.admin, name="nightly load")
    viewer = await world.member(Role.VIEWER)
    stranger = dataclasses.replace(viewer, oid="11111111-1111-1111-1111-111111111111")

    async def seen(caller: Principal, **wanted: Any) -> list[str]:
        page = await monitoring.list_all_activities(
            world.context, caller, Wanted(**wanted), limit=10
        )
        return [one.session.id for one in page.activities]

    assert await seen(viewer) == await seen(viewer, text="NIGHTLY") == [session.id]
    assert await seen(viewer, text="weekly") == []
    assert await seen(stranger) == []


async def test_jobs_are_told_while_a_statement_runs_and_kept(world: World) -> None:
    session = await started(world, world.admin)
    running = Jobs(repl=session.first_repl, number=0, total=1, jobs=(job(3),))
    await ran(world, session, world.admin, running)
    path = world.path(session.id)
    found = await statement_reads.statement_jobs(
        world.context, await first_repl(world.store, session), "0"
    )
    assert (found.total, found.jobs[0].id, found.jobs[0].stages[0].done) == (1, 3, 1)
    assert found.jobs[0].started_at is not None
    done = job(3, status="SUCCEEDED", done=4, active=0, ended=2.5, stages=())
    await report(
        world.context,
        session,
        Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="ok"),
    )
    await report(world.context, session, replace(running, jobs=(done,)))
    await delete_session(world.context, world.admin, path)
    await world.settle(session.id)
    activity = await monitoring.own_activity(
        world.context, world.admin, world.workspace.id, session.id
    )
    found = await statement_reads.statement_jobs(
        world.context, await first_repl(world.store, activity.session), "0"
    )
    assert (found.jobs[0].status, found.jobs[0].done) == ("SUCCEEDED", 4)
    with pytest.raises(NotFound):
        await statement_reads.statement_jobs(
            world.context, await first_repl(world.store, activity.session), "1"
        )


async def test_a_drivers_heap_is_stored_where_it_has_changed_and_not_too_often(
    world: World,
) -> None:
    session, memory = await started(world, world.admin), LinkMemory()

    async def told(used: int) -> int:
        beat = Beat(heap=Heap(used=used, limit=1000))
        await report(world.context, session, beat, memory)
        heap = (await world.store.outline(session.id, most=1)).heap
        assert heap is not None
        return heap.used

    await report(world.context, session, Beat(), memory)
    assert (await world.store.outline(session.id, most=1)).heap is None
    assert await told(500) == 500
    assert await told(700) == 500
    world.clock.advance(timedelta(seconds=5))
    assert await told(505) == 500
    assert await told(700) == 700
    world.clock.advance(timedelta(seconds=5))
    jobs = Jobs(
        repl=session.first_repl, number=0, total=1, jobs=(job(1),), heap=Heap(used=1, limit=1000)
    )
    await report(world.context, session, jobs, memory)
    outline = await world.store.outline(session.id, most=1)
    assert outline.heap == outlined.Heap(1, 700, 1000)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b'{"application/json": {"schema": {}, "data": [[1], [null]]}}', 2),
        (b'{"application/json": {"schema": {}, "data": []}}', 0),
        (b'{"application/json": {"schema": {}, "data": 5}}', None),
        (b'{"application/json": [1]}', None),
        (b'{"text/html": "<b>"}', None),
    ],
)
@pytest.mark.parametrize("inline", [10, 10_000])
async def test_rows_of_sql_are_counted(
    world: World, data: bytes, rows: int | None, inline: int
) -> None:
    session = await started(world, world.admin)
    finished = Finished(
        repl=session.first_repl, number=0, seq=1, size=0, outcome="ok", data=Raw(data)
    )
    await ran(world, session, world.admin)
    await report(with_rules(world, inline_bytes=inline), session, finished)
    [mark] = (await world.store.outline(session.id, most=1)).marks
    assert (mark.ok, mark.rows) == (True, rows)


async def test_of_what_a_driver_says_no_more_is_kept_than_an_honest_one_would_say(
    world: World,
) -> None:
    session = await started(world, world.admin)
    odd = job(1, name="x" * 9999, description="y" * 9999, stages=job(1).stages * 99)
    await ran(
        world,
        session,
        world.admin,
        Jobs(repl=session.first_repl, number=0, total=-5, jobs=(odd,) * MOST_JOBS),
    )
    found = await statement_reads.statement_jobs(
        world.context, await first_repl(world.store, session), "0"
    )
    assert len(found.jobs) == MOST_JOBS
    assert found.total == MOST_JOBS
    assert len(found.jobs[0].name) == 200
    assert len(found.jobs[0].description or "") == 500
    assert len(found.jobs[0].stages) == 50
    with pytest.raises(SessionLost):
        await report(
            world.context, session, Jobs(repl="another", number=0, total=1, jobs=(job(1),))
        )


async def test_statements_of_a_deleted_session_can_be_read_by_whose_they_are(
    world: World,
) -> None:
    session = await started(world, world.admin)
    printed = Output(repl=session.first_repl, number=0, seq=1, offset=0, text="nine\n")
    finished = Finished(repl=session.first_repl, number=0, seq=2, size=5, outcome="ok")
    await ran(world, session, world.admin, printed, finished)
    await delete_session(world.context, world.admin, world.path(session.id))
    await world.settle(session.id)
    activity = await monitoring.own_activity(
        world.context, world.admin, world.workspace.id, session.id
    )
    [view], total = await statement_reads.list_statements(
        world.context, await first_repl(world.store, activity.session), skip=0, top=9
    )
    assert (view.text, total) == ("nine\n", 1)
    assert (
        await statement_reads.get_statement(
            world.context, await first_repl(world.store, activity.session), "0"
        )
    ).text == "nine\n"
    with pytest.raises(NotFound):
        await statement_reads.get_statement(
            world.context, await first_repl(world.store, activity.session), "1"
        )
