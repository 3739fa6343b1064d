"""Vaults of secrets: files of this installation, or an Azure key vault."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from livius.bounded import TooLarge, read_bounded
from livius.domain.errors import Forbidden, NotFound, Unavailable
from livius.domain.vault import Secret, check_value, secret_name, vault_name
from livius.ports.clock import Clock

API_VERSION: Final = "7.4"
_ANSWERS_WITHIN: Final = 10.0
_LARGEST_ANSWER: Final = 256 * 1024
_VERSIONS_KEPT: Final = 100


class FileVaults:
    """The vaults of this installation: a file each, ``<vault>.json``, 0600 in a 0700 folder.

    Implements `livius.ports.vaults.Vaults` for a caller whose token has been verified. Values are
    not encrypted: a key beside them would protect nothing.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    async def secret(self, vault: str, name: str, *, token: str) -> str:
        """See the port."""
        del token  # issued by our own authority, for this request
        found = await asyncio.to_thread(self.get, vault, name)
        return found.value

    def get(self, vault: str, name: str, version: str | None = None) -> Secret:
        """Return a version of a secret, the newest by default.

        Raises:
            Invalid, NotFound: see the port.
        """
        for one in reversed(self.versions(vault, name)):
            if version in (None, one.version):
                return one
        raise NotFound(
            "SecretNotFound",
            f"The secret {secret_name(name)} has no version {(version or '')[:64]}.",
        )

    def versions(self, vault: str, name: str) -> Sequence[Secret]:
        """Return all versions of a secret, oldest first.

        Raises:
            Invalid, NotFound: see the port.
        """
        place, plain = vault_name(vault), secret_name(name)
        kept = self._read(place)
        if plain not in kept:
            raise NotFound(
                "SecretNotFound",
                f"There is no secret {plain} in the vault {place}. Set it on the server with: "
                f"livius secret set {place} {plain}",
            )
        return [_secret_of(plain, one) for one in kept[plain]]

    def names(self, vault: str) -> Sequence[Secret]:
        """Return the newest version of each secret of a vault, by name."""
        return [
            _secret_of(name, versions[-1])
            for name, versions in sorted(self._read(vault_name(vault)).items())
        ]

    def vaults(self) -> Sequence[str]:
        """Return the names of the vaults with secrets."""
        return sorted(file.stem for file in self._folder.glob("*.json"))

    def put(self, vault: str, name: str, value: str) -> Secret:
        """Make a new version of a secret. Raises: Invalid: a name or the value is invalid."""
        place, plain = vault_name(vault), secret_name(name)
        check_value(value)
        secret = Secret(name=plain, version=uuid4().hex, value=value, created_at=self._clock.now())
        row = {
            "version": secret.version,
            "value": value,
            "created_at": secret.created_at.isoformat(),
        }
        with self._changing(place) as kept:
            kept[plain] = [*kept.get(plain, []), row][-_VERSIONS_KEPT:]
        return secret

    def remove(self, vault: str, name: str) -> bool:
        """Delete a secret with all its versions; False if there is none."""
        with self._changing(vault_name(vault)) as kept:
            return kept.pop(secret_name(name), None) is not None

    def _file(self, vault: str) -> Path:
        return self._folder / f"{vault}.json"

    def _read(self, vault: str) -> dict[str, list[dict[str, str]]]:
        try:
            text = self._file(vault).read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        kept: dict[str, list[dict[str, str]]] = json.loads(text)
        return kept

    @contextmanager
    def _changing(self, vault: str) -> Iterator[dict[str, list[dict[str, str]]]]:
        """Change a vault's file atomically, one change at a time."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._read(vault)
            yield kept
            if not kept:
                self._file(vault).unlink(missing_ok=True)
                return
            partial = self._folder / f"{vault}.partial"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o600), "w", encoding="utf-8") as file:
                json.dump(kept, file)
            partial.replace(self._file(vault))
        finally:
            os.close(lock)


def _secret_of(name: str, row: Mapping[str, str]) -> Secret:
    return Secret(
        name=name,
        version=row["version"],
        value=row["value"],
        created_at=datetime.fromisoformat(row["created_at"]),
    )


class RemoteVaults:
    """Implements `livius.ports.vaults.Vaults` over Azure Key Vault's REST.

    ``url`` is the operator's, with ``{vault}`` for a vault's name: session code never chooses the
    host. ``client`` has the operator's certificate authorities.
    """

    def __init__(self, url: str, client: Callable[[], httpx.AsyncClient]) -> None:
        self._url = url.rstrip("/")
        self._client = client

    async def secret(self, vault: str, name: str, *, token: str) -> str:
        """See the port."""
        place, plain = vault_name(vault), secret_name(name)
        url = f"{self._url.replace('{vault}', place)}/secrets/{plain}"
        try:
            status, body = await self._ask(url, token)
        except TooLarge as error:
            raise Unavailable(
                "VaultFailed",
                f"The vault {place} answers for the secret {plain} with more than any secret has.",
            ) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(
                "VaultUnreachable",
                f"The vault {place} does not answer ({type(error).__name__}). Its address is the "
                "setting LIVIUS_VAULT_URL.",
            ) from error
        if status == httpx.codes.OK and isinstance(body.get("value"), str):
            value: str = body["value"]
            return value
        raise _refusal(place, plain, status, body)

    async def _ask(self, url: str, token: str) -> tuple[int, Mapping[str, Any]]:
        """Return the status and object of a response; an empty object if it has none."""
        async with (
            asyncio.timeout(_ANSWERS_WITHIN),
            self._client() as client,
            client.stream(
                "GET",
                url,
                params={"api-version": API_VERSION},
                headers={"Authorization": f"Bearer {token}"},
                follow_redirects=False,
            ) as answer,
        ):
            return answer.status_code, _json(await read_bounded(answer, _LARGEST_ANSWER))


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _refusal(
    vault: str, name: str, status: int, body: Mapping[str, Any]
) -> NotFound | Forbidden | Unavailable:
    error = body.get("error")
    said = str(error.get("message", ""))[:500] if isinstance(error, dict) else ""
    about = f"The vault {vault} answers {status} for the secret {name}. {said}".rstrip()
    if status == httpx.codes.NOT_FOUND:
        return NotFound("SecretNotFound", about)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return Forbidden("VaultRefused", about)
    return Unavailable("VaultFailed", about)
