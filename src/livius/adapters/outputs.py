"""Output streams as files: ``<folder>/<session>/<repl>-<number>.out``."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from livius.domain.errors import Unavailable
from livius.domain.ids import ReplId, SessionId, StatementNumber
from livius.domain.messages import Message
from livius.ports.outputs import Stream
from livius_agent.text import whole_characters

_SUFFIXES: Final[Mapping[Stream, str]] = {"text": "out", "data": "json"}


class FileOutputs:
    """Implements `livius.ports.outputs.Outputs`.

    Written bytes survive a kill of the process, but perhaps not a power cut. A write needs
    ``reserve`` bytes of free disk space.
    """

    def __init__(self, folder: Path, *, reserve: int = 0) -> None:
        self._folder = folder
        self._reserve = reserve

    def _path(
        self, session: SessionId, repl: ReplId, number: StatementNumber, stream: Stream = "text"
    ) -> Path:
        return self._folder / session / f"{repl}-{number}.{_SUFFIXES[stream]}"

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
        """See the port."""
        path = self._path(session, repl, number, stream)
        return await asyncio.to_thread(_write, path, offset, data, most, self._reserve)

    async def size(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        stream: Stream = "text",
    ) -> int:
        """See the port."""
        try:
            return self._path(session, repl, number, stream).stat().st_size
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
        await asyncio.to_thread(_replace, self._path(session, repl, number, "data"), data)

    async def read_data(self, session: SessionId, repl: ReplId, number: StatementNumber) -> bytes:
        """See the port."""
        return await asyncio.to_thread(_read, self._path(session, repl, number, "data"), 0, None)

    async def remove(self, session: SessionId) -> None:
        """See the port."""
        await asyncio.to_thread(shutil.rmtree, self._folder / session, ignore_errors=True)


def _write(path: Path, offset: int, data: bytes, most: int, reserve: int) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return _append(descriptor, offset, data, most, reserve)
    except OSError as error:
        raise _full(error) from error
    finally:
        os.close(descriptor)


def _append(descriptor: int, offset: int, data: bytes, most: int, reserve: int) -> int:
    size, end = os.fstat(descriptor).st_size, offset + len(data)
    if size >= most:
        return max(size, end)  # it was cut before: the rest is dropped
    if offset > size or end <= size:
        return size
    disk = os.fstatvfs(descriptor)
    if disk.f_bavail * disk.f_frsize < reserve:
        raise OSError(errno.ENOSPC, "the disk is almost full")
    news, is_cut = data[size - offset :], end > most
    if is_cut:
        news = news[: most - size]
        news = (
            news[: whole_characters(news)] + f"\n[output cut: the limit is {most} bytes]\n".encode()
        )
    # A full disk may take a part of it: the file's size tells which.
    written = os.pwrite(descriptor, news, size)
    if written < len(news):
        written = whole_characters(news[:written])
        os.ftruncate(descriptor, size + written)
        return size + written
    return end


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
        "InsufficientStorage", Message("An output can't be written: %(error)s.", error=error)
    )
