"""The proxy by itself: who may use it, for what, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from livius.cli.intercept.proxy import Refused, Rules, Upstream, basic, read_upstream, serve
from livius.domain.intercepted_hosts import INTERCEPTED

GOOD = basic("livius", "right")


def identity(resource: str) -> Mapping[str, str]:
    return {"access_token": "token", "resource": resource}


def rules(**changes: Any) -> Rules:
    return replace(
        Rules(
            user="livius",
            password="right",
            identity_header="header",
            names=INTERCEPTED,
            only=False,
            passed=frozenset(),
            gateway=lambda: 1,
            identity=identity,
        ),
        **changes,
    )


@asynccontextmanager
async def serving(chosen: Rules) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(listener, chosen, ended))
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set_result(None)
        await asyncio.wait([task], timeout=5)
        await task


@asynccontextmanager
async def echo(greeting: bytes = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A host that greets, sends back what it reads, and remembers it."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while piece := await reader.read(65536):
            seen.append(piece)
            writer.write(piece)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.2", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def ask(port: int, request: str, then: bytes = b"", *, end: bool = True) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1") + then)
    if end:
        writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


def connect(target: str, *headers: str) -> str:
    return "\r\n".join([f"CONNECT {target} HTTP/1.1", f"Host: {target}", *headers, "", ""])


def proven(target: str) -> str:
    return connect(target, f"Proxy-Authorization: {GOOD}")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Proxy-Authorization: " + basic("livius", "wrong"),
        "Proxy-Authorization: " + basic("other", "right"),
        "Proxy-Authorization: Basic",
        "Proxy-Authorization: Bearer right",
        "Authorization: " + GOOD,
    ],
)
@pytest.mark.parametrize("target", ["api.fabric.microsoft.com:443", "127.0.0.2:9"])
async def test_without_its_credential_nobody_gets_anywhere(target: str, header: str | None) -> None:
    async with serving(rules()) as port:
        answer = await ask(port, connect(target, *([header] if header else [])))
    assert answer.startswith(b"HTTP/1.1 407 ")
    assert b'Proxy-Authenticate: Basic realm="livius"' in answer


async def test_a_tunnel_carries_bytes_both_ways_and_ends_with_either_side() -> None:
    async with echo(b"hello") as (far, seen), serving(rules()) as port:
        sent = bytes(range(256)) * 4096  # a megabyte, TLS or not
        answer = await ask(port, proven(f"127.0.0.2:{far}"), sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 Connection established"
    assert body == b"hello" + sent
    assert b"".join(seen) == sent


async def test_a_intercepted_host_goes_to_the_gateway_in_any_spelling() -> None:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"gateway")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    there = server.sockets[0].getsockname()[1]
    async with server, serving(rules(gateway=lambda: there)) as port:
        for host in (
            "API.fabric.microsoft.com",
            "api.fabric.microsoft.com.",
            "Team-Vault.vault.azure.net",
            "westeurope-onelake.dfs.fabric.microsoft.com",
        ):
            assert (await ask(port, proven(f"{host}:443"))).endswith(b"\r\n\r\ngateway")


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("api.fabric.microsoft.com:444", 403, "at port 443 only"),
        ("api.fabric.microsoft.com:443", 502, "can't be reached"),  # nobody is at port 1
        ("127.0.0.2:1", 502, "127.0.0.2 can't be reached"),
        ("no-port", 400, "names no host and port"),
        ("host:0", 400, "names no host and port"),
        ("host:65536", 400, "names no host and port"),
        ("ho st:443", 400, "not a request to a proxy"),
        ("host@other:443", 400, "names no host and port"),
    ],
)
async def test_what_is_refused_says_why(target: str, status: int, words: str) -> None:
    async with serving(rules()) as port:
        answer = await ask(port, proven(target))
    first = answer.split(b"\r\n")[0].decode()
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert words in first


@pytest.mark.parametrize(
    "host",
    [
        "pypi.org",
        "fabric.microsoft.com",
        "evil-api.fabric.microsoft.com",
        "api.fabric.microsoft.com.evil.test",
        "a.b.vault.azure.net",
        "vault.azure.net",
    ],
)
async def test_only_refuses_every_host_that_is_not_intercepted(host: str) -> None:
    async with serving(rules(only=True)) as port:
        assert (await ask(port, proven(f"{host}:443"))).startswith(
            b"HTTP/1.1 403 Refused by livius"
        )
        plain = f"GET http://{host}/ HTTP/1.1\r\nProxy-Authorization: {GOOD}\r\n\r\n"
        assert (await ask(port, plain)).startswith(b"HTTP/1.1 403 Refused by livius")


async def test_only_passes_the_authority_that_serves_elsewhere() -> None:
    async with echo(b"authority") as (far, _):
        chosen = rules(only=True, passed=frozenset({"127.0.0.2"}))
        async with serving(chosen) as port:
            assert (await ask(port, proven(f"127.0.0.2:{far}"))).endswith(b"\r\n\r\nauthority")
            assert b" 403 " in await ask(port, proven(f"127.0.0.3:{far}"))


async def test_a_gateway_that_is_away_is_said() -> None:
    def away() -> int:
        raise Refused(502, "No gateway serves here")

    async with serving(rules(gateway=away)) as port:
        answer = await ask(port, proven("api.fabric.microsoft.com:443"))
    assert answer.startswith(b"HTTP/1.1 502 No gateway serves here")


async def test_a_plain_request_is_passed_without_what_was_for_the_proxy() -> None:
    async with echo() as (far, seen), serving(rules()) as port:
        request = (
            f"POST http://127.0.0.2:{far}/a?b HTTP/1.1\r\nHost: 127.0.0.2:{far}\r\n"
            f"Proxy-Authorization: {GOOD}\r\nProxy-Connection: keep-alive\r\nX-Own: 1\r\n"
            "Content-Length: 4\r\n\r\n"
        )
        await ask(port, request, b"body")
    assert (
        b"".join(seen)
        == (
            f"POST /a?b HTTP/1.1\r\nHost: 127.0.0.2:{far}\r\nX-Own: 1\r\n"
            "Content-Length: 4\r\nConnection: close\r\n\r\nbody"
        ).encode()
    )


async def test_a_intercepted_host_is_never_reached_without_tls() -> None:
    async with serving(rules()) as port:
        plain = (
            "GET http://api.fabric.microsoft.com/v1 HTTP/1.1\r\n"
            f"Proxy-Authorization: {GOOD}\r\n\r\n"
        )
        assert b" 403 api.fabric.microsoft.com leads to Livius over https only" in await ask(
            port, plain
        )


async def test_other_hosts_go_through_the_machines_own_proxy_with_its_credential() -> None:
    async with echo(b"HTTP/1.1 200 yes\r\n\r\n") as (far, seen):
        upstream = Upstream("127.0.0.2", far, basic("me", "mine"))
        async with serving(rules(https_upstream=upstream)) as port:
            answer = await ask(port, proven("elsewhere.test:443"), b"tls")
    assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\n")
    sent = b"".join(seen)
    assert sent.startswith(b"CONNECT elsewhere.test:443 HTTP/1.1\r\n")
    assert basic("me", "mine").encode() in sent
    assert GOOD.encode() not in sent
    assert sent.endswith(b"\r\n\r\ntls")


async def test_a_refusal_of_the_machines_own_proxy_is_told() -> None:
    async with echo(b"HTTP/1.1 403 No games\r\n\r\n") as (far, _):
        upstream = Upstream("127.0.0.2", far, None)
        async with serving(rules(https_upstream=upstream)) as port:
            answer = await ask(port, proven("elsewhere.test:443"))
    assert b"502 The proxy 127.0.0.2 makes no tunnel to elsewhere.test: 403 No games" in answer


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 400),
        ("GET /other HTTP/1.1\r\n\r\n", 404),
        ("CONNECT a:1 HTTP/1.1\r\nno colon here\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nX: " + "x" * 70_000 + "\r\n\r\n", 431),
    ],
)
async def test_nonsense_is_refused(raw: str, status: int) -> None:
    async with serving(rules()) as port:
        assert (await ask(port, raw)).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_request_that_breaks_off_harms_nobody() -> None:
    async with serving(rules()) as port:
        assert await ask(port, "CONNECT api.fab") == b""
        assert (await ask(port, "nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_the_managed_identity_needs_the_trees_header() -> None:
    path = "/identity/token?api-version=2019-08-01&resource=https%3A%2F%2Fapi.fabric.microsoft.com"
    async with serving(rules()) as port:
        good = f"GET {path} HTTP/1.1\r\nX-IDENTITY-HEADER: header\r\n\r\n"
        assert (await ask(port, good)).endswith(b'"resource": "https://api.fabric.microsoft.com"}')
        for bad in ("", "X-IDENTITY-HEADER: other\r\n", f"Proxy-Authorization: {GOOD}\r\n"):
            assert (await ask(port, f"GET {path} HTTP/1.1\r\n{bad}\r\n")).startswith(
                b"HTTP/1.1 401"
            )
        nothing = "GET /identity/token HTTP/1.1\r\nX-IDENTITY-HEADER: header\r\n\r\n"
        assert (await ask(port, nothing)).startswith(b"HTTP/1.1 400 The request names no resource")


def test_the_address_of_a_proxy() -> None:
    assert read_upstream("http://me:p%40ss@proxy.test:3128") == Upstream(
        "proxy.test", 3128, basic("me", "p@ss")
    )
    assert read_upstream("proxy.test:8080") == Upstream("proxy.test", 8080, None)
    assert "p@ss" not in repr(read_upstream("http://me:p%40ss@proxy.test:3128"))
    for wrong in ("socks5://proxy.test:1080", "https://proxy.test", "http://"):
        with pytest.raises(ValueError, match="no http proxy"):
            read_upstream(wrong)
