"""Output streams as files: ``<folder>/<session>/<repl>-<number>.out``."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from livius.domain.errors import Unavailable
from livius.domain.ids import ReplId, SessionId, StatementNumber
from livius.domain.sentences import Sentence
from livius_agent.text import whole_characters


class FileOutputs:
    """Implements `livius.ports.outputs.Outputs`.

    The operating system keeps what was written when the process is killed; against a power cut
    nothing is promised.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(
        self, session: SessionId, repl: ReplId, number: StatementNumber, suffix: str = "out"
    ) -> Path:
        return self._folder / session / f"{repl}-{number}.{suffix}"

    async def write(
        self, session: SessionId, repl: ReplId, number: StatementNumber, *, offset: int, data: bytes
    ) -> int:
        """See the port."""
        return await asyncio.to_thread(_write, self._path(session, repl, number), offset, data)

    async def size(self, session: SessionId, repl: ReplId, number: StatementNumber) -> int:
        """See the port."""
        try:
            return self._path(session, repl, number).stat().st_size
        except FileNotFoundError:
            return 0

    async def read(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        offset: int = 0,
        size: int | None = None,
    ) -> bytes:
        """See the port."""
        path = self._path(session, repl, number)
        return await asyncio.to_thread(_read, path, offset, size)

    async def write_data(
        self, session: SessionId, repl: ReplId, number: StatementNumber, data: bytes
    ) -> None:
        """See the port."""
        await asyncio.to_thread(_replace, self._path(session, repl, number, "json"), data)

    async def read_data(self, session: SessionId, repl: ReplId, number: StatementNumber) -> bytes:
        """See the port."""
        return await asyncio.to_thread(_read, self._path(session, repl, number, "json"), 0, None)

    async def remove(self, session: SessionId) -> None:
        """See the port."""
        await asyncio.to_thread(shutil.rmtree, self._folder / session, ignore_errors=True)


def _write(path: Path, offset: int, data: bytes) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        news = data[size - offset :]
        if offset > size or not news:
            return size
        # A full disk may take a part of it: what is durable is what the size says.
        written = os.pwrite(descriptor, news, size)
        if written < len(news):
            written = whole_characters(news[:written])
            os.ftruncate(descriptor, size + written)
        return size + written
    except OSError as error:
        raise _full(error) from error
    finally:
        os.close(descriptor)


def _read(path: Path, offset: int, size: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(-1 if size is None else size)
    except FileNotFoundError:
        return b""


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.chmod(0o600)
        partial.replace(path)
    except OSError as error:
        raise _full(error) from error


def _full(error: OSError) -> Unavailable:
    return Unavailable(
        "InsufficientStorage", Sentence("An output can't be written: %(error)s.", error=error)
    )
