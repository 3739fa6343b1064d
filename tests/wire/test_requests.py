"""Requests made up from the OpenAPI document: what it allows is taken, what it forbids is refused.

Whatever the answer is, it is one that the document tells of, and never a 500. The same requests are
made each time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from sqlalchemy import Connection, delete

from livius.adapters.store.schema import (
    DELETED_LAKEHOUSES,
    ENVIRONMENTS,
    LAKEHOUSES,
    ROLES,
    SPARK_POOLS,
    SPARK_SETTINGS,
    WORKSPACES,
)
from livius.domain.ids import HighConcurrencyId, SessionId, new_id
from livius.domain.session import Phase as SessionPhase
from wire.conftest import DOCUMENT, POOL, Wire, served

EXAMPLES: Final = 8
OPAQUE: Final = frozenset({"continuationToken", "state", "type", "timezone"})
"""Parameters whose texts come from elsewhere: a page's token, words in a list."""
ELSEWHERE: Final = (
    *("/applications/", "/notebooks/", "/sparkJobDefinitions/"),
    *("/staging/", "/spark/", "/load", "}/items"),
)
"""Requests to Spark or to missing items, and those whose values have rules that a schema can't say:
only refusals can be tested here."""
MISSING: Final = ("roleAssignments", "{operation}", "{library}", "{environment}", "{pool}")
"""Parts of paths to things that may not be there: a library, a version that was published."""
POLICED: Final = frozenset({"conf"})
"""Fields with a policy, and tests, of their own."""


@dataclass
class Made:
    """A gateway over fakes, in which each request finds the same things."""

    runner: asyncio.Runner
    wire: Wire
    session: SessionId | None = None
    answers: int = 0

    def send(self, case: Any) -> httpx.Response:
        return self.runner.run(self._send(case))

    async def _send(self, case: Any) -> httpx.Response:
        world = self.wire.world
        await world.store._transactions.run(forget_places)
        await world.begin()
        session = await world.store.session(self.session) if self.session else None
        if session is None or session.deleted_at is not None:
            session = await self.wire.ready_session()
            self.session = session.id
            statements = f"{self.wire.base}/sessions/{session.id}/statements"
            await self.wire.client.post(statements, json={"code": "1"})
        ids = {
            "workspace": world.workspace.id,
            "lakehouse": world.lakehouse.id,
            "version": "2023-12-01",
            "session": session.id,
            "repl": session.first_repl,
            "number": "0",
            "principal": world.admin.oid,
            "item": world.lakehouse.id,
            "library": "mine.py",
        }
        if "{environment}" in case.path:
            ids["environment"] = await self._made("environments", {"displayName": new_id()})
        if "{pool}" in case.path:
            ids["pool"] = await self._made("spark/pools", {**POOL, "name": f"p{self.answers}"})
        if "{handle}" in case.path:
            ids["handle"] = await self._handle()
        path = case.path
        for name in case.path_parameters or {}:
            path = path.replace(f"{{{name}}}", ids.get(name, "x"))
        self.answers += 1
        return await self.wire.client.request(
            case.method,
            path,
            params=case.query or None,
            content=body_of(case),
            headers={"Content-Type": "application/json"},
        )

    async def _made(self, path: str, body: dict[str, Any]) -> str:
        place = f"/v1/workspaces/{self.wire.world.workspace.id}/{path}"
        answer = await self.wire.client.post(place, json=body)
        identity: str = answer.json()["id"]
        return identity

    async def _handle(self) -> str:
        """A high-concurrency session that is ready: one on its way would be waited for."""
        acquired = await self.wire.client.post(f"{self.wire.base}/highConcurrencySessions")
        handle: str = acquired.json()["id"]
        found = await self.wire.world.store.high_concurrency_session(HighConcurrencyId(handle))
        assert found is not None
        if found[1].phase is not SessionPhase.READY:
            await self.wire.make_ready(found[1])
        else:
            await self.wire.world.store.repl_opened(found[2].id)
        return handle


PLACES: Final = (
    SPARK_SETTINGS,
    SPARK_POOLS,
    ENVIRONMENTS,
    ROLES,
    LAKEHOUSES,
    DELETED_LAKEHOUSES,
    WORKSPACES,
)
"""Tables in an order in which all rows can be deleted."""


def forget_places(connection: Connection) -> None:
    for table in PLACES:
        connection.execute(delete(table))


def body_of(case: Any) -> bytes | None:
    if not has_body(case) or isinstance(case.body, bytes):
        return case.body if has_body(case) else None
    return json.dumps(case.body).encode("utf-8", "surrogatepass")


def is_allowed(body: bytes | None, case: Any) -> bool:
    """Tell whether the document allows a body."""
    described = DOCUMENT["paths"][case.path][case.method.lower()]["requestBody"]
    if "application/json" not in described["content"]:
        return True
    schema = described["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    try:
        return Draft202012Validator(whole).is_valid(json.loads(body or b""))
    except ValueError:
        return False


def has_body(case: Any) -> bool:
    return type(case.body).__name__ != "NotSet"


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Made(runner, runner.run(stack.enter_async_context(served())))
        runner.run(stack.aclose())


def each_case(mode: GenerationMode, try_it: Any) -> None:
    """Try some cases of each operation."""
    config = schemathesis.Config.from_dict(
        {"generation": {"codec": "ascii", "allow-x00": False, "mode": mode.value}}
    )
    schema = schemathesis.openapi.from_dict(DOCUMENT, config=config)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        # A stream of events lasts as long as its statement: see test_events.
        if not operation.path.startswith("/v1/") or operation.path.endswith("/events"):
            continue

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def tried(case: Any) -> None:
            try_it(case)

        tried()


def sent_and_got(case: Any, answer: httpx.Response) -> str:
    sent = answer.request
    return f"{sent.method} {sent.url} {sent.content[:500]!r}: {answer.status_code} {answer.text}"


@pytest.mark.timeout(120)
def test_what_the_document_allows_is_taken(made: Made) -> None:
    def try_it(case: Any) -> None:
        case.query = {name: one for name, one in (case.query or {}).items() if name not in OPAQUE}
        if has_body(case) and isinstance(case.body, dict):
            case.body = {name: one for name, one in case.body.items() if name not in POLICED}
        answer = made.send(case)
        assert answer.status_code < 500, sent_and_got(case, answer)
        if any(part in case.path for part in ELSEWHERE):
            return
        # Records may be in the way; the request itself may not be refused.
        assert answer.status_code < 400 or answer.status_code in (404, 409), sent_and_got(
            case, answer
        )
        if answer.status_code == 404:
            assert any(part in case.path for part in MISSING), sent_and_got(case, answer)

    each_case(GenerationMode.POSITIVE, try_it)
    assert made.answers > 200


@pytest.mark.timeout(120)
def test_what_the_document_forbids_is_refused(made: Made) -> None:
    refused = 0

    def try_it(case: Any) -> None:
        nonlocal refused
        answer = made.send(case)
        assert answer.status_code < 500, sent_and_got(case, answer)
        if not has_body(case):
            return
        if not is_allowed(body_of(case), case):
            refused += 1
            assert answer.status_code in (400, 404, 409), sent_and_got(case, answer)
            assert answer.json()["errorCode"], sent_and_got(case, answer)

    each_case(GenerationMode.NEGATIVE, try_it)
    assert refused > 30
