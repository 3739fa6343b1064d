"""The authorization code flow, as a browser and an application go through it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from identity.browser import Person
from identity.conftest import PAGES, TENANT, World
from identity.flows import (
    API,
    AUTHORIZE,
    BACK,
    CHALLENGE,
    REQUIRED,
    SCOPE,
    TOKEN,
    VERIFIER,
    claims_of,
    get_code,
    get_tokens,
    number,
    redemption,
    request,
)
from livius.adapters.identity.sample import PORTAL_SIGNED_IN, portal_client_id
from livius.domain.accounts import ClientApplication, ClientSecret
from livius.domain.passwords import hash_password
from livius.domain.tokens import FABRIC, Scope


async def test_from_sign_in_over_consent_to_tokens(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world))
    assert "livius sample" in person.text
    await person.signs_in("Admin", world.user.password)
    for scope in REQUIRED:
        assert scope in person.text
    await person.presses("allow")
    assert person.goes_to().startswith(f"{BACK}?code=")
    arrived = person.arrives()
    assert arrived["state"] == "st&te"
    answer = await person.client.post(TOKEN, data=redemption(world, arrived["code"]))
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["ext_expires_in"]) == (
        "Bearer",
        3600,
        3600,
    )
    assert set(body["scope"].split()) == set(SCOPE.split())
    padded = body["client_info"] + "=" * (-len(body["client_info"]) % 4)
    info = json.loads(base64.urlsafe_b64decode(padded))
    assert info == {"uid": world.user.oid, "utid": TENANT}

    access, identity = claims_of(body["access_token"]), claims_of(body["id_token"])
    assert access["scp"].split() == sorted(REQUIRED)
    assert (access["oid"], access["tid"], access["ver"]) == (world.user.oid, TENANT, "2.0")
    assert (access["azp"], access["azpacr"]) == (world.sample.client_id, "0")
    assert access["preferred_username"] == identity["preferred_username"] == world.user.username
    assert "roles" not in access
    assert (identity["aud"], identity["nonce"]) == (world.sample.client_id, "n")
    assert identity["sub"] not in (access["sub"], world.user.oid)
    principal = world.verifier.verify(body["access_token"])
    assert principal.oid == world.user.oid
    assert principal.scopes == set(REQUIRED)


async def test_a_second_time_nobody_is_asked(person: Person, world: World) -> None:
    await world.store.change_application(
        world.sample.client_id, lambda known: replace(known, redirect_uris=(BACK,))
    )
    await get_code(person, world)
    await person.opens(AUTHORIZE, **request(world))
    assert "code" in person.arrives()
    await person.opens(AUTHORIZE, **request(world, prompt="none"))
    assert "code" in person.arrives()


async def test_a_further_scope_is_asked_for(person: Person, world: World) -> None:
    await get_code(person, world)
    more = f"{SCOPE} {FABRIC}/{Scope.CODE_SQL}"
    await person.opens(AUTHORIZE, **request(world, scope=more))
    assert "Let your code use SQL databases" in person.text
    await person.opens(AUTHORIZE, **request(world, scope=more, prompt="none"))
    assert person.arrives()["error"] == "consent_required"


async def test_all_eight_scopes_are_said_in_words(person: Person, world: World) -> None:
    scope = " ".join(f"{FABRIC}/{one}" for one in Scope)
    await person.opens(AUTHORIZE, **request(world, scope=scope))
    await person.signs_in(world.user.username, world.user.password)
    for words in (
        "Run code in your lakehouses",
        "See your lakehouses",
        "Let your code use Fabric",
        "Let your code use storage",
        "Let your code use Key Vault",
        "Let your code use Data Lake Storage Gen1",
        "Let your code use Data Explorer",
        "Let your code use SQL databases",
    ):
        assert words in person.text
    body = await get_tokens(person, world, scope=scope)
    assert world.verifier.verify(body["access_token"]).scopes == set(Scope)
    assert "refresh_token" not in body  # nobody asked for offline_access
    assert "id_token" not in body


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
async def test_each_response_mode(person: Person, world: World, mode: str) -> None:
    await person.opens(AUTHORIZE, **request(world, response_mode=mode))
    await person.signs_in(world.user.username, world.user.password)
    await person.presses("allow")
    arrived = person.arrives()
    assert set(arrived) == {"code", "state", "client_info"}
    if mode == "form_post":
        assert f'action="{BACK}"' in person.text
        assert person.answer is not None
        policy = person.answer.headers["content-security-policy"]
        assert f"form-action 'self' {BACK}" in policy
        assert "unsafe" not in policy
        assert "<script>" not in person.text
    else:
        assert {"query": "?", "fragment": "#"}[mode] + "code=" in person.goes_to()


async def test_denied_consent_goes_back_as_access_denied(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world))
    await person.signs_in(world.user.username, world.user.password)
    await person.presses("deny")
    arrived = person.arrives()
    assert (arrived["error"], arrived["state"]) == ("access_denied", "st&te")
    assert arrived["error_description"].startswith("AADSTS65004")
    await person.opens(AUTHORIZE, **request(world))
    assert "asks for permission" in person.text


async def test_prompts(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world, prompt="none"))
    assert person.arrives()["error"] == "login_required"
    await get_code(person, world)
    await person.opens(AUTHORIZE, **request(world, prompt="login"))
    assert "Sign in" in person.text
    await person.opens(AUTHORIZE, **request(world, prompt="select_account"))
    assert world.user.username in person.text
    await person.presses("other")
    assert "Sign in" in person.text
    await person.opens(AUTHORIZE, **request(world, prompt="select_account"))
    await person.presses("continue")
    assert "code" in person.arrives()
    await person.opens(AUTHORIZE, **request(world, prompt="consent"))
    assert "asks for permission" in person.text
    await person.opens(AUTHORIZE, **request(world, login_hint="somebody@else"))
    assert "somebody@else" in person.text
    await person.opens(AUTHORIZE, **request(world, prompt="nonsense"))
    assert person.arrives()["error"] == "invalid_request"


async def test_default_means_all_that_the_application_was_allowed(
    person: Person, world: World
) -> None:
    body = await get_tokens(person, world, scope=f"{FABRIC}/.default offline_access")
    assert claims_of(body["access_token"])["scp"].split() == sorted(Scope)
    assert f"{FABRIC}/.default" in body["scope"].split()
    again = {"grant_type": "refresh_token", "client_id": world.sample.client_id}
    answer = await person.client.post(TOKEN, data={**again, "refresh_token": body["refresh_token"]})
    assert claims_of(answer.json()["access_token"])["scp"].split() == sorted(Scope)


async def test_default_means_what_was_consented_to_and_asks_nobody_again(
    person: Person, world: World
) -> None:
    body = await get_tokens(person, world)
    default = f"{FABRIC}/.default"
    fields = {
        "grant_type": "refresh_token",
        "client_id": world.sample.client_id,
        "refresh_token": body["refresh_token"],
        "scope": default,
    }
    renewed = (await person.client.post(TOKEN, data=fields)).json()
    assert claims_of(renewed["access_token"])["scp"].split() == sorted(REQUIRED)
    fields["refresh_token"] = renewed["refresh_token"]
    del fields["scope"]  # which means the scope of before
    again = (await person.client.post(TOKEN, data=fields)).json()
    assert claims_of(again["access_token"])["scp"].split() == sorted(REQUIRED)

    await person.opens(AUTHORIZE, **request(world, scope=default))
    assert "asks for permission" not in person.text
    code = await get_code(person, world, scope=default)
    answer = await person.client.post(TOKEN, data=redemption(world, code))
    assert claims_of(answer.json()["access_token"])["scp"].split() == sorted(REQUIRED)

    await person.opens(AUTHORIZE, **request(world, scope=default, prompt="consent"))
    assert Scope.CODE_SQL in person.text
    await person.presses("allow")
    answer = await person.client.post(TOKEN, data=redemption(world, person.arrives()["code"]))
    assert claims_of(answer.json()["access_token"])["scp"].split() == sorted(Scope)

    def fewer(known: ClientApplication) -> ClientApplication:
        return replace(known, scopes=frozenset({Scope.LAKEHOUSE_READ}))

    await world.store.change_application(world.sample.client_id, fewer)
    answer = await person.client.post(TOKEN, data={**fields, "scope": default})
    assert claims_of(answer.json()["access_token"])["scp"] == Scope.LAKEHOUSE_READ


async def test_by_default_a_person_consents_to_all_that_the_application_is_for(
    person: Person, world: World
) -> None:
    def change(known: ClientApplication) -> ClientApplication:
        return replace(known, scopes=frozenset({Scope.LAKEHOUSE_READ, Scope.CODE_STORAGE}))

    await world.store.change_application(world.sample.client_id, change)
    scope = f"{FABRIC}/.default offline_access"
    await person.opens(AUTHORIZE, **request(world, scope=scope))
    await person.signs_in(world.user.username, world.user.password)
    for words in ("See your lakehouses", "Let your code use storage", "Use storage as you"):
        assert words in person.text
    assert "Key Vault" not in person.text
    await person.presses("allow")
    code = person.arrives()["code"]
    body = (await person.client.post(TOKEN, data=redemption(world, code))).json()
    fields = {
        "grant_type": "refresh_token",
        "client_id": world.sample.client_id,
        "refresh_token": body["refresh_token"],
    }
    storage = await person.client.post(
        TOKEN, data={**fields, "scope": "https://storage.azure.com/.default"}
    )
    claims = claims_of(storage.json()["access_token"])
    assert (claims["aud"], claims["scp"]) == ("https://storage.azure.com", "user_impersonation")
    vault = await person.client.post(
        TOKEN, data={**fields, "scope": "https://vault.azure.net/.default"}
    )
    assert number(vault) == ("invalid_resource", 650057)


async def test_the_portal_is_never_asked_for_consent(person: Person, world: World) -> None:
    back = f"http://localhost:8998{PORTAL_SIGNED_IN}"
    changes = {"client_id": portal_client_id(TENANT), "redirect_uri": back}
    await person.opens(AUTHORIZE, **request(world, **changes))
    assert "Livius portal" in person.text
    await person.signs_in(world.user.username, world.user.password)
    code = person.arrives()["code"]
    changes["client_secret"] = world.portal_secret
    answer = await person.client.post(TOKEN, data=redemption(world, code, **changes))
    assert answer.status_code == 200, answer.text


async def test_a_refresh_token_gives_new_tokens_and_itself_anew(
    person: Person, world: World
) -> None:
    body = await get_tokens(person, world)
    fields = {
        "grant_type": "refresh_token",
        "client_id": world.sample.client_id,
        "refresh_token": body["refresh_token"],
    }
    narrower = f"{FABRIC}/{Scope.LAKEHOUSE_READ} openid profile offline_access"
    answer = await person.client.post(TOKEN, data={**fields, "scope": narrower})
    renewed = answer.json()
    assert claims_of(renewed["access_token"])["scp"] == Scope.LAKEHOUSE_READ
    assert renewed["refresh_token"] != body["refresh_token"]
    more = {**fields, "scope": f"{FABRIC}/{Scope.CODE_SQL}"}
    refused = await person.client.post(TOKEN, data=more)
    assert number(refused) == ("invalid_grant", 65001)
    assert refused.json()["suberror"] == "consent_required"
    portal = {"client_id": portal_client_id(TENANT), "client_secret": world.portal_secret}
    other = await person.client.post(TOKEN, data={**fields, **portal})
    assert number(other) == ("invalid_grant", 70000)
    world.clock.move(timedelta(days=91))
    assert number(await person.client.post(TOKEN, data=fields)) == ("invalid_grant", 700082)


async def test_a_code_is_good_once_and_its_second_use_ends_what_the_first_gave(
    person: Person, world: World
) -> None:
    code = await get_code(person, world)
    first = await person.client.post(TOKEN, data=redemption(world, code))
    again = await person.client.post(TOKEN, data=redemption(world, code))
    assert number(again) == ("invalid_grant", 54005)
    fields = {
        "grant_type": "refresh_token",
        "client_id": world.sample.client_id,
        "refresh_token": first.json()["refresh_token"],
    }
    assert number(await person.client.post(TOKEN, data=fields)) == ("invalid_grant", 70000)


async def test_of_many_redemptions_at_once_none_leaves_a_refresh_token(
    person: Person, world: World
) -> None:
    code = await get_code(person, world)
    answers = await asyncio.gather(
        *(person.client.post(TOKEN, data=redemption(world, code)) for _ in range(6))
    )
    given = [one.json()["refresh_token"] for one in answers if one.status_code == 200]
    assert len(given) <= 1
    for token in given:
        fields = {
            "grant_type": "refresh_token",
            "client_id": world.sample.client_id,
            "refresh_token": token,
        }
        assert number(await person.client.post(TOKEN, data=fields)) == ("invalid_grant", 70000)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code": "x" * 64}, ("invalid_grant", 70000)),
        ({"code_verifier": None}, ("invalid_grant", 501481)),
        ({"code_verifier": "w" * 50}, ("invalid_grant", 501481)),
        ({"code_verifier": CHALLENGE}, ("invalid_grant", 501481)),
        ({"redirect_uri": "http://localhost:1"}, ("invalid_grant", 500112)),
        ({"redirect_uri": None}, ("invalid_request", 900144)),
        ({"client_id": "portal"}, ("invalid_grant", 70000)),
        ({"client_secret": "wrong"}, ("invalid_client", 7000215)),
    ],
)
async def test_a_code_in_other_hands_is_worth_nothing(
    person: Person, world: World, changes: dict[str, Any], expected: tuple[str, int]
) -> None:
    code = await get_code(person, world)
    if "client_id" in changes:
        changes = {"client_id": portal_client_id(TENANT), "client_secret": world.portal_secret}
    answer = await person.client.post(TOKEN, data=redemption(world, code, **changes))
    assert number(answer) == expected
    assert (await person.client.post(TOKEN, data=redemption(world, code))).status_code == 200


async def test_a_code_lives_for_minutes(person: Person, world: World) -> None:
    code = await get_code(person, world)
    world.clock.move(timedelta(minutes=5))
    answer = await person.client.post(TOKEN, data=redemption(world, code))
    assert number(answer) == ("invalid_grant", 70008)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "AADSTS9002325"),
        ({"code_challenge": None}, "AADSTS9002325"),
        ({"code_challenge_method": "plain"}, "AADSTS501491"),
        ({"code_challenge_method": None}, "AADSTS501491"),
        ({"code_challenge": "short"}, "AADSTS501491"),
        ({"response_type": "token"}, "AADSTS700051"),
        ({"response_mode": "smoke"}, "AADSTS90023"),
        ({"scope": None}, "AADSTS70011"),
        ({"scope": f"{FABRIC}/Everything.All"}, "AADSTS650053"),
        ({"scope": f"{FABRIC}/.default {FABRIC}/{Scope.CODE_SQL}"}, "AADSTS70011"),
        (
            {"scope": f"{FABRIC}/.default https://vault.azure.net/.default"},
            "AADSTS28000",
        ),
        ({"scope": "https://nowhere.example/.default"}, "AADSTS500011"),
        ({"nonce": "n" * 3000}, "AADSTS90023"),
    ],
)
async def test_a_wrong_request_goes_back_with_entras_number(
    person: Person, world: World, changes: dict[str, Any], expected: str
) -> None:
    await person.opens(AUTHORIZE, **request(world, **changes))
    arrived = person.arrives()
    assert arrived["error_description"].startswith(expected + ":")
    assert arrived["state"] == "st&te"


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/",
        "http://localhost.evil.example/",
        "http://localhost:80@evil.example/",
        "http://localhost/other",
        "http://localhost#x",
        "https://localhost",
        "//localhost",
        "javascript:alert(1)",
        "http://localhost:51234\\@evil.example",
        "http://localhost:51234/?next=https://evil.example",
        None,
    ],
)
async def test_nobody_is_sent_to_a_place_that_was_not_registered(
    person: Person, world: World, redirect_uri: str | None
) -> None:
    await person.opens(AUTHORIZE, **request(world, redirect_uri=redirect_uri))
    assert person.status == 400
    assert re.search("AADSTS(50011|900144)", person.text)


async def test_registered_places_and_confidential_applications(
    person: Person, world: World
) -> None:
    back = "https://app.example/back?from=livius"
    await world.store.change_application(
        world.sample.client_id,
        lambda known: replace(
            known,
            public=False,
            redirect_uris=(back,),
            secrets=(
                ClientSecret(
                    id="1", hint="ses", hash=hash_password("sesame"), created_at=known.created_at
                ),
            ),
        ),
    )
    changes = {"redirect_uri": back, "code_challenge": None, "code_challenge_method": None}
    code = await get_code(person, world, **changes)
    assert person.goes_to().startswith(f"{back}&code=")
    fields = {"redirect_uri": back, "code_verifier": None}
    answer = await person.client.post(TOKEN, data=redemption(world, code, **fields))
    assert number(answer) == ("invalid_client", 7000218)
    fields["client_secret"] = "sesame"
    answer = await person.client.post(
        TOKEN, data=redemption(world, code, **{**fields, "code_verifier": VERIFIER})
    )
    assert number(answer) == ("invalid_grant", 501481)  # a challenge was stripped on the way
    answer = await person.client.post(TOKEN, data=redemption(world, code, **fields))
    assert claims_of(answer.json()["access_token"])["azpacr"] == "1"


async def test_the_first_version_speaks_of_resources(person: Person, world: World) -> None:
    fields = request(world, scope=None, resource=FABRIC)
    await person.opens(f"{PAGES}/{TENANT}/oauth2/authorize", **fields)
    await person.signs_in(world.user.username, world.user.password)
    await person.presses("allow")
    code = person.arrives()["code"]
    answer = await person.client.post(
        f"{API}/{TENANT}/oauth2/token", data=redemption(world, code, resource=FABRIC)
    )
    body = answer.json()
    claims = claims_of(body["access_token"])
    assert (claims["ver"], claims["iss"]) == ("1.0", f"{API}/{TENANT}/")
    assert (claims["appid"], claims["upn"]) == (world.sample.client_id, world.user.username)
    assert "azp" not in claims
    assert body["resource"] == FABRIC
    assert world.verifier.verify(body["access_token"]).scopes == set(Scope)


async def test_a_wrong_password_is_said_and_soon_has_to_wait(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world))
    for _ in range(10):
        await person.signs_in(world.user.username, "wrong")
        assert person.status == 400
        assert "The username or the password is not right" in person.text
        assert "wrong" not in person.text
    await person.signs_in(world.user.username, world.user.password)
    assert person.status == 429
    assert person.answer is not None
    world.clock.move(timedelta(seconds=int(person.answer.headers["retry-after"])))
    await person.signs_in(world.user.username, world.user.password)
    assert "asks for permission" in person.text


async def test_who_does_not_exist_is_refused_in_the_same_words(
    person: Person, world: World
) -> None:
    await person.opens(AUTHORIZE, **request(world))
    await person.signs_in("nobody@livius.localhost", "wrong")
    one = person.text.replace("nobody@livius.localhost", "")
    await person.signs_in(world.user.username, "wrong")
    assert person.text.replace(world.user.username, "") == one


async def test_what_users_type_is_shown_as_text(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world, login_hint='"><script>alert(1)</script>'))
    assert person.answer is not None
    assert "<script>" not in person.answer.text
    await world.store.change_application(
        world.sample.client_id, lambda known: replace(known, name="<b>bold</b>")
    )
    await person.opens(AUTHORIZE, **request(world))
    assert "<b>bold</b>" not in person.answer.text


async def test_people_are_asked_in_their_language(person: Person, world: World) -> None:
    person.client.headers["Accept-Language"] = "zh-TW,zh;q=0.9,en;q=0.8"
    await person.opens(AUTHORIZE, **request(world))
    assert '<html lang="zh-TW">' in person.text
    assert "使用者名稱" in person.text
    await person.signs_in("Admin", "wrong")
    assert "使用者名稱或密碼不正確" in person.text
    await person.signs_in("Admin", world.user.password)
    assert "在您的 Lakehouse 中執行程式碼" in person.text
    person.client.cookies.set("livius_language", "en")
    await person.opens(AUTHORIZE, **request(world))
    assert "Run code in your lakehouses" in person.text
