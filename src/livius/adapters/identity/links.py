"""One-time sign-in links, as files: only a user who can write the data folder can make one.

A file is named by the hash of a link's secret and has the user and the expiry. The gateway deletes
it before the sign-in, so that of two simultaneous uses one finds nothing.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from livius.adapters.identity.files import private_folder, write_private
from livius.domain.digests import hash_drawn
from livius.domain.ids import PrincipalId

_LIFETIME: Final = timedelta(minutes=10)
_SECRET_BYTES: Final = 32
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class FileSignInLinks:
    """Implements `livius.ports.identity.SignInLinks`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, user: PrincipalId, *, now: datetime) -> str:
        """Return the secret of a new link for ten minutes. Expired links are removed."""
        private_folder(self._folder)
        for path in self._folder.iterdir():
            found = _read(path)
            if found is None or found[1] <= now:
                path.unlink(missing_ok=True)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        content = {"user": user, "until": (now + _LIFETIME).timestamp()}
        write_private(self._path(secret), json.dumps(content).encode())
        return secret

    def waits(self, secret: str) -> bool:
        """Tell whether a link is unused."""
        return self._path(secret).exists()

    async def spend(self, secret: str, *, now: datetime) -> PrincipalId | None:
        """See the port."""
        if not _SECRET.fullmatch(secret):
            return None
        path = self._path(secret)
        found = _read(path)
        try:
            path.unlink()
        except FileNotFoundError:
            return None
        return found[0] if found is not None and now < found[1] else None

    def _path(self, secret: str) -> Path:
        return self._folder / hash_drawn(secret)


def _read(path: Path) -> tuple[PrincipalId, datetime] | None:
    """Return the user and expiry of a link; None if the file is gone or is no link."""
    try:
        found = json.loads(path.read_bytes())
        return PrincipalId(str(found["user"])), datetime.fromtimestamp(float(found["until"]), UTC)
    except (FileNotFoundError, ValueError, TypeError, KeyError, OverflowError):
        return None
