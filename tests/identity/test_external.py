"""Tokens of an identity provider that is not ours: a real one, in a process of its own."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from identity.conftest import MovedClock
from livius.adapters.identity.external import ExternalVerifier
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.domain.errors import Unauthenticated, Unavailable
from livius.domain.oidc_provider import Provider, own_audiences
from livius.domain.principal import PrincipalKind
from support.provider import AUDIENCE
from support.provider import Provider as Process
from support.tasks import running

NOT_THEIRS = "The access token is not one that this server's authority issued."


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process.serving(tmp_path_factory.mktemp("provider")) as made:
        yield made


@contextlib.asynccontextmanager
async def verifying(
    issuer: str, clock: MovedClock, *, apart: float = 0.0, audience: str = AUDIENCE
) -> AsyncIterator[ExternalVerifier]:
    provider = Provider(issuer=issuer, audiences=own_audiences(audience))
    keys = ProviderKeys(provider, clock, apart=timedelta(seconds=apart))
    async with running(keys.run()):
        yield ExternalVerifier(provider, keys, clock)


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock(datetime.now(UTC))


async def test_a_users_token_has_its_scopes(process: Process, clock: MovedClock) -> None:
    found = process.tokens("Lakehouse.Read.All", "Code.AccessFabric.All")
    async with verifying(process.issuer, clock) as verifier:
        principal = await verifier.bearer_of(found["access_token"])
        assert principal.kind is PrincipalKind.USER
        assert principal.scopes >= {"Lakehouse.Read.All", "Code.AccessFabric.All"}
        assert "Lakehouse.Execute.All" not in principal.scopes
        assert (principal.issuer, principal.subject) == (process.issuer, "ada")
        assert principal.oid == str(uuid5(NAMESPACE_URL, f"{process.issuer}#ada"))
        assert await verifier.bearer_of(found["access_token"]) is principal


async def test_an_applications_own_token_goes_by_its_role(
    process: Process, clock: MovedClock
) -> None:
    async with verifying(process.issuer, clock) as verifier:
        principal = await verifier.bearer_of(process.application_token())
    assert (principal.kind, principal.subject) == (PrincipalKind.APP, "pipeline")
    assert principal.scopes == frozenset()


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
async def test_tokens_that_are_not_for_calling_an_api_are_refused(
    process: Process, clock: MovedClock, kind: str
) -> None:
    """Even if they are for the valid audience."""
    token = process.tokens("Lakehouse.Read.All", "profile")[kind]
    async with verifying(process.issuer, clock, audience=f"{AUDIENCE} notebook") as verifier:
        with pytest.raises(Unauthenticated, match="not an access token"):
            await verifier.bearer_of(token)


async def test_another_audience_issuer_or_time_is_refused(
    process: Process, clock: MovedClock
) -> None:
    token = process.application_token()
    async with verifying(process.issuer, clock, audience="another") as verifier:
        with pytest.raises(Unauthenticated, match="another resource"):
            await verifier.bearer_of(token)
    clock.move(timedelta(minutes=-2))
    async with verifying(process.issuer, clock) as verifier:
        with pytest.raises(Unauthenticated, match="not valid yet"):
            await verifier.bearer_of(token)
    clock.move(timedelta(minutes=64))
    async with verifying(process.issuer, clock) as verifier:
        with pytest.raises(Unauthenticated, match="expired"):
            await verifier.bearer_of(token)


async def test_a_document_of_another_issuer_is_no_document(
    process: Process, clock: MovedClock
) -> None:
    other = process.issuer.replace("127.0.0.1", "localhost")
    async with verifying(other, clock) as verifier:
        with pytest.raises(Unavailable, match="can't be reached"):
            await verifier.bearer_of(process.application_token())


async def test_a_new_key_counts_at_once_and_the_old_one_still(
    process: Process, clock: MovedClock
) -> None:
    old = process.application_token()
    async with verifying(process.issuer, clock) as verifier:
        await verifier.bearer_of(old)
        process.rotate()
        assert (await verifier.bearer_of(process.application_token())).subject == "pipeline"
        assert (await verifier.bearer_of(old)).subject == "pipeline"


async def test_while_the_provider_is_away_known_keys_count_for_a_day(
    tmp_path: Path, clock: MovedClock
) -> None:
    process = Process.make(tmp_path / "config").start()
    try:
        first, second = process.application_token(), process.tokens("profile")["access_token"]
        async with verifying(process.issuer, clock) as verifier:
            await verifier.bearer_of(first)
            process.stop()
            assert (await verifier.bearer_of(second)).subject == "ada"
            with pytest.raises(Unauthenticated, match=NOT_THEIRS):
                await verifier.bearer_of(with_kid(first, "made-up"))
            clock.move(timedelta(hours=25))
            with pytest.raises(Unavailable):
                await verifier.bearer_of(second)
    finally:
        process.stop()


def with_kid(token: str, kid: str) -> str:
    header = json.dumps({"alg": "RS256", "kid": kid}).encode()
    return base64.urlsafe_b64encode(header).rstrip(b"=").decode() + token[token.index(".") :]


class Counting:
    """A provider of tests that counts requests, and responds when a test lets it."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = False
        self.body: bytes | None = None
        self.keys: dict[str, list[Any]] | None = None
        self.more: dict[str, Any] = {}
        self.token: bytes = b""
        self.port = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
            self.asked += path.startswith(b"/.well-known")
            if self.hangs:
                await reader.read()  # until the caller gives up
                return
            if path == b"/token":
                writer.write(self.token)
                await writer.drain()
                return
            document: Any = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **self.more}
            if path == b"/keys" and self.keys is not None:
                document = self.keys
            body = json.dumps(document).encode() if self.body is None else self.body
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
            await writer.drain()
        finally:
            writer.close()


async def test_a_flood_of_unknown_keys_asks_the_provider_once(clock: MovedClock) -> None:
    counting = Counting()
    async with counting.serving(), verifying(counting.issuer, clock, apart=30) as verifier:
        token = "e30.e30.e30"
        answers = await asyncio.gather(
            *(verifier.bearer_of(with_kid(token, f"kid-{number}")) for number in range(200)),
            return_exceptions=True,
        )
        assert {type(one) for one in answers} == {Unavailable}
        assert counting.asked == 1
        clock.move(timedelta(seconds=31))
        await asyncio.gather(
            *(verifier.bearer_of(with_kid(token, f"k{n}")) for n in range(200)),
            return_exceptions=True,
        )
        assert counting.asked == 2


async def test_a_provider_that_hangs_holds_nobody_for_long_and_never_the_loop(
    clock: MovedClock,
) -> None:
    counting = Counting()
    counting.hangs = True
    async with counting.serving():
        provider = Provider(issuer=counting.issuer, audiences=own_audiences(AUDIENCE))
        keys = ProviderKeys(provider, clock, within=timedelta(seconds=0.3))
        running = asyncio.create_task(keys.run())
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        verifier = ExternalVerifier(provider, keys, clock)
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable):
                await verifier.bearer_of(with_kid("e30.e30.e30", "k"))
        assert ticks > 5
        for task in (running, ticking):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b"[" * 100_000,
        b'{"issuer": "http://elsewhere", "jwks_uri": "x"}',
        b"{" + b" " * 600_000 + b"}",
    ],
    ids=["text", "list", "deep", "other issuer", "huge"],
)
async def test_a_provider_that_answers_nonsense_is_away(clock: MovedClock, body: bytes) -> None:
    counting = Counting()
    counting.body = body
    async with counting.serving(), verifying(counting.issuer, clock, apart=30) as verifier:
        with pytest.raises(Unavailable):
            await verifier.bearer_of(with_kid("e30.e30.e30", "k"))
