"""A session's conf as one table: what was requested, what is in effect, where it comes from."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakes.world import World
from livius.domain.session import Session
from livius.usecases import environments, publishing
from livius.usecases.conf_table import ConfRow, Source, conf_table
from livius.usecases.environments import EnvironmentPath
from livius.usecases.sessions import CreateSession, create_session
from livius.usecases.spark_settings import change_spark_settings

IDLE = "spark.livy.session.idle.timeout"
SIZED = "Spark runs in the driver here, and the operator decides its size."
PARTITIONS = "spark.sql.shuffle.partitions"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = await World().begin()
    yield made
    made.store.close()


async def session(world: World, conf: Mapping[str, str], **sizes: Any) -> Session:
    request = {"conf": dict(conf), **sizes}
    wanted = CreateSession(conf=conf, request=request)
    return (await create_session(world.context, world.admin, *world.place, wanted)).session


async def table(
    world: World, of: Session, effective: Mapping[str, str] | None = None
) -> dict[str, ConfRow]:
    if effective is not None:
        await world.store.set_effective_conf(of.id, effective)
    return {row.key: row for row in await conf_table(world.context, of)}


async def test_each_key_has_its_values_and_who_decided(world: World) -> None:
    conf = {PARTITIONS: "8", "spark.sql.ansi.enabled": "false"}
    of = await session(world, conf)
    rows = await table(world, of, {**conf, "spark.scheduler.mode": "FAIR", "spark.app.id": "x"})
    assert rows[PARTITIONS] == ConfRow(
        key=PARTITIONS, requested="8", effective="8", default="2", source=Source.SESSION
    )
    ansi = rows["spark.sql.ansi.enabled"]
    assert (ansi.default, ansi.source) == ("true", Source.SESSION)  # Spark's own default
    mode = rows["spark.scheduler.mode"]
    assert (mode.requested, mode.default, mode.source) == (None, "FAIR", Source.GATEWAY)
    assert rows["spark.app.id"].source is Source.SPARK
    assert list(rows)[:2] == sorted(conf), "the requested ones are first"


async def test_what_has_no_effect_has_its_reason(world: World) -> None:
    conf = {
        "spark.ms.autotune.enabled": "true",
        "spark.executor.memory": "4g",
        "other.key": "1",
        "spark.shuffle.manager": "org.apache.spark.shuffle.sort.ColumnarShuffleManager",
        PARTITIONS: "8",
    }
    rows = await table(world, await session(world, conf), {PARTITIONS: "8"})
    reasons = {key: row.why for key, row in rows.items() if row.why is not None}
    assert reasons == {
        "spark.ms.autotune.enabled": "For autotune",
        "spark.executor.memory": SIZED,
        "other.key": "Spark reads only keys that begin with spark.",
        "spark.shuffle.manager": "A class that only Fabric has",
    }
    assert all(rows[key].effective is None for key in reasons)
    assert all(rows[key].source is None for key in reasons)


async def test_before_spark_runs_there_is_what_will_be(world: World) -> None:
    rows = await table(world, await session(world, {PARTITIONS: "8", "spark.my.password": "x"}))
    assert rows[PARTITIONS].effective == "8"
    secret = rows["spark.my.password"]
    assert secret.requested == secret.effective == "*********(redacted)"


async def test_the_workspace_and_the_environment_are_named(world: World) -> None:
    context, here = world.context, world.workspace.id
    await change_spark_settings(
        context, world.admin, here, lambda present: replace(present.settings, session_timeout=7)
    )
    rows = await table(world, await session(world, {}))
    assert rows[IDLE] == ConfRow(
        key=IDLE, effective="420s", default="1200s", source=Source.WORKSPACE
    )
    rows = await table(world, await session(world, {IDLE: "90s"}))
    assert (rows[IDLE].effective, rows[IDLE].source) == ("90s", Source.SESSION)
    made = await environments.create_environment(context, world.admin, here, "E", "")
    path = EnvironmentPath(here, made.environment.id)
    await environments.change_compute(
        context,
        world.admin,
        path,
        changes={},
        properties={PARTITIONS: "16", "spark.sql.x": "y"},
    )
    await publishing.publish(context, world.admin, path)
    conf = {"spark.fabric.environment.id": made.environment.id, "spark.sql.x": "mine"}
    rows = await table(world, await session(world, conf))
    assert rows[PARTITIONS].source is Source.ENVIRONMENT
    assert rows["spark.sql.x"].source is Source.SESSION
    assert rows["spark.livius.runtime"].source is Source.ENVIRONMENT
    named = rows["spark.fabric.environment.id"]
    assert named.requested == named.effective == made.environment.id
    assert named.source is Source.SESSION


async def test_sizes_are_rows_too(world: World) -> None:
    sizes = {"driverMemory": "4g", "numExecutors": 2}
    of = await session(world, {"spark.driver.memory": "4g"}, **sizes)
    rows = await table(world, of)
    memory = rows["driverMemory"]
    assert (memory.requested, memory.effective, memory.default) == ("4g", "1g", "1g")
    assert memory.source is Source.GATEWAY
    assert memory.why is not None
