"""Vaults over the wire: https only, with a token for vaults; what is refused is in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from identity.conftest import TENANT, World
from identity.test_records import written
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.adapters.vaults import FileVaults
from livius.api import vault
from livius.domain.audit import Action, ActorKind
from livius.domain.principal import Principal
from livius.domain.vault import RESOURCE
from livius.usecases.audit_throttle import act, present_actor
from livius.usecases.identity.presence import Presence

AUTHORITY = f"https://localhost:8443/{TENANT}"


@pytest.fixture
async def reader(world: World, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    vaults = FileVaults(tmp_path / "vaults", world.clock)
    vaults.put("kv1", "password", "hush")

    async def record(caller: Principal | None, what: str, result: str) -> None:
        by = present_actor(caller)
        said = act(world.clock, Action.SECRET_READ, what, by=by, result=result)
        await world.authority.throttle.note(said)

    present = Presence(world.store, world.clock).check
    tokens = EmbeddedVerifier(
        world.keys, world.realm, world.clock, present=present, resource=RESOURCE
    )
    app = FastAPI()
    app.include_router(vault.router(vaults, tokens, AUTHORITY, record))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), params={"api-version": "7.4"}
    ) as client:
        yield client


def bearer(world: World, audience: str = RESOURCE) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.keys.sign(world.claims(aud=audience))}"}


async def test_a_vault_answers_over_https_only(reader: httpx.AsyncClient, world: World) -> None:
    for path in (
        "/vaults/kv1/secrets/password",
        "/vaults/kv1/secrets/password/versions",
        "/vaults/kv1/secrets",
        "/secrets/password",
    ):
        answer = await reader.get(f"http://localhost:8998{path}", headers=bearer(world))
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "HttpsRequired"
        assert "hush" not in answer.text
    secret = await reader.get(
        "https://localhost:8443/vaults/kv1/secrets/password", headers=bearer(world)
    )
    assert secret.json()["value"] == "hush"
    lines = [(one.target, one.result) for one in await written(world)]
    assert ("kv1/password", "HttpsRequired") in lines
    assert ("kv1/password", "ok") in lines


async def test_every_refused_read_is_in_the_audit_log(
    reader: httpx.AsyncClient, world: World
) -> None:
    at = "https://localhost:8443/vaults"
    challenged = await reader.get(f"{at}/kv1/secrets/password")
    assert (challenged.status_code, await written(world)) == (401, [])
    for headers, path, status in (
        ({"Authorization": "Bearer made-up"}, "kv1/secrets/password", 401),
        (bearer(world, "https://storage.azure.com"), "kv1/secrets/password", 401),
        (bearer(world, "https://storage.azure.com"), "kv1/secrets", 401),
        (bearer(world), "kv1/secrets/nothing", 404),
        (bearer(world), "kv1/secrets/pass_word", 400),
        (bearer(world), f"kv1/secrets/password/{'0' * 32}", 404),
        (bearer(world), "1kv/secrets/password", 400),
    ):
        answer = await reader.get(f"{at}/{path}", headers=headers)
        assert answer.status_code == status
    lines = await written(world)
    assert all(one.action is Action.SECRET_READ for one in lines)
    assert [(one.target, one.result, one.times) for one in lines] == [
        ("kv1/password", "InvalidToken", 1),
        ("kv1/", "InvalidToken", 1),
        ("kv1/nothing", "SecretNotFound", 1),
        ("kv1/pass_word", "BadParameter", 1),
        ("kv1/password", "SecretNotFound", 1),
        ("1kv/password", "BadParameter", 1),
        ("kv1/password", "InvalidToken", 1),
    ]
    kinds = [one.actor.kind for one in lines if one.actor is not None]
    assert kinds.count(ActorKind.UNPROVEN) == 3
    assert kinds.count(ActorKind.APP) == 4


async def test_a_removed_applications_token_opens_no_vault(
    reader: httpx.AsyncClient, world: World
) -> None:
    url, headers = "https://localhost:8443/vaults/kv1/secrets/password", bearer(world)
    assert (await reader.get(url, headers=headers)).status_code == 200
    assert await world.store.remove_application(world.sample.client_id)
    world.clock.move(timedelta(seconds=5))
    assert (await reader.get(url, headers=headers)).status_code == 401
