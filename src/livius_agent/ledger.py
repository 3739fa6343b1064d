"""What the agent was given and the gateway does not hold durably yet.

An entry lives from `livius_agent.wire.Run` to ``Ack(finished=True)``. Its output is spooled: in
memory while it is small, then in a file, so that neither a broken link nor an endless print costs
memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

from livius_agent.text import whole_characters
from livius_agent.wire import OUTPUT_CHUNK_BYTES, Finished, LedgerEntry, Output, Run

WINDOW: Final = 1024 * 1024
"""How far sending may run ahead of the gateway's acknowledgement."""

_LONGEST_CHARACTER: Final = 4
_IN_MEMORY: Final = 64 * 1024
_LOOK_AT_DISK_EVERY: Final = 8 * 1024 * 1024

Key = tuple[str, int]


@dataclass(slots=True)
class Entry:
    """One statement. ``size`` is the stream's length, ``sent`` and ``acknowledged`` are offsets."""

    run: Run
    limit: int
    reserve: int
    folder: Path
    size: int = 0
    sent: int = 0
    acknowledged: int = 0
    seq: int = 0
    finished: Finished | None = None
    finished_sent: bool = False
    _cut: bool = False
    _looked_at: int = 0
    _spool: SpooledTemporaryFile[bytes] | None = field(default=None, repr=False)

    @property
    def key(self) -> Key:
        """Return what names the statement."""
        return self.run.repl, self.run.number

    def append(self, text: str) -> None:
        """Take text of the stream. Beyond the limit one line says that it was cut."""
        if self._cut or not text:
            return
        data = text.encode("utf-8", errors="replace")
        room = self.limit - self.size
        reason = ""
        if len(data) > room:
            data = data[:room].decode("utf-8", errors="ignore").encode()
            reason = f"the limit is {self.limit} bytes"
        elif self.size - self._looked_at >= _LOOK_AT_DISK_EVERY:
            self._looked_at = self.size
            if shutil.disk_usage(self.folder).free < self.reserve:
                reason = "the disk is almost full"
        if reason:
            self._cut = True
            data += f"\n[output cut: {reason}]\n".encode()
        try:
            self._write(data)
        except OSError:
            # Full already, for another reason than us. What is lost is all that can't be told.
            self._cut = True

    def _write(self, data: bytes) -> None:
        if self._spool is None:
            self._spool = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(self.folder))  # noqa: SIM115
        self._spool.seek(self.size)
        self._spool.write(data)
        self.size += len(data)

    def finish(self, finished: Finished) -> None:
        """Take the end, without what is not sent yet of the output."""
        self.finished = finished

    def next_output(self) -> Output | None:
        """Return the next piece to send, or None while there is none or the window is full."""
        if self.sent >= self.size or self.sent - self.acknowledged >= WINDOW:
            return None
        offset, text = self.sent, self._next_text()
        self.seq += 1
        repl, number = self.key
        return Output(repl=repl, number=number, seq=self.seq, offset=offset, text=text)

    def next_end(self) -> Finished | None:
        """Return the end to send, once what is left of the output has room in it; else None."""
        if self.finished is None or self.finished_sent:
            return None
        if self.size - self.sent > OUTPUT_CHUNK_BYTES:
            return None
        self.seq += 1
        self.finished_sent = True
        return replace(self.finished, seq=self.seq, text=self._next_text())

    def _next_text(self) -> str:
        if self._spool is None:
            return ""
        self._spool.seek(self.sent)
        data = self._spool.read(OUTPUT_CHUNK_BYTES)
        # A piece ends where a character does; the stream as a whole is valid.
        text = data.decode("utf-8", errors="ignore")
        self.sent += len(text.encode())
        return text

    def acknowledge(self, offset: int) -> None:
        """Note how much the gateway holds."""
        self.acknowledged = max(self.acknowledged, offset)

    def rewind(self, offset: int) -> None:
        """Send again from what the gateway holds: the link is a new one.

        Where that ends inside of a character, from the beginning of it.
        """
        offset = min(offset, self.size)
        if self._spool is not None:
            begin = max(0, offset - _LONGEST_CHARACTER)
            self._spool.seek(begin)
            offset = begin + whole_characters(self._spool.read(offset - begin))
        self.sent = self.acknowledged = offset
        self.finished_sent = False

    def close(self) -> None:
        """Drop the spool."""
        if self._spool is not None:
            self._spool.close()


class Ledger:
    """All entries, in the order in which they came."""

    def __init__(self, *, limit: int, reserve: int, folder: Path) -> None:
        self._limit = limit
        self._reserve = reserve
        self._folder = folder
        self._entries: dict[Key, Entry] = {}
        self.last: dict[str, int] = {}

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over a copy: entries come and go meanwhile."""
        return iter(list(self._entries.values()))

    def take(self, run: Run) -> Entry | None:
        """Return a new entry, or None for a statement that was given before."""
        if run.number <= self.last.get(run.repl, -1):
            return None
        self.last[run.repl] = run.number
        entry = self._entries[run.repl, run.number] = Entry(
            run, self._limit, self._reserve, self._folder
        )
        return entry

    def get(self, repl: str, number: int) -> Entry | None:
        """Return an entry."""
        return self._entries.get((repl, number))

    def forget(self, entry: Entry) -> None:
        """The gateway holds all of it."""
        entry.close()
        self._entries.pop(entry.key, None)

    def summary(self) -> tuple[LedgerEntry, ...]:
        """Return what `livius_agent.wire.Hello` tells."""
        return tuple(
            LedgerEntry(
                repl=entry.run.repl,
                number=entry.run.number,
                seq=entry.seq,
                size=entry.size,
                finished=entry.finished is not None,
            )
            for entry in self
        )
