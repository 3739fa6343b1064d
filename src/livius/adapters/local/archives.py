"""Class-data-sharing archives: the classes of a driver, mapped instead of loaded one by one.

An archive fits one build of Java and one class path: absolute paths, sizes and times of all jars.
Java silently ignores one that does not fit, so its name has digests of both, and a change of them
makes a new archive. An archive makes drivers start sooner; an error in it never stops a driver.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from livius.adapters.local.runtimes import Runtime, java_options, spark_conf
from livius.adapters.local.supervised import clean_environment
from livius_agent.spec import CLASSES, DRIVER_SPEC, WORK, DriverSpec, python_path, write

_MADE_WITHIN: Final = 900.0
_HEAP: Final = "768m"
_BASE: Final = "base.jsa"
_QUIET: Final = ("-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
_TAIL: Final = 1500

_log = structlog.get_logger(__name__)


class ArchiveFailed(Exception):
    """The archive was not made. Drivers start without it."""


class ClassArchive:
    """The archive of one runtime with one Java; ``path`` is its folder, once made.

    ``folder`` has the archives of a runtime, ``agent`` the agent's package.
    """

    def __init__(self, runtime: Runtime, folder: Path, agent: Path) -> None:
        self._runtime = runtime
        self._agent = agent
        self._folder = folder
        java = _java_key(runtime.java)
        self._java_prefix = f"{java}-"
        self.path = folder / f"{java}-{_path_key(runtime.jars)}"

    def options(self) -> tuple[str, ...]:
        """Return Java's options that use the archive; none while there is none.

        An archive made by another user of a shared runtime is not used, unless root made it.
        """
        try:
            if self.path.stat().st_uid not in (0, os.geteuid()):
                return ()
        except FileNotFoundError:
            return ()
        if not os.access(self.path / CLASSES, os.R_OK):
            return ()
        base = self.path / _BASE
        parts = (base, self.path / CLASSES) if os.access(base, os.R_OK) else (self.path / CLASSES,)
        return f"-XX:SharedArchiveFile={':'.join(map(str, parts))}", *_QUIET

    async def run(self) -> None:
        """Make the archive if there is none. Errors are logged."""
        try:
            if await self.make():
                _log.info("class_archive_made", runtime=self._runtime.name)
        except Exception as error:  # noqa: BLE001 - drivers start without it; trying costs minutes
            _log.exception("class_archive_failed", runtime=self._runtime.name, error=str(error))

    async def make(self) -> bool:
        """Make the archive; False if it exists, or another process makes it.

        Raises:
            ArchiveFailed: Java or Spark failed; the message ends with their last lines. OSError:
                the folder can't be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with _lock(self._folder / ".lock") as ours:
            if not ours or (self.path / CLASSES).exists():
                return False
            work = self._folder / f"making-{os.getpid()}"
            for left in self._folder.glob("making-*"):
                shutil.rmtree(left, ignore_errors=True)
            try:
                await self._train(work)
                self._keep(work)
            finally:
                await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        return True

    def _keep(self, work: Path) -> None:
        """Move the new archive into place, and remove the old one."""
        done = work / "done"
        done.mkdir()
        done.chmod(0o755)
        for name in (_BASE, CLASSES):
            if (work / name).exists():
                (work / name).chmod(0o444)
                (work / name).rename(done / name)
        for old in self._folder.glob(f"{self._java_prefix}*"):
            # Running drivers have the old one mapped, and keep it.
            shutil.rmtree(old, ignore_errors=True)
        done.rename(self.path)

    async def _train(self, work: Path) -> None:
        for part in (work, work / WORK, work / WORK / "tmp", work / "lakehouse" / "Tables"):
            part.mkdir(mode=0o700, parents=True)
        options = java_options(_HEAP, work / WORK / "tmp")
        log = work / "log"
        if not _has_base(self._runtime.java):
            base = f"-XX:SharedArchiveFile={work / _BASE}"
            await self._execute(log, str(self._runtime.java), "-Xshare:dump", base)
            options = (*options, base)
        write(
            work / DRIVER_SPEC,
            DriverSpec(
                driver="training",
                repl="training",
                address_file="",
                java=str(self._runtime.java),
                java_options=(*options, *_QUIET),
                spark_home=str(self._runtime.spark_home),
                jars=tuple(map(str, self._runtime.jars)),
                conf=spark_conf(
                    master="local[2]",
                    name="training",
                    metastore_uri="",
                    scratch=work / WORK / "scratch",
                    lakehouses=work / "lakehouse",
                    names=work / "names.tsv",
                    asked={},
                ),
                lakehouse_root=str(work / "lakehouse"),
                database="training",
                lease_seconds=0,
                cancel_seconds=10,
                disk_reserve_bytes=0,
                output_limit_bytes=0,
                sql_row_limit=100,
            ),
        )
        await self._execute(
            log, str(self._runtime.python), "-s", "-P", "-m", "livius_agent.cds_training", str(work)
        )
        if not (work / CLASSES).exists():
            raise ArchiveFailed(f"Java wrote no archive. {_tail(log)}")

    async def _execute(self, log: Path, *command: str) -> None:
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=log.parent,
                start_new_session=True,  # it starts Java, which has to end with it
                env=clean_environment(
                    {
                        "HOME": str(log.parent),
                        "TMPDIR": str(log.parent / WORK / "tmp"),
                        "SPARK_HOME": str(self._runtime.spark_home),
                        "PYTHONPATH": python_path(self._agent),
                    }
                ),
            )
            try:
                async with asyncio.timeout(_MADE_WITHIN):
                    code = await process.wait()
            except TimeoutError:
                raise ArchiveFailed(f"It took over {_MADE_WITHIN:.0f} s. {_tail(log)}") from None
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
        if code:
            raise ArchiveFailed(f"{Path(command[0]).name} ended with {code}. {_tail(log)}")


class ClassArchives:
    """The archives of several runtimes, made one after the other. ``of`` returns a runtime's."""

    def __init__(self, of: Callable[[Runtime], ClassArchive]) -> None:
        self._of = of
        self._archives: dict[str, ClassArchive] = {}
        self._wanted: asyncio.Queue[ClassArchive] = asyncio.Queue()

    def add(self, runtime: Runtime) -> None:
        """Have a runtime's archive used, and made if there is none."""
        archive = self._archives[runtime.name] = self._of(runtime)
        self._wanted.put_nowait(archive)

    def options(self, runtime: Runtime) -> tuple[str, ...]:
        """Return Java's options that use a runtime's archive; none while there is none."""
        archive = self._archives.get(runtime.name)
        return () if archive is None else archive.options()

    async def run(self) -> None:
        """Make those that are missing."""
        while True:
            await (await self._wanted.get()).run()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()


def _java_key(java: Path) -> str:
    """Name a build of Java by its release file and its path."""
    release = java.parent.parent / "release"
    build = release.read_bytes() if release.exists() else str(java.stat()).encode()
    return hashlib.sha256(str(java).encode() + build).hexdigest()[:12]


def _path_key(jars: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for jar in jars:
        stat = jar.stat()
        digest.update(f"{jar} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _has_base(java: Path) -> bool:
    """Tell whether this Java has an archive of its own classes; small images don't."""
    return (java.parent.parent / "lib" / "server" / "classes.jsa").exists()


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Yield whether we got the lock, without waiting for it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
