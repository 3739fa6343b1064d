"""Where the output streams of statements are kept."""

from __future__ import annotations

from typing import Protocol

from livius.domain.ids import ReplId, SessionId, StatementNumber


class Outputs(Protocol):
    """Output streams, as UTF-8 bytes. Written at offsets, so that a repeat changes nothing.

    A stream is durable against a kill of the gateway once `write` has returned. Of a statement
    that never printed, the size is 0.
    """

    async def write(
        self, session: SessionId, repl: ReplId, number: StatementNumber, *, offset: int, data: bytes
    ) -> int:
        """Append what the stream does not have yet of these bytes; return the stream's size.

        What is there already is never changed. An offset beyond the present size is refused by
        leaving the stream as it is: the size that is returned, always at the end of a character,
        tells the sender where to go on.

        Raises:
            Unavailable: the disk takes nothing. What was written before stays.
        """
        ...

    async def size(self, session: SessionId, repl: ReplId, number: StatementNumber) -> int:
        """Return the stream's size in bytes."""
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
        """Keep an ending's data that is too large for its record. All or nothing."""
        ...

    async def read_data(self, session: SessionId, repl: ReplId, number: StatementNumber) -> bytes:
        """Return what `write_data` kept; empty if there is nothing."""
        ...

    async def remove(self, session: SessionId) -> None:
        """Forget all streams of a session."""
        ...
