"""Signing people in at an authority: what comes back has to be of this very sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest

from identity.browser import Person
from identity.flows import VERIFIER
from identity.sides import SCOPES, Side
from identity.sockets import Served
from livius.adapters.identity.oidc_login import NobodySignsIn, OidcLogin
from livius.adapters.identity.provider_client import Credential, ProviderClient
from livius.domain.digests import challenge_of
from livius.domain.errors import LiviusError, Unauthenticated, Unavailable
from livius.domain.oidc_provider import Provider, own_audiences, read_id_token
from livius.usecases.identity import directory
from livius.usecases.identity.token_issuance import id_token

BACK = "http://localhost:8998/portal/signed-in"


async def people(side: Side, *, secret: str | None = None, issuer: str | None = None) -> Any:
    own = await directory.add_redirect(
        side.world.store,
        side.world.clock,
        await directory.find_application(side.world.store, "served"),
        BACK,
    )
    client = ProviderClient(
        Credential(client_id=own.client_id, secret=secret or side.secret),
        side.keys.endpoints,
        side.world.clock,
    )
    return OidcLogin(
        client=client,
        known=side.keys.known_endpoints,
        id_tokens=side.verifier,
        scope=f"{own.client_id}/.default",
        issuer=issuer or side.provider.issuer,
    )


async def code_of(side: Side, found: OidcLogin, nonce: str) -> str:
    url = await found.sign_in_url(
        redirect_uri=BACK, state="s", nonce=nonce, challenge=challenge_of(VERIFIER)
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        person = await Person(http).opens(url)
        await person.signs_in(side.world.user.username, side.world.user.password)
        if person.status == 200 and "asks for permission" in person.text:
            await person.presses("allow")
        return person.arrives()["code"]


async def test_a_person_signs_in_by_what_the_provider_publishes(side: Side, served: Served) -> None:
    found = await people(side)
    url = await found.sign_in_url(
        redirect_uri=BACK, state="s", nonce="n", challenge=challenge_of(VERIFIER)
    )
    assert url.startswith(f"{served.pages}/")
    asked = dict(parse_qsl(urlsplit(url).query))
    assert (asked["nonce"], asked["code_challenge_method"]) == ("n", "S256")
    code = await code_of(side, found, "n")
    made = await found.redeem(
        code=code, redirect_uri=BACK, verifier=VERIFIER, nonce="n", issuer=None
    )
    principal = await side.verifier.bearer_of(made.access_token)
    assert made.oid == principal.oid
    assert principal.scopes >= set(SCOPES)
    assert made.access_token not in repr(made)
    assert found.sign_out_url(redirect_uri=BACK).startswith(f"{served.pages}/")


async def test_a_code_of_another_sign_in_is_refused(side: Side) -> None:
    """An attacker who plants a code would need our verifier and our nonce."""
    found = await people(side)
    ours: dict[str, Any] = {"redirect_uri": BACK, "issuer": None}
    code = await code_of(side, found, "theirs")
    with pytest.raises(Unauthenticated, match="of another sign-in"):
        await found.redeem(code=code, verifier=VERIFIER, nonce="ours", **ours)
    with pytest.raises(Unauthenticated, match="did not accept the sign-in"):
        await found.redeem(code=code, verifier=VERIFIER, nonce="theirs", **ours)
    code = await code_of(side, found, "ours")
    with pytest.raises(Unauthenticated, match="did not accept the sign-in"):
        await found.redeem(code=code, verifier="w" * 50, nonce="ours", **ours)


async def test_another_issuers_answer_and_a_wrong_secret(side: Side) -> None:
    found = await people(side, secret="wrong")
    code = await code_of(side, found, "n")
    ours: dict[str, Any] = {"code": code, "redirect_uri": BACK, "verifier": VERIFIER, "nonce": "n"}
    with pytest.raises(Unauthenticated, match="another authority"):
        await found.redeem(**ours, issuer="https://evil.example")
    with pytest.raises(Unavailable, match="LIVIUS_AUTHORITY_CLIENT_ID"):
        await found.redeem(**ours, issuer=side.provider.issuer)


Change = Callable[[dict[str, Any]], dict[str, Any]]

CHANGES: dict[str, tuple[Change, str]] = {
    "nonce": (lambda c: {**c, "nonce": "other"}, "another sign-in"),
    "no nonce": (lambda c: {**c, "nonce": None}, "another sign-in"),
    "issuer": (lambda c: {**c, "iss": "https://evil.example/t/v2.0"}, "not trusted"),
    "tenant": (lambda c: {**c, "tid": "another"}, "another tenant"),
    "client": (lambda c: {**c, "aud": "another"}, "another application"),
    "authorized": (lambda c: {**c, "azp": "another"}, "another application"),
    "two": (lambda c: {**c, "aud": [c["aud"], "b"], "azp": None}, "another application"),
    "expired": (lambda c: {**c, "exp": 1}, "expired"),
    "later": (lambda c: {**c, "nbf": 4_000_000_000}, "not valid yet"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_id_token_that_is_not_for_this_sign_in(side: Side, change: str) -> None:
    user = await directory.find_user(side.world.store, side.world.user.username)
    token = id_token(side.world.authority, side.issue(), user, nonce="n")
    client_id = side.own.client_id
    assert await side.verifier.person_of(token, client_id=client_id, nonce="n") == user.oid
    claims = jwt.decode(token, options={"verify_signature": False})
    changed, said = CHANGES[change]
    forged = {k: v for k, v in changed(claims).items() if v is not None}
    with pytest.raises(Unauthenticated, match=said):
        await side.verifier.person_of(side.world.keys.sign(forged), client_id=client_id, nonce="n")
    broken = token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")
    for worthless in (broken, "", "x", "é", "a" * 20_000):
        with pytest.raises(Unauthenticated):
            await side.verifier.person_of(worthless, client_id=client_id, nonce="n")


def test_without_a_tenant_a_person_is_issuer_and_subject(side: Side) -> None:
    provider = Provider(issuer="https://id.example.org", audiences=own_audiences("livius"))
    now = side.world.clock.now()
    claims = {
        "iss": provider.issuer,
        "sub": "ada",
        "oid": "made up",
        "aud": "portal",
        "nonce": "n",
        "iat": now.timestamp(),
        "exp": now.timestamp() + 60,
    }
    found = read_id_token(claims, provider, now, client_id="portal", nonce="n")
    assert found not in ("ada", "made up")


async def test_where_nothing_is_configured_the_settings_are_named() -> None:
    nobody = NobodySignsIn(("LIVIUS_AUTHORITY_CLIENT_ID", "LIVIUS_AUTHORITY_SCOPE"))
    assert nobody.sign_out_url(redirect_uri=BACK) is None
    with pytest.raises(LiviusError, match="CLIENT_ID, LIVIUS_AUTHORITY_SCOPE"):
        await nobody.sign_in_url(redirect_uri=BACK, state="s", nonce="n", challenge="c")
    with pytest.raises(LiviusError, match="Missing"):
        await nobody.redeem(code="c", redirect_uri=BACK, verifier="v", nonce="n", issuer=None)
