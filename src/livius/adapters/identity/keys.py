"""The authority's signing keys: a folder of them, of which one signs and all verify."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
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

ALGORITHM: Final = "RS256"

_BITS: Final = 2048
_CURRENT: Final = "current"


class KeyRing:
    """Implements `livius.ports.identity.Signer`.

    The folder holds ``<kid>.pem`` for each key, and ``current``, which names the one that signs.
    A ``kid`` is the key's own thumbprint (RFC 7638), so none can be given to two keys.
    """

    def __init__(self, folder: Path, keys: Mapping[str, RSAPrivateKey], current: str) -> None:
        self._folder = folder
        self._keys = dict(keys)
        self._public = {kid: key.public_key() for kid, key in keys.items()}
        self._current = current

    @classmethod
    def open(cls, folder: Path) -> KeyRing:
        """Read the keys; make the first one where there is none."""
        private_folder(folder)
        keys = {}
        for path in sorted(folder.glob("*.pem")):
            key = load_pem_private_key(read_private(path), password=None)
            if isinstance(key, RSAPrivateKey):
                keys[key_id(key.public_key())] = key
        try:
            current = read_private(folder / _CURRENT).decode("ascii").strip()
        except FileNotFoundError:
            current = ""
        ring = cls(folder, keys, current)
        if current not in keys:
            ring.rotate()
        return ring

    def rotate(self) -> str:
        """Sign with a new key from now on. The others verify until they are retired."""
        key = generate_private_key(public_exponent=65537, key_size=_BITS)
        kid = key_id(key.public_key())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private(self._folder / f"{kid}.pem", pem)
        write_private(self._folder / _CURRENT, kid.encode("ascii"))
        self._keys[kid] = key
        self._public[kid] = key.public_key()
        self._current = kid
        return kid

    def retire(self, kid: str) -> None:
        """Forget a key: what it signed counts no longer.

        Raises:
            ValueError: it is the key that signs.
        """
        if kid == self._current:
            raise ValueError("The key that signs cannot be retired. Rotate first.")
        self._public.pop(kid, None)
        self._keys.pop(kid, None)
        (self._folder / f"{kid}.pem").unlink(missing_ok=True)

    def public_key(self, kid: str) -> RSAPublicKey | None:
        """Return the key that verifies what ``kid`` signed."""
        return self._public.get(kid)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """See the port."""
        return jwt.encode(
            dict(claims),
            self._keys[self._current],
            algorithm=ALGORITHM,
            headers={"kid": self._current},
        )

    def key_set(self) -> Mapping[str, Any]:
        """See the port."""
        return {
            "keys": [
                {**_numbers(key), "use": "sig", "alg": ALGORITHM, "kid": kid}
                for kid, key in self._public.items()
            ]
        }


def key_id(key: RSAPublicKey) -> str:
    """Return a key's thumbprint after RFC 7638."""
    canonical = json.dumps(_numbers(key), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode("ascii")).digest())


def _numbers(key: RSAPublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}


def _integer(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
