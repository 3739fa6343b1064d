"""Hashes of random secrets, and unpadded base64url."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode


def base64url(content: bytes) -> str:
    """Return bytes as JOSE and PKCE spell them: base64url without padding (RFC 7515)."""
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def hash_drawn(secret: str) -> str:
    """Return the hash to store of a secret of at least 128 random bits, which nobody can guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_drawn(secret: str, kept: str) -> bool:
    """Tell whether `hash_drawn` made the hash of this secret."""
    return hmac.compare_digest(hash_drawn(secret), kept)


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636)."""
    return base64url(hashlib.sha256(verifier.encode("ascii")).digest())
