"""Drivers as processes of this machine, each with a keeper and a folder of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from livius.adapters.kept import KeeperFailed, Kept, clean_environment
from livius.adapters.names import names_file, write_names
from livius.adapters.pip_settings import pip_settings
from livius.adapters.runtimes import Runtime, java_options, spark_conf
from livius.domain.driver import DriverEnd
from livius.domain.errors import Unavailable
from livius.domain.ids import DriverId
from livius.ports.launcher import LaunchSpec, Observation, Vital
from livius.ports.store import NamedPlace
from livius_agent.spec import (
    DRIVER_SPEC,
    KEEPER_SPEC,
    SECRET,
    WORK,
    DriverSpec,
    KeeperSpec,
    python_path,
    write,
)

_LOG_LINES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLaunch:
    """What is the same for all drivers of this machine.

    ``drivers`` holds their folders, ``lakehouses`` the data, ``names`` what the lakehouses are
    called, ``agent`` is the folder that contains the agent's package, ``address_file`` says where
    to dial. ``memory`` is the JVM's heap; ``show_lakehouse`` asks for `livius_agent.mount`.
    """

    drivers: Path
    lakehouses: Path
    names: Path
    agent: Path
    address_file: Path
    master: str
    memory: str
    show_lakehouse: bool
    lease_seconds: float
    cancel_seconds: float
    output_limit_bytes: int
    disk_reserve_bytes: int
    sql_row_limit: int


class LocalLauncher:
    """Implements `livius.ports.launcher.Launcher`. The handle of a driver is its folder.

    ``metastore`` returns the metastore's address once it answers, ``shared_classes`` Java's options
    for a runtime's class archive as it is at that moment.
    """

    def __init__(
        self,
        common: LocalLaunch,
        runtimes: Mapping[str, Runtime],
        metastore: Callable[[], Awaitable[str]],
        shared_classes: Callable[[Runtime], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self._common = common
        self._runtimes = runtimes
        self._metastore = metastore
        self._shared_classes = shared_classes

    def has_runtime(self, name: str) -> bool:
        """See the port."""
        return name in self._runtimes

    def _kept(self, driver: DriverId) -> Kept:
        runtime = next(iter(self._runtimes.values()))
        return Kept(self._common.drivers / driver, runtime.python, self._common.agent)

    async def launch(self, spec: LaunchSpec) -> None:
        """See the port."""
        if self._kept(spec.driver).keeper() is not None:
            return
        runtime = self._runtimes[spec.runtime]
        folder = self._common.drivers / spec.driver
        metastore_uri = await self._metastore()
        work = folder / WORK
        await asyncio.to_thread(self._prepare, spec, runtime, folder, metastore_uri)
        home, temporary = str(work / "home"), str(work / "tmp")
        keeper = KeeperSpec(
            command=(str(runtime.python), "-s", "-P", "-m", "livius_agent", str(folder)),
            env=clean_environment(
                {
                    "HOME": home,
                    "TMPDIR": temporary,
                    "JAVA_HOME": str(runtime.java.parent.parent),
                    "SPARK_HOME": str(runtime.spark_home),
                    "PYTHONPATH": python_path(self._common.agent),
                    "PYTHONNOUSERSITE": "1",
                }
            ),
            cwd=str(work),
            remove=(str(work),),
        )
        try:
            await Kept(folder, runtime.python, self._common.agent).launch(keeper)
        except KeeperFailed as error:
            await self.end(spec.driver)
            raise Unavailable("DriverLaunchFailed", f"The driver did not start. {error}") from error

    def _prepare(
        self, spec: LaunchSpec, runtime: Runtime, folder: Path, metastore_uri: str
    ) -> None:
        """Lay out the driver's folder. What an interrupted launch left is replaced."""
        common = self._common
        work = folder / WORK
        shutil.rmtree(work, ignore_errors=True)
        for part in (folder, work, work / "tmp", work / "home", work / "scratch"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = os.open(folder / SECRET, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(secret, "w", encoding="ascii") as file:
            file.write(spec.secret)
        settings = work / "home" / ".config" / "pip" / "pip.conf"
        settings.parent.mkdir(mode=0o700, parents=True)
        settings.touch(mode=0o600)
        settings.write_text(pip_settings(os.environ), encoding="utf-8")
        root = common.lakehouses / spec.workspace / spec.lakehouse
        for name in ("Tables", "Files"):
            (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        write(
            folder / DRIVER_SPEC,
            DriverSpec(
                driver=spec.driver,
                repl=spec.repl,
                address_file=str(common.address_file),
                java=str(runtime.java),
                java_options=(
                    *java_options(common.memory, work / "tmp"),
                    *self._shared_classes(runtime),
                ),
                spark_home=str(runtime.spark_home),
                jars=tuple(map(str, runtime.jars)),
                conf=spark_conf(
                    master=common.master,
                    name=spec.name,
                    metastore_uri=metastore_uri,
                    scratch=work / "scratch",
                    lakehouses=common.lakehouses,
                    names=names_file(common.names, spec.submitter),
                    asked=spec.conf,
                ),
                lakehouse_root=str(root),
                show_lakehouse=common.show_lakehouse,
                database=spec.database,
                lease_seconds=common.lease_seconds,
                cancel_seconds=common.cancel_seconds,
                output_limit_bytes=common.output_limit_bytes,
                disk_reserve_bytes=common.disk_reserve_bytes,
                sql_row_limit=common.sql_row_limit,
            ),
        )

    async def tell_places(self, places: Sequence[NamedPlace]) -> None:
        """See the port."""
        await asyncio.to_thread(write_names, self._common.names, places)

    async def observe(self, driver: DriverId) -> Observation:
        """See the port."""
        kept = self._kept(driver)
        if not kept.was_launched():
            return Observation(Vital.ABSENT)
        if kept.keeper() is not None:
            return Observation(Vital.ALIVE)
        record = kept.exit()
        log = kept.log_tail(lines=_LOG_LINES)
        if record is None:
            return Observation(Vital.ENDED, DriverEnd(log=log))
        return Observation(
            Vital.ENDED,
            DriverEnd(code=record.code, signal=record.signal, oom=record.oom, log=log),
        )

    async def end(self, driver: DriverId) -> None:
        """See the port."""
        kept = self._kept(driver)
        await kept.end()
        await asyncio.to_thread(shutil.rmtree, kept.folder / WORK, ignore_errors=True)
        # They hold the caller's conf and the environment; the logs stay for people.
        for name in (SECRET, DRIVER_SPEC, KEEPER_SPEC):
            (kept.folder / name).unlink(missing_ok=True)

    async def remove(self, driver: DriverId) -> None:
        """See the port."""
        await self._kept(driver).remove()

    async def known(self) -> frozenset[DriverId]:
        """See the port."""
        if not self._common.drivers.is_dir():
            return frozenset()
        folders = await asyncio.to_thread(lambda: list(self._common.drivers.iterdir()))
        return frozenset(
            DriverId(folder.name)
            for folder in folders
            if (folder / WORK).exists() or self._kept(DriverId(folder.name)).keeper() is not None
        )

    async def log_tail(self, driver: DriverId) -> tuple[str, ...]:
        """See the port."""
        return self._kept(driver).log_tail(lines=_LOG_LINES)
