"""The caller before the body: nothing of a body is read before its sender may send it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fakes.world import principal
from livius.domain.lakehouse import Role
from livius.domain.session import Session
from livius.limits import MAX_BODY_BYTES, MAX_CODE_BYTES
from wire.conftest import DOCUMENT, POOL, Wire


class Body:
    """A body that knows whether anybody began to read it."""

    def __init__(self, content: bytes = b"{}") -> None:
        self.content = content
        self.was_read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.was_read = True
        yield self.content


async def made(wire: Wire, path: str, body: dict[str, Any]) -> str:
    """Create something in the workspace; return its id."""
    answer = await wire.client.post(f"/v1/workspaces/{wire.world.workspace.id}/{path}", json=body)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity


async def with_bodies(wire: Wire, session: Session) -> list[tuple[str, str]]:
    """Method and path of every operation that the document says takes a body."""
    workspace, lakehouse = wire.world.place
    ids = {
        "workspace": workspace,
        "lakehouse": lakehouse,
        "version": "2023-12-01",
        "session": session.id,
        "repl": session.first_repl,
        "principal": wire.world.admin.oid,
        "item": lakehouse,
        "environment": await made(wire, "environments", {"displayName": "science"}),
        "pool": await made(wire, "spark/pools", POOL),
        "library": "mine.py",
        "table": "trips",
    }
    return [
        (method.upper(), path.format(**ids))
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    ]


async def test_a_strangers_body_is_never_read(wire: Wire) -> None:
    session = await wire.ready_session()
    found = await with_bodies(wire, session)
    assert len(found) == 24
    for method, path in found:
        for token in ("", "Bearer forged"):
            body = Body()
            answer = await wire.client.request(
                method, path, content=body, headers={"Authorization": token}
            )
            assert (answer.status_code, body.was_read) == (401, False), (method, path)


async def test_nor_is_that_of_a_caller_who_may_not(wire: Wire) -> None:
    session = await wire.ready_session()
    viewer = await wire.world.member(Role.VIEWER)
    wire.tokens.known["viewer"] = viewer
    wire.tokens.known["unscoped"] = replace(principal("unscoped"), scopes=frozenset())
    for method, path in await with_bodies(wire, session):
        for token in ("viewer", "nobody", "unscoped"):
            if path == "/v1/workspaces" and token != "unscoped":
                continue  # Every caller with the scope may make one.
            body = Body()
            wire.as_caller(token)
            answer = await wire.client.request(
                method, path, content=body, headers={"Authorization": f"Bearer {token}"}
            )
            assert answer.status_code in (403, 404), (method, path, answer.text)
            assert not body.was_read, (method, path)


async def test_nor_is_one_for_another_persons_session(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.tokens.known["other"] = await wire.world.member(Role.CONTRIBUTOR)
    body = Body(b'{"code": "1"}')
    answer = await wire.client.post(
        f"{wire.base}/sessions/{session.id}/statements",
        content=body,
        headers={"Authorization": "Bearer other"},
    )
    assert (answer.status_code, body.was_read) == (404, False)


@pytest.mark.parametrize("declared", [True, False])
async def test_only_code_may_be_large(wire: Wire, declared: bool) -> None:
    session = await wire.ready_session()
    statements = f"{wire.base}/sessions/{session.id}/statements"
    large = b'{"code": "1", "name": "' + b"x" * MAX_BODY_BYTES + b'"}'

    async def post(path: str, content: bytes) -> tuple[int, str]:
        body = content if declared else Body(content)
        answer = await wire.client.post(path, content=body)
        return answer.status_code, answer.json().get("message", "")

    assert await post(f"{wire.base}/sessions", large) == (
        413,
        "The body is larger than 256 KiB. Put data into Files and read it.",
    )
    assert (await post("/v1/workspaces", large))[0] == 413
    assert (await post(statements, large))[0] == 200
    assert (await post(statements, large + b" " * MAX_CODE_BYTES))[0] == 413
