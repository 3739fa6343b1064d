"""What the agent was given and the gateway does not hold durably yet.

An entry lives from `livius_agent.wire.Run` to ``Ack(finished=True)``. Its output is spooled: in
memory while it is small, then in a file, so that neither a broken link nor an endless print costs
memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from livius_agent import fitting
from livius_agent.text import whole_characters
from livius_agent.wire import (
    LARGEST_DATA,
    OUTPUT_CHUNK_BYTES,
    Finished,
    LedgerEntry,
    Output,
    Run,
    Stream,
)

WINDOW: Final = 1024 * 1024
"""How far sending may run ahead of the gateway's acknowledgement."""

_LONGEST_CHARACTER: Final = 4
_IN_MEMORY: Final = 64 * 1024
_LOOK_AT_DISK_EVERY: Final = 8 * 1024 * 1024

Key = tuple[str, int]


@dataclass(slots=True)
class Spool:
    """Text that is sent in pieces. ``size``, ``sent`` and ``acknowledged`` count its bytes."""

    folder: Path
    size: int = 0
    sent: int = 0
    acknowledged: int = 0
    _file: SpooledTemporaryFile[bytes] | None = field(default=None, repr=False)
    _is_closed: bool = False

    def write(self, data: bytes) -> None:
        """Take more, which ends where a character does. A closed one takes nothing."""
        if self._is_closed:
            return
        if self._file is None:
            self._file = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(self.folder))  # noqa: SIM115
        self._file.seek(self.size)
        self._file.write(data)
        self.size += len(data)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to send, and room for it in the window."""
        return self.sent < self.size and self.sent - self.acknowledged < WINDOW

    def take(self) -> str:
        """Return the next piece, empty at the end. It is sent now."""
        if self._file is None:
            return ""
        self._file.seek(self.sent)
        data = self._file.read(OUTPUT_CHUNK_BYTES)
        # A piece ends where a character does; the stream as a whole is valid.
        data = data[: whole_characters(data)]
        self.sent += len(data)
        return data.decode()

    def rewind(self, offset: int) -> None:
        """Send again from what the gateway holds.

        Where that ends inside of a character, from the beginning of it.
        """
        offset = min(offset, self.size)
        if self._file is not None:
            begin = max(0, offset - _LONGEST_CHARACTER)
            self._file.seek(begin)
            offset = begin + whole_characters(self._file.read(offset - begin))
        self.sent = self.acknowledged = offset

    def close(self) -> None:
        """Drop it. The statement may go on for a while: the gateway wants no more of it."""
        self._is_closed = True
        if self._file is not None:
            self._file.close()


@dataclass(slots=True)
class Entry:
    """One statement, with what it printed and the data that is too large for its end."""

    run: Run
    limit: int
    reserve: int
    folder: Path
    seq: int = 0
    finished: Finished | None = None
    finished_sent: bool = False
    text: Spool = field(init=False)
    data: Spool = field(init=False)
    _cut: bool = False
    _looked_at: int = 0

    def __post_init__(self) -> None:
        self.text, self.data = Spool(self.folder), Spool(self.folder)

    @property
    def key(self) -> Key:
        """Return what names the statement."""
        return self.run.repl, self.run.number

    @property
    def size(self) -> int:
        """Return the length in bytes of what it printed."""
        return self.text.size

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
            self.text.write(data)
        except OSError:
            # Full already, for another reason than us. The lost text is not reported.
            self._cut = True

    def finish(self, finished: Finished, data: bytes = b"") -> None:
        """Take the end, without what is not sent yet of the output.

        ``data`` is its JSON object: what is small goes with it, what is larger before it.
        """
        finished = fitting.finished(finished)
        lost = ""
        if len(data) > LARGEST_DATA:
            lost = f"it has {len(data)} bytes, and {LARGEST_DATA} can be given"
        elif len(data) > OUTPUT_CHUNK_BYTES:
            try:
                self.data.write(data)
            except OSError as error:
                lost = str(error)
                self.data.close()
                self.data = Spool(self.folder)
        elif data:
            finished = replace(finished, data=Raw(data))
        if lost:
            sentence = f"The statement ran, and its output is lost: {lost}."
            finished = replace(finished, outcome="error", ename="OutputLost", evalue=sentence)
        self.finished = replace(finished, data_size=self.data.size)

    def next_output(self) -> Output | None:
        """Return the next piece to send, or None while there is none or the window is full."""
        streams: tuple[tuple[Stream, Spool], ...] = (("text", self.text), ("data", self.data))
        for name, spool in streams:
            if spool.is_ready:
                self.seq += 1
                repl, number = self.key
                offset, text = spool.sent, spool.take()
                return Output(
                    repl=repl, number=number, seq=self.seq, offset=offset, text=text, stream=name
                )
        return None

    def next_end(self) -> Finished | None:
        """Return the end to send, once the rest of the output fits into it; else None."""
        if self.finished is None or self.finished_sent:
            return None
        if self.size - self.text.sent > OUTPUT_CHUNK_BYTES or self.data.sent < self.data.size:
            return None
        self.seq += 1
        self.finished_sent = True
        return replace(self.finished, seq=self.seq, text=self.text.take())

    def acknowledge(self, offset: int, stream: Stream = "text") -> None:
        """Note how much of a stream the gateway holds."""
        spool = self.text if stream == "text" else self.data
        spool.acknowledged = max(spool.acknowledged, offset)

    def rewind(self, text: int, data: int = 0) -> None:
        """Send again from what the gateway holds of the streams: the link is a new one."""
        self.text.rewind(text)
        self.data.rewind(data)
        self.finished_sent = False

    def close(self) -> None:
        """Drop the spools."""
        self.text.close()
        self.data.close()


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
