"""The files of environments, below one folder.

====================================  ==========================================================
``<environment>/staged/``             custom libraries that are staged
``<environment>/<version>/``          a published version; never changes
``<environment>/<version>.partial/``  a version that is being made, or that a killed gateway left
====================================  ==========================================================

In a version, ``python/`` has installed packages, ``files/`` custom modules and ``jars/`` jars.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import structlog

from livius.adapters.local.os_users import OsUser, OsUsers, share
from livius.adapters.local.python_packages import PythonPackages
from livius.domain.environment import (
    MOST_FILE_BYTES,
    MOST_FILES,
    EnvironmentVersion,
    FileKind,
    Library,
    file_kind,
)
from livius.domain.errors import Invalid, Unavailable
from livius.domain.ids import EnvironmentId, EnvironmentVersionId, new_id
from livius.domain.messages import Message
from livius.ports.environments import Log, Progress

Value = TypeVar("Value")

PYTHON: Final = "python"
FILES: Final = "files"
JARS: Final = "jars"
_STAGED: Final = "staged"
_PARTIAL: Final = ".partial"
_OF_KIND: Final = {
    FileKind.WHEEL: "wheels",
    FileKind.JAR: JARS,
    FileKind.PYTHON: FILES,
    FileKind.R: FILES,
    FileKind.R_PACKAGE: FILES,
}
"""The folder of each kind of custom library, in a version."""


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEnvironments:
    """Implements `livius.ports.environments.EnvironmentFiles`.

    ``folder`` has all of them; ``reserve`` is how many bytes of the disk stay free.
    """

    folder: Path
    users: OsUsers
    packages: PythonPackages
    reserve: int

    def remove_unfinished(self) -> None:
        """Remove what an earlier gateway has left of uploads. Only before the first upload."""
        for partial in self.folder.glob(f"*/{_STAGED}/.*{_PARTIAL}"):
            partial.unlink()

    async def staged(self, environment: EnvironmentId) -> Sequence[str]:
        """See the port."""
        return await asyncio.to_thread(_names, self._staged(environment))

    async def stage(
        self, environment: EnvironmentId, name: str, content: AsyncIterator[bytes]
    ) -> None:
        """See the port."""
        folder = self._staged(environment)
        await asyncio.to_thread(self._make, folder)
        await asyncio.to_thread(_check_room, folder, name)  # before anything is read
        partial = folder / f".{new_id()}{_PARTIAL}"
        try:
            size = 0
            with partial.open("xb") as file:
                async for piece in content:
                    size += len(piece)
                    self._check(size, len(piece))
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(_sync, file.fileno())
            await _whole(functools.partial(_place, partial, folder / name))
        except OSError as error:
            raise _disk_full() from error
        finally:
            partial.unlink(missing_ok=True)

    def _check(self, size: int, more: int) -> None:
        if size > MOST_FILE_BYTES:
            raise Invalid(
                "LibraryTooLarge",
                Message(
                    "A custom library has at most %(most)s MiB.", most=MOST_FILE_BYTES // 1024**2
                ),
            )
        if shutil.disk_usage(self.folder).free - more < self.reserve:
            raise _disk_full()

    async def unstage(self, environment: EnvironmentId, name: str) -> bool:
        """See the port."""

        def remove() -> bool:
            try:
                (self._staged(environment) / name).unlink()
            except FileNotFoundError:
                return False
            return True

        return await asyncio.to_thread(remove)

    async def discard_staged(self, environment: EnvironmentId) -> None:
        """See the port."""

        def remove() -> None:
            _remove(self._staged(environment))
            folder = self.folder / environment
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

        await asyncio.to_thread(remove)

    async def build(
        self, version: EnvironmentVersion, *, log: Log, progress: Progress
    ) -> Sequence[Library]:
        """See the port."""
        folder = self.version(version.environment, version.id)
        partial = folder.with_name(folder.name + _PARTIAL)
        group = await self.users.workspace(version.workspace)
        try:
            wheels = await _whole(functools.partial(self._lay, version, partial, log))
            packages = await self.packages.install(
                version, wheels, partial / PYTHON, log=log, progress=progress
            )
            await _whole(functools.partial(_seal, partial, group))
            await _whole(functools.partial(partial.rename, folder))
        except OSError as error:
            _log.warning("publish_failed", version=version.id, exc_info=True)
            raise _disk_full() from error
        finally:
            await _whole(functools.partial(_remove, partial))
        return packages

    def _lay(self, version: EnvironmentVersion, partial: Path, log: Log) -> Sequence[Path]:
        """Copy the custom files; return the wheels, which are to be installed.

        Raises:
            Unavailable: one was removed or replaced since the publish began.
        """
        _remove(partial)
        self._make(partial)
        for name in (PYTHON, *set(_OF_KIND.values())):
            (partial / name).mkdir(mode=0o700)
        wheels = []
        for name in version.files:
            kind = file_kind(name)
            to = partial / _OF_KIND[kind] / name
            _copy(self._staged(version.environment) / name, to, staged_before=version.created_at)
            if kind is FileKind.WHEEL:
                wheels.append(to)
            elif kind.is_of_r:
                log(
                    f"{name} is stored, but no session can use it: the runtimes have no R. A "
                    "package of Python is uploaded as a wheel."
                )
            else:
                log(f"Added {name}.")
        return wheels

    async def discard(self, environment: EnvironmentId, version: EnvironmentVersionId) -> None:
        """See the port."""
        folder = self.version(environment, version)
        for path in (folder, folder.with_name(folder.name + _PARTIAL)):
            await _whole(functools.partial(_remove, path))

    async def known(self) -> frozenset[tuple[EnvironmentId, EnvironmentVersionId | None]]:
        """See the port."""

        def look() -> frozenset[tuple[EnvironmentId, EnvironmentVersionId | None]]:
            if not self.folder.is_dir():
                return frozenset()
            return frozenset(
                (
                    EnvironmentId(of.name),
                    None
                    if one.name == _STAGED
                    else EnvironmentVersionId(one.name.removesuffix(_PARTIAL)),
                )
                for of in self.folder.iterdir()
                for one in of.iterdir()
            )

        return await asyncio.to_thread(look)

    def version(self, environment: EnvironmentId, version: EnvironmentVersionId) -> Path:
        """Return the folder of a version."""
        return self.folder / environment / version

    def _make(self, folder: Path) -> None:
        """Make a folder of an environment. Drivers of other users pass through those above it."""
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.parent.chmod(0o711)  # the mode of mkdir has our umask taken away
        folder.mkdir(mode=0o700, exist_ok=True)

    def _staged(self, environment: EnvironmentId) -> Path:
        return self.folder / environment / _STAGED


def library_paths(folder: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return where Python finds a version's libraries, and the version's jars."""
    python = tuple(part for part in (folder / FILES, folder / PYTHON) if any(part.iterdir()))
    return python, tuple(sorted((folder / JARS).iterdir()))


async def _whole(work: Callable[[], Value]) -> Value:
    """Do a piece of work in a thread, and to its end: a cancel waits for that."""
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


def _names(folder: Path) -> Sequence[str]:
    if not folder.is_dir():
        return ()
    return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))


def _copy(staged: Path, to: Path, *, staged_before: datetime) -> None:
    """Copy a staged file. It got its place by a rename, so the time of its change says when."""
    try:
        source = staged.open("rb")
    except FileNotFoundError:
        raise _not_found(
            Message("%(name)s was removed while the publish began.", name=staged.name)
        ) from None
    with source, to.open("xb") as target:
        if os.fstat(source.fileno()).st_ctime > staged_before.timestamp():
            raise _not_found(
                Message(
                    "%(name)s was replaced since the publish began. Publish again to have the new "
                    "one.",
                    name=staged.name,
                )
            )
        shutil.copyfileobj(source, target)


def _not_found(message: Message) -> Unavailable:
    return Unavailable("EnvironmentLibrariesNotFound", message)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _seal(folder: Path, group: OsUser | None) -> None:
    """Make a version read-only, for the group of its workspace too."""
    _remove(folder / _OF_KIND[FileKind.WHEEL])
    for root, _folders, files in os.walk(folder):
        for name in files:
            (Path(root) / name).chmod(0o444)
        Path(root).chmod(0o555)
    folder.chmod(0o500)
    share(folder, group, 0o550)


def _remove(folder: Path) -> None:
    """Remove a folder, also one that is read-only."""
    if not folder.exists():
        return
    for root, _folders, _files in os.walk(folder):
        Path(root).chmod(0o700)
    shutil.rmtree(folder)


def _check_room(folder: Path, name: str) -> None:
    others = [one for one in _names(folder) if one != name]
    if len(others) >= MOST_FILES:
        raise Invalid(
            "TooManyLibraries",
            Message("An environment has at most %(most)s custom libraries.", most=MOST_FILES),
        )


def _place(partial: Path, to: Path) -> None:
    """Give a file its name if there is room for it. One at a time does so in a folder.

    Raises:
        Invalid: there is none.
    """
    folder = os.open(to.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # until it is closed
        _check_room(to.parent, to.name)
        partial.replace(to)
    finally:
        os.close(folder)


def _disk_full() -> Unavailable:
    return Unavailable(
        "InsufficientStorage",
        Message(
            "The server's disk is full, or not writable. Try again later; the operator finds the "
            "cause in the log."
        ),
    )
