"""Attacks on the pages: forged forms, foreign names, planted cookies, frames."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from identity.browser import Person
from identity.conftest import PAGES, TENANT, World
from identity.flows import API, AUTHORIZE, get_code, request
from livius.adapters.identity.sample import PORTAL_SIGNED_OUT, portal_client_id
from livius.api.authority import router
from livius.domain.accounts import ClientApplication, User
from livius.domain.ids import PrincipalId, new_id
from livius.domain.realm import Address
from livius.usecases.identity import directory
from livius.usecases.identity.token_issuance import Issue, id_token

LOGOUT = f"{PAGES}/{TENANT}/oauth2/v2.0/logout"


async def signed_in(person: Person, world: World) -> None:
    await person.opens(AUTHORIZE, **request(world))
    await person.signs_in(world.user.username, world.user.password)
    assert "asks for permission" in person.text


async def test_a_forged_form_does_nothing(person: Person, world: World) -> None:
    await signed_in(person, world)
    for csrf in ("", "x", "é", "0" * 64):
        await person.opens(AUTHORIZE, **request(world))
        await person.presses("allow", csrf=csrf)
        assert person.status == 400
        assert "AADSTS399218" in person.text
    consent = await world.store.consents()
    assert consent == []


async def test_the_form_of_another_browser_does_nothing(person: Person, world: World) -> None:
    await signed_in(person, world)
    async with httpx.AsyncClient(transport=person.client._transport) as other:
        attacker = Person(other)
        await attacker.opens(AUTHORIZE, **request(world))
        csrf = attacker.hidden["csrf"]
    await person.presses("allow", csrf=csrf)
    assert "AADSTS399218" in person.text


async def test_a_form_from_another_origin_does_nothing(person: Person, world: World) -> None:
    await signed_in(person, world)
    for origin in ("https://evil.example", "null", "http://localhost:9999"):
        await person.opens(AUTHORIZE, **request(world))
        person.headers = {"Origin": origin}
        await person.presses("allow")
        assert "AADSTS399218" in person.text
    await person.opens(AUTHORIZE, **request(world))
    person.headers = {"Origin": PAGES}
    await person.presses("allow")
    assert "code" in person.arrives()


async def test_a_consent_page_of_one_person_is_not_anothers_yes(
    person: Person, world: World
) -> None:
    await signed_in(person, world)
    csrf = person.hidden["csrf"]
    await person.opens(AUTHORIZE, **request(world, prompt="login"))
    await person.signs_in(world.user.username, world.user.password)
    await person.presses("allow", csrf=csrf)
    assert "AADSTS399218" in person.text


async def test_a_planted_cookie_is_never_a_sign_in(person: Person, world: World) -> None:
    planted = "planted-by-somebody-else"
    person.client.cookies.set("livius_sign_in", planted, domain="localhost.local", path="/")
    await signed_in(person, world)
    assert person.answer is not None
    jar = person.answer.headers.get_list("set-cookie")
    (cookie,) = [one for one in jar if one.startswith("livius_sign_in=")]
    assert planted not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    async with httpx.AsyncClient(transport=person.client._transport) as other:
        attacker = Person(other)
        other.cookies.set("livius_sign_in", planted, domain="localhost.local", path="/")
        await attacker.opens(AUTHORIZE, **request(world))
        assert "Sign in" in attacker.text


async def test_a_new_sign_in_ends_the_one_before(person: Person, world: World) -> None:
    await signed_in(person, world)
    old = person.client.cookies["livius_sign_in"]
    await person.opens(AUTHORIZE, **request(world, prompt="login"))
    await person.signs_in(world.user.username, world.user.password)
    assert person.client.cookies["livius_sign_in"] != old
    person.client.cookies.clear()
    person.client.cookies.set("livius_sign_in", old, domain="localhost.local", path="/")
    await person.opens(AUTHORIZE, **request(world))
    assert "Sign in" in person.text


async def test_no_page_can_be_framed_or_run_anothers_script(person: Person, world: World) -> None:
    pages = [AUTHORIZE, f"{PAGES}/device", f"{PAGES}/signout"]
    for page in pages:
        await person.opens(page, **(request(world) if page == AUTHORIZE else {}))
        assert person.answer is not None
        policy = person.answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert person.answer.headers["cache-control"] == "no-store"
        assert " style=" not in person.answer.text
        assert "<script" not in person.answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8998", "localhost.evil.example"])
async def test_a_foreign_name_for_our_address_gets_no_page(
    person: Person, world: World, host: str
) -> None:
    answer = await person.client.get(AUTHORIZE, params=request(world), headers={"host": host})
    assert answer.status_code == 400
    assert "not served under this name" in answer.text


async def test_names_of_entra_are_for_programs_and_not_for_plain_http(world: World) -> None:
    realm = replace(world.realm, hosts=world.realm.hosts | {"login.microsoftonline.com"})
    app = FastAPI()
    app.include_router(router(replace(world.authority, realm=realm)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        path = f"/{TENANT}/oauth2/v2.0/authorize"
        plain = await client.get(f"http://login.microsoftonline.com{path}")
        assert "not served under this name" in plain.text
        host = "https://login.microsoftonline.com"
        found = (await client.get(f"{host}/{TENANT}/v2.0/.well-known/openid-configuration")).json()
        assert found["issuer"] == f"{host}/{TENANT}/v2.0"
        assert found["token_endpoint"] == f"{host}/{TENANT}/oauth2/v2.0/token"
        assert found["authorization_endpoint"].startswith(PAGES)
        first = await client.get(f"{host}/{TENANT}/.well-known/openid-configuration")
        assert first.json()["issuer"] == f"https://sts.windows.net/{TENANT}/"
        asked = {"authorization_endpoint": f"https://login.windows.net/{TENANT}/oauth2/authorize"}
        known = await client.get(f"{host}/common/discovery/instance", params=asked)
        assert "login.windows.net" in known.json()["metadata"][0]["aliases"]
        asked = {"authorization_endpoint": "https://evil.example/common"}
        strange = await client.get(f"{host}/common/discovery/instance", params=asked)
        assert strange.json()["error"] == "invalid_instance"


async def test_signing_out_needs_a_press_and_goes_back_only_where_it_may(
    person: Person, world: World
) -> None:
    await get_code(person, world)
    back = f"http://localhost:8998{PORTAL_SIGNED_OUT}"
    query = {"client_id": portal_client_id(TENANT), "post_logout_redirect_uri": back}
    await person.opens(LOGOUT, **query)
    assert "Sign out?" in person.text
    await person.opens(AUTHORIZE, **request(world, prompt="none"))
    assert person.arrives()["error"] == "interaction_required"  # signed in, that is
    await person.opens(LOGOUT, **query)
    await person.presses("sign-out")
    assert person.goes_to() == back
    await person.opens(AUTHORIZE, **request(world, prompt="none"))
    assert person.arrives()["error"] == "login_required"
    for uri in (
        "https://evil.example",
        "//evil.example",
        "javascript:alert(1)",
        f"http://localhost:6666{PORTAL_SIGNED_OUT}",
    ):
        await person.opens(LOGOUT, **{**query, "post_logout_redirect_uri": uri})
        assert person.status == 200
        assert "You are signed out" in person.text


async def test_a_parameter_given_twice_and_an_unknown_tenant_are_refused(
    person: Person, world: World
) -> None:
    await person.opens(f"{AUTHORIZE}?client_id=1&client_id=2")
    assert "given more than once" in person.text
    await person.opens(f"{PAGES}/evil.example/oauth2/v2.0/authorize", **request(world))
    assert "AADSTS90002" in person.text


async def test_tokens_are_not_given_over_plain_http(person: Person) -> None:
    for path in ("token", "devicecode"):
        answer = await person.client.post(f"{PAGES}/{TENANT}/oauth2/v2.0/{path}", data={"a": "b"})
        assert answer.json()["error_codes"] == [9002313]
    assert API.startswith("https")


async def test_only_the_persons_id_token_for_the_portal_spares_the_question(
    person: Person, world: World
) -> None:
    await get_code(person, world)
    user = await directory.find_user(world.store, world.user.username)
    portal = await world.store.application(portal_client_id(TENANT))
    own = await world.store.application(world.sample.client_id)
    assert portal is not None
    assert own is not None
    address = Address(host="localhost", port=8443, tenant=TENANT)

    def hint(application: ClientApplication, who: User) -> str:
        issue = Issue(address=address, version=2, application=application, proof="1")
        return id_token(world.authority, issue, who, nonce="")

    other = replace(user, oid=PrincipalId(new_id()))
    back = f"http://localhost:8998{PORTAL_SIGNED_OUT}"
    query = {"client_id": portal.client_id, "post_logout_redirect_uri": back}
    for wrong in ("", "no token", hint(own, user), hint(portal, other), hint(portal, user)[:-4]):
        await person.opens(LOGOUT, **query, id_token_hint=wrong)
        assert "Sign out?" in person.text
    await person.opens(LOGOUT, **query, id_token_hint=hint(portal, user))
    assert person.goes_to() == back
    await person.opens(AUTHORIZE, **request(world, prompt="none"))
    assert person.arrives()["error"] == "login_required"
