"""Attacks on what the gateway checks: secrets, codes, assertions, tokens, how many drivers."""

import base64
import re
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import jwt
import requests

from bench.attacked import MOST_DRIVERS, Target
from bench.strangers import at_once
from support.gateway import LIVIUS
from support.sign_in import user_token

GUESSES = 300
FABRIC = "https://api.fabric.microsoft.com"
_REMOVED_WITHIN = 12.0
_SCOPES = ["Lakehouse.Execute.All", "Lakehouse.Read.All", "Code.AccessFabric.All"]
_CHALLENGE = {
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}
"""The example of RFC 7636."""
_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


def no_guess(target: Target) -> str:
    """No attack: what somebody who is signed in has of the machine itself."""
    del target
    time.sleep(3)
    return "no attack"


def made_up_names(target: Target) -> str:
    """Passwords of 300 names that nobody has, 30 at once."""
    facts, browser = target.gateway.connection, _browser(target)
    page = browser.get(
        f"{facts['authority']}/oauth2/v2.0/authorize",
        params={
            "client_id": facts["client_id"],
            "response_type": "code",
            "redirect_uri": "http://localhost:1/",
            "scope": f"{FABRIC}/.default",
            **_CHALLENGE,
        },
        timeout=30,
    )
    hidden = {name: unescape(value) for name, value in _HIDDEN.findall(page.text)}

    def guess(number: int) -> int:
        fields = {"username": f"nobody-{number}@livius.localhost", "password": "made up"}
        answer = requests.post(
            page.url,
            data={**hidden, **fields, "step": "sign-in"},
            cookies=browser.cookies.get_dict(),
            verify=facts["ca_file"],
            timeout=30,
        )
        return answer.status_code

    return _guesses(target, guess)


def wrong_secrets(target: Target) -> str:
    """300 wrong secrets of an application, 30 at once."""
    return _guesses(target, lambda number: _token(target, client_secret=f"wrong-{number}"))


def _guesses(target: Target, guess: Callable[[int], int]) -> str:
    numbers, said = iter(range(GUESSES)), Counter[str]()
    lock = threading.Lock()

    def work() -> None:
        while not target.is_over:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                said[str(guess(number))] += 1
            except requests.RequestException:
                said["without an answer"] += 1

    at_once(30, work)
    return ", ".join(f"{count} answered {what}" for what, count in sorted(said.items()))


def sixteen_creates(target: Target) -> str:
    """Sixteen sessions at once, where there is room for one more driver."""
    for _ in range(MOST_DRIVERS - 1):
        target.client.create()
    said = Counter[int]()
    headers = dict(target.client.http.headers)

    def create() -> None:
        answer = requests.post(
            f"{target.client.base}/sessions",
            json={},
            headers=headers,
            verify=target.client.http.verify,
            timeout=60,
        )
        said[answer.status_code] += 1

    at_once(16, create)
    time.sleep(5)
    drivers = len(list((target.gateway.home / "drivers").glob("*/supervisor.pid")))
    return (
        f"{said[202]} of 16 created where there was room for 1; "
        f"{drivers} drivers of at most {MOST_DRIVERS}"
    )


def code_by_a_link(target: Target) -> str:
    """A link that has the portal's sign-in come out at a port of somebody else's."""
    facts, browser = target.gateway.connection, _browser(target)
    user_token(target.gateway, _SCOPES, kept=browser)
    application = str(uuid.uuid5(uuid.UUID(target.tenant), "livius portal"))
    back = "http://localhost:6666/portal/signed-in"
    answer = browser.get(
        f"{facts['authority']}/oauth2/v2.0/authorize",
        params={
            "client_id": application,
            "response_type": "code",
            "redirect_uri": back,
            "scope": "openid profile offline_access",
            **_CHALLENGE,
        },
        allow_redirects=False,
        timeout=30,
    )
    found = re.search(r"[?&]code=([^&]+)", answer.headers.get("location", ""))
    if found is None:
        return f"refused with {answer.status_code}"
    redeemed = browser.post(
        f"{facts['authority']}/oauth2/v2.0/token",
        data={
            "grant_type": "authorization_code",
            "client_id": application,
            "code": found[1],
            "redirect_uri": back,
            "code_verifier": _VERIFIER,
        },
        timeout=30,
    )
    got = sorted(name for name in redeemed.json() if name.endswith("_token"))
    return f"the code goes to port 6666; redeemed there: {', '.join(got) or redeemed.status_code}"


def assertion_spelled_anew(target: Target) -> str:
    """One client assertion for one resource, which each request spells in another way."""
    facts = target.gateway.connection
    now = int(time.time())
    thumbprint = base64.urlsafe_b64encode(bytes.fromhex(facts["thumbprint"])).decode().rstrip("=")
    signed = jwt.encode(
        {
            "iss": facts["client_id"],
            "sub": facts["client_id"],
            "aud": f"{facts['authority']}/oauth2/v2.0/token",
            "iat": now,
            "exp": now + 600,
            "jti": str(uuid.uuid4()),
        },
        Path(facts["private_key_file"]).read_text(),
        algorithm="RS256",
        headers={"x5t": thumbprint},
    )
    proof = {
        "client_secret": None,
        "client_assertion": signed,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    scopes = ["/.default", "/.default ", "//.default", "/.default openid", "/.default"]
    said = [_token(target, **proof, scope=f"{FABRIC}{scope}") for scope in scopes]
    return f"answered {', '.join(map(str, said))}"


def token_of_a_removed_user(target: Target) -> str:
    """The access token of a user who was removed."""
    token = user_token(target.gateway, _SCOPES)
    url, verify = f"{target.client.base}/sessions", target.client.http.verify

    def ask() -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(url, headers=headers, verify=verify, timeout=30).status_code

    before = ask()
    name = target.gateway.connection["username"]
    subprocess.run(
        [LIVIUS, "identity", "user", "remove", name],
        env=target.gateway.environment,
        check=True,
        capture_output=True,
    )
    began = time.monotonic()
    while (now := ask()) == before and time.monotonic() - began < _REMOVED_WITHIN:
        time.sleep(0.1)
    return f"answered {before} before, {now} {time.monotonic() - began:.1f} s after"


def _token(target: Target, **changes: Any) -> int:
    """The status of a request for a token of the sample application."""
    facts = target.gateway.connection
    fields = {
        "grant_type": "client_credentials",
        "client_id": facts["client_id"],
        "client_secret": facts["client_secret"],
        "scope": f"{FABRIC}/.default",
        **changes,
    }
    url = f"{facts['authority']}/oauth2/v2.0/token"
    return requests.post(url, data=fields, verify=facts["ca_file"], timeout=30).status_code


def _browser(target: Target) -> requests.Session:
    browser = requests.Session()
    browser.trust_env = False
    browser.verify = target.gateway.connection["ca_file"]
    return browser
