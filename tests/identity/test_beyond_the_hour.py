"""A session outlives the hour of the token that created it, and its code goes on getting tokens."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import httpx
import pytest

from fakes.world import World as Core
from identity.browser import Person
from identity.conftest import World
from identity.flows import TOKEN, claims_of, get_tokens
from livius.api import fabric
from livius.api.app import create_app
from livius.domain.ids import PrincipalId, SessionId
from livius.domain.lakehouse import Role, RoleAssignment
from livius.domain.session import Event
from livius.domain.tokens import FABRIC
from livius.event_streams import EventStreams
from livius.usecases.driver_requests import answer
from livius.usecases.identity.session_tokens import EmbeddedSessionTokens
from livius_agent.wire import AgentRequest, Answer
from support.records import move_session


@pytest.mark.parametrize("kind", ["user", "app"])
async def test_code_gets_tokens_when_the_callers_is_61_minutes_old(
    person: Person, world: World, kind: str
) -> None:
    if kind == "user":
        token = (await get_tokens(person, world))["access_token"]
    else:
        form = {
            "grant_type": "client_credentials",
            "client_id": world.sample.client_id,
            "client_secret": world.sample.client_secret,
            "scope": f"{FABRIC}/.default",
        }
        token = (await person.client.post(TOKEN, data=form)).json()["access_token"]
    caller = world.verifier.verify(token)
    core = await Core().begin()
    await core.store.assign_role(
        RoleAssignment(
            workspace=core.workspace.id, principal=PrincipalId(caller.oid), role=Role.CONTRIBUTOR
        )
    )
    context = dataclasses.replace(core.context, tokens=EmbeddedSessionTokens(world.authority))
    app = create_app(world.verifier, [fabric.router(context, EventStreams())], version="0")
    where = "/v1/workspaces/{}/lakehouses/{}/livyapi/versions/2023-12-01/sessions".format(
        *core.place
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://livius.test",
        headers={"Authorization": f"Bearer {token}"},
    ) as http:
        made = await http.post(where, json={})
        assert made.status_code == 202, made.text
        identity = SessionId(made.json()["id"])
        await core.settle(identity)
        for event, facts in (
            (Event.DRIVER_ATTACHED, {}),
            (Event.DRIVER_READY, {"spark_app_id": "local-1"}),
        ):
            await move_session(core.store, identity, event, at=core.clock.now(), **facts)
        session = await core.store.session(identity)
        assert session is not None
        core.links.open.add(session.driver)

        async def get() -> dict[str, object]:
            ask = AgentRequest(
                id=1, repl=session.first_repl, what="token", arguments={"audience": "storage"}
            )
            await answer(context, session, ask)
            last = core.links.sent[-1]
            assert isinstance(last, Answer)
            assert last.body is not None, last
            return claims_of(str(last.body["value"]))

        first = await get()
        world.clock.move(timedelta(minutes=61))
        refused = await http.get(f"{where}/{identity}")
        assert (refused.status_code, refused.json()["errorCode"]) == (401, "TokenExpired")
        for _ in range(3):
            later = await get()
            now = world.clock.now().timestamp()
            assert (later["oid"], later["aud"]) == (first["oid"], "https://storage.azure.com")
            assert now - 5 <= float(str(later["nbf"])) <= now
            assert float(str(later["exp"])) >= now + 3590
            world.clock.move(timedelta(hours=7))
    core.store.close()
