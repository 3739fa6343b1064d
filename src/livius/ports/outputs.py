"""Where the output streams of statements are kept."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from livius.domain.ids import ReplId, SessionId, StatementNumber

Stream: TypeAlias = Literal["text", "data"]
"""What a statement prints, and the JSON object of its data that is too large for its record."""


class Outputs(Protocol):
    """Output streams, as UTF-8 bytes. Written at offsets, so that a repeat changes nothing.

    A stream is durable against a kill of the gateway once `write` has returned. Of a statement
    that never printed, the size is 0.
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
        """Append what the stream does not have yet of these bytes; return where to go on.

        What is there already is never changed. An offset beyond the present size is refused by
        leaving the stream as it is. What is returned is the stream's size, always at the end of a
        character. Of a stream of more than ``most`` bytes the beginning is kept, with a line that
        says so, and the rest is dropped as if it had been taken.

        Raises:
            Unavailable: the disk takes nothing, or is almost full. What was written stays.
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
        """Put this in the place of the stream ``data``. All or nothing."""
        ...

    async def read_data(self, session: SessionId, repl: ReplId, number: StatementNumber) -> bytes:
        """Return the stream ``data``; empty if there is none."""
        ...

    async def remove(self, session: SessionId) -> None:
        """Forget all streams of a session."""
        ...
