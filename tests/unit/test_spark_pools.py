"""Custom pools and Spark settings: their rules, and what they give to sessions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fakes.world import World, with_rules
from livius.adapters.local.sizes import bounded_heap, bounded_master, local_cores
from livius.domain.driver import Driver
from livius.domain.errors import Conflict, Forbidden, Invalid
from livius.domain.lakehouse import Role
from livius.domain.session import Session, Sizes
from livius.domain.spark_pool import (
    Compute,
    NodeSize,
    bound_by,
    check_pool,
    mebibytes,
)
from livius.domain.spark_settings import SparkConfiguration, SparkSettings
from livius.usecases.context import Context
from livius.usecases.sessions import CreateSession, create_session
from livius.usecases.spark_settings import (
    change_pool,
    change_spark_settings,
    create_pool,
)
from support.records import POOL_SHAPE, spark_pool

POOL = "spark.fabric.pool.name"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "a/b"},
        {"name": "é"},
        {"name": "x" * 65},
        {"name": "starter pool"},
        {"name": "Lab\n"},
        {"min_nodes": 0},
        {"min_nodes": 3},
        {"max_nodes": 201},
        {"min_executors": 3},
        {"max_executors": 0},
    ],
)
def test_a_pool_that_fabric_would_not_take_is_refused(fields: dict[str, Any]) -> None:
    check_pool(spark_pool())
    with pytest.raises(Invalid):
        check_pool(spark_pool(**fields))


def test_all_nodes_of_a_pool_bound_a_session_and_executors_bound_the_nodes() -> None:
    assert spark_pool().compute == Compute(8, 56 * 1024)
    assert spark_pool(allocates=True, max_executors=1).compute == Compute(4, 28 * 1024)
    assert spark_pool(node_size=NodeSize.XXLARGE, max_nodes=1).compute == Compute(64, 400 * 1024)


def test_a_pool_never_gives_more_than_the_operator() -> None:
    small = Compute(4, 28 * 1024)
    assert bound_by(Compute(2, 1024), small) is None
    assert bound_by(Compute(4, 28 * 1024), small) is None
    assert bound_by(Compute(16, 1024), small) == Compute(4, 1024)
    assert bound_by(Compute(2, 64 * 1024), small) == Compute(2, 28 * 1024)


def test_a_drivers_java_and_master_are_bounded_too() -> None:
    assert [mebibytes(one) for one in ("768m", "1g", "2T")] == [768, 1024, 2 * 1024 * 1024]
    assert bounded_heap("1g", None) == bounded_heap("1g", 4096) == "1g"
    assert bounded_heap("64g", 28 * 1024) == "28672m"
    assert local_cores("local[16]") == 16
    assert bounded_master("local[16]", None) == bounded_master("local[16]", 20) == "local[16]"
    assert bounded_master("local[16]", 4) == "local[4]"
    assert bounded_master("local[*]", 1) == "local[1]" or local_cores("local[*]") == 1
    assert bounded_master("spark://host:7077", 4) == "spark://host:7077"


@pytest.fixture
async def world() -> World:
    return await World().begin()


async def setting(world: World, **changes: Any) -> None:
    await change_spark_settings(
        world.context,
        world.admin,
        world.workspace.id,
        lambda present: replace(present.settings, **changes),
    )


async def created(
    world: World, context: Context | None = None, **conf: str
) -> tuple[Session, Driver]:
    wanted = CreateSession(conf={key.replace("_", "."): value for key, value in conf.items()})
    view = await create_session(context or world.context, world.admin, *world.place, wanted)
    driver = await world.store.driver(view.session.driver)
    assert driver is not None
    return view.session, driver


async def test_the_session_timeout_is_the_default_idle_timeout(world: World) -> None:
    before, _ = await created(world)
    await setting(world, session_timeout=90)
    after, _ = await created(world)
    own, _ = await created(world, spark_livy_session_idle_timeout="5m")
    assert [one.idle_timeout for one in (before, after, own)] == [
        timedelta(minutes=20),
        timedelta(minutes=90),
        timedelta(minutes=5),
    ]


@pytest.mark.parametrize("changes", [{"session_timeout": 0}, {"session_timeout": 20161}])
async def test_settings_out_of_bounds_are_refused(world: World, changes: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        await setting(world, **changes)
    found = await world.store.spark_configuration(world.workspace.id)
    assert found == SparkConfiguration(settings=SparkSettings())


async def test_the_runtime_is_one_that_the_server_has(world: World) -> None:
    with pytest.raises(Invalid, match=r"no runtime 1\.1\. It has: 1\.3, 2\.0"):
        await setting(world, runtime="1.1")
    await setting(world, runtime="2.0")
    session, driver = await created(world)
    assert session.runtime == driver.runtime == "2.0"


LARGE: dict[str, Any] = {"driver_cores": 16, "driver_memory": "64g"}


async def test_a_session_of_a_pool_has_at_most_the_pools_sizes(world: World) -> None:
    context = with_rules(world, **LARGE)
    await create_pool(context, world.admin, world.workspace.id, replace(POOL_SHAPE, max_nodes=1))
    session, driver = await created(world, context, spark_fabric_pool_name="lab")
    assert (driver.cores, driver.memory_mb) == (4, 28 * 1024)
    assert session.tags["SizesInEffect"] == (
        "pool=Lab,driverMemory=28672m,driverCores=4,numExecutors=0"
    )
    await world.settle(session.id)
    [spec] = world.launcher.alive.values()
    assert (spec.cores, spec.memory_mb) == (4, 28 * 1024)
    plain, driver = await created(world, context, spark_fabric_pool_name="Starter Pool")
    assert (driver.cores, driver.memory_mb) == (None, None)
    assert "SizesInEffect" not in plain.tags


async def test_the_default_pool_is_the_pool_of_sessions_that_name_none(world: World) -> None:
    context = with_rules(world, **LARGE)
    lab = await create_pool(context, world.admin, world.workspace.id, POOL_SHAPE)
    await setting(world, default_pool=lab.id)
    _, driver = await created(world, context)
    assert driver.cores == 8
    _, driver = await created(world, context, spark_fabric_pool_name="Starter Pool")
    assert driver.cores is None


async def test_without_customized_compute_a_session_has_the_default_pool(world: World) -> None:
    context = with_rules(world, **LARGE)
    await create_pool(context, world.admin, world.workspace.id, POOL_SHAPE)
    await setting(world, customizes_compute=False)
    session, driver = await created(world, context, spark_fabric_pool_name="Lab")
    assert driver.cores is None
    assert session.tags["ConfWithoutEffect"] == POOL


async def test_a_pool_that_there_is_not_is_refused_with_those_that_there_are(
    world: World,
) -> None:
    await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    with pytest.raises(Invalid, match=r"no pool 'Other'\. It has: Starter Pool, Lab"):
        await created(world, spark_fabric_pool_name="Other")
    assert await world.store.live_sessions() == []


@pytest.mark.parametrize(
    ("nodes", "claims"),
    [(1, False), (9, True)],
    ids=["smaller than the starter pool", "larger than the starter pool"],
)
async def test_a_warm_driver_is_claimed_if_the_pool_allows_its_sizes(
    world: World, nodes: int, *, claims: bool
) -> None:
    context = with_rules(world, **LARGE, pool="a fingerprint")
    await create_pool(
        context, world.admin, world.workspace.id, replace(POOL_SHAPE, max_nodes=nodes)
    )
    session, _ = await created(world, context, spark_fabric_pool_name="Lab")
    reason = "StarterPoolEmpty" if claims else "CustomPool"
    assert session.tags["FallbackReasons"] == reason
    assert ("Lab" in session.tags["FallbackMessages"]) is not claims


async def test_sizes_and_a_pool_are_said_together(world: World) -> None:
    await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    wanted = CreateSession(conf={POOL: "Lab"}, sizes=Sizes(driver_memory="56g"))
    view = await create_session(world.context, world.admin, *world.place, wanted)
    assert view.session.tags["SizesInEffect"] == (
        "pool=Lab,driverMemory=1g,driverCores=2,numExecutors=0"
    )


async def test_only_admins_change_settings_and_pools(world: World) -> None:
    lab = await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
    member = await world.member(Role.MEMBER)
    workspace = world.workspace.id
    with pytest.raises(Forbidden):
        await create_pool(world.context, member, workspace, replace(POOL_SHAPE, name="x"))
    with pytest.raises(Forbidden):
        await change_pool(world.context, member, workspace, lab.id, {"max_nodes": 5})
    with pytest.raises(Forbidden):
        await change_spark_settings(
            world.context, member, workspace, lambda present: present.settings
        )


async def test_a_workspace_has_a_hundred_pools_at_most(world: World) -> None:
    for number in range(100):
        await create_pool(
            world.context, world.admin, world.workspace.id, replace(POOL_SHAPE, name=f"P{number}")
        )
    with pytest.raises(Conflict, match="at most 100 pools"):
        await create_pool(world.context, world.admin, world.workspace.id, POOL_SHAPE)
