"""Environments of a world of fakes: staged, published, and named by sessions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fakes.world import World, publisher
from livius.domain.environment import PublishState
from livius.usecases import environments, publishing, sessions
from livius.usecases.environments import EnvironmentPath
from livius.usecases.sessions import CreateSession


async def staged(world: World, name: str = "E") -> EnvironmentPath:
    made = await environments.create_environment(
        world.context, world.admin, world.workspace.id, name, ""
    )
    here = EnvironmentPath(world.workspace.id, made.environment.id)
    await environments.import_libraries(world.context, world.admin, here, "polars==1.2")
    return here


@asynccontextmanager
async def served(world: World) -> AsyncIterator[None]:
    running = asyncio.create_task(publisher(world).run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(world: World, here: EnvironmentPath, *states: PublishState) -> PublishState:
    async with asyncio.timeout(10):
        while True:
            view = await environments.get_environment(world.context, world.admin, here)
            if view.publish is not None and view.publish.state in states:
                return view.publish.state
            await asyncio.sleep(0.01)


async def publish(world: World, here: EnvironmentPath) -> PublishState:
    await publishing.publish(world.context, world.admin, here)
    async with served(world):
        return await until(
            world, here, PublishState.SUCCEEDED, PublishState.FAILED, PublishState.CANCELLED
        )


async def create(world: World, here: EnvironmentPath, **conf: str) -> sessions.SessionView:
    key = "spark.fabric.environment.id"
    wanted = CreateSession(conf={key: here.environment, **conf})
    return await sessions.create_session(world.context, world.admin, *world.place, wanted)
