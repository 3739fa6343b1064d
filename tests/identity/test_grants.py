"""Device codes, on-behalf-of, tokens inside sessions, and what ends with what is taken away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from identity.browser import Person
from identity.conftest import PAGES, TENANT, MovedClock, World
from identity.flows import (
    API,
    AUTHORIZE,
    SCOPE,
    TOKEN,
    claims_of,
    get_code,
    get_tokens,
    number,
    redemption,
    request,
)
from identity.test_authority import assertion, with_assertion
from livius.adapters.identity.keys import KeyRing
from livius.domain.accounts import Consent
from livius.domain.errors import Forbidden, Invalid, Unauthenticated
from livius.domain.ids import ClientId, PrincipalId
from livius.domain.principal import Principal
from livius.domain.tokens import FABRIC, Scope
from livius.usecases.identity import directory
from livius.usecases.identity.authority import TokenRefused
from livius.usecases.identity.client_authentication import ASSERTION_TYPE, ClientCredential
from livius.usecases.identity.session_tokens import issue_for_session
from livius.usecases.identity.sign_in import start_device as start_device_code

DEVICE_CODE = f"{API}/{TENANT}/oauth2/v2.0/devicecode"
DEVICE = f"{PAGES}/device"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


async def start_device(person: Person, world: World) -> dict[str, Any]:
    answer = await person.client.post(
        DEVICE_CODE, data={"client_id": world.sample.client_id, "scope": SCOPE}
    )
    body: dict[str, Any] = answer.json()
    assert answer.status_code == 200, body
    return body


async def poll(person: Person, world: World, started: dict[str, Any]) -> httpx.Response:
    fields = {
        "grant_type": DEVICE_GRANT,
        "client_id": world.sample.client_id,
        "device_code": started["device_code"],
    }
    return await person.client.post(TOKEN, data=fields)


async def approve(person: Person, world: World, user_code: str, step: str = "allow") -> None:
    await person.opens(DEVICE)
    await person.presses("code", user_code=user_code)
    await person.signs_in(world.user.username, world.user.password)
    await person.presses(step)


async def test_a_device_waits_until_a_person_approves(person: Person, world: World) -> None:
    started = await start_device(person, world)
    assert started["verification_uri"] == DEVICE
    assert started["user_code"] in started["message"]
    assert number(await poll(person, world, started)) == ("authorization_pending", 70016)
    await approve(person, world, started["user_code"].lower())
    assert "You are signed in" in person.text
    answer = await poll(person, world, started)
    assert world.verifier.verify(answer.json()["access_token"]).oid == world.user.oid
    assert {"id_token", "refresh_token"} <= set(answer.json())
    again = await poll(person, world, started)
    assert number(again) == ("bad_verification_code", 70018)


async def test_a_device_hears_of_a_no(person: Person, world: World) -> None:
    started = await start_device(person, world)
    await approve(person, world, started["user_code"], "deny")
    assert "Not signed in" in person.text
    assert number(await poll(person, world, started)) == ("authorization_declined", 65004)


async def test_a_device_code_ends_and_a_user_code_counts_once(person: Person, world: World) -> None:
    started = await start_device(person, world)
    await approve(person, world, started["user_code"])
    await person.opens(DEVICE)
    await person.presses("code", user_code=started["user_code"])
    assert "This code is not known" in person.text
    late = await start_device(person, world)
    world.clock.move(timedelta(minutes=15))
    assert number(await poll(person, world, late)) == ("expired_token", 70019)
    await person.opens(DEVICE)
    await person.presses("code", user_code=late["user_code"])
    assert "This code is not known" in person.text


async def test_guessing_user_codes_has_to_wait(person: Person, world: World) -> None:
    started = await start_device(person, world)
    await person.opens(DEVICE)
    for _ in range(10):
        await person.presses("code", user_code="BBBB-BBBB")
        assert person.status == 400
    await person.presses("code", user_code=started["user_code"])
    assert person.status == 429


async def middle_tier(world: World) -> tuple[ClientId, str]:
    """An application that users call, and that goes on as them."""
    made = await directory.create_application(
        world.store,
        world.clock,
        "middle",
        public=False,
        redirect_uris=(),
        scopes=(Scope.LAKEHOUSE_READ, Scope.CODE_STORAGE),
    )
    _, secret = await directory.add_secret(world.store, world.clock, made)
    return made.client_id, secret


async def test_an_application_goes_on_behalf_of_the_user_who_called_it(
    person: Person, world: World
) -> None:
    middle, secret = await middle_tier(world)
    called = await get_tokens(person, world, scope=f"api://{middle}/access_as_user")
    assert claims_of(called["access_token"])["aud"] == middle
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "client_id": middle,
        "client_secret": secret,
        "assertion": called["access_token"],
        "scope": f"{FABRIC}/.default offline_access",
    }
    refused = await person.client.post(TOKEN, data=fields)
    assert number(refused) == ("invalid_grant", 65001)
    user = await directory.find_user(world.store, world.user.username)
    application = await directory.find_application(world.store, "middle")
    await directory.consent_for(world.store, world.clock, user, application)
    answer = (await person.client.post(TOKEN, data=fields)).json()
    principal = world.verifier.verify(answer["access_token"])
    assert (principal.oid, principal.client_id) == (world.user.oid, middle)
    assert principal.scopes == {Scope.LAKEHOUSE_READ, Scope.CODE_STORAGE}
    assert "refresh_token" in answer
    with pytest.raises(Unauthenticated, match="another resource"):
        world.verifier.verify(called["access_token"])

    wrong = {
        "another's token": (answer["access_token"], 500131),
        "garbage": ("garbage", 50013),
        "a changed token": (called["access_token"][:-4] + "AAAA", 50013),
    }
    for text, expected in wrong.values():
        refused = await person.client.post(TOKEN, data={**fields, "assertion": text})
        assert number(refused) == ("invalid_grant", expected)
    bare = {name: value for name, value in fields.items() if name != "client_secret"}
    assert number(await person.client.post(TOKEN, data=bare)) == ("invalid_client", 7000216)
    world.clock.move(timedelta(hours=2))
    late = await person.client.post(TOKEN, data=fields)
    assert number(late) == ("invalid_grant", 500133)


async def test_on_behalf_of_by_default_gives_what_was_consented_to(
    person: Person, world: World
) -> None:
    middle, secret = await middle_tier(world)
    called = await get_tokens(person, world, scope=f"api://{middle}/access_as_user")
    await world.store.add_consent(
        Consent(
            user=world.user.oid,
            client_id=middle,
            resource="pbi",
            scopes=frozenset({Scope.LAKEHOUSE_READ}),
            given_at=world.clock.now(),
        )
    )
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "client_id": middle,
        "client_secret": secret,
        "assertion": called["access_token"],
    }
    answer = await person.client.post(TOKEN, data={**fields, "scope": f"{FABRIC}/.default"})
    assert answer.status_code == 200, answer.text
    assert world.verifier.verify(answer.json()["access_token"]).scopes == {Scope.LAKEHOUSE_READ}
    for scope in (f"{FABRIC}/{Scope.CODE_STORAGE}", "https://storage.azure.com/.default"):
        refused = await person.client.post(TOKEN, data={**fields, "scope": scope})
        assert number(refused) == ("invalid_grant", 65001)


async def test_an_assertion_goes_on_behalf_of_a_user_once_for_an_audience(
    person: Person, world: World
) -> None:
    await get_tokens(person, world, scope=f"{FABRIC}/.default")
    called = await get_tokens(person, world, scope=f"api://{world.sample.client_id}/access_as_user")
    signed = assertion(world)
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "client_id": world.sample.client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
        "assertion": called["access_token"],
    }
    expected = {
        f"{FABRIC}/.default": 200,
        f"{FABRIC}//.default": 401,
        f"openid {FABRIC}/.default": 401,
        f"{FABRIC}/{Scope.LAKEHOUSE_READ}": 401,
        "https://analysis.windows.net/powerbi/api/.default": 200,
        "https://storage.azure.com/.default": 200,
    }
    for scope, status in expected.items():
        answer = await person.client.post(TOKEN, data={**fields, "scope": scope})
        assert answer.status_code == status, (scope, answer.text)
    # The last letter of a signature has bits that count for nothing.
    text = called["access_token"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = letters.index(text[-1])
    spelled = text[:-1] + letters[place ^ 1]
    again = await person.client.post(
        TOKEN, data={**fields, "assertion": spelled, "scope": f"{FABRIC}/.default"}
    )
    assert number(again)[1] == 50013


async def test_a_refused_redemption_uses_up_no_assertion(person: Person, world: World) -> None:
    sent = with_assertion(
        world, assertion(world), **redemption(world, await get_code(person, world))
    )
    refused = await person.client.post(TOKEN, data={**sent, "code_verifier": "w" * 50})
    assert number(refused) == ("invalid_grant", 501481)
    assert (await person.client.post(TOKEN, data=sent)).status_code == 200


async def test_a_refresh_token_is_renewed_by_one_assertion_once_for_an_audience(
    person: Person, world: World
) -> None:
    """MSAL keeps one assertion for nine minutes: a missing consent must not use it up."""
    body = await get_tokens(person, world)
    sent = with_assertion(
        world, assertion(world), grant_type="refresh_token", refresh_token=body["refresh_token"]
    )
    fabric, storage = f"{FABRIC}/.default", "https://storage.azure.com/.default"

    async def renew(scope: str) -> httpx.Response:
        return await person.client.post(TOKEN, data={**sent, "scope": scope})

    assert number(await renew(storage)) == ("invalid_grant", 65001)
    assert (await renew(fabric)).status_code == 200
    assert number(await renew(fabric)) == ("invalid_client", 50013)
    await get_tokens(person, world, scope=storage)  # the user consents
    assert (await renew(storage)).status_code == 200
    assert number(await renew(storage)) == ("invalid_client", 50013)


async def test_an_assertion_outlasts_what_the_application_was_not_yet_allowed(
    person: Person, world: World
) -> None:
    sent = with_assertion(world, assertion(world), scope="https://vault.azure.net/.default")

    async def allow(*scopes: Scope) -> None:
        await world.store.change_application(
            world.sample.client_id, lambda known: replace(known, scopes=frozenset(scopes))
        )

    await allow(Scope.LAKEHOUSE_READ)
    refused = await person.client.post(TOKEN, data=sent)
    assert number(refused) == ("invalid_resource", 650057)
    await allow(Scope.LAKEHOUSE_READ, Scope.CODE_KEY_VAULT)
    assert (await person.client.post(TOKEN, data=sent)).status_code == 200


async def test_on_behalf_of_without_consent_uses_up_no_assertion(
    person: Person, world: World
) -> None:
    called = await get_tokens(person, world, scope=f"api://{world.sample.client_id}/access_as_user")
    sent = with_assertion(
        world,
        assertion(world),
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
        requested_token_use="on_behalf_of",
        assertion=called["access_token"],
        scope=f"{FABRIC}/.default",
    )
    assert number(await person.client.post(TOKEN, data=sent)) == ("invalid_grant", 65001)
    await get_tokens(person, world, scope=f"{FABRIC}/.default")
    assert (await person.client.post(TOKEN, data=sent)).status_code == 200


async def test_on_behalf_of_is_for_users(person: Person, world: World) -> None:
    middle, secret = await middle_tier(world)
    own = {
        "grant_type": "client_credentials",
        "client_id": world.sample.client_id,
        "client_secret": world.sample.client_secret,
        "scope": f"api://{middle}/.default",
    }
    token = (await person.client.post(TOKEN, data=own)).json()["access_token"]
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "requested_token_use": "on_behalf_of",
        "client_id": middle,
        "client_secret": secret,
        "assertion": token,
        "scope": f"{FABRIC}/.default",
    }
    assert number(await person.client.post(TOKEN, data=fields)) == ("invalid_grant", 50000)


async def test_an_application_gets_tokens_only_for_what_its_scopes_open(
    person: Person, world: World
) -> None:
    await middle_tier(world)
    _, secret = await directory.add_secret(
        world.store, world.clock, await directory.find_application(world.store, "middle")
    )
    middle = (await directory.find_application(world.store, "middle")).client_id
    fields = {"grant_type": "client_credentials", "client_id": middle, "client_secret": secret}
    for resource, allowed in (("storage.azure.com", True), ("vault.azure.net", False)):
        scope = f"https://{resource}/.default"
        answer = await person.client.post(TOKEN, data={**fields, "scope": scope})
        if allowed:
            assert claims_of(answer.json()["access_token"])["aud"] == f"https://{resource}"
        else:
            assert number(answer) == ("invalid_resource", 650057)
            assert Scope.CODE_KEY_VAULT in answer.json()["error_description"]


async def test_the_first_version_names_a_resource_instead_of_a_scope(
    person: Person, world: World
) -> None:
    fields = {
        "grant_type": "client_credentials",
        "client_id": world.sample.client_id,
        "client_secret": world.sample.client_secret,
        "resource": FABRIC,
    }
    answer = await person.client.post(f"{API}/{TENANT}/oauth2/token", data=fields)
    claims = claims_of(answer.json()["access_token"])
    assert (claims["ver"], claims["idtyp"], claims["aud"]) == ("1.0", "app", FABRIC)
    assert claims["iss"] == f"{API}/{TENANT}/"
    assert world.verifier.verify(answer.json()["access_token"]).oid == world.sample.object_id


async def test_what_expired_long_ago_is_forgotten(person: Person, world: World) -> None:
    old = await start_device(person, world)
    world.clock.move(timedelta(days=2))
    await start_device(person, world)
    assert number(await poll(person, world, old)) == ("bad_verification_code", 70018)


AUDIENCES = {
    "storage": ("https://storage.azure.com", Scope.CODE_STORAGE),
    "pbi": (FABRIC, Scope.CODE_FABRIC),
    "keyvault": ("https://vault.azure.net", Scope.CODE_KEY_VAULT),
    "kusto": ("https://kusto.kusto.windows.net", Scope.CODE_DATA_EXPLORER),
    "https://help.kusto.windows.net/": ("https://help.kusto.windows.net", Scope.CODE_DATA_EXPLORER),
    "https://database.windows.net/": ("https://database.windows.net", Scope.CODE_SQL),
    "https://datalake.azure.net/": ("https://datalake.azure.net", Scope.CODE_DATA_LAKE),
}


def principal_of(world: World, *scopes: Scope) -> Principal:
    claims = world.claims(
        idtyp="user", scp=" ".join(scopes), oid=world.user.oid, sub="s", name="Ada"
    )
    return world.verifier.verify(world.keys.sign(claims))


@pytest.mark.parametrize("asked", AUDIENCES)
async def test_a_session_gets_the_tokens_that_its_scopes_open(world: World, asked: str) -> None:
    audience, scope = AUDIENCES[asked]
    principal = principal_of(world, scope)
    world.clock.move(timedelta(hours=5))  # the caller's own token is long dead
    issued = await issue_for_session(world.authority, principal, asked)
    claims = claims_of(issued.access_token)
    assert (claims["aud"], claims["oid"]) == (audience, world.user.oid)
    assert claims["iss"] == f"{API}/{TENANT}/v2.0"
    others = principal_of(world, *(set(Scope) - {scope}))
    with pytest.raises(Forbidden, match=scope.replace(".", r"\.")):
        await issue_for_session(world.authority, others, asked)


async def test_an_applications_session_goes_by_what_the_application_was_allowed(
    world: World,
) -> None:
    principal = world.verifier.verify(world.keys.sign(world.claims()))
    issued = await issue_for_session(world.authority, principal, "storage")
    assert claims_of(issued.access_token)["idtyp"] == "app"
    await world.store.change_application(
        world.sample.client_id, lambda known: replace(known, scopes=frozenset())
    )
    with pytest.raises(Forbidden, match=r"Code\.AccessStorage\.All"):
        await issue_for_session(world.authority, principal, "storage")


async def test_a_session_gets_nothing_for_strangers_and_the_removed(world: World) -> None:
    principal = principal_of(world, *Scope)
    for audience in ("graph", "https://evil.example", "", "x" * 5000):
        with pytest.raises(Invalid, match="no audience"):
            await issue_for_session(world.authority, principal, audience)
    await world.store.remove_user(PrincipalId(world.user.oid))
    with pytest.raises(Unauthenticated):
        await issue_for_session(world.authority, principal, "pbi")


@pytest.mark.parametrize("taken", ["user", "application", "password", "consent"])
async def test_what_is_taken_away_ends_refresh_tokens_and_sign_ins(
    person: Person, world: World, taken: str
) -> None:
    body = await get_tokens(person, world)
    match taken:
        case "user":
            await world.store.remove_user(world.user.oid)
        case "application":
            await world.store.remove_application(world.sample.client_id)
        case "password":
            await world.store.set_password(world.user.oid, "scrypt$AAAA$AAAA")
        case _:
            await world.store.revoke_consent(world.user.oid, world.sample.client_id)
    fields = {
        "grant_type": "refresh_token",
        "client_id": world.sample.client_id,
        "refresh_token": body["refresh_token"],
    }
    refused = number(await person.client.post(TOKEN, data=fields))
    assert refused in {("invalid_grant", 70000), ("unauthorized_client", 700016)}
    await person.opens(AUTHORIZE, **request(world, prompt="none"))
    if taken != "application":
        expected = "consent_required" if taken == "consent" else "login_required"
        assert person.arrives()["error"] == expected


async def test_a_rotation_by_another_process_is_seen_and_the_old_key_lives_as_long_as_its_tokens(
    person: Person, world: World
) -> None:
    old = await get_tokens(person, world)
    elsewhere = KeyRing.open(world.folder / "keys", world.clock)
    new_kid = elsewhere.rotate()
    new = await get_tokens(person, world)
    assert jwt.get_unverified_header(new["access_token"])["kid"] == new_kid
    keys = (await person.client.get(f"{API}/{TENANT}/discovery/v2.0/keys")).json()["keys"]
    assert {one["kid"] for one in keys} == {
        new_kid,
        jwt.get_unverified_header(old["access_token"])["kid"],
    }
    for body in (old, new):
        world.verifier.verify(body["access_token"])
    world.clock.move(timedelta(minutes=64))
    keys = (await person.client.get(f"{API}/{TENANT}/discovery/v2.0/keys")).json()["keys"]
    assert [one["kid"] for one in keys] == [new_kid]
    assert len(list((world.folder / "keys").glob("*.pem"))) == 1


def test_a_stolen_key_is_retired_at_once(world: World) -> None:
    token = world.keys.sign(world.claims())
    world.verifier.verify(token)
    elsewhere = KeyRing.open(world.folder / "keys", MovedClock())
    elsewhere.rotate()
    elsewhere.retire(jwt.get_unverified_header(token)["kid"])
    with pytest.raises(Unauthenticated):
        world.verifier.verify(token)


async def test_few_device_codes_wait_at_a_time_whoever_asks(person: Person, world: World) -> None:
    """Anybody on the machine may ask for one; the store must not fill."""
    started = [await start_device(person, world) for _ in range(50)]
    form = {"client_id": world.sample.client_id, "scope": SCOPE}
    world.clock.move(timedelta(minutes=5))
    refused = await person.client.post(DEVICE_CODE, data=form)
    assert number(refused) == ("temporarily_unavailable", 90055)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
    # Those that wait are not the worse for it, and one that is decided makes room.
    await approve(person, world, started[0]["user_code"])
    assert (await poll(person, world, started[0])).status_code == 200
    await start_device(person, world)
    assert (await person.client.post(DEVICE_CODE, data=form)).status_code == 429
    world.clock.move(timedelta(minutes=10, seconds=1))
    await start_device(person, world)


async def test_a_device_that_had_to_wait_starts_with_the_same_assertion(
    person: Person, world: World
) -> None:
    started = [await start_device(person, world) for _ in range(50)]
    sent = with_assertion(world, assertion(world), scope=SCOPE)
    full = await person.client.post(DEVICE_CODE, data=sent)
    assert full.status_code == 429
    await approve(person, world, started[0]["user_code"])
    assert (await person.client.post(DEVICE_CODE, data=sent)).status_code == 200


async def test_of_many_devices_that_ask_at_once_no_more_wait_than_may(world: World) -> None:
    proof = ClientCredential(
        address=world.authority.home, caller="", client_id=world.sample.client_id
    )
    asked = (start_device_code(world.authority, proof, scope=SCOPE) for _ in range(70))
    ended = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, TokenRefused)]
    assert (len(ended) - len(refused), {one.number for one in refused}) == (50, {90055})


async def test_few_device_codes_of_all_callers_wait_at_a_time(world: World) -> None:
    def proof(caller: str) -> ClientCredential:
        return ClientCredential(
            address=world.authority.home, caller=caller, client_id=world.sample.client_id
        )

    for one in range(20):
        for _ in range(50):
            await start_device_code(world.authority, proof(f"192.0.2.{one}"), scope=SCOPE)
    with pytest.raises(TokenRefused) as refused:
        await start_device_code(world.authority, proof("198.51.100.1"), scope=SCOPE)
    assert refused.value.retry_after == timedelta(minutes=15)
