"""Redacts a driver's secrets in its output.

It guards against accidents, as Fabric's does: code that means to print a secret can always write
it in another form. While the driver has got no secret, text passes unchanged and unsearched.
"""

from __future__ import annotations

import html
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from livius_agent.files import open_regular, read_regular
from livius_agent.text import json_bytes

REDACTED: Final = "[REDACTED]"

SHORTEST: Final = 4
"""Characters. Shorter secrets are parts of too many words to be redacted."""

HANDED_OUT: Final = "handed-out"
"""The file in a driver's work folder that has all secrets, one JSON string a line, 0600."""

_MOST: Final = 10_000
"""How many forms of secrets are looked for: four for each."""

_MOST_BYTES: Final = 16 * 1024 * 1024
_LONGEST_LINE: Final = 256 * 1024
_PIECE: Final = 1024 * 1024


class Secrets:
    """The secrets of one driver. ``file`` stores them for readers of its logs."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0

    @classmethod
    def handed_out(cls, work: Path) -> Secrets:
        """Return the secrets that the driver of a work folder has got.

        The folder is the driver's own and may have anything in it: no link is followed, no pipe
        waited for, and no more is read than an honest driver writes. A pattern of as many texts as
        it may have would take seconds to compile, so each is searched for separately.
        """
        known = cls()
        with suppress(OSError):
            for line in read_regular(work / HANDED_OUT, _MOST_BYTES).splitlines():
                with suppress(ValueError, RecursionError):
                    if len(line) <= _LONGEST_LINE and isinstance(one := json.loads(line), str):
                        known._take(one)
        return known

    def __bool__(self) -> bool:
        return bool(self._forms)

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
        longest_first = self._longest_first()
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        self._longest = len(longest_first[0])

    def text(self, text: str) -> str:
        """Return the text without them."""
        if self._pattern is not None:
            return self._pattern.sub(REDACTED, text)
        for form in self._longest_first():
            text = text.replace(form, REDACTED)
        return text

    def _longest_first(self) -> list[str]:
        return sorted(self._forms, key=len, reverse=True)

    @property
    def longest(self) -> int:
        """Return how many bytes the longest form of a secret has."""
        return max((len(form.encode("utf-8", "replace")) for form in self._forms), default=0)

    def masked(self, data: bytes) -> bytes:
        """Return a log's bytes without them, each other byte in its place."""
        for form in self._longest_first():
            raw = form.encode("utf-8", "replace")
            data = data.replace(raw, REDACTED.encode()[: len(raw)].ljust(len(raw), b"*"))
        return data

    def value(self, value: Any) -> Any:
        """Return a JSON value without them."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value

    def json(self, raw: bytes) -> bytes:
        """Return JSON without them. It is parsed, which takes a while where it is large."""
        return json_bytes(self.value(json.loads(bytes(raw))))

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
        """Take a piece; return the part of it, and of the held text, that can be sent."""
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


def redact_logs(work: Path, *logs: Path) -> None:
    """Mask in log files what the driver of this work folder was handed, where it stands.

    A log may be larger than our memory.
    """
    secrets = Secrets.handed_out(work)
    if not secrets:
        return
    for log in logs:
        with suppress(FileNotFoundError), open_regular(log, "r+b") as file:
            offset = 0
            # What begins in one piece may end in the next.
            while data := os.pread(file.fileno(), _PIECE + secrets.longest, offset):
                if (masked := secrets.masked(data)) != data:
                    os.pwrite(file.fileno(), masked, offset)
                offset += _PIECE
