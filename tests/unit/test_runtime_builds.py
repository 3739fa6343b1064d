"""Sessions of a runtime that is not built yet, and the builds."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from fakes.world import World, with_rules
from livius.adapters.local.built_runtimes import LocalRuntimes
from livius.adapters.local.runtimes import Runtime
from livius.api.fabric.responses import session_body
from livius.domain.driver import Phase as DriverPhase
from livius.domain.errors import Invalid, Unavailable
from livius.domain.ids import DriverId
from livius.domain.session import EndCause, Phase, Session
from livius.usecases.sessions import CreateSession, create_session, delete_session, get_session
from support.records import pooled_driver


async def create(world: World, runtime: str | None = None) -> Session:
    conf = {} if runtime is None else {"spark.livius.runtime": runtime}
    wanted = CreateSession(conf=conf)
    return (await create_session(world.context, world.admin, *world.place, wanted)).session


async def now(world: World, session: Session) -> Session:
    found = await world.store.session(session.id)
    assert found is not None
    return found


@pytest.fixture
async def building(world: World) -> AsyncIterator[World]:
    """A world in which runtimes are built, but end when the test says so."""
    running = asyncio.create_task(world.builds.run())
    yield world
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def until_woken(world: World, driver: DriverId) -> None:
    world.woken.clear()
    world.runtimes.may_end.set()
    async with asyncio.timeout(10):
        while driver not in world.woken:
            await asyncio.sleep(0)


async def test_a_session_without_the_key_has_the_default(world: World) -> None:
    session = await create(world)
    assert session.runtime == "2.0"
    await world.step(session.id)
    assert (await now(world, session)).phase is Phase.LAUNCHING


async def test_a_runtime_that_there_is_none_of_is_refused(world: World) -> None:
    with pytest.raises(Invalid, match=r"no runtime 9\.9.* is one of 1\.3, 2\.0") as refused:
        await create(world, "9.9")
    assert refused.value.field == "conf.spark.livius.runtime"


async def test_a_session_waits_for_the_build_and_tells_its_step(building: World) -> None:
    world, session = building, await create(building, "1.3")
    assert session.runtime == "1.3"
    await world.settle(session.id)
    await asyncio.sleep(0)
    view = await get_session(world.context, world.admin, world.path(session.id))
    body = session_body(view)
    assert body["state"] == "not_started"
    assert body["tags"]["RuntimeBuild"] == "Downloading"
    world.clock.advance(timedelta(minutes=20))  # which is no time of the driver's start
    await until_woken(world, session.driver)
    await world.settle(session.id)
    assert world.launcher.alive[session.driver].runtime == "1.3"
    view = await get_session(world.context, world.admin, world.path(session.id))
    assert view.session.phase is Phase.LAUNCHING
    assert "RuntimeBuild" not in session_body(view)["tags"]


async def test_a_driver_of_the_pool_has_its_time_for_the_start_after_the_build(
    building: World,
) -> None:
    world = building
    driver = pooled_driver(runtime="1.3", created_at=world.clock.now())
    await world.store.add_pooled(driver, most=1)
    assert await world.reconciler.step(driver.id) is None
    world.clock.advance(timedelta(minutes=20))
    await until_woken(world, driver.id)
    for _ in range(3):
        await world.reconciler.step(driver.id)
    started = await world.store.driver(driver.id)
    assert started is not None
    assert started.phase is DriverPhase.LAUNCHING
    world.clock.advance(timedelta(minutes=20))
    while await world.reconciler.step(driver.id) is not None:
        pass
    ended = await world.store.driver(driver.id)
    assert ended is not None
    assert ended.phase is DriverPhase.ENDED
    assert "did not start within" in str(ended.end_reason)


async def test_a_build_that_fails_is_the_reason_of_the_sessions_end(building: World) -> None:
    world, session = building, await create(building, "1.3")
    world.runtimes.refuse = Unavailable("RuntimeBuildFailed", "No space is left.")
    await world.settle(session.id)
    await until_woken(world, session.driver)
    await world.settle(session.id)
    ended = await now(world, session)
    assert (ended.phase, ended.end_reason) == (Phase.FAILED, "No space is left.")
    # The next one tries again.
    world.runtimes.refuse = None
    again = await create(world, "1.3")
    await world.settle(again.id)
    await until_woken(world, again.driver)
    await world.settle(again.id)
    assert (await now(world, again)).phase is Phase.LAUNCHING


async def test_a_session_that_is_deleted_while_it_waits_ends_at_once(building: World) -> None:
    world, session = building, await create(building, "1.3")
    await world.settle(session.id)
    await delete_session(world.context, world.admin, world.path(session.id))
    await world.settle(session.id)
    ended = await now(world, session)
    assert (ended.phase, ended.end_cause) == (Phase.STOPPED, EndCause.DELETED)
    driver = await world.store.driver(session.driver)
    assert driver is not None
    assert driver.phase is DriverPhase.ENDED


async def test_a_session_of_another_runtime_takes_no_driver_of_the_pool(world: World) -> None:
    context = with_rules(world, pool="the pool's")
    wanted = CreateSession(conf={"spark.livius.runtime": "1.3"})
    made = await create_session(context, world.admin, *world.place, wanted)
    assert "spark.livius.runtime" in made.session.tags["FallbackMessages"]


BUILD = """
import pathlib, sys, time
print("   0.1 s  Downloading", flush=True)
print("            a detail", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
sys.exit(pathlib.Path(sys.argv[1]).read_text() or 0)
"""


class Builder:
    """Runtimes whose command ends when a file appears, with what is in it as its error."""

    def __init__(self, folder: Path) -> None:
        self.end = folder / "end"
        self.built: list[str] = []
        self.runs = 0
        self.runtimes = LocalRuntimes(["1.3"], self.find, self.command, built=self.note)

    def find(self, name: str) -> Runtime | None:
        if not self.end.exists():
            return None
        nowhere = Path("/nowhere")
        return Runtime(
            name=name, folder=nowhere, python=nowhere, spark_home=nowhere, jars=(), java=nowhere
        )

    def command(self, name: str) -> list[str]:
        assert name == "1.3"
        self.runs += 1
        return [sys.executable, "-c", BUILD, str(self.end)]

    def note(self, runtime: Runtime) -> None:
        self.built.append(runtime.name)

    async def until(self, step: str) -> None:
        async with asyncio.timeout(10):
            while self.runtimes.step("1.3") != step:
                await asyncio.sleep(0.01)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


async def test_several_wait_for_one_build(builder: Builder) -> None:
    builds = [asyncio.create_task(builder.runtimes.build("1.3")) for _ in range(3)]
    await builder.until("Downloading")
    assert not builder.runtimes.is_built("1.3")
    builder.end.touch()
    await asyncio.gather(*builds)
    assert (builder.runs, builder.built) == (1, ["1.3"])
    assert builder.runtimes.is_built("1.3")
    assert builder.runtimes.step("1.3") is None
    assert builder.runtimes["1.3"].name == "1.3"


async def test_a_build_that_fails_says_why_and_what_to_do(builder: Builder) -> None:
    build = asyncio.create_task(builder.runtimes.build("1.3"))
    await builder.until("Downloading")
    builder.end.write_text("No space is left.")
    with pytest.raises(Unavailable, match=r"No space is left.*livius runtime build 1\.3"):
        await build
    assert not builder.runtimes.is_built("1.3")


async def test_a_build_that_is_cancelled_leaves_no_process(builder: Builder) -> None:
    before = psutil.Process().children()
    build = asyncio.create_task(builder.runtimes.build("1.3"))
    await builder.until("Downloading")
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert [one for one in psutil.Process().children() if one not in before] == []
    assert builder.runtimes.step("1.3") is None


async def test_there_is_nothing_to_build_of_an_unknown_runtime(builder: Builder) -> None:
    with pytest.raises(Unavailable, match=r"no runtime 9\.9"):
        await builder.runtimes.build("9.9")
    with pytest.raises(Unavailable, match="not built"):
        builder.runtimes["1.3"]
