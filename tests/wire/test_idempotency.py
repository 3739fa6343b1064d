"""A create that is repeated with its ``Idempotency-Key`` gives what the first one made."""

import asyncio

import httpx
import pytest

from livius.domain.lakehouse import Role
from livius.usecases.drivers import report
from livius_agent.wire import Finished, Run
from wire.conftest import Wire

KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


async def create(wire: Wire, **given: object) -> httpx.Response:
    asked = {"json": {"name": "demo"}, "headers": KEY, **given}
    return await wire.client.post(f"{wire.base}/sessions", **asked)  # type: ignore[arg-type]


async def count(wire: Wire) -> int:
    found = await wire.client.get(f"{wire.base}/sessions")
    return int(found.json()["totalCountOfMatchedItems"])


async def test_a_repeated_create_gives_the_same_session(wire: Wire) -> None:
    first = await create(wire)
    again = await asyncio.gather(*(create(wire) for _ in range(8)))
    for one in again:
        assert (one.status_code, one.json()["id"]) == (202, first.json()["id"])
        assert one.headers["location"] == first.headers["location"]
        assert one.json().keys() == first.json().keys()
    assert await count(wire) == 1
    assert len(wire.world.conf_secrets) == 1, "the repeats' drivers are never started"


async def test_two_that_arrive_at_once_make_one(wire: Wire) -> None:
    answers = await asyncio.gather(*(create(wire) for _ in range(8)))
    assert len({one.json()["id"] for one in answers}) == 1
    assert await count(wire) == 1


async def test_a_repeated_statement_runs_once_and_has_its_output(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"

    async def submit() -> httpx.Response:
        return await wire.client.post(url, json={"code": "6*7"}, headers=KEY)

    first, *others = await asyncio.gather(*(submit() for _ in range(4)))
    assert {one.text for one in others} == {first.text}
    sent = [message for message in wire.world.links.sent if isinstance(message, Run)]
    assert len(sent) == 1
    done = Finished(repl=session.first_repl, number=0, seq=1, size=2, text="42", outcome="ok")
    await report(wire.world.context, session, done)
    late = await submit()
    assert late.status_code == 200
    assert late.json() == (await wire.client.get(f"{url}/0")).json()
    assert late.json()["output"]["data"]["text/plain"] == "42"


@pytest.mark.parametrize("changed", ["body", "path"])
async def test_another_request_with_the_key_is_a_422(wire: Wire, changed: str) -> None:
    session = await wire.ready_session()
    await create(wire)
    if changed == "body":
        refused = await create(wire, json={"name": "other"})
    else:
        url = f"{wire.base}/sessions/{session.id}/statements"
        refused = await wire.client.post(url, json={"name": "demo", "code": "1"}, headers=KEY)
    assert refused.status_code == 422
    assert refused.json()["errorCode"] == "IdempotencyKeyReused"
    assert "new key" in refused.json()["message"]
    assert await count(wire) == 2


async def test_quotation_marks_are_no_part_of_a_key(wire: Wire) -> None:
    keys = ['"a\\"b"', 'a"b']
    made = [await create(wire, headers={"Idempotency-Key": key}) for key in keys]
    assert len({one.json()["id"] for one in made}) == 1


async def test_another_callers_key_is_another(wire: Wire) -> None:
    wire.tokens.known["bob"] = bob = await wire.world.member(Role.CONTRIBUTOR)
    made = [await create(wire, headers=KEY | caller) for caller in ({}, wire.as_caller("bob"))]
    assert bob.oid == made[1].json()["submitterId"]
    assert len({one.json()["id"] for one in made}) == 2


@pytest.mark.parametrize(
    "given",
    [
        [("Idempotency-Key", "")],
        [("Idempotency-Key", "a b")],
        [("Idempotency-Key", '""')],
        [("Idempotency-Key", "k" * 256)],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    ],
)
async def test_a_key_that_is_none_is_a_400_that_says_what_is_one(
    wire: Wire, given: list[tuple[str, str]]
) -> None:
    refused = await create(wire, headers=given)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "InvalidIdempotencyKey")
    assert "255" in refused.json()["message"]
    assert await count(wire) == 0


async def test_the_longest_key_is_taken(wire: Wire) -> None:
    assert (await create(wire, headers={"Idempotency-Key": "k" * 255})).status_code == 202
