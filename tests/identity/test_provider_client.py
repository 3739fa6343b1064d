"""Requests to a provider's token endpoint, and bad responses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest

from identity.conftest import MovedClock
from identity.flows import claims_of
from identity.test_external import Counting
from identity.test_external_attacks import CURVE, public
from identity.test_on_behalf_of import SESSION
from livius.adapters.identity import provider_client
from livius.adapters.identity.delegations import Delegations
from livius.adapters.identity.external import ExternalVerifier
from livius.adapters.identity.provider_client import Credential, ProviderClient, Refused
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.adapters.identity.session_tokens import (
    OwnApplication,
    ProviderSessionTokens,
    explained,
)
from livius.domain.errors import Forbidden, LiviusError, Unavailable
from livius.domain.ids import ClientId, SessionId, TenantId
from livius.domain.oidc_provider import Provider, own_audiences
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.resources import find_resource
from support.provider import AUDIENCE
from support.provider import Provider as Process
from support.tasks import running

KEY = public(CURVE, "curve")
APPLICATION = Principal(
    tenant=TenantId("t"),
    oid="o",
    kind=PrincipalKind.APP,
    name="pipeline",
    client_id=ClientId("pipeline"),
    scopes=frozenset(),
    roles=frozenset(),
    issuer="http://127.0.0.1",
    subject="pipeline",
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process.serving(tmp_path_factory.mktemp("provider")) as made:
        yield made


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@contextlib.asynccontextmanager
async def known(provider: Provider, clock: MovedClock) -> AsyncIterator[ProviderKeys]:
    keys = ProviderKeys(provider, clock, apart=timedelta())
    async with running(keys.run()):
        yield keys


def tokens_of(
    provider: Provider, keys: ProviderKeys, clock: MovedClock, audiences: str, secret: str = "s"
) -> ProviderSessionTokens:
    client = ProviderClient(Credential(client_id="pipeline", secret=secret), keys.endpoints, clock)

    async def token_principal(_: SessionId) -> Principal | None:
        return None

    own = OwnApplication(
        client=client,
        delegations=Delegations(provider, client, clock, token_principal),
        audiences=frozenset(audiences.split()),
    )
    return ProviderSessionTokens(provider, clock, own)


async def test_another_openid_providers_own_token_for_sessions(
    process: Process, clock: MovedClock
) -> None:
    """It exchanges no tokens, so users' sessions get the application's own too, if allowed."""
    provider = Provider(issuer=process.issuer, audiences=own_audiences(AUDIENCE))
    async with known(provider, clock) as keys:
        verifier = ExternalVerifier(provider, keys, clock)
        user = process.tokens("Code.AccessStorage.All", "Code.AccessFabric.All")["access_token"]
        application = process.application_token()
        for token in (user, application):
            caller = await verifier.bearer_of(token)
            tokens = tokens_of(provider, keys, clock, "storage")
            tokens.offer(SESSION, caller, token)
            read = claims_of(await tokens.issue(SESSION, caller, "storage"))
            assert (read["aud"], read["sub"]) == ("https://storage.azure.com", "pipeline")
            with pytest.raises(Forbidden, match="APPLICATION_AUDIENCES=pbi"):
                await tokens.issue(SESSION, caller, "pbi")
        wrong = tokens_of(provider, keys, clock, "storage", secret="wrong")
        with pytest.raises(Unavailable, match="CLIENT_SECRET_FILE"):
            await wrong.issue(SESSION, await verifier.bearer_of(application), "storage")


async def test_a_token_that_opens_this_server_is_not_handed_out_for_another(
    clock: MovedClock,
) -> None:
    ours = jwt.encode({"aud": "livius"}, "k" * 32)
    async with lying({"token_endpoint": "/token"}, answer({"access_token": ours}), clock) as client:
        provider = Provider(issuer="http://127.0.0.1", audiences=own_audiences("livius"))
        own = OwnApplication(
            client=client,
            delegations=Delegations(provider, client, clock, lambda _: asyncio.sleep(0)),
            audiences=frozenset({"storage"}),
        )
        tokens = ProviderSessionTokens(provider, clock, own)
        with pytest.raises(Unavailable, match="made the token out to this server"):
            await tokens.issue(SESSION, APPLICATION, "storage")


def answer(body: Any, status: str = "200 OK", more: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n".encode() + content


@contextlib.asynccontextmanager
async def lying(
    document: dict[str, Any], token: bytes, clock: MovedClock
) -> AsyncIterator[ProviderClient]:
    counting = Counting()
    counting.token = token
    counting.keys = {"keys": [KEY]}
    async with counting.serving():
        here = f"http://127.0.0.1:{counting.port}"
        counting.more = {
            name: here + url if url.startswith("/") else url for name, url in document.items()
        }
        provider = Provider(issuer=counting.issuer, audiences=own_audiences("livius"))
        async with known(provider, clock) as keys:
            credential = Credential(client_id="pipeline", secret="the-secret")
            yield ProviderClient(credential, keys.endpoints, clock)


@pytest.mark.parametrize(
    "said",
    [
        answer({"access_token": 1}),
        answer({"access_token": ""}),
        answer({}),
        answer([]),
        answer(b"no json"),
        answer(b"[" * 100_000),
        answer(b'{"access_token": "' + b"x" * 300_000 + b'"}'),
        answer({"error": "server_error"}, "503 Down"),
        answer({"access_token": "x"}, "307 Elsewhere", "Location: http://127.0.0.1:1/\r\n"),
        b"",
    ],
    ids=["number", "empty", "nothing", "list", "text", "deep", "huge", "503", "redirect", "cut"],
)
async def test_an_answer_that_is_none_is_told_as_such(clock: MovedClock, said: bytes) -> None:
    async with lying({"token_endpoint": "/token"}, said, clock) as client:
        with pytest.raises((Unavailable, Refused)) as refused:
            await client.ask({"grant_type": "client_credentials"})
        assert "the-secret" not in str(refused.value)


async def test_a_provider_that_hangs_is_given_up(
    clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_client, "_WITHIN", 0.2)
    async with asyncio.timeout(5):
        never = asyncio.Event()

        async def hang(_r: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await never.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/token"
        async with lying({"token_endpoint": url}, b"", clock) as client:
            with pytest.raises(Unavailable):
                await client.ask({})
        never.set()
        server.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/token",
        "http://evil.example/token",
        "ftp://127.0.0.1/token",
        "https://user@127.0.0.1/token",
        "https://127.0.0.1:99999/token",
        "localhost/token",
        "",
    ],
)
async def test_no_secret_is_sent_where_a_document_must_not_lead(
    clock: MovedClock, url: str
) -> None:
    async with lying({"token_endpoint": url}, b"", clock) as client:
        with pytest.raises(Unavailable, match="no token endpoint that can be used"):
            await client.ask({"grant_type": "client_credentials"})


@pytest.mark.parametrize(
    ("body", "kind", "code", "said"),
    [
        (
            {"error": "invalid_grant", "suberror": "consent_required"},
            Forbidden,
            "ConsentMissing",
            "registration",
        ),
        (
            {"error": "interaction_required", "claims": '{"access_token":{}}'},
            Forbidden,
            "InteractionRequired",
            '{"access_token":{}}',
        ),
        (
            {
                "error": "unauthorized_client",
                "error_description": "AADSTS700016: no\r\nTrace ID: x",
            },
            Unavailable,
            "AuthorityRefusesServer",
            "AADSTS700016: no",
        ),
        ({"error": "invalid_target"}, Forbidden, "TokenRefused", "invalid_target"),
        ({"error": 5, "error_description": ["x"]}, Forbidden, "TokenRefused", "no reason"),
    ],
)
def test_what_a_provider_refuses_is_said_in_words(
    body: dict[str, Any], kind: type[LiviusError], code: str, said: str
) -> None:
    found = find_resource("storage")
    assert found is not None
    error = explained(Refused(body), found[0], "our-client-id")
    assert (type(error), error.code) == (kind, code)
    assert said in error.message
    assert "Trace ID" not in error.message
