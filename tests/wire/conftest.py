"""The whole application over fakes, called as a client calls it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest

from fakes.world import World, principal
from livius.api import audit, fabric, home
from livius.api.app import create_app
from livius.domain.errors import Unauthenticated
from livius.domain.ids import SessionId
from livius.domain.principal import Principal
from livius.domain.session import Session
from livius.event_streams import EventStreams
from livius.usecases.audit import note_refusal
from livius.usecases.driver_link import attach_driver, resume
from livius.usecases.drivers import report
from livius_agent.wire import PROTOCOL, Hello, Ready
from wire.documented import Documented

DOCUMENT: dict[str, Any] = {}

POOL = {
    "name": "small",
    "nodeFamily": "MemoryOptimized",
    "nodeSize": "Small",
    "autoScale": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 3},
    "dynamicExecutorAllocation": {"enabled": True, "minExecutors": 1, "maxExecutors": 2},
}
"""A custom pool, as a caller asks for one."""


@dataclass
class NamedTokens:
    """Takes a principal's name for its token."""

    known: dict[str, Principal] = field(default_factory=dict)

    async def bearer_of(self, token: str) -> Principal:
        if token not in self.known:
            raise Unauthenticated("InvalidToken", "The access token is not valid.")
        return self.known[token]


@dataclass
class Wire:
    world: World
    tokens: NamedTokens
    client: httpx.AsyncClient
    streams: EventStreams

    @property
    def base(self) -> str:
        workspace, lakehouse = self.world.place
        return f"/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livyapi/versions/2023-12-01"

    async def starting_session(self) -> Session:
        """Create a session whose driver is launched and has yet to dial in."""
        answer = await self.client.post(f"{self.base}/sessions", json={})
        session_id = SessionId(answer.json()["id"])
        await self.world.settle(session_id)
        session = await self.world.store.session(session_id)
        assert session is not None
        return session

    async def dial_in(self, session: Session) -> Session:
        """Do what the route of the agents' links does when one opens."""
        context = self.world.context
        driver = await self.world.store.driver(session.driver)
        assert driver is not None
        hello = Hello(protocol=PROTOCOL, driver=driver.id, agent="1", last={})
        attached = await attach_driver(context, driver, hello)
        self.world.links.open.add(driver.id)
        await resume(context, attached)
        assert attached.session is not None
        return attached.session

    async def ready_session(self) -> Session:
        return await self.make_ready(await self.starting_session())

    async def make_ready(self, session: Session) -> Session:
        """Have a session's driver launched, dial in and be ready."""
        await self.world.settle(session.id)
        await self.dial_in(session)
        await report(self.world.context, session, Ready(spark_app_id="local-1", versions={}))
        ready = await self.world.store.session(session.id)
        assert ready is not None
        return ready

    def as_caller(self, name: str) -> dict[str, str]:
        self.tokens.known.setdefault(name, principal(name))
        return {"Authorization": f"Bearer {name}"}


@asynccontextmanager
async def served(*, queue: int = 0, **given: Any) -> AsyncIterator[Wire]:
    world = await World(queue=queue).begin()
    tokens, streams = NamedTokens({"ada": world.admin}), EventStreams()
    facts = home.Facts(version="0", api="https://localhost:1", authority="https://localhost:1/t")
    app = create_app(
        tokens,
        [
            fabric.router(world.context, streams),
            audit.router(world.context),
            home.router(world.context, facts),
        ],
        version="0",
        refused=partial(note_refusal, world.context),
        **given,
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport,
        base_url="https://livius.test",
        headers={"Authorization": "Bearer ada"},
    ) as client:
        if not DOCUMENT:  # it is the same for each test, and takes a moment to be written
            DOCUMENT.update((await client.get("/openapi.json")).json())
        client.event_hooks = {"response": [Documented(DOCUMENT)]}
        yield Wire(world, tokens, client, streams)
    world.store.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with served() as made:
        yield made
