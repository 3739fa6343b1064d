"""Used client assertions, in memory and in an append-only file that is rewritten now and then."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from livius.adapters.identity.files import private_folder, write_private
from livius.domain.errors import Unavailable
from livius.ports.clock import Clock

_MOST: Final = 100_000
_TIDY_EVERY: Final = 1024


class FileAssertionReplayCache:
    """Implements `livius.ports.identity.AssertionReplayCache`.

    Each line of the file has the second at which the assertion expires, and the use's key. A write
    reaches the operating system before the token is returned, so it survives a kill of the gateway;
    a power cut may lose the last ones.
    """

    def __init__(self, path: Path, clock: Clock, *, most: int = _MOST) -> None:
        self._path = path
        self._clock = clock
        self._most = most
        self._spent = _read(path)
        self._until_tidy = 0
        private_folder(path.parent)
        self._tidy()

    async def spend(self, key: str, *, until: datetime) -> bool:
        """See the port. No await inside: two uses at once cannot both be the first."""
        now = self._clock.now()
        if self._spent.get(key, now) > now:
            return False
        if self._until_tidy <= 0 or len(self._spent) >= self._most:
            self._tidy()
        if len(self._spent) >= self._most:
            raise Unavailable(
                "TooManyAssertions",
                "Too many client assertions are remembered. Sign shorter-lived ones, or try later.",
            )
        self._append(f"{int(until.timestamp()) + 1} {key}\n")
        self._spent[key] = until
        self._until_tidy -= 1
        return True

    def _append(self, line: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("ascii"))
        finally:
            os.close(descriptor)

    def _tidy(self) -> None:
        """Drop expired entries."""
        now = self._clock.now()
        self._spent = {key: until for key, until in self._spent.items() if until > now}
        lines = (f"{int(until.timestamp()) + 1} {key}\n" for key, until in self._spent.items())
        write_private(self._path, "".join(lines).encode("ascii"))
        self._until_tidy = _TIDY_EVERY


def _read(path: Path) -> dict[str, datetime]:
    """Read the file; a last line that was torn by a crash is left out."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    spent = {}
    for line in lines:
        seconds, _, key = line.partition(" ")
        if seconds.isdecimal() and key:
            spent[key] = datetime.fromtimestamp(int(seconds), UTC)
    return spent
