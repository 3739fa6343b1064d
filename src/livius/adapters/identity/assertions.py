"""Client assertions: finds the registered certificate that signed one."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jwt

from livius.adapters.identity.token_cache import SIGNATURE_ONLY
from livius.domain.accounts import ClientCertificate
from livius.ports.identity import AssertionFault, AssertionRefused, SignedAssertion

_ALGORITHMS: Final = ("RS256", "PS256")


class JwtAssertions:
    """Implements `livius.ports.identity.AssertionVerifier` for RS256 and PS256.

    Only registered public keys are trusted: a chain in the header merely helps to find one.
    """

    def verify(self, assertion: str, certificates: Sequence[ClientCertificate]) -> SignedAssertion:
        """See the port."""
        try:
            header = jwt.get_unverified_header(assertion)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise AssertionRefused(AssertionFault.MALFORMED) from None
        if header.get("alg") not in _ALGORITHMS or "crit" in header:
            raise AssertionRefused(AssertionFault.MALFORMED)
        certificate = _named(header, certificates)
        if certificate is None:
            raise AssertionRefused(AssertionFault.UNKNOWN_CERTIFICATE)
        try:
            claims = jwt.decode(
                assertion,
                key=certificate.public_key_pem,
                algorithms=_ALGORITHMS,
                options=SIGNATURE_ONLY,
            )
        except jwt.InvalidSignatureError:
            raise AssertionRefused(AssertionFault.BAD_SIGNATURE) from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise AssertionRefused(AssertionFault.MALFORMED) from None
        return SignedAssertion(claims=claims, certificate=certificate)


def _named(
    header: Mapping[str, Any], certificates: Sequence[ClientCertificate]
) -> ClientCertificate | None:
    """Return the certificate that the header names; each of its names must match."""
    names = [(attribute, read(header[key])) for key, attribute, read in _NAMES if header.get(key)]
    if not names:
        return None
    for certificate in certificates:
        if all(getattr(certificate, attribute) == value for attribute, value in names):
            return certificate
    return None


def _thumbprint(value: object) -> str | None:
    """Read base64url, with or without padding (MSAL pads, the standard does not)."""
    if not isinstance(value, str):
        return None
    bare = value.rstrip("=")
    try:
        content = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return None
    return content.hex().upper()


def _leaf(value: object) -> str | None:
    """Return the SHA-256 of the first certificate of a chain (plain base64 of DER)."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, str):
        return None
    try:
        content = base64.b64decode("".join(first.split()), validate=True)  # MSAL keeps line feeds

    except (binascii.Error, ValueError):
        return None
    return hashlib.sha256(content).hexdigest().upper()


_NAMES: Final[tuple[tuple[str, str, Callable[[object], str | None]], ...]] = (
    ("x5t", "sha1", _thumbprint),
    ("x5t#S256", "sha256", _thumbprint),
    ("x5c", "sha256", _leaf),
)
