"""Spark's pages and REST API, read over HTTP.

A driver runs its user's code and states the address itself, so it is not trusted: requests go to
loopback only, without credentials and redirects, with limits on time and size. The driver itself
could reach the same addresses. A History Server is our own, but shows what drivers wrote.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import httpx
import structlog

from livius.bounded import TooLarge, read_bounded
from livius.domain.errors import NotFound, Unavailable
from livius.domain.messages import Message
from livius.ports.logs import SparkAddress, SparkPage

_LARGEST: Final = 16 * 1024 * 1024
_LONGEST: Final = 60.0
_RETRY_AFTER: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


class HttpSparkUi:
    """Implements `livius.ports.logs.SparkUi`.

    ``within`` is the deadline of one request. The first one to a driver takes seconds: Spark starts
    its REST API on demand.
    """

    def __init__(self, *, within: timedelta = timedelta(seconds=30)) -> None:
        self._within = within.total_seconds()

    async def get(self, at: SparkAddress, path: str, query: Mapping[str, str]) -> bytes:
        """See the port."""
        whole = f"/api/v1/applications/{at.application}" + (f"/{path}" if path else "")
        url = _address(at).copy_with(path=whole, query=None)
        try:
            async with asyncio.timeout(self._within):
                return await _fetch(at, url, query)
        except (httpx.HTTPError, TimeoutError) as error:
            _log.warning("spark_pages_failed", url=str(url), reason=repr(error))
            raise _silent(at) from error

    async def page(self, at: SparkAddress, path: str, query: str, *, root: str) -> SparkPage:
        """See the port."""
        base = _address(at)
        url = base.copy_with(path=f"/{path}", query=query.encode("ascii", "ignore") or None)
        # The header with the public path of Spark's pages.
        headers = {"X-Forwarded-Context": root, "Accept-Encoding": "identity", **_proof(at)}
        try:
            async with (
                asyncio.timeout(self._within),
                httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(_LONGEST)) as client,
                client.stream("GET", url, headers=headers) as answer,
            ):
                body = await _limited(at, answer)
        except (httpx.HTTPError, TimeoutError) as error:
            _log.warning("spark_pages_failed", url=str(url), reason=repr(error))
            raise _silent(at) from error
        return SparkPage(
            status=answer.status_code,
            kind=answer.headers.get("content-type", "application/octet-stream"),
            body=body,
            leads_to=_leads_to(answer, base, root),
        )


def _leads_to(answer: httpx.Response, base: httpx.URL, root: str) -> str | None:
    """Return the path of a redirect, regardless of its host."""
    if not answer.is_redirect:
        return None
    found = base.join(answer.headers.get("location", "/"))
    path = found.raw_path.decode("ascii", "ignore").removeprefix(root)
    return f"/{path.lstrip('/')}"


def _address(at: SparkAddress) -> httpx.URL:
    try:
        url = httpx.URL(at.url)
        if url.host == "localhost":
            url = url.copy_with(host="127.0.0.1")
        if url.scheme == "http" and url.port and ipaddress.ip_address(url.host).is_loopback:
            return url
    except (httpx.InvalidURL, ValueError, TypeError):
        pass
    raise _unavailable(at, "has no pages that this server can reach")


def _proof(at: SparkAddress) -> Mapping[str, str]:
    return {} if at.token is None else {"Authorization": f"Bearer {at.token}"}


async def _fetch(at: SparkAddress, url: httpx.URL, query: Mapping[str, str]) -> bytes:
    # A client per request: drivers come and go, and must not share connections.
    async with (
        httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(_LONGEST)) as client,
        client.stream("GET", url, params=dict(query), headers=_proof(at)) as answer,
    ):
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(
                "SparkCoreItemNotFound", Message("Spark has no item with this name or id.")
            )
        kind = answer.headers.get("content-type", "")
        if answer.status_code != httpx.codes.OK or not kind.startswith("application/json"):
            raise _unavailable(at, f"answered {answer.status_code}")
        return await _limited(at, answer)


async def _limited(at: SparkAddress, answer: httpx.Response) -> bytes:
    try:
        return await read_bounded(answer, _LARGEST)
    except TooLarge:
        too_much = f"has more than {_LARGEST // 2**20} MB to say: ask for less"
        raise _unavailable(at, too_much) from None


def _silent(at: SparkAddress) -> Unavailable:
    if not at.is_history:
        return _unavailable(at, "does not answer now")
    return _unavailable(at, "still reads the event log. Try again in a moment")


def _unavailable(at: SparkAddress, what: str) -> Unavailable:
    message = (
        Message("Spark's History Server %(what)s.", what=what)
        if at.is_history
        else Message("The session's Spark driver %(what)s.", what=what)
    )
    return Unavailable("SparkCoreUnexpectedException", message, retry_after=_RETRY_AFTER)
