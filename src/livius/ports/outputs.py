"""The storage of statements' output streams."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from livius.domain.ids import ReplId, SessionId, StatementNumber

Stream: TypeAlias = Literal["text", "data"]
"""A statement's text, and the JSON object of its data if that is too large for its record."""


class Outputs(Protocol):
    """Output streams, as UTF-8 bytes.

    Writes are at offsets, so that a repeated one changes nothing. Once `write` has returned, a kill
    of the gateway loses nothing. A statement without output has the size 0.
    """

    async def write(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        offset: int,
        data: bytes,
        most: int,
        stream: Stream = "text",
    ) -> int:
        """Append the bytes that the stream does not have yet; return the next write's offset.

        Stored bytes never change. A write beyond the present size changes nothing. The returned
        offset is the stream's size, always at the end of a character. A stream stores at most
        ``most`` bytes and a line that says so; the rest is dropped, but the returned offset counts
        it.

        Raises:
            Unavailable: the disk refuses the write, or is almost full. Written bytes stay.
        """
        ...

    async def size(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        stream: Stream = "text",
    ) -> int:
        """Return a stream's size in bytes."""
        ...

    async def read(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        offset: int = 0,
        size: int | None = None,
    ) -> bytes:
        """Return up to ``size`` bytes from the offset; all of the rest by default."""
        ...

    async def write_data(
        self, session: SessionId, repl: ReplId, number: StatementNumber, data: bytes
    ) -> None:
        """Replace the stream ``data``, atomically."""
        ...

    async def read_data(self, session: SessionId, repl: ReplId, number: StatementNumber) -> bytes:
        """Return the stream ``data``; empty if there is none."""
        ...

    async def remove(self, session: SessionId) -> None:
        """Delete all streams of a session."""
        ...
