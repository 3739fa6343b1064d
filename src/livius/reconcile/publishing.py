"""The work of a publish: a folder with the libraries, then the record that names it.

The record is written last, in one transaction with the operation's success. So a version is
published whole or not at all, a cancel comes in time or not at all, and until then sessions get the
version before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from livius.domain.environment import MOST_LOG_BYTES, EnvironmentVersion, Library
from livius.domain.errors import Conflict, LiviusError, NotFound
from livius.domain.operation import CANCELLED, Goal, Operation
from livius.ports.clock import Clock
from livius.ports.environments import EnvironmentFiles, Log, Progress
from livius.ports.runtimes import Runtimes
from livius.ports.store import Store
from livius.reconcile.operations import Result, Runner, interrupted
from livius_agent.text import tail

_WRITE_LOG_EVERY: Final = 0.5
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Runs publishes, within ``deadline`` each."""

    store: Store
    files: EnvironmentFiles
    runtimes: Runtimes
    clock: Clock
    deadline: timedelta

    def runner(self) -> Runner:
        """Return the runner of these operations."""
        return Runner(run=self.run, recover=self.recover, deadline=self.deadline, at_once=_AT_ONCE)

    async def run(self, operation: Operation, progress: Progress) -> Result:
        """Make the version that the operation is about, and publish it.

        Raises:
            LiviusError: the message has the reason. Nothing is left, and nothing has changed.
        """
        version = await self._version(operation)
        try:
            async with self._log_of(version) as log:
                try:
                    await self._build_runtime(version.compute.runtime, log)
                    packages = await self.files.build(version, log=log, progress=progress)
                except LiviusError as error:
                    log(f"Failed: {error.message}")
                    raise
                log("Published.")
            await self._finish(version, packages)
        except BaseException:  # also a cancel
            if not await self._is_published(operation):
                await self.files.discard(version.environment, version.id)
            raise
        return {"version": version.id}

    async def _build_runtime(self, name: str, log: Log) -> None:
        """Have the runtime there, for whose Python the libraries are."""
        if not self.runtimes.is_built(name):
            log(f"Building the runtime {name}, which takes minutes.")
            await self.runtimes.build(name)

    async def _finish(self, version: EnvironmentVersion, packages: Sequence[Library]) -> None:
        """Publish a version. A cancel waits until it is known whether that was done."""
        finishing = asyncio.create_task(
            self.store.finish_publish(version.id, packages=packages, at=self.clock.now())
        )
        try:
            done = await asyncio.shield(finishing)
        except asyncio.CancelledError:
            await asyncio.wait([finishing])
            raise
        if not done:
            present = await self.store.operation(version.operation)
            raise _gone() if present is None or present.goal is Goal.RUN else _cancelled()

    async def recover(self, operation: Operation, progress: Progress) -> Result:
        """Remove what a killed gateway has left of a publish."""
        version = await self._version(operation)
        await self.files.discard(version.environment, version.id)
        return await interrupted(operation, progress)

    async def _version(self, operation: Operation) -> EnvironmentVersion:
        publish = await self.store.publish_of(operation.id)
        if publish is None:
            raise _gone()
        return publish.version

    async def _is_published(self, operation: Operation) -> bool:
        return (await self._version(operation)).published_at is not None

    @asynccontextmanager
    async def _log_of(self, version: EnvironmentVersion) -> AsyncIterator[Log]:
        """Store what the block logs, soon after; of too much, the end."""
        lines: list[str] = []
        written = 0

        async def write() -> None:
            nonlocal written
            if len(lines) != written:
                written = len(lines)
                kept = tail(lines, MOST_LOG_BYTES)
                await self.store.set_publish_log(version.id, "".join(f"{one}\n" for one in kept))

        async def keep_writing() -> None:
            while True:
                await asyncio.sleep(_WRITE_LOG_EVERY)
                await write()

        writing = asyncio.create_task(keep_writing())
        try:
            yield lines.append
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await write()


def _gone() -> NotFound:
    return NotFound("EnvironmentNotFound", "The environment was deleted meanwhile.")


def _cancelled() -> Conflict:
    return Conflict(CANCELLED, "It was cancelled.")
