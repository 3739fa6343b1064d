"""A person who signs in over real sockets: the code flow with PKCE, consent given."""

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

import requests

from livius.domain.tokens import FABRIC
from support.gateway import Gateway

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_BACK = "http://localhost:1/"


def user_token(
    gateway: Gateway,
    scopes: Iterable[str],
    resource: str = FABRIC,
    kept: requests.Session | None = None,
) -> str:
    """An access token of the first user, for these scopes of Fabric's, or of what has the same.

    In ``kept``, where there is one, the user stays signed in.
    """
    facts = gateway.connection
    verifier = secrets.token_urlsafe(40)
    digest = hashlib.sha256(verifier.encode()).digest()
    with kept or requests.Session() as browser:
        browser.trust_env = False
        browser.verify = facts["ca_file"]
        answer = browser.get(
            f"{facts['authority']}/oauth2/v2.0/authorize",
            params={
                "client_id": facts["client_id"],
                "response_type": "code",
                "response_mode": "query",
                "redirect_uri": _BACK,
                "scope": " ".join(f"{resource}/{scope}" for scope in scopes),
                "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
                "code_challenge_method": "S256",
            },
            timeout=30,
        )
        steps = [
            ("sign-in", {"username": facts["username"], "password": facts["password"]}),
            ("allow", {}),
        ]
        for step, fields in steps:
            if answer.status_code != 200:
                break
            hidden = {name: html.unescape(value) for name, value in _HIDDEN.findall(answer.text)}
            answer = browser.post(
                answer.url,
                data={**hidden, **fields, "step": step},
                allow_redirects=False,
                timeout=30,
            )
        assert answer.status_code == 303, answer.text
        code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
        answer = browser.post(
            f"{facts['authority']}/oauth2/v2.0/token",
            data={
                "grant_type": "authorization_code",
                "client_id": facts["client_id"],
                "code": code,
                "redirect_uri": _BACK,
                "code_verifier": verifier,
            },
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


def app_token(gateway: Gateway, resource: str) -> str:
    """An access token of the sample application for a resource."""
    facts = gateway.connection
    answer = requests.post(
        f"{facts['authority']}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": facts["client_id"],
            "client_secret": facts["client_secret"],
            "scope": f"{resource}/.default",
        },
        verify=facts["ca_file"],
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token
