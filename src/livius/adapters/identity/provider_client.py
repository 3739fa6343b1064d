"""Livius's own application at an identity provider: its credential and its token requests.

A request to the token endpoint has a deadline and a bounded size, and follows no redirect. A
refusal by the provider is raised as `Refused`; our caller decides on the error for its own caller.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx
import jwt
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from livius.bounded import read_bounded
from livius.domain.digests import base64url
from livius.domain.endpoints import Endpoints
from livius.domain.errors import Unavailable
from livius.ports.clock import Clock

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_WITHIN: Final = 20.0
_LARGEST: Final = 256 * 1024
_LONGEST_SAID: Final = 300
_ASSERTION_LIVES: Final = timedelta(minutes=5)
_RETRY: Final = timedelta(seconds=10)

_log = structlog.get_logger(__name__)


class Refused(Exception):
    """The provider refused. ``error`` is OAuth's code; ``said`` its description, shortened."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.error = _text(body, "error")[:100]
        self.suberror = _text(body, "suberror")[:100]
        self.claims = _text(body, "claims")
        # Entra adds the request's ids, on separate lines or after the sentence.
        first = _text(body, "error_description").partition("Trace ID:")[0]
        self.said = " ".join(first.split())[:_LONGEST_SAID]
        super().__init__(f"{self.error}: {self.said}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A client application's id and credential: a secret, a key, or none (a public client).

    ``thumbprint`` is the SHA-256 of the key's certificate.
    """

    client_id: str
    secret: str | None = field(default=None, repr=False)
    key: RSAPrivateKey | None = field(default=None, repr=False)
    thumbprint: bytes = b""

    @property
    def is_public(self) -> bool:
        """Tell whether there is no credential."""
        return self.secret is None and self.key is None


def read_credential(
    client_id: str, *, secret: str | None, secret_file: Path | None, certificate_file: Path | None
) -> Credential:
    """Return the credential that the operator configured.

    Raises:
        ValueError: a file can't be read, or has other content; the message names it.
    """
    if certificate_file is not None:
        pem = _read(certificate_file)
        try:
            key = load_pem_private_key(pem, password=None)
            certificate = x509.load_pem_x509_certificate(pem)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{certificate_file} needs an RSA private key without a password and its "
                f"certificate, both in PEM: {error}"
            ) from None
        public = certificate.public_key()
        if (
            not isinstance(key, RSAPrivateKey)
            or not isinstance(public, RSAPublicKey)
            or key.public_key().public_numbers() != public.public_numbers()
        ):
            raise ValueError(f"{certificate_file} needs an RSA key and the certificate of that key")
        return Credential(
            client_id=client_id, key=key, thumbprint=certificate.fingerprint(SHA256())
        )
    if secret_file is not None:
        secret = _read(secret_file).decode("utf-8", "replace").strip()
        if not secret or "\n" in secret:
            raise ValueError(f"{secret_file} needs a client secret, on one line")
    return Credential(client_id=client_id, secret=secret)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None


class ProviderClient:
    """Asks a token endpoint as one client application. For the event loop's thread only.

    ``endpoints`` returns the authority's endpoints, and raises Unavailable while they are unknown.
    ``ca_file`` has the CA of the token endpoint; None: the system's CAs.
    """

    def __init__(
        self,
        credential: Credential,
        endpoints: Callable[[], Awaitable[Endpoints]],
        clock: Clock,
        *,
        ca_file: Path | None = None,
    ) -> None:
        self.credential = credential
        self.endpoints = endpoints
        self._clock = clock
        self._ca_file = ca_file
        self._trust: ssl.SSLContext | None = None

    async def ask(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the token endpoint's response: an object with an access token of bounded size.

        Raises:
            Refused: the provider refuses. Unavailable: it does not respond, or not validly.
        """
        endpoints = await self.endpoints()
        if endpoints.token is None:
            raise Unavailable(
                "AuthorityUnavailable",
                "The authority publishes no token endpoint that can be used: it has to be https, "
                "or http on loopback.",
            )
        proof, headers = self._prove(endpoints, endpoints.token)
        try:
            async with asyncio.timeout(_WITHIN):
                status, content = await self._post(endpoints.token, {**form, **proof}, headers)
            body = httpx.Response(status, content=content).json()
        except (httpx.HTTPError, ValueError, TimeoutError, RecursionError) as error:
            _log.warning("authority_unreachable", error=str(error) or type(error).__name__)
            raise _away() from error
        if not isinstance(body, dict) or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            _log.warning("authority_failed", status=status)
            raise _away()
        if status != httpx.codes.OK:
            refused = Refused(body)
            _log.info("authority_refused", status=status, error=refused.error, said=refused.said)
            raise refused
        if not _text(body, "access_token").isascii() or not _text(body, "access_token"):
            _log.warning("authority_failed", status=status)
            raise _away()
        return body

    async def _post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        if self._trust is None:
            self._trust = await asyncio.to_thread(
                ssl.create_default_context, cafile=self._ca_file and str(self._ca_file)
            )
        async with (
            httpx.AsyncClient(
                verify=self._trust, trust_env=self._ca_file is None, timeout=_WITHIN
            ) as http,
            http.stream(
                "POST", url, data=form, headers={"Accept": "application/json", **headers}
            ) as answer,
        ):
            return answer.status_code, await read_bounded(answer, _LARGEST)

    def _prove(self, endpoints: Endpoints, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the client's credential, as fields of the form and as a header."""
        own = self.credential
        if own.key is not None:
            signed = self._assertion(own, own.key, endpoints, url)
            proof = {"client_assertion_type": ASSERTION, "client_assertion": signed}
            return {"client_id": own.client_id, **proof}, {}
        if own.secret is None:
            return {"client_id": own.client_id}, {}
        if endpoints.by_form:
            return {"client_id": own.client_id, "client_secret": own.secret}, {}
        # RFC 6749 2.3.1: both parts are form-encoded.
        pair = f"{quote(own.client_id, safe='')}:{quote(own.secret, safe='')}"
        return {}, {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _assertion(
        self, own: Credential, key: RSAPrivateKey, endpoints: Endpoints, url: str
    ) -> str:
        """Return a client assertion (RFC 7523), which names its certificate as Entra requires."""
        now = self._clock.now()
        claims = {
            "iss": own.client_id,
            "sub": own.client_id,
            "aud": url,
            "jti": str(uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + _ASSERTION_LIVES,
        }
        known = endpoints.algorithms
        algorithm = "RS256" if known and "PS256" not in known else "PS256"
        header = {"x5t#S256": base64url(own.thumbprint)}
        return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def _away() -> Unavailable:
    return Unavailable(
        "AuthorityUnavailable",
        "The authority does not answer as it should. Try again later; the operator finds the "
        "cause in the log.",
        retry_after=_RETRY,
    )


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    return value if isinstance(value, str) else ""
