"""Slow hashes of passwords, which people choose and others may guess."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from typing import Final

_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_LONGEST: Final = 1024


def hash_password(password: str) -> str:
    """Return the salted hash to store."""
    salt = secrets.token_bytes(16)
    return f"scrypt${b64encode(salt).decode()}${b64encode(_digest(password, salt)).decode()}"


def is_password_hash(stored: str) -> bool:
    """Tell whether `hash_password` made a hash, rather than `digests.hash_drawn`."""
    return stored.startswith("scrypt$")


def password_matches(password: str, stored: str) -> bool:
    """Tell whether `hash_password` made the hash of this password. Call it off the event loop."""
    _, salt, digest = stored.split("$")
    if len(password) > _LONGEST:
        return False
    return hmac.compare_digest(_digest(password, b64decode(salt)), b64decode(digest))


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, **_SCRYPT)
