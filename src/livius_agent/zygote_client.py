"""The agent's side of the zygote: forking Python repls and learning at once when one ends.

A zygote that ends takes its repls with it. Another one is started; their next statements begin in
fresh processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from livius_agent.memory import OutOfMemoryKills
from livius_agent.process import kill_family

_ANSWER_LIMIT: Final = 256 * 1024 * 1024
"""The longest answer of a repl that is taken; a statement's data is one line."""

_DEATHS: Final = 3
_DEATHS_WITHIN: Final = 60.0
_FORKS_WITHIN: Final = 60.0
_COMPLETES_WITHIN: Final = 1.0
_GONE: Final = 0x7F
"""Stands for a wait status that nobody could see: no real process ends with it."""


_Born: TypeAlias = tuple[int, asyncio.Future[int]]


class ReplEnded(Exception):
    """A repl's process has ended. The message says how, and what that means."""


class ZygoteFailed(Exception):
    """There are no Python processes any more; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class PythonProcess:
    """One forked repl. ``began`` holds the number of the last statement whose code it began."""

    pid: int
    ended: asyncio.Future[int]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    began: list[int] = field(default_factory=list)
    kills: OutOfMemoryKills = field(default_factory=OutOfMemoryKills)
    talking: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: Iterator[int] = field(default_factory=count)

    async def run(self, statement: dict[str, Any]) -> dict[str, Any]:
        """Have it run a statement and return its answer. Its ``data`` is not parsed, but `Raw`.

        Raises:
            ReplEnded: the process ended before it answered.
        """
        with suppress(ConnectionError):
            async with self.talking:
                answer = await self._answer(statement)
            if answer is not None:
                return answer
        raise ReplEnded(self._describe(await self.ended))

    async def _answer(self, statement: dict[str, Any]) -> dict[str, Any] | None:
        self.writer.write(json.dumps(statement).encode() + b"\n")
        await self.writer.drain()
        while (line := await self.reader.readline()).endswith(b"\n"):
            said = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
            if "completed" in said:
                continue  # too late: nobody waits for it any more
            if "began" not in said:
                return {
                    name: raw if name == "data" else msgspec.json.decode(raw)
                    for name, raw in said.items()
                }
            self.began[:] = [msgspec.json.decode(said["began"])]
        return None

    async def complete(self, code: str) -> Sequence[str]:
        """Return the names that its live objects propose for the end of the code, soon or none."""
        if self.talking.locked() or self.ended.done():
            return ()
        number = next(self.asked)
        with suppress(ConnectionError, TimeoutError):
            async with self.talking, asyncio.timeout(_COMPLETES_WITHIN):
                self.writer.write(json.dumps({"complete": code, "id": number}).encode() + b"\n")
                await self.writer.drain()
                while (line := await self.reader.readline()).endswith(b"\n"):
                    said = msgspec.json.decode(line, type=dict[str, Any])
                    if said.get("completed") == number:
                        return tuple(said["names"])
        return ()

    def move(self, folder: str) -> None:
        """Have it go to another folder before its next statement."""
        self.writer.write(json.dumps({"cwd": folder}).encode() + b"\n")

    def interrupt(self, number: int) -> bool:
        """Send SIGINT to it and its children, as a terminal would, if it runs this statement.

        To be called from the event loop's thread: there the next statement can't begin meanwhile.
        """
        if self.began != [number] or self.ended.done():
            return False
        # It tells this SIGINT from those that are the user's own.
        self.writer.write(json.dumps({"cancel": number}).encode() + b"\n")
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)
        return True

    def kill(self) -> None:
        """End it and its children."""
        # While it has not been reaped, the id can't be anybody else's.
        if not self.ended.done():
            kill_family(self.pid)

    def close(self) -> None:
        """Let go of it; it ends when its control socket does."""
        self.writer.close()

    def _describe(self, status: int) -> str:
        what = "The Python process of this session "
        lost = "Its variables are lost; the next statement starts a fresh one."
        if status == _GONE:
            return f"{what}ended with the process that it was forked from. {lost}"
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL and (killer := self.kills.sentence()):
            return f"{what}ran out of memory: {killer} {lost} Take less data into Python at once."
        how = f"exit code {code}"
        if code < 0:
            how = f"signal {-code}"
            with suppress(ValueError):
                how += f", {signal.strsignal(-code)}"
        return f"{what}ended ({how}). {lost}"


class Zygote:
    """A zygote process, warming up from the moment that it is made."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._asked: asyncio.Queue[asyncio.Future[_Born]] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._forking = asyncio.Lock()
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "livius_agent.zygote"],
            stdin=theirs.fileno(),
            cwd=self._work,
        )
        theirs.close()

    async def run(self) -> None:
        """Listen to the zygote, and replace it when it ends.

        Raises:
            ZygoteFailed: it ends again and again.
        """
        loop = asyncio.get_running_loop()
        deaths: list[float] = []
        while True:
            await self._listen()
            how = self._process.wait()
            self._lost()
            deaths = [at for at in deaths if at > loop.time() - _DEATHS_WITHIN] + [loop.time()]
            if len(deaths) >= _DEATHS:
                raise ZygoteFailed(
                    f"The process that Python runs from ended {_DEATHS} times in a minute, "
                    f"the last time with code {how}."
                )
            self._start()

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._socket)
        try:
            while line := await reader.readline():
                said = json.loads(line)
                if "pid" in said or "failed" in said:
                    self._answered(said)
                elif "ended" in said:
                    ended = self._ended.pop(said["ended"], None)
                    if ended is not None:
                        ended.set_result(said["status"])
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _answered(self, said: dict[str, Any]) -> None:
        asked = self._asked.get_nowait()
        if "failed" in said:
            asked.set_exception(ReplEnded(f"No Python process could be started: {said['failed']}."))
        else:
            # Made here: it may end before the caller learns its id.
            ended = self._ended[said["pid"]] = asyncio.get_running_loop().create_future()
            asked.set_result((said["pid"], ended))

    def _lost(self) -> None:
        """Tell all who wait for the zygote that it has ended."""
        for ended in self._ended.values():
            ended.set_result(_GONE)
        self._ended.clear()
        while not self._asked.empty():
            self._asked.get_nowait().set_exception(
                ReplEnded("The process that Python is forked from has ended. Try again.")
            )

    async def fork(self, request: dict[str, Any], pipe: Path) -> PythonProcess:
        """Fork a repl. Its output goes to the pipe.

        Raises:
            ReplEnded: that could not be done; the message says why.
        """
        ours, theirs = socket.socketpair()
        output = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)
        try:
            async with self._forking, asyncio.timeout(_FORKS_WITHIN):
                asked: asyncio.Future[_Born] = asyncio.get_running_loop().create_future()
                self._asked.put_nowait(asked)
                message = json.dumps(request).encode()
                socket.send_fds(self._socket, [message], [theirs.fileno(), output])
                pid, ended = await asked
        except ReplEnded:
            ours.close()
            raise
        except OSError as error:
            ours.close()
            if isinstance(error, TimeoutError):
                self._process.kill()  # it hangs; `run` starts another one
            raise ReplEnded(f"No Python process could be started: {error}") from error
        finally:
            theirs.close()
            os.close(output)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_ANSWER_LIMIT)
        return PythonProcess(pid, ended, reader, writer)

    def kill(self) -> None:
        """End it and, with it, all repls."""
        self._process.kill()
        self._process.wait()
