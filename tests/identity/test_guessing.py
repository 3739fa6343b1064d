"""Passwords and secrets under a flood: who is right gets in, and nobody waits without end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx

from identity.browser import Person
from identity.conftest import World
from identity.flows import AUTHORIZE, TOKEN, number, request
from identity.test_authority import assertion, with_assertion
from livius.domain.accounts import ClientApplication
from livius.domain.digests import is_drawn
from livius.domain.passwords import hash_password
from livius.domain.tokens import FABRIC
from livius.usecases.identity.authority import CheckQueue, TokenRefused


@contextlib.asynccontextmanager
async def full(queue: CheckQueue) -> AsyncIterator[None]:
    """Have a queue take nobody any more."""
    hold = asyncio.Event()

    async def wait() -> None:
        async with queue.turn():
            await hold.wait()

    waiting: list[asyncio.Task[None]] = []
    while not any(one.done() for one in waiting):
        waiting.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)
    yield
    hold.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended if one is not None] == [TokenRefused]


async def secret_form(world: World, secret: str | None = None) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": world.sample.client_id,
        "client_secret": secret or world.sample.client_secret,
        "scope": f"{FABRIC}/.default",
    }


async def test_names_that_nobody_has_delay_nobody_who_has_one(
    person: Person, world: World, http: httpx.AsyncClient
) -> None:
    await person.opens(AUTHORIZE, **request(world))
    async with full(world.authority.strangers.checks):
        await person.signs_in("nobody@livius.localhost", "made up")
        assert person.status == 429
        assert person.answer is not None
        assert int(person.answer.headers["retry-after"]) > 0
        await person.signs_in(world.user.username, world.user.password)
        assert "asks for permission" in person.text


async def test_of_a_flood_of_made_up_names_few_wait(person: Person, world: World) -> None:
    flood = [Person(person.client) for _ in range(60)]
    await person.opens(AUTHORIZE, **request(world))
    for one in flood:
        one.answer = person.answer

    async def guess(number: int, one: Person) -> int:
        await one.signs_in(f"nobody-{number}@livius.localhost", "made up")
        return one.status

    real = Person(person.client, person.answer)
    *refused, _ = await asyncio.gather(
        *(guess(number, one) for number, one in enumerate(flood)),
        real.signs_in(world.user.username, world.user.password),
    )
    assert "asks for permission" in real.text
    assert refused.count(400) == 9  # one at a time, and eight in the queue
    assert refused.count(429) == 51


async def test_the_queue_of_passwords_has_an_end(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world))
    async with full(world.authority.guard.checks):
        await person.signs_in(world.user.username, world.user.password)
        assert person.status == 429
        assert person.answer is not None
        assert int(person.answer.headers["retry-after"]) > 0
    await person.signs_in(world.user.username, world.user.password)
    assert "asks for permission" in person.text


async def test_a_right_secret_waits_for_nobody_and_for_no_wrong_one(
    person: Person, world: World
) -> None:
    wrong, right = await secret_form(world, "wrong"), await secret_form(world)
    async with full(world.authority.guard.checks):
        answers = [await person.client.post(TOKEN, data=wrong) for _ in range(12)]
        assert [one.status_code for one in answers] == [401] * 10 + [429] * 2
        assert (await person.client.post(TOKEN, data=right)).status_code == 200


async def test_wrong_assertions_keep_no_right_one_out(person: Person, world: World) -> None:
    wrong = with_assertion(world, f"{assertion(world)[:-4]}AAAA")
    answers = [await person.client.post(TOKEN, data=wrong) for _ in range(12)]
    assert [one.status_code for one in answers] == [401] * 10 + [429] * 2
    right = with_assertion(world, assertion(world))
    assert (await person.client.post(TOKEN, data=right)).status_code == 200
    assert (await person.client.post(TOKEN, data=wrong)).status_code == 429


async def test_a_secret_of_an_earlier_version_is_checked_slowly_once(
    person: Person, world: World
) -> None:
    right = await secret_form(world)

    def older(known: ClientApplication) -> ClientApplication:
        secrets = tuple(
            replace(one, hash=hash_password(secret))
            for one, secret in (
                (known.secrets[0], "another"),
                (replace(known.secrets[0], id="2"), world.sample.client_secret),
            )
        )
        return replace(known, secrets=secrets)

    await world.store.change_application(world.sample.client_id, older)
    async with full(world.authority.guard.checks):
        waits = await person.client.post(TOKEN, data=right)
        assert number(waits) == ("temporarily_unavailable", 90055)
    assert (await person.client.post(TOKEN, data=right)).status_code == 200
    found = await world.store.application(world.sample.client_id)
    assert found is not None
    assert [is_drawn(world.sample.client_secret, one.hash) for one in found.secrets] == [
        False,
        True,
    ]
    async with full(world.authority.guard.checks):
        assert (await person.client.post(TOKEN, data=right)).status_code == 200
    await world.store.change_application(
        world.sample.client_id, lambda known: replace(known, secrets=())
    )
    refused = await person.client.post(TOKEN, data=right)
    assert number(refused) == ("invalid_client", 7000215)
