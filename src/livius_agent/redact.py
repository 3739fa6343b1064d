"""Takes out of a driver's output what it was handed as a secret.

It guards against accidents, as Fabric's does: code that means to print a secret can always write
it in another form. While nothing was handed out, text passes untouched and unsearched.
"""

from __future__ import annotations

import html
import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

REDACTED: Final = "[REDACTED]"

SHORTEST: Final = 4
"""Characters. Shorter secrets stand in too many words to be taken out."""

HANDED_OUT: Final = "handed-out"
"""The file in a driver's work folder that has all secrets, one JSON string a line, 0600."""

_MOST: Final = 10_000
_MOST_BYTES: Final = 16 * 1024 * 1024


class Secrets:
    """The secrets of one driver. ``file`` remembers them for whoever looks at its logs."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0

    @classmethod
    def handed_out(cls, work: Path) -> Secrets:
        """Return what the driver of a work folder was handed.

        The folder is the driver's own, so whatever may lie there: no link is followed, no pipe
        waited for, and no more is read than an honest driver writes.
        """
        known = cls()
        for line in _read(work / HANDED_OUT).splitlines():
            with suppress(ValueError, RecursionError):
                if isinstance(secret := json.loads(line), str):
                    known._take(secret)
        known._compile()
        return known

    def __bool__(self) -> bool:
        return self._pattern is not None

    def add(self, secret: str) -> None:
        """Take a secret out from now on, in the forms that Python, JSON and HTML give it."""
        if not self._take(secret):
            return
        self._compile()
        if self._file is not None:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(json.dumps(secret) + "\n")

    def _take(self, secret: str) -> bool:
        if len(secret) < SHORTEST or secret in self._forms or len(self._forms) > _MOST:
            return False
        self._forms |= {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], html.escape(secret)}
        return True

    def _compile(self) -> None:
        if self._forms:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            self._longest = len(longest_first[0])

    def text(self, text: str) -> str:
        """Return the text without them."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    @property
    def longest(self) -> int:
        """Return how many bytes the longest form of a secret has."""
        return max((len(form.encode("utf-8", "replace")) for form in self._forms), default=0)

    def masked(self, data: bytes) -> bytes:
        """Return a log's bytes without them, each other byte in its place."""
        for form in sorted(self._forms, key=len, reverse=True):
            raw = form.encode("utf-8", "replace")
            data = data.replace(raw, REDACTED.encode()[: len(raw)].ljust(len(raw), b"*"))
        return data

    def value(self, value: Any) -> Any:
        """Return a JSON value without them."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value

    def unfinished(self, text: str) -> int:
        """Return how many characters at the end may be the beginning of a secret."""
        if self._pattern is None:
            return 0
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(len(form) > length and form.startswith(end) for form in self._forms):
                return length
        return 0


class Redactor:
    """Takes secrets out of a stream, also those that come in pieces.

    What may be the beginning of one waits for what comes next, or for the end.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._held = ""

    def feed(self, text: str) -> str:
        """Take a piece; return what can be told of it and of what was held."""
        if self._held:
            text = self._held + text
        text = self._secrets.text(text)
        held = self._secrets.unfinished(text)
        if held:
            self._held = text[-held:]
            return text[:-held]
        self._held = ""
        return text

    def end(self) -> str:
        """Return what is still held."""
        held, self._held = self._held, ""
        return held


def _read(path: Path) -> str:
    """Return an ordinary file's text; nothing where there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError), os.fdopen(os.open(path, flags), "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file.read(_MOST_BYTES).decode("utf-8", errors="replace")
    return ""


def redact_logs(work: Path, *logs: Path) -> None:
    """Take out of log files what the driver of this work folder was handed."""
    secrets = Secrets.handed_out(work)
    for log in logs:
        if secrets and log.exists():
            text = log.read_text(encoding="utf-8", errors="surrogateescape")
            log.write_text(secrets.text(text), encoding="utf-8", errors="surrogateescape")
