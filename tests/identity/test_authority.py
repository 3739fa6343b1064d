"""The authority's endpoints: what they publish, whom they believe, and how they say no."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI

from identity.conftest import PAGES, TENANT, World
from livius.adapters.identity.certificates import registered
from livius.adapters.identity.replay_cache import FileAssertionReplayCache
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.api.authority import router
from livius.domain.accounts import Consent, Decision
from livius.domain.realm import Realm
from livius.domain.tokens import Scope
from livius.usecases.identity.authority import Authority
from livius.usecases.identity.presence import anybody

ORIGIN = "https://localhost:8443"
FABRIC = "https://api.fabric.microsoft.com/.default"
ELSEWHERE = "5e8f0b1a-0000-4000-8000-000000000001"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STRANGER = generate_private_key(public_exponent=65537, key_size=2048)
POST_TO = f"{ORIGIN}/{TENANT}/oauth2/v2.0/token"


def application(authority: Authority) -> FastAPI:
    app = FastAPI()
    app.include_router(router(authority))
    return app


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(world.authority))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


def b64(content: bytes, *, padded: bool = True) -> str:
    text = base64.urlsafe_b64encode(content).decode()
    return text if padded else text.rstrip("=")


def certificate(world: World) -> x509.Certificate:
    return x509.load_pem_x509_certificate(world.sample.certificate_file.read_bytes())


def x5t(world: World, *, padded: bool = True) -> dict[str, Any]:
    return {"x5t": b64(certificate(world).fingerprint(SHA1()), padded=padded)}


def assertion(
    world: World,
    header: dict[str, Any] | None = None,
    key: Any = None,
    algorithm: str = "RS256",
    **changes: Any,
) -> str:
    """An assertion like MSAL's, with times that have fractions."""
    now = world.clock.now().timestamp()
    claims = {
        "iss": world.sample.client_id,
        "sub": world.sample.client_id,
        "aud": POST_TO,
        "iat": now,
        "exp": now + 600.5,
        "jti": str(uuid4()),
        **changes,
    }
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key or world.sample.private_key_file.read_text(),
        algorithm=algorithm,
        headers=x5t(world) if header is None else header,
    )


def form(world: World, **changes: Any) -> dict[str, str]:
    fields = {
        "grant_type": "client_credentials",
        "client_id": world.sample.client_id,
        "scope": FABRIC,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def with_secret(world: World, **changes: Any) -> dict[str, str]:
    return form(world, **{"client_secret": world.sample.client_secret, **changes})


def with_assertion(world: World, signed: str, **changes: Any) -> dict[str, str]:
    return form(
        world, **{"client_assertion_type": JWT_BEARER, "client_assertion": signed, **changes}
    )


def error_of(answer: httpx.Response) -> tuple[int, str, int]:
    body = answer.json()
    (number,) = body["error_codes"]
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    for name, shown in (("trace_id", "Trace ID"), ("correlation_id", "Correlation ID")):
        assert f"{shown}: {body[name]}" in body["error_description"]
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, body["error"], number


@pytest.mark.parametrize("prefix", [f"/{TENANT}", f"/{TENANT.upper()}", "/livius.test"])
@pytest.mark.parametrize("policy", ["", "/b2c_livius"])
@pytest.mark.parametrize("host", ["localhost:8443", "127.0.0.1:9", "localhost"])
async def test_discovery_speaks_under_the_name_that_the_caller_used(
    client: httpx.AsyncClient, prefix: str, policy: str, host: str
) -> None:
    for version in ("/v2.0", ""):
        path = f"{prefix}{policy}{version}/.well-known/openid-configuration"
        answer = await client.get(path, headers={"host": host})
        found = answer.json()
        authority = f"https://{host}{prefix}{policy}"
        assert found["token_endpoint"] == f"{authority}/oauth2{version}/token"
        assert found["authorization_endpoint"] == (
            f"{PAGES}{prefix}{policy}/oauth2{version}/authorize"
        )
        assert found["issuer"] == (
            f"https://{host}/{TENANT}{policy}/v2.0" if version else f"https://{host}/{TENANT}/"
        )
        keys = await client.get(found["jwks_uri"].removeprefix(f"https://{host}"))
        assert keys.json()["keys"][0]["kty"] == "RSA"


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        (f"/{ELSEWHERE}/v2.0/.well-known/openid-configuration", {}, (400, "invalid_tenant", 90002)),
        (f"/{TENANT}/p/v2.0/.well-known/openid-configuration", {}, (400, "invalid_tenant", 90002)),
        (
            f"/{TENANT}/v2.0/.well-known/openid-configuration",
            {"host": "evil.example"},
            (400, "invalid_request", 9002313),
        ),
        (
            f"/{TENANT}/v2.0/.well-known/openid-configuration",
            {"host": "localhost@evil.example"},
            (400, "invalid_request", 9002313),
        ),
        (
            f"/{TENANT}/v2.0/.well-known/openid-configuration",
            {"host": "["},
            (400, "invalid_request", 9002313),
        ),
        (
            f"/{TENANT}/v2.0/.well-known/openid-configuration",
            {"host": "a b"},
            (400, "invalid_request", 9002313),
        ),
    ],
)
async def test_what_is_not_here_is_said(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], expected: tuple[int, str, int]
) -> None:
    assert error_of(await client.get(path, headers=headers)) == expected


async def test_forwarded_headers_of_strangers_change_nothing(client: httpx.AsyncClient) -> None:
    headers = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http"}
    path = f"/{TENANT}/v2.0/.well-known/openid-configuration"
    assert (await client.get(path, headers=headers)).json()["issuer"].startswith(ORIGIN + "/")


@pytest.mark.parametrize("path", ["/v1/oauth2/v2.0/token", "/livy/oauth2/v2.0/token", "/portal"])
async def test_other_words_in_the_path_are_not_the_authoritys(
    client: httpx.AsyncClient, path: str
) -> None:
    assert (await client.post(path)).status_code == 404


@pytest.mark.parametrize("policy", ["", "/b2c_livius"])
@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        (FABRIC, "https://api.fabric.microsoft.com"),
        ("https://api.fabric.microsoft.com//.default", "https://api.fabric.microsoft.com"),
        (
            "https://analysis.windows.net/powerbi/api/.default",
            "https://analysis.windows.net/powerbi/api",
        ),
        (
            "00000009-0000-0000-c000-000000000000/.default",
            "00000009-0000-0000-c000-000000000000",
        ),
    ],
)
async def test_a_secret_gets_an_applications_token(
    client: httpx.AsyncClient, world: World, policy: str, scope: str, audience: str
) -> None:
    path = f"/{TENANT}{policy}/oauth2/v2.0/token"
    answer = await client.post(path, data=with_secret(world, scope=scope))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    token = body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == audience
    assert claims["iss"] == f"{ORIGIN}/{TENANT}{policy}/v2.0"
    assert (claims["azpacr"], claims["idtyp"], claims["ver"]) == ("1", "app", "2.0")
    assert "scp" not in claims
    principal = world.verifier.verify(token)
    assert (principal.oid, principal.name) == (world.sample.object_id, "livius sample")
    assert principal.client_id == world.sample.client_id


async def test_a_secret_may_come_in_a_basic_header(client: httpx.AsyncClient, world: World) -> None:
    auth = (world.sample.client_id, world.sample.client_secret)
    answer = await client.post(POST_TO, data=form(world, client_id=None), auth=auth)
    assert answer.status_code == 200, answer.text
    twice = await client.post(POST_TO, data=with_secret(world), auth=auth)
    assert error_of(twice) == (400, "invalid_request", 9002313)
    broken = await client.post(POST_TO, data=form(world), headers={"authorization": "Basic %"})
    assert error_of(broken) == (400, "invalid_request", 9002313)


GOOD_HEADERS: dict[str, Callable[[World], tuple[str, dict[str, Any]]]] = {
    "x5t with padding": lambda w: ("RS256", x5t(w)),
    "x5t without padding": lambda w: ("RS256", x5t(w, padded=False)),
    "PS256 with x5t#S256": lambda w: (
        "PS256",
        {"x5t#S256": b64(certificate(w).fingerprint(SHA256()))},
    ),
    "x5c": lambda w: (
        "PS256",
        {"x5c": [base64.b64encode(certificate(w).public_bytes(Encoding.DER)).decode()]},
    ),
}


@pytest.mark.parametrize("named", GOOD_HEADERS)
async def test_a_certificate_gets_a_token(
    client: httpx.AsyncClient, world: World, named: str
) -> None:
    algorithm, header = GOOD_HEADERS[named](world)
    signed = assertion(world, header, algorithm=algorithm)
    answer = await client.post(POST_TO, data=with_assertion(world, signed))
    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["azpacr"] == "2"


@pytest.mark.parametrize(
    "audience",
    [
        POST_TO,
        f"{ORIGIN}/{TENANT}/v2.0",
        f"{ORIGIN}/{TENANT}/b2c_livius/oauth2/v2.0/token",
        f"https://127.0.0.1:8443/{TENANT}/oauth2/v2.0/token",
        f"{ORIGIN}/livius.test/oauth2/v2.0/token",
        [POST_TO],
    ],
)
async def test_an_assertion_may_name_the_authority_by_any_of_its_names(
    client: httpx.AsyncClient, world: World, audience: str | list[str]
) -> None:
    signed = assertion(world, aud=audience)
    answer = await client.post(POST_TO, data=with_assertion(world, signed))
    assert answer.status_code == 200, answer.text


def hs256_with_the_public_key(world: World) -> str:
    pem = registered(certificate(world)).public_key_pem.encode()
    head = b64(f'{{"alg":"HS256","x5t":"{x5t(world)["x5t"]}"}}'.encode(), padded=False)
    body = assertion(world).split(".")[1]
    mac = hmac.new(pem, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{b64(mac, padded=False)}"


def alg_none(world: World) -> str:
    head = b64(f'{{"alg":"none","x5t":"{x5t(world)["x5t"]}"}}'.encode(), padded=False)
    return f"{head}.{assertion(world).split('.')[1]}."


def tampered(world: World) -> str:
    one, other = assertion(world).split("."), assertion(world).split(".")
    return f"{one[0]}.{other[1]}.{one[2]}"


NOW = time.time()
BAD_ASSERTIONS: dict[str, tuple[Callable[[World], str], int]] = {
    "garbage": (lambda _: "garbage", 50027),
    "huge": (lambda w: assertion(w, more="x" * 17_000), 50027),
    "alg none": (alg_none, 50027),
    "HS256 with the public key": (hs256_with_the_public_key, 50027),
    "a stranger's key under our thumbprint": (lambda w: assertion(w, key=STRANGER), 700027),
    "another thumbprint": (lambda w: assertion(w, {"x5t": b64(b"x" * 20)}), 700027),
    "no thumbprint": (lambda w: assertion(w, {}), 700027),
    "a thumbprint that is a number": (lambda w: assertion(w, {"x5t": 7}), 700027),
    "a thumbprint that is no base64": (lambda w: assertion(w, {"x5t": "ä"}), 700027),
    "two thumbprints that differ": (
        lambda w: assertion(w, {**x5t(w), "x5t#S256": b64(b"x" * 32)}),
        700027,
    ),
    "another's certificate in x5c": (lambda w: assertion(w, {**x5t(w), "x5c": ["AAAA"]}), 700027),
    "changed claims": (tampered, 700027),
    "another issuer": (lambda w: assertion(w, iss=str(uuid4())), 700021),
    "another subject": (lambda w: assertion(w, sub=str(uuid4())), 700021),
    "no issuer": (lambda w: assertion(w, iss=None), 700021),
    "no audience": (lambda w: assertion(w, aud=None), 700023),
    "another audience": (lambda w: assertion(w, aud=POST_TO.replace("localhost", "a.b")), 700023),
    "another port": (lambda w: assertion(w, aud=POST_TO.replace("8443", "8444")), 700023),
    "another tenant": (lambda w: assertion(w, aud=POST_TO.replace(TENANT, str(uuid4()))), 700023),
    "audience over http": (lambda w: assertion(w, aud=POST_TO.replace("https", "http")), 700023),
    "two audiences": (lambda w: assertion(w, aud=[POST_TO, "https://a.b/"]), 700023),
    "expired": (lambda w: assertion(w, exp=NOW - 300), 700024),
    "no expiry": (lambda w: assertion(w, exp=None), 700024),
    "expiry true": (lambda w: assertion(w, exp=True), 700024),
    "good for too long": (lambda w: assertion(w, exp=NOW + 90_000), 700024),
    "from the future": (lambda w: assertion(w, nbf=NOW + 90_000), 700024),
    "issued in the future": (lambda w: assertion(w, iat=NOW + 90_000), 700024),
    "no jti": (lambda w: assertion(w, jti=None), 50027),
    "a huge jti": (lambda w: assertion(w, jti="x" * 300), 50027),
}


@pytest.mark.parametrize("attack", BAD_ASSERTIONS)
async def test_an_assertion_that_proves_nothing_is_refused(
    client: httpx.AsyncClient, world: World, attack: str
) -> None:
    make, number = BAD_ASSERTIONS[attack]
    answer = await client.post(POST_TO, data=with_assertion(world, make(world)))
    assert error_of(answer) == (401, "invalid_client", number)


async def test_a_replayed_assertion_is_refused_even_after_a_restart(
    client: httpx.AsyncClient, world: World
) -> None:
    fields = with_assertion(world, assertion(world))
    assert (await client.post(POST_TO, data=fields)).status_code == 200
    assert error_of(await client.post(POST_TO, data=fields)) == (401, "invalid_client", 50013)
    restarted = replace(
        world.authority,
        used=FileAssertionReplayCache(world.folder / "used-assertions", world.clock),
    )
    transport = httpx.ASGITransport(application(restarted))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as again:
        assert error_of(await again.post(POST_TO, data=fields)) == (401, "invalid_client", 50013)


async def test_of_many_equal_assertions_at_once_one_counts(
    client: httpx.AsyncClient, world: World
) -> None:
    fields = with_assertion(world, assertion(world))
    answers = await asyncio.gather(*(client.post(POST_TO, data=fields) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_msals_one_assertion_serves_each_audience_once(
    client: httpx.AsyncClient, world: World
) -> None:
    signed = assertion(world)
    power_bi, storage = "https://analysis.windows.net/powerbi/api", "https://storage.azure.com"
    for scope in (FABRIC, f"{power_bi}/.default", f"{storage}/.default"):
        answer = await client.post(POST_TO, data=with_assertion(world, signed, scope=scope))
        assert answer.status_code == 200, answer.text
        again = await client.post(POST_TO, data=with_assertion(world, signed, scope=scope))
        assert error_of(again) == (401, "invalid_client", 50013)


SPELLINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    (POST_TO, {"scope": "HTTPS://API.FABRIC.Microsoft.com/.default"}),
    (POST_TO, {"scope": "https://api.fabric.microsoft.com//.default"}),
    (POST_TO, {"scope": "pbi/.default"}),
    (f"{ORIGIN}/{TENANT.upper()}/oauth2/v2.0/token", {}),
    (f"{ORIGIN}/common/oauth2/v2.0/token", {}),
    (f"{ORIGIN}/livius.test/oauth2/v2.0/token", {}),
    (f"{ORIGIN}/{TENANT}/b2c_livius/oauth2/v2.0/token", {}),
    (f"{ORIGIN}/adfs/oauth2/token", {}),
    (f"{ORIGIN}/dstsv2/{TENANT}/oauth2/v2.0/token", {}),
    (f"https://127.0.0.1:8443/{TENANT}/oauth2/v2.0/token", {}),
    (f"{ORIGIN}/{TENANT}/oauth2/token", {"scope": None, "resource": FABRIC[: -len("/.default")]}),
    (f"{ORIGIN}/{TENANT}/oauth2/token", {"scope": None, "resource": FABRIC[: -len(".default")]}),
    (POST_TO, {"client_id": "upper"}),
    (POST_TO, {"client_id": "braces"}),
)


@pytest.mark.parametrize(("url", "changes"), SPELLINGS)
async def test_an_assertion_is_good_once_for_an_audience_however_that_is_spelled(
    client: httpx.AsyncClient, world: World, url: str, changes: dict[str, Any]
) -> None:
    signed = assertion(world)
    named = world.sample.client_id
    if "client_id" in changes:
        spelled = {"upper": named.upper(), "braces": f"{{{named}}}"}
        changes = {"client_id": spelled[changes["client_id"]]}
    fresh = await client.post(url, data=with_assertion(world, assertion(world), **changes))
    assert fresh.status_code == 200, fresh.text  # it is a spelling that counts
    assert (await client.post(POST_TO, data=with_assertion(world, signed))).status_code == 200
    again = await client.post(url, data=with_assertion(world, signed, **changes))
    assert error_of(again) == (401, "invalid_client", 50013)


@pytest.mark.parametrize(
    "audience",
    [
        f"{POST_TO}/",
        f"{ORIGIN}/{TENANT}/v2.0",
        f"{ORIGIN}/common/oauth2/token",
        f"https://LOCALHOST:8443/{TENANT.upper()}/oauth2/v2.0/token",
        f"https://localhost:08443/{TENANT}/oauth2/v2.0/token",
    ],
)
async def test_a_jti_is_good_once_whatever_the_assertion_calls_the_authority(
    client: httpx.AsyncClient, world: World, audience: str
) -> None:
    one, other = assertion(world, jti="the same"), assertion(world, jti="the same", aud=audience)
    assert (await client.post(POST_TO, data=with_assertion(world, one))).status_code == 200
    again = await client.post(POST_TO, data=with_assertion(world, other))
    assert error_of(again) == (401, "invalid_client", 50013)


async def test_an_assertion_starts_one_device_and_a_second_one_needs_another(
    client: httpx.AsyncClient, world: World
) -> None:
    signed = assertion(world)
    url = f"{ORIGIN}/{TENANT}/oauth2/v2.0/devicecode"
    started = await client.post(url, data=with_assertion(world, signed))
    assert started.status_code == 200, started.text
    for scope in (FABRIC, FABRIC.upper().replace(".DEFAULT", ".default"), "pbi/.default"):
        again = await client.post(url, data=with_assertion(world, signed, scope=scope))
        assert error_of(again) == (401, "invalid_client", 50013)
    poll = with_assertion(
        world,
        signed,
        grant_type="urn:ietf:params:oauth:grant-type:device_code",
        device_code=started.json()["device_code"],
    )
    for _ in range(3):  # what yields nothing uses nothing up
        assert error_of(await client.post(POST_TO, data=poll)) == (
            400,
            "authorization_pending",
            70016,
        )
    waiting = await world.store.waiting_device(started.json()["user_code"].replace("-", ""))
    assert waiting is not None
    await world.store.decide_device(waiting.key, Decision.APPROVED, world.user.oid)
    await world.store.add_consent(
        Consent(
            user=world.user.oid,
            client_id=world.sample.client_id,
            resource="pbi",
            scopes=frozenset(Scope),
            given_at=world.clock.now(),
        )
    )
    answers = await asyncio.gather(*(client.post(POST_TO, data=poll) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [200] + [401] * 3


async def test_an_expired_certificate_proves_nothing(
    client: httpx.AsyncClient, world: World
) -> None:
    world.clock.move(timedelta(days=731))
    answer = await client.post(POST_TO, data=with_assertion(world, assertion(world)))
    assert error_of(answer) == (401, "invalid_client", 1000502)


REFUSED: dict[str, tuple[dict[str, Any], tuple[int, str, int]]] = {
    "wrong secret": ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
    "no credential": ({"client_secret": None}, (401, "invalid_client", 7000216)),
    "unknown application": (
        {"client_id": "00000000-0000-0000-0000-00000000abcd"},
        (400, "unauthorized_client", 700016),
    ),
    "a client id that is none": ({"client_id": "' OR 1"}, (400, "unauthorized_client", 700016)),
    "no client id": ({"client_id": None}, (400, "invalid_request", 900144)),
    "no grant type": ({"grant_type": None}, (400, "invalid_request", 900144)),
    "no scope": ({"scope": None}, (400, "invalid_request", 900144)),
    "another grant": ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
    "a named scope": (
        {"scope": "https://api.fabric.microsoft.com/Lakehouse.Read.All"},
        (400, "invalid_scope", 70011),
    ),
    "two scopes": ({"scope": f"{FABRIC} {FABRIC}"}, (400, "invalid_scope", 70011)),
    "another resource": (
        {"scope": "https://management.core.windows.net/.default"},
        (400, "invalid_resource", 500011),
    ),
    "an assertion without its type": (
        {"client_assertion": "x"},
        (400, "invalid_request", 900144),
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
async def test_a_wrong_request_gets_entras_number(
    client: httpx.AsyncClient, world: World, wrong: str
) -> None:
    changes, expected = REFUSED[wrong]
    answer = await client.post(POST_TO, data=with_secret(world, **changes))
    assert error_of(answer) == expected
    assert world.sample.client_secret not in answer.text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"%d=1" % n for n in range(100)), "application/x-www-form-urlencoded"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    client: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    answer = await client.post(POST_TO, content=content, headers={"content-type": kind})
    assert error_of(answer) == (400, "invalid_request", 9002313)


async def test_the_callers_correlation_id_comes_back(
    client: httpx.AsyncClient, world: World
) -> None:
    mine = str(uuid4())
    for sent, kept in ((mine, True), ("<script>", False)):
        answer = await client.post(POST_TO, headers={"client-request-id": sent}, data=form(world))
        assert (answer.json()["correlation_id"] == sent) is kept


async def test_plain_http_gets_no_token(world: World) -> None:
    transport = httpx.ASGITransport(application(world.authority))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        answer = await client.post(f"/{TENANT}/oauth2/v2.0/token", data=with_secret(world))
    assert error_of(answer) == (400, "invalid_request", 9002313)


async def test_too_many_failures_have_to_wait_and_no_longer(
    client: httpx.AsyncClient, world: World
) -> None:
    wrong = with_secret(world, client_secret="wrong")
    answers = await asyncio.gather(*(client.post(POST_TO, data=wrong) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 10
    answer = await client.post(POST_TO, data=wrong)
    assert error_of(answer) == (429, "temporarily_unavailable", 90055)
    wait = int(answer.headers["retry-after"])
    assert 0 < wait <= 60
    world.clock.move(timedelta(seconds=wait))
    answer = await client.post(POST_TO, data=wrong)
    assert error_of(answer) == (401, "invalid_client", 7000215)


async def test_no_credential_reaches_the_log(
    client: httpx.AsyncClient, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = assertion(world)
    issued = await client.post(POST_TO, data=with_secret(world))
    await client.post(POST_TO, data=with_assertion(world, signed))
    await client.post(POST_TO, data=with_assertion(world, signed))
    printed = capsys.readouterr()
    logged = printed.out + printed.err
    assert "token_issued" in logged
    assert "AADSTS50013" in logged
    for credential in (world.sample.client_secret, signed, issued.json()["access_token"]):
        assert credential not in logged


async def test_a_token_of_one_installation_means_nothing_in_another(
    client: httpx.AsyncClient, world: World
) -> None:
    token = (await client.post(POST_TO, data=with_secret(world))).json()["access_token"]
    elsewhere = Realm(tenant=TENANT, hosts=frozenset({"gateway.example"}))
    with pytest.raises(Exception, match="not trusted here"):
        EmbeddedVerifier(world.keys, elsewhere, world.clock, present=anybody).verify(token)
