"""The authority's signing keys: a folder of keys; one signs, and all verify."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from livius.adapters.identity.files import private_folder, read_private, write_private
from livius.adapters.identity.token_cache import SIGNATURE_ONLY
from livius.domain.digests import base64url
from livius.domain.tokens import CLOCK_SKEW, TOKEN_LIFETIME
from livius.ports.clock import Clock

ALGORITHM: Final = "RS256"

_BITS: Final = 2048
_CURRENT: Final = "current"
_LEEWAY: Final = timedelta(minutes=1)  # another process may sign a moment longer


class KeyRing:
    """Implements `livius.ports.identity.Signer`.

    The folder holds ``<kid>.pem`` for each key, and ``current``, which names the one that signs. A
    replaced key has ``<kid>.until``, the expiry of the last token that it signed; then it is
    deleted. A ``kid`` is the key's thumbprint (RFC 7638), so no two keys share one. Another process
    may rotate the keys: ``current`` is checked before each use.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, RSAPrivateKey] = {}
        self._until: dict[str, datetime] = {}
        self._current = ""

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> KeyRing:
        """Read the keys; make the first one if there is none."""
        private_folder(folder)
        ring = cls(folder, clock)
        ring._refresh()
        if ring._current not in ring._keys:
            ring.rotate()
        return ring

    def rotate(self) -> str:
        """Sign with a new key from now on. The old one verifies until its tokens have expired."""
        self._refresh()
        key = generate_private_key(public_exponent=65537, key_size=_BITS)
        kid = key_id(key.public_key())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(self._folder / f"{kid}.pem", pem)
        if self._current in self._keys:
            until = self._clock.now() + TOKEN_LIFETIME + 2 * CLOCK_SKEW + _LEEWAY
            write_private(self._folder / f"{self._current}.until", until.isoformat().encode())
        write_private(self._folder / _CURRENT, kid.encode("ascii"))
        self._refresh()
        return kid

    def retire(self, kid: str) -> None:
        """Delete a key: its tokens become invalid. Raises: ValueError: it is the key that signs."""
        if kid == self._current:
            raise ValueError("The key that signs cannot be retired. Rotate first.")
        for suffix in ("pem", "until"):
            (self._folder / f"{kid}.{suffix}").unlink(missing_ok=True)
        # A new file, so that other processes notice the change.
        write_private(self._folder / _CURRENT, self._current.encode("ascii"))
        self._refresh()

    def kids(self) -> tuple[str, ...]:
        """Return the keys that verify, the one that signs first."""
        self._refresh()
        return (self._current, *(kid for kid in self._keys if kid != self._current))

    def public_key(self, kid: str) -> RSAPublicKey | None:
        """Return the key that verifies tokens with this ``kid``."""
        self._refresh()
        key = self._keys.get(kid)
        return None if key is None else key.public_key()

    def read(self, token: str) -> Mapping[str, Any] | None:
        """See the port."""
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            key = self.public_key(kid) if isinstance(kid, str) else None
            # We choose the algorithm: a token that names another one is refused.
            if key is None or header.get("alg") != ALGORITHM or "crit" in header:
                return None
            claims: dict[str, Any] = jwt.decode(
                token, key=key, algorithms=[ALGORITHM], options=SIGNATURE_ONLY
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return claims

    def _refresh(self) -> None:
        """Read the folder if it has changed, and delete expired keys."""
        try:
            status = (self._folder / _CURRENT).stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            stamp = None
        if stamp is not None and stamp != self._stamp:
            self._load()
            self._stamp = stamp
        now = self._clock.now()
        for kid in [kid for kid, until in self._until.items() if until <= now]:
            del self._until[kid]
            self._keys.pop(kid, None)
            for suffix in ("pem", "until"):
                (self._folder / f"{kid}.{suffix}").unlink(missing_ok=True)

    def _load(self) -> None:
        keys = {}
        for path in sorted(self._folder.glob("*.pem")):
            known = self._keys.get(path.stem)
            key = known or load_pem_private_key(read_private(path), password=None)
            if isinstance(key, RSAPrivateKey):
                keys[path.stem if known else key_id(key.public_key())] = key
        self._current = read_private(self._folder / _CURRENT).decode("ascii").strip()
        self._keys = keys
        self._until = {
            path.stem: datetime.fromisoformat(read_private(path).decode("ascii"))
            for path in self._folder.glob("*.until")
            if path.stem in keys and path.stem != self._current
        }

    def sign(self, claims: Mapping[str, Any]) -> str:
        """See the port."""
        self._refresh()
        return jwt.encode(
            dict(claims),
            self._keys[self._current],
            algorithm=ALGORITHM,
            headers={"kid": self._current},
        )

    def key_set(self) -> Mapping[str, Any]:
        """See the port."""
        self._refresh()
        return {
            "keys": [
                {**_numbers(key.public_key()), "use": "sig", "alg": ALGORITHM, "kid": kid}
                for kid, key in self._keys.items()
            ]
        }


def key_id(key: RSAPublicKey) -> str:
    """Return a key's thumbprint after RFC 7638."""
    canonical = json.dumps(_numbers(key), sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(canonical.encode("ascii")).digest())


def _numbers(key: RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}


def _integer(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
