"""The agent's side of the zygote: forking Python repls and learning at once when one ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from livius_agent.process import die_with_parent

_ANSWER_LIMIT: Final = 256 * 1024 * 1024
"""The longest answer of a repl that is taken; a statement's data is one line."""


class ReplEnded(Exception):
    """A repl's process has ended. The message says how, and what that means."""


@dataclass(frozen=True, slots=True)
class PythonProcess:
    """One forked repl."""

    pid: int
    ended: asyncio.Future[int]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def run(self, statement: dict[str, Any]) -> dict[str, Any]:
        """Have it run a statement and return its answer.

        Raises:
            ReplEnded: the process ended before it answered.
        """
        with suppress(ConnectionError):
            self.writer.write(json.dumps(statement).encode() + b"\n")
            await self.writer.drain()
            line = await self.reader.readline()
            if line.endswith(b"\n"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise ReplEnded(_describe(await self.ended))

    def interrupt(self) -> None:
        """Send SIGINT to it and its children, as a terminal would."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it and its children."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # While it has not been reaped, the id can't be anybody else's.
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        """Let go of it; it ends when its control socket does."""
        self.writer.close()


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    how = f"exit code {code}"
    if code < 0:
        how = f"signal {-code}"
        with suppress(ValueError):
            how += f", {signal.strsignal(-code)}"
    return (
        f"The Python process of this session ended ({how}). Its variables are lost; the next "
        "statement starts a fresh one."
    )


class Zygote:
    """A zygote process, warming up from the moment that it is made."""

    def __init__(self, work: Path) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "livius_agent.zygote"],
            stdin=theirs.fileno(),
            cwd=work,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - called before any thread is started
        )
        theirs.close()
        self._asked: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._reader: asyncio.StreamReader | None = None
        self._forking = asyncio.Lock()

    async def run(self) -> None:
        """Listen to the zygote until it ends."""
        self._reader, _ = await asyncio.open_unix_connection(sock=self._socket)
        while line := await self._reader.readline():
            said = json.loads(line)
            if "pid" in said:
                self._asked.get_nowait().set_result(said["pid"])
            elif "ended" in said:
                ended = self._ended.pop(said["ended"], None)
                if ended is not None:
                    ended.set_result(said["status"])

    async def fork(self, request: dict[str, Any], pipe: Path) -> PythonProcess:
        """Fork a repl. Its output goes to the pipe."""
        ours, theirs = socket.socketpair()
        output = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)
        loop = asyncio.get_running_loop()
        async with self._forking:
            asked: asyncio.Future[int] = loop.create_future()
            self._asked.put_nowait(asked)
            socket.send_fds(self._socket, [json.dumps(request).encode()], [theirs.fileno(), output])
            pid = await asked
        ended = self._ended[pid] = loop.create_future()
        theirs.close()
        os.close(output)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_ANSWER_LIMIT)
        return PythonProcess(pid, ended, reader, writer)

    def kill(self) -> None:
        """End it and, with it, all repls."""
        self._process.kill()
        self._process.wait()
