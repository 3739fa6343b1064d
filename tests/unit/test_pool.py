"""When the starter pool starts a driver, gives one up, and when it gives up itself."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from fakes.world import World, with_rules
from livius.domain.driver import Driver, DriverEnd, Event, Owner, Phase
from livius.domain.pool import Condition, fixed_keys
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.reconcile.pool import WarmPools
from livius.usecases import high_concurrency
from livius.usecases.context import Context
from livius.usecases.driver_link import attach_driver, resume, session_of
from livius.usecases.drivers import report, report_pooled
from livius.usecases.sessions import CreateSession, create_session
from livius_agent.wire import PROTOCOL, Bind, Hello, Jobs, OpenRepl, Ready, Warmed
from support.records import pooled_driver


@dataclass
class Room:
    """Memory for so many drivers; `admit` refuses nothing."""

    drivers: int = 100
    asked: list[tuple[int, int]] = field(default_factory=list)

    def admit(self, found: object) -> None:
        del found

    def has_room(self, *, more: int, starting: int) -> bool:
        self.asked.append((more, starting))
        return more + starting <= self.drivers

    def check_disk(self) -> None: ...


@dataclass
class Pooled:
    world: World
    pool: WarmPools
    room: Room

    async def drivers(self) -> list[Driver]:
        return [one for one in await self.world.store.live_drivers() if one.owner is Owner.POOL]

    async def look(self, times: int = 3) -> Condition:
        for _ in range(times):
            await self.pool.look()
        return (await self.pool.state()).condition

    async def launch(self) -> Driver:
        [driver] = await self.drivers()
        while await self.world.reconciler.step(driver.id) == 0.0:
            pass
        return driver

    async def dial_in(self, driver: Driver) -> None:
        context, links = self.world.context, self.world.links
        hello = Hello(protocol=PROTOCOL, driver=driver.id, agent="1", last={})
        attached = await attach_driver(context, driver, hello)
        links.open.add(driver.id)
        await resume(context, attached)

    async def warm(self) -> Driver:
        await self.look()
        driver = await self.launch()
        await self.dial_in(driver)
        await report_pooled(self.world.context, driver.id, Warmed())
        await self.look()
        found = await self.world.store.driver(driver.id)
        assert found is not None
        assert found.phase is Phase.WARM
        return found

    @property
    def context(self) -> Context:
        return with_rules(self.world, pool=self.pool.fingerprint)

    async def create(self, **conf: str) -> Session:
        world, wanted = self.world, CreateSession(conf=conf)
        view = await create_session(self.context, world.admin, *world.place, wanted)
        return view.session

    async def acquire(self) -> high_concurrency.HighConcurrencyView:
        world = self.world
        return await high_concurrency.acquire(
            self.context, world.admin, *world.place, CreateSession(), None
        )

    async def session(self, session: Session) -> Session:
        found = await self.world.store.session(session.id)
        assert found is not None
        return found


@pytest.fixture
async def pooled() -> Pooled:
    world = await World().begin()
    room = Room()
    pool = WarmPools(
        store=world.store,
        capacity=room,
        clock=world.clock,
        size=1,
        runtime="2.0",
        fingerprint="f",
        wake=world.woken.append,
    )
    world.pool_driver_ended = pool.driver_ended
    world.reconciler = world.restarted_reconciler()
    return Pooled(world, pool, room)


async def test_it_is_filled_and_woken_in_a_quiet_moment(pooled: Pooled) -> None:
    assert await pooled.look(times=1) is Condition.WAITING
    assert await pooled.look(times=1) is Condition.FILLING
    [driver] = await pooled.drivers()
    assert pooled.world.woken == [driver.id]
    assert await pooled.look() is Condition.FILLING
    assert len(await pooled.drivers()) == 1
    await pooled.launch()
    assert pooled.world.launcher.alive[driver.id].binding is None


async def test_it_waits_while_a_session_starts(pooled: Pooled) -> None:
    session = await pooled.create()
    assert await pooled.look(times=5) is Condition.WAITING
    await pooled.world.store.move_driver(session.driver, Event.LAUNCH_BEGUN, at=session.created_at)
    await pooled.world.store.move_driver(session.driver, Event.ATTACHED, at=session.created_at)
    await pooled.world.store.move_driver(session.driver, Event.READIED, at=session.created_at)
    assert await pooled.look(times=2) is Condition.FILLING


async def test_a_session_is_bound_to_a_warm_driver(pooled: Pooled) -> None:
    driver = await pooled.warm()
    assert (await pooled.pool.state()).warm == 1
    session = await pooled.create(**{"spark.sql.shuffle.partitions": "7", "spark.sql.x": "secret"})
    assert session.driver == driver.id
    world = pooled.world
    assert await world.reconciler.step(driver.id) is not None
    [sent] = [one for one in world.links.sent if isinstance(one, Bind)]
    assert sent.name == session.name
    assert sent.database == "bronze"
    assert sent.conf["spark.sql.shuffle.partitions"] == "7"
    await report(world.context, session, Ready(spark_app_id="local-9", versions={}))
    ready = await pooled.session(session)
    assert (ready.phase, ready.spark_app_id) == (SessionPhase.READY, "local-9")
    assert await world.reconciler.step(driver.id) is None
    assert world.conf_secrets == {}
    assert await pooled.look() is Condition.FILLING, "another one is started"


async def test_conf_that_spark_reads_once_is_named_as_the_cause(pooled: Pooled) -> None:
    driver = await pooled.warm()
    session = await pooled.create(**{"spark.task.cpus": "1", "spark.sql.ansi.enabled": "true"})
    assert session.driver != driver.id
    assert session.tags["FallbackReasons"] == "UserSparkConfigMismatch"
    assert "spark.task.cpus" in session.tags["FallbackMessages"]
    assert "ansi" not in session.tags["FallbackMessages"]


async def test_an_idle_timeout_costs_no_warm_start(pooled: Pooled) -> None:
    driver = await pooled.warm()
    session = await pooled.create(**{"spark.livy.session.idle.timeout": "60m"})
    assert session.driver == driver.id
    assert session.idle_timeout.total_seconds() == 3600


async def test_one_that_dies_while_it_is_bound_costs_time_and_no_session(pooled: Pooled) -> None:
    driver = await pooled.warm()
    session = await pooled.create()
    world = pooled.world
    world.links.close(driver.id)
    world.launcher.die(driver.id, DriverEnd(signal=9))
    await world.reconciler.step(driver.id)
    now = await pooled.session(session)
    assert now.driver != driver.id
    assert world.woken[-1] == now.driver
    await world.settle(session.id)
    assert (await pooled.session(session)).phase is SessionPhase.LAUNCHING
    binding = world.launcher.alive[now.driver].binding
    assert binding is not None
    assert binding.lakehouse == world.lakehouse.id


async def test_one_that_never_answers_is_replaced(pooled: Pooled) -> None:
    driver = await pooled.warm()
    session = await pooled.create()
    world = pooled.world
    await world.reconciler.step(driver.id)
    world.clock.advance(timedelta(seconds=31))
    await world.reconciler.step(driver.id)
    assert driver.id not in world.launcher.alive
    assert (await pooled.session(session)).driver != driver.id


async def test_what_a_replaced_driver_still_says_is_not_its_successors(pooled: Pooled) -> None:
    driver = await pooled.warm()
    session = await pooled.create(**{"spark.sql.my.password": "p"})
    world = pooled.world
    world.clock.advance(timedelta(seconds=31))
    await world.reconciler.step(driver.id)
    assert await session_of(world.context, driver.id) is None
    await report(world.context, session, Ready(spark_app_id="local-9", versions={}))
    await world.settle(session.id)
    now = await pooled.session(session)
    assert now.phase is SessionPhase.LAUNCHING
    binding = world.launcher.alive[now.driver].binding
    assert binding is not None
    assert binding.conf["spark.sql.my.password"] == "p"


async def test_repls_acquired_while_the_driver_dials_in_are_opened(pooled: Pooled) -> None:
    driver = await pooled.warm()
    context, links = pooled.world.context, pooled.world.links
    links.close(driver.id)
    hello = Hello(protocol=PROTOCOL, driver=driver.id, agent="1", last={})
    attached = await attach_driver(context, driver, hello)
    first, second = await pooled.acquire(), await pooled.acquire()
    assert first.session.driver == second.session.driver == driver.id
    links.open.add(driver.id)
    await resume(context, attached)
    assert [one for one in links.sent if isinstance(one, OpenRepl)] == [
        OpenRepl(repl=second.repl.id)
    ]


async def test_dead_ones_are_replaced_but_not_for_ever(pooled: Pooled) -> None:
    for _ in range(5):
        driver = await pooled.warm()
        pooled.world.links.close(driver.id)
        pooled.world.launcher.die(driver.id, DriverEnd(signal=9))
        await pooled.world.reconciler.step(driver.id)
        assert await pooled.drivers() == []
        assert await pooled.look() in (Condition.FAILING, Condition.GIVEN_UP)
        pooled.world.clock.advance(timedelta(seconds=70))
    assert await pooled.look() is Condition.GIVEN_UP
    assert await pooled.drivers() == []


async def test_deaths_far_apart_and_those_of_an_earlier_gateways_drivers_are_forgiven(
    pooled: Pooled,
) -> None:
    began = pooled.world.clock.now()
    for _ in range(12):
        driver = await pooled.warm()
        pooled.world.launcher.die(driver.id, DriverEnd(signal=9))
        pooled.world.links.close(driver.id)
        await pooled.world.reconciler.step(driver.id)
        pooled.world.clock.advance(timedelta(minutes=11))
    earlier = pooled_driver(created_at=began - timedelta(seconds=1))
    for _ in range(9):
        pooled.pool.driver_ended(earlier)
    assert await pooled.look() is Condition.FILLING


async def test_a_session_that_can_not_be_bound_is_no_failure_of_the_pool(pooled: Pooled) -> None:
    await pooled.warm()
    session = await pooled.create(**{"spark.sql.x.password": "secret"})
    pooled.world.conf_secrets.clear()
    await pooled.world.reconciler.step(session.driver)
    await pooled.world.settle(session.id)
    ended = await pooled.session(session)
    assert ended.phase is SessionPhase.FAILED
    assert "Create the session again" in (ended.end_reason or "")
    assert await pooled.look() is Condition.FILLING


async def test_ready_comes_before_the_binding_is_given_up(pooled: Pooled) -> None:
    await pooled.warm()
    session = await pooled.create(**{"spark.sql.x.password": "secret"})
    world = pooled.world
    driver = await world.store.driver(session.driver)
    assert driver is not None
    await report(world.context, session, Ready(spark_app_id="local-9", versions={}))
    assert await world.reconciler._bind(driver) == 0.0, "it saw the driver a moment ago"
    assert (await pooled.session(session)).phase is SessionPhase.READY


async def test_one_that_breaks_a_rule_counts_as_dead(pooled: Pooled) -> None:
    await pooled.look()
    driver = await pooled.launch()
    await pooled.dial_in(driver)
    with pytest.raises(Exception, match="without having a session"):
        await report_pooled(
            pooled.world.context, driver.id, Jobs(repl="r", number=0, total=0, jobs=())
        )


async def test_without_memory_none_is_started_and_those_that_wait_are_ended(
    pooled: Pooled,
) -> None:
    pooled.room.drivers = 1
    assert await pooled.look() is Condition.NO_MEMORY
    assert await pooled.drivers() == []
    pooled.room.drivers = 100
    driver = await pooled.warm()
    pooled.room.drivers = -1
    assert await pooled.look() is Condition.NO_MEMORY
    await pooled.world.reconciler.step(driver.id)
    await pooled.world.reconciler.step(driver.id)
    assert driver.id not in pooled.world.launcher.alive
    pooled.room.drivers = 100
    assert await pooled.look() is Condition.FILLING, "an end that was wanted is no failure"


async def test_drivers_of_other_settings_are_ended(pooled: Pooled) -> None:
    old = await pooled.warm()
    pooled.pool.fingerprint = "new"
    await pooled.look()
    found = await pooled.world.store.driver(old.id)
    assert found is not None
    assert found.goal == "end"
    assert (await pooled.create()).driver != old.id


async def test_a_size_of_0_switches_it_off(pooled: Pooled) -> None:
    pooled.pool.size = 0
    assert await pooled.look() is Condition.OFF
    assert await pooled.drivers() == []


@pytest.mark.parametrize(
    ("key", "fixed"),
    [
        ("spark.sql.shuffle.partitions", False),
        ("spark.databricks.delta.snapshotPartitions", False),
        ("spark.sql.warehouse.dir", True),
        ("spark.sql.hive.metastore.version", True),
        ("spark.databricks.delta.testOnly.dvFileNamePrefix", True),
        ("spark.executor.memory", True),
        ("spark.SQL.shuffle.partitions", True),
        ("spark.hadoop.x", True),
    ],
)
def test_which_keys_a_running_driver_takes(key: str, fixed: bool) -> None:
    assert fixed_keys({key: "1"}) == ([key] if fixed else [])
