"""The proxy of one process tree: intercepted hosts to the gateway, others on or refused.

It terminates nothing: a tunnel's bytes are the program's and the gateway's own TLS. It listens on
loopback, and every request has to carry the tree's credential. The one thing that it serves itself
is the managed identity endpoint, which programs call without TLS and without a proxy.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from livius.domain.intercepted_hosts import is_intercepted

IDENTITY_PATH: Final = "/identity/token"

_HEAD_WITHIN: Final = 30.0
_CONNECTED_WITHIN: Final = 30.0
_LARGEST_HEAD: Final = 64 * 1024
_PIECE: Final = 64 * 1024
_HTTPS: Final = 443
_LAST_PORT: Final = 65535
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")
_REQUEST: Final = re.compile(r"(?P<method>[A-Z]+) (?P<target>[!-~]+) HTTP/1\.[01]")
_HOP: Final = frozenset({"connection", "keep-alive", "proxy-connection", "proxy-authorization"})


class Refused(Exception):
    """The proxy answers itself, with a status and a sentence on its first line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Upstream:
    """The proxy that this machine uses, for hosts that are passed through."""

    host: str
    port: int
    authorization: str | None

    def __repr__(self) -> str:
        """Leave the credential out."""
        return f"Upstream({self.host}:{self.port})"


def read_upstream(url: str) -> Upstream:
    """Read the address of a proxy as variables have it.

    Raises:
        ValueError: it is not an http proxy.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{parts.scheme}://… is no http proxy")
    authorization = None
    if parts.username is not None:
        authorization = basic(unquote(parts.username), unquote(parts.password or ""))
    return Upstream(parts.hostname, parts.port or 80, authorization)


def basic(user: str, password: str) -> str:
    """Return the value of a Basic authentication header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one tree's proxy.

    ``passed`` are hosts that ``only`` does not refuse. ``gateway`` returns the gateway's port, or
    raises `Refused` if none serves. ``identity`` returns the response for a resource, in App
    Service's form; it may block.
    """

    user: str
    password: str
    identity_header: str
    names: frozenset[str]
    only: bool
    passed: frozenset[str]
    gateway: Callable[[], int]
    identity: Callable[[str], Mapping[str, str]]
    http_upstream: Upstream | None = None
    https_upstream: Upstream | None = None


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


async def serve(listener: socket.socket, rules: Rules, ended: Awaitable[object]) -> None:
    """Serve until ``ended``. Tunnels that are open then end too."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _handle(reader, writer, rules)
        except Refused as refused:
            await _refuse(writer, refused)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the other side has left
        finally:
            writer.close()

    server = await asyncio.start_server(accept, sock=listener, limit=_LARGEST_HEAD)
    async with server:
        await ended


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rules: Rules) -> None:
    async with asyncio.timeout(_HEAD_WITHIN):
        head = await _read_head(reader)
    if head.target.startswith("/"):
        await _identity(head, writer, rules)
        return
    given = head.header("proxy-authorization").encode()
    if not hmac.compare_digest(given, basic(rules.user, rules.password).encode()):
        raise Refused(407, "This proxy serves one process tree of livius exec, with its credential")
    if head.method == "CONNECT":
        host, port = _split(head.target)
        far_reader, far_writer = await _tunnel(host, port, rules)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        far_reader, far_writer = await _plain(head, rules)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, far_writer))
            both.create_task(_pump(far_reader, writer))
    except* OSError:
        pass  # one side broke off; the close tells the other
    finally:
        far_writer.close()


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refused(431, "The head of the request is too large") from None
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    request = _REQUEST.fullmatch(first)
    pairs = [line.partition(":") for line in lines]
    if request is None or any(not colon for _, colon, _ in pairs):
        raise Refused(400, "This is not a request to a proxy")
    headers = tuple((name, value.strip()) for name, _, value in pairs)
    return _Head(request["method"], request["target"], headers)


def _split(authority: str) -> tuple[str, int]:
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not 0 < int(found["port"]) <= _LAST_PORT:
        raise Refused(400, "The request names no host and port")
    return found["host"].strip("[]").lower(), int(found["port"])


async def _tunnel(
    host: str, port: int, rules: Rules
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if is_intercepted(host, rules.names):
        if port != _HTTPS:
            raise Refused(403, f"{host} leads to Livius at port 443 only")
        return await _open("127.0.0.1", rules.gateway())
    _check_foreign(host, rules)
    if rules.https_upstream is None:
        return await _open(host, port)
    return await _through(rules.https_upstream, host, port)


def _check_foreign(host: str, rules: Rules) -> None:
    if rules.only and host not in rules.passed:
        raise Refused(403, f"Refused by livius exec --only: {host} does not lead to Livius")


async def _open(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(_CONNECTED_WITHIN):
            return await asyncio.open_connection(host, port)
    except TimeoutError:
        raise Refused(504, f"{host} did not answer in time") from None
    except OSError as error:
        raise Refused(502, f"{host} can't be reached: {error.strerror or 'no address'}") from None


async def _through(
    upstream: Upstream, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Have the machine's own proxy make the tunnel."""
    reader, writer = await _open(upstream.host, upstream.port)
    try:
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
        if upstream.authorization is not None:
            lines.append(f"Proxy-Authorization: {upstream.authorization}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        async with asyncio.timeout(_CONNECTED_WITHIN):
            answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.close()
        raise Refused(502, f"The proxy {upstream.host} makes no tunnel to {host}") from None
    words = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or words[1] != "200":  # noqa: PLR2004 - HTTP's success
        writer.close()
        found = " ".join(words[1:])
        raise Refused(502, f"The proxy {upstream.host} makes no tunnel to {host}: {found}")
    return reader, writer


async def _plain(head: _Head, rules: Rules) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Pass a request without TLS through, as one exchange."""
    parts = urlsplit(head.target)
    if parts.scheme != "http" or not parts.netloc:
        raise Refused(400, "This is not a request to a proxy")
    netloc = parts.netloc.rpartition("@")[2]
    host, port = _split(netloc if _AUTHORITY.fullmatch(netloc) else f"{netloc}:80")
    if is_intercepted(host, rules.names):
        raise Refused(403, f"{host} leads to Livius over https only")
    _check_foreign(host, rules)
    kept = [f"{name}: {value}" for name, value in head.headers if name.lower() not in _HOP]
    upstream = rules.http_upstream
    if upstream is None:
        reader, writer = await _open(host, port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        first = f"{head.method} {path} HTTP/1.1"
    else:
        reader, writer = await _open(upstream.host, upstream.port)
        first = f"{head.method} {head.target} HTTP/1.1"
        if upstream.authorization is not None:
            kept.append(f"Proxy-Authorization: {upstream.authorization}")
    # One request per connection: further ones may be for another host.
    writer.write("\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1"))
    return reader, writer


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()


async def _identity(head: _Head, writer: asyncio.StreamWriter, rules: Rules) -> None:
    """Answer as the managed identity endpoint of a machine in Azure would."""
    parts = urlsplit(head.target)
    if parts.path != IDENTITY_PATH or head.method != "GET":
        raise Refused(404, "There is nothing here but a proxy and a managed identity")
    given = head.header("x-identity-header").encode()
    if not hmac.compare_digest(given, rules.identity_header.encode()):
        raise Refused(401, "The X-IDENTITY-HEADER is not that of this process tree")
    resource = parse_qs(parts.query).get("resource", [""])[0]
    if not resource:
        raise Refused(400, "The request names no resource")
    reply = await asyncio.to_thread(rules.identity, resource)
    await _answer(writer, "200 OK", json.dumps(reply).encode(), "application/json")


async def _refuse(writer: asyncio.StreamWriter, refused: Refused) -> None:
    challenge = 'Proxy-Authenticate: Basic realm="livius"\r\n' if refused.status == 407 else ""  # noqa: PLR2004
    # Most programs show the first line and nothing else.
    status = f"{refused.status} {refused.reason}".encode("ascii", "replace").decode()
    body = f"{refused.reason}\n".encode()
    with suppress(OSError):
        await _answer(writer, status, body, "text/plain; charset=utf-8", challenge)


async def _answer(
    writer: asyncio.StreamWriter, status: str, body: bytes, kind: str, more: str = ""
) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
    writer.write(head.encode("latin-1") + body)
    await writer.drain()
