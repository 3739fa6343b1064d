"""The requests of the authorization code flow, and a person who goes through it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import jwt

from identity.browser import Person
from identity.conftest import PAGES, TENANT, World
from livius.domain.tokens import FABRIC, Scope

API = "https://localhost:8443"
AUTHORIZE = f"{PAGES}/{TENANT}/oauth2/v2.0/authorize"
TOKEN = f"{API}/{TENANT}/oauth2/v2.0/token"
BACK = "http://localhost:51234"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:43]
REQUIRED = (
    Scope.LAKEHOUSE_EXECUTE,
    Scope.LAKEHOUSE_READ,
    Scope.CODE_FABRIC,
    Scope.CODE_STORAGE,
)
SCOPE = " ".join([*(f"{FABRIC}/{one}" for one in REQUIRED), "openid profile offline_access"])


def request(world: World, **changes: Any) -> dict[str, str]:
    fields = {
        "client_id": world.sample.client_id,
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": SCOPE,
        "state": "st&te",
        "nonce": "n",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "client_info": "1",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def redemption(world: World, code: str, /, **changes: Any) -> dict[str, str]:
    fields = {
        "grant_type": "authorization_code",
        "client_id": world.sample.client_id,
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        "client_info": "1",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


async def get_code(person: Person, world: World, **changes: Any) -> str:
    await person.opens(AUTHORIZE, **request(world, **changes))
    if "Sign in" in person.text:
        await person.signs_in(world.user.username, world.user.password)
    if 'value="continue"' in person.text:
        await person.presses("continue")
    if "asks for permission" in person.text:
        await person.presses("allow")
    return person.arrives()["code"]


async def get_tokens(person: Person, world: World, **changes: Any) -> dict[str, Any]:
    code = await get_code(person, world, **changes)
    answer = await person.client.post(TOKEN, data=redemption(world, code))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def number(answer: httpx.Response) -> tuple[str, int]:
    body = answer.json()
    return body["error"], body["error_codes"][0]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
