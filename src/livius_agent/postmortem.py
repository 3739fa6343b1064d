"""Why a driver has ended, as a sentence for people, and the log lines that explain it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from livius_agent.memory import OutOfMemoryKills
from livius_agent.spec import LAST_WORDS, STDERR, STDOUT, explanatory_lines

_LOG_LINES: Final = 60
_LOG_BYTES: Final = 128 * 1024
_OUT_OF_MEMORY: Final = 3
"""What ``ExitOnOutOfMemoryError`` makes of it. So may the session's code."""
_REMEDIES: Final = {
    "Java heap space": "The session's heap is {heap}: let the operator raise LIVIUS_DRIVER_MEMORY, "
    "or bring less to the driver at once (collect, toPandas, broadcast, large arrays).",
    "Metaspace": "Its code has defined too many classes: create a new session.",
}


@dataclass(frozen=True, slots=True)
class Postmortem:
    """Knows the driver's folder and, from before, how often the kernel had killed for memory."""

    folder: Path
    heap: str
    kills: OutOfMemoryKills = field(default_factory=OutOfMemoryKills)

    def of_jvm(self, code: int, *, served: bool) -> str:
        """Say how the JVM ended, by its code of `subprocess`; ``served``: Spark was up."""
        _, words, after = self._tail(STDOUT).rpartition(LAST_WORDS)
        if code == _OUT_OF_MEMORY and words:
            kind = after.partition("\n")[0].strip()
            remedy = _REMEDIES.get(kind, _REMEDIES["Java heap space"]).format(heap=self.heap)
            return f"The Spark driver ran out of memory ({kind}). {remedy}"
        if code == -signal.SIGKILL and (killer := self.kills.sentence()):
            return (
                f"The Spark driver ran out of memory: {killer} Let the operator lower "
                "LIVIUS_DRIVER_MEMORY or LIVIUS_MAX_DRIVERS, or give the machine more memory."
            )
        if code < 0:
            return f"The Spark driver's JVM was ended by {name_of_signal(-code)}."
        if not served:
            return f"Java ended with exit code {code} before Spark was up. The log has its words."
        return (
            f"The Spark driver's JVM ended with exit code {code}: code of the session ended it "
            "(System.exit), or Spark did. The log has the last lines."
        )

    def log(self) -> tuple[str, ...]:
        """Return the last lines that the driver printed, without what explains nothing."""
        text = "\n".join(self._tail(name) for name in (STDOUT, STDERR))
        return explanatory_lines(text.splitlines())[-_LOG_LINES:]

    def _tail(self, name: str) -> str:
        with suppress(OSError), (self.folder / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
            return file.read().decode("utf-8", errors="replace")
        return ""


def name_of_signal(number: int) -> str:
    """Name a signal for people: by number and by name."""
    with suppress(ValueError):
        return f"signal {number} ({signal.Signals(number).name})"
    return f"signal {number}"
