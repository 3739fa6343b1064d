"""Fetches and caches an external provider's public keys and endpoints.

One task fetches, so there is one fetch at a time. Requests look up a key by its name. If that needs
a fetch, they wait for that task, with a deadline; fetches have a minimum interval. While the
provider is away, cached keys stay valid for a day.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from livius.bounded import TooLarge, read_bounded
from livius.domain.endpoints import Endpoints, read_endpoints, usable
from livius.domain.errors import Unavailable
from livius.domain.oidc_provider import Provider
from livius.ports.clock import Clock

PublicKey = RSAPublicKey | EllipticCurvePublicKey

_RENEW: Final = timedelta(hours=1)
_STALE: Final = timedelta(hours=24)
_APART: Final = timedelta(seconds=10)
_WITHIN: Final = timedelta(seconds=5)
_LARGEST: Final = 512 * 1024
_MOST_KEYS: Final = 64
_LONGEST_KID: Final = 256
_SMALLEST_RSA: Final = 2048

_log = structlog.get_logger(__name__)


class FetchFailed(Exception):
    """The provider did not return its keys. The message is for the operator's log."""


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A key and its allowed algorithms, which depend on its type and never on a token."""

    key: PublicKey
    algorithms: tuple[str, ...]


class ProviderKeys:
    """The keys of one provider. For the event loop's thread only.

    ``renew`` is the age at which they are fetched again; ``stale`` the age up to which they are
    used while the provider is away; ``apart`` the minimum interval of two fetches, so that tokens
    with made-up key names don't each cause one; ``within`` the deadline of a fetch, and of a
    request that waits for one.
    """

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        *,
        renew: timedelta = _RENEW,
        stale: timedelta = _STALE,
        apart: timedelta = _APART,
        within: timedelta = _WITHIN,
    ) -> None:
        self._provider = provider
        self._clock = clock
        self._renew = renew.total_seconds()
        self._stale = stale.total_seconds()
        self._apart = apart.total_seconds()
        self._within = within.total_seconds()
        self._keys: Mapping[str, ProviderKey] = {}
        self._endpoints = Endpoints()
        self._fetched: float | None = None
        self._began: float | None = None
        self._fetching = False
        self._wanted = asyncio.Event()
        self._turned = asyncio.Event()

    async def run(self) -> None:
        """Fetch now, then when the keys are old or a request needs an unknown key."""
        # The system's authorities, and those that SSL_CERT_FILE names.
        trust = await asyncio.to_thread(ssl.create_default_context)
        async with httpx.AsyncClient(verify=trust, timeout=self._within) as http:
            while True:
                await self._fetch(http)
                fresh = self._fetched is not None and self._age() < self._renew
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._renew if fresh else self._apart):
                        await self._wanted.wait()

    async def key(self, kid: str) -> ProviderKey | None:
        """Return a key by its name; None if the provider has no such key.

        Raises:
            Unavailable: the provider can't be reached, and nothing is cached.
        """
        found = self.known(kid)
        if found is not None or len(kid) > _LONGEST_KID:
            return found
        await self._ask()
        return self.known(kid)

    async def endpoints(self) -> Endpoints:
        """Return the provider's endpoints.

        Raises:
            Unavailable: it can't be reached, and nothing is cached.
        """
        if self._is_stale():
            await self._ask()
        return self._endpoints

    def known_endpoints(self) -> Endpoints:
        """Return the cached endpoints: none of them before the first fetch."""
        return self._endpoints

    def known(self, kid: str) -> ProviderKey | None:
        """Return a cached key; None also if all are too old."""
        return None if self._is_stale() else self._keys.get(kid)

    async def _ask(self) -> None:
        """Have the provider's data fetched, if the interval allows it, and wait for the result."""
        if self._may_fetch():
            # Taken before the wait, so that a fetch that ends in between is not missed.
            turned = self._turned
            self._wanted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._within):
                    await turned.wait()
        if self._is_stale():
            raise Unavailable(
                "AuthorityUnavailable",
                "The authority that issues tokens for this server can't be reached now. Try again "
                "later; the operator finds the cause in the log.",
                retry_after=timedelta(seconds=self._apart),
            )

    def _is_stale(self) -> bool:
        return self._fetched is None or self._age() > self._stale

    def _may_fetch(self) -> bool:
        return (
            self._fetching
            or self._began is None
            or self._clock.monotonic() - self._began >= self._apart
        )

    def _age(self) -> float:
        return self._clock.monotonic() - (self._fetched or 0.0)

    async def _fetch(self, http: httpx.AsyncClient) -> None:
        self._fetching, self._began = True, self._clock.monotonic()
        self._wanted.clear()
        try:
            async with asyncio.timeout(self._within):
                self._keys, self._endpoints = await fetch_provider(http, self._provider)
            self._fetched = self._clock.monotonic()
            _log.info("provider_keys_fetched", issuer=self._provider.issuer, keys=len(self._keys))
        except (FetchFailed, TimeoutError, httpx.HTTPError) as error:
            _log.warning(
                "provider_keys_not_fetched",
                issuer=self._provider.issuer,
                reason=str(error) or type(error).__name__,
            )
        finally:
            self._fetching = False
            turned, self._turned = self._turned, asyncio.Event()
            turned.set()


async def fetch_provider(
    http: httpx.AsyncClient, provider: Provider
) -> tuple[Mapping[str, ProviderKey], Endpoints]:
    """Return the provider's signing keys by their names, and its endpoints.

    Raises:
        FetchFailed: its issuer is another one, or it has no usable key. httpx.
        HTTPError: it can't be reached.
    """
    document = await _json(http, provider.discovery)
    if document.get("issuer") != provider.issuer:
        raise FetchFailed(
            f"{provider.discovery} says that its issuer is {str(document.get('issuer'))[:200]!r}, "
            f"and not {provider.issuer!r}. LIVIUS_AUTHORITY_ISSUER has to be written as it says."
        )
    # Keys must come as safely as the document.
    where = usable(document.get("jwks_uri"), provider)
    if where is None:
        said = str(document.get("jwks_uri"))[:200]
        raise FetchFailed(f"The provider's jwks_uri can't be used: {said!r}.")
    listed = (await _json(http, where)).get("keys")
    if not isinstance(listed, list):
        raise FetchFailed("The provider's key set has no list of keys.")
    keys = dict(filter(None, map(_key, listed[:_MOST_KEYS])))
    if not keys:
        raise FetchFailed("The provider's key set has no key that signs with RS256 or ES256.")
    return keys, read_endpoints(document, provider)


async def _json(http: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    """Return a JSON object of bounded size. Redirects are not followed."""
    try:
        asked = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise FetchFailed(f"{url} can't be asked: {error}.") from None
    async with http.stream("GET", asked, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise FetchFailed(f"{url} answered {answer.status_code}.")
        try:
            body = await read_bounded(answer, _LARGEST)
        except TooLarge:
            most = _LARGEST // 1024
            raise FetchFailed(f"{url} answered with more than {most} KiB.") from None
    try:
        found = httpx.Response(200, content=body).json()
    except (ValueError, RecursionError):
        raise FetchFailed(f"{url} did not answer with JSON.") from None
    if not isinstance(found, dict):
        raise FetchFailed(f"{url} did not answer with a JSON object.")
    return found


def _key(listed: object) -> tuple[str, ProviderKey] | None:
    """Return a key that may sign tokens, with its name; None for any other."""
    if not isinstance(listed, dict) or listed.get("use", "sig") != "sig":
        return None
    kid = listed.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_KID:
        return None
    try:
        # The algorithm is for the parser only; the code below decides on those of tokens.
        found = jwt.PyJWK(
            {name: value for name, value in listed.items() if name != "alg"},
            algorithm="ES256" if listed.get("kty") == "EC" else "RS256",
        ).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    match found:
        case RSAPublicKey() if found.key_size >= _SMALLEST_RSA:
            algorithms: tuple[str, ...] = ("RS256", "PS256")
        case EllipticCurvePublicKey() if isinstance(found.curve, SECP256R1):
            algorithms = ("ES256",)
        case _:
            return None
    said = listed.get("alg")
    if said is not None:
        algorithms = tuple(one for one in algorithms if one == said)
    return (kid, ProviderKey(found, algorithms)) if algorithms else None
