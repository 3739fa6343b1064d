"""Drivers as processes of this machine, each with a supervisor and a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from livius import __version__
from livius.adapters.local.environments import library_paths
from livius.adapters.local.lakehouse_index import index_file, write_lakehouse_index
from livius.adapters.local.lakehouses import lakehouse_folder, lay_lakehouse
from livius.adapters.local.os_users import OsUser, OsUsers, give, share
from livius.adapters.local.pip_settings import pip_settings
from livius.adapters.local.runtimes import PATIENT_COMPILER, Runtime, java_options, spark_conf
from livius.adapters.local.sizes import bounded_heap, bounded_master
from livius.adapters.local.supervised import SupervisedProcess, SupervisorFailed, clean_environment
from livius.domain.digests import hash_drawn
from livius.domain.driver import DriverEnd
from livius.domain.environment import EnvironmentVersion
from livius.domain.errors import Unavailable
from livius.domain.ids import DriverId
from livius.ports.catalog import LakehouseAccess
from livius.ports.launcher import Binding, DriverState, LaunchSpec, Observation
from livius_agent.spec import (
    DRIVER_SPEC,
    EVENT_LOG,
    LIBRARIES,
    ROOT,
    SECRET,
    STDERR,
    STDOUT,
    SUPERVISOR_SPEC,
    WORK,
    DriverSpec,
    SupervisorSpec,
    python_path,
    write,
)
from livius_agent.wire import Bind

_LOG_LINES: Final = 100
_UNBOUND: Final = "Livius"
_IN_WORK: Final = ("tmp", "home", "home/.config", "home/.config/pip", "scratch")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLaunch:
    """The settings of all drivers on this machine.

    ``drivers`` has their folders, ``lakehouses`` the data, ``environments`` the libraries,
    ``names`` the lakehouse index, ``users`` the OS users; ``agent`` is the folder that contains the
    agent's package, ``address_file`` has the address of the gateway. ``memory`` is the JVM's heap,
    ``java_options`` are the operator's; ``show_lakehouse`` asks for `livius_agent.mount`. Without
    ``event_log_limit`` there is no event log.
    """

    drivers: Path
    lakehouses: Path
    environments: Path
    names: Path
    agent: Path
    address_file: Path
    users: OsUsers
    master: str
    memory: str
    java_options: tuple[str, ...]
    show_lakehouse: bool
    lease_seconds: float
    cancel_seconds: float
    output_limit_bytes: int
    disk_reserve_bytes: int
    event_log_limit: int
    sql_row_limit: int


class LocalLauncher:
    """Implements `livius.ports.launcher.Launcher`. The handle of a driver is its folder.

    ``default`` is the runtime whose Python runs the supervisors; the starter pool has it too.
    ``runtime`` returns a built runtime by its name. ``metastore`` returns the metastore's address
    once it answers, ``shared_classes`` Java's options for a runtime's class archive as it is at
    that moment.
    """

    def __init__(
        self,
        common: LocalLaunch,
        default: Runtime,
        runtime: Callable[[str], Runtime],
        metastore: Callable[[], Awaitable[str]],
        shared_classes: Callable[[Runtime], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self._common = common
        self._default = default
        self._runtime = runtime
        self._metastore = metastore
        self._shared_classes = shared_classes
        self._present: set[DriverId] = set()
        self._has_looked = False

    def fingerprint(self, builds: str) -> str:
        """Return a digest of all that drivers of the pool have and can't change.

        ``builds`` stands for the builds of all runtimes.
        """
        common = {
            entry.name: str(getattr(self._common, entry.name))
            for entry in fields(self._common)
            if entry.name != "users"
        }
        parts = [__version__, common, str(self._default), builds]
        return hash_drawn(json.dumps(parts, sort_keys=True))

    def _process(self, driver: DriverId) -> SupervisedProcess:
        common = self._common
        return SupervisedProcess(common.drivers / driver, self._default.python, common.agent)

    async def launch(self, spec: LaunchSpec) -> None:
        """See the port."""
        if await asyncio.to_thread(self._process(spec.driver).supervisor) is not None:
            return
        runtime = self._runtime(spec.runtime)
        self._present.add(spec.driver)
        folder = self._common.drivers / spec.driver
        metastore_uri = await self._metastore()
        root, user = None, None
        if spec.binding is not None:
            root = await self._lay(spec.binding)
            user = await self._common.users.principal(
                spec.binding.submitter, spec.binding.workspaces
            )
        work = folder / WORK
        python, jars = await asyncio.to_thread(self._libraries, spec.environment)
        await asyncio.to_thread(
            self._prepare, spec, runtime, folder, root, metastore_uri, user, jars
        )
        home, temporary = str(work / "home"), str(work / "tmp")
        supervisor = SupervisorSpec(
            command=(str(runtime.python), "-s", "-P", "-m", "livius_agent", str(folder)),
            env=clean_environment(
                {
                    "HOME": home,
                    "TMPDIR": temporary,
                    "JAVA_HOME": str(runtime.java.parent.parent),
                    "SPARK_HOME": str(runtime.spark_home),
                    "PYTHONPATH": python_path(self._common.agent),
                    "PYTHONNOUSERSITE": "1",
                    LIBRARIES: os.pathsep.join(map(str, python)),
                }
            ),
            cwd=str(work),
            remove=(str(work), str(folder / ROOT)),
            user=None if user is None else user.number,
            groups=() if user is None else tuple(user.groups),
            shows_lakehouse=self._common.show_lakehouse,
            lakehouse=None if root is None else str(root),
            waits=root is None,
        )
        try:
            await self._process(spec.driver).launch(supervisor)
        except SupervisorFailed as error:
            await self.end(spec.driver)
            raise Unavailable("DriverLaunchFailed", f"The driver did not start. {error}") from error

    def _libraries(
        self, version: EnvironmentVersion | None
    ) -> tuple[Sequence[Path], Sequence[Path]]:
        """Return where Python finds the libraries of an environment, and its jars."""
        if version is None:
            return (), ()
        return library_paths(self._common.environments / version.environment / version.id)

    async def _lay(self, binding: Binding) -> Path:
        """Make the session's lakehouse, where folders of it are missing; return where it is."""
        root = lakehouse_folder(self._common.lakehouses, binding.workspace, binding.lakehouse)
        group = await self._common.users.workspace(binding.workspace)
        await asyncio.to_thread(lay_lakehouse, root, group)
        return root

    async def bind(self, driver: DriverId, binding: Binding) -> Bind:
        """See the port. Not for drivers that run as users of their own."""
        root = await self._lay(binding)
        await self._process(driver).claim(root)
        return Bind(
            lakehouse_root=str(root),
            database=binding.database,
            names=str(index_file(self._common.names, binding.submitter)),
            name=binding.name,
            conf=binding.conf,
        )

    def _prepare(
        self,
        spec: LaunchSpec,
        runtime: Runtime,
        folder: Path,
        root: Path | None,
        metastore_uri: str,
        user: OsUser | None,
        jars: Sequence[Path],
    ) -> None:
        """Make the driver's folder. Files of an interrupted launch are replaced."""
        common, binding = self._common, spec.binding
        work = folder / WORK
        shutil.rmtree(work, ignore_errors=True)
        log = folder / EVENT_LOG
        _make_folders(folder, folder / ROOT, work, log, *(work / name for name in _IN_WORK))
        _write(work / SECRET, spec.secret)
        _write(work / "home" / ".config" / "pip" / "pip.conf", pip_settings(os.environ))
        write(
            folder / DRIVER_SPEC,
            DriverSpec(
                driver=spec.driver,
                repl=spec.repl,
                address_file=str(common.address_file),
                java=str(runtime.java),
                java_options=(
                    *PATIENT_COMPILER,
                    *common.java_options,
                    *java_options(bounded_heap(common.memory, spec.memory_mb), work / "tmp"),
                    *self._shared_classes(runtime),
                ),
                spark_home=str(runtime.spark_home),
                # Behind the runtime's, which the class archive is of.
                jars=tuple(map(str, (*runtime.jars, *jars))),
                conf=self._conf(spec, folder, metastore_uri, user, jars),
                lakehouse_root=None if root is None else str(root),
                database="" if binding is None else binding.database,
                lease_seconds=common.lease_seconds,
                cancel_seconds=common.cancel_seconds,
                output_limit_bytes=common.output_limit_bytes,
                disk_reserve_bytes=common.disk_reserve_bytes,
                sql_row_limit=common.sql_row_limit,
            ),
        )
        for name in (STDOUT, STDERR):
            (folder / name).touch(mode=0o600)
            share(folder / name, user, 0o640)
        share(folder / DRIVER_SPEC, user, 0o640)
        share(folder, user, 0o710)
        # The folders last: until then no other user can write into them.
        for path in (*sorted(work.rglob("*")), work, log):
            give(path, user)

    def _conf(
        self,
        spec: LaunchSpec,
        folder: Path,
        metastore_uri: str,
        user: OsUser | None,
        jars: Sequence[Path],
    ) -> Mapping[str, str]:
        common, binding = self._common, spec.binding
        asked: Mapping[str, str] = {}
        if binding is not None:
            asked = binding.conf
        elif spec.environment is not None:
            local = common.master.startswith("local")
            asked = spec.environment.compute.decided_conf(local=local).conf
        return spark_conf(
            master=bounded_master(common.master, spec.cores),
            name=_UNBOUND if binding is None else binding.name,
            metastore_uri=metastore_uri,
            scratch=folder / WORK / "scratch",
            lakehouses=common.lakehouses,
            names=None if binding is None else index_file(common.names, binding.submitter),
            asked=asked,
            event_log=folder / EVENT_LOG if common.event_log_limit else None,
            event_log_limit=common.event_log_limit,
            apart=user is not None,
            jars=jars,
        )

    async def publish_lakehouse_index(self, places: Sequence[LakehouseAccess]) -> None:
        """See the port."""
        users = self._common.users
        principals = {place.principal for place in places}
        readers = {one: await users.principal(one) for one in principals}
        await asyncio.to_thread(
            write_lakehouse_index, self._common.names, places, readers, await users.metastore()
        )

    async def observe(self, driver: DriverId) -> Observation:
        """See the port."""
        return await asyncio.to_thread(_observe, self._process(driver))

    async def end(self, driver: DriverId) -> None:
        """See the port."""
        process = self._process(driver)
        await process.end()
        await asyncio.to_thread(_clear, process.folder)
        self._present.discard(driver)

    async def remove(self, driver: DriverId) -> None:
        """See the port."""
        await self._process(driver).remove()

    async def known(self) -> frozenset[DriverId]:
        """See the port. What earlier gateways left is looked for once: all else is our doing."""
        if not self._has_looked:
            self._present |= await asyncio.to_thread(self._left)
            self._has_looked = True
        return frozenset(self._present)

    def _left(self) -> set[DriverId]:
        """Return the drivers that have a process, or a work folder, which holds secrets."""
        drivers = self._common.drivers
        folders = list(drivers.iterdir()) if drivers.is_dir() else []
        return {
            DriverId(folder.name)
            for folder in folders
            if (folder / WORK).exists()
            or self._process(DriverId(folder.name)).supervisor() is not None
        }

    async def log_tail(self, driver: DriverId) -> tuple[str, ...]:
        """See the port."""
        return await asyncio.to_thread(self._process(driver).log_tail, lines=_LOG_LINES)


def _observe(process: SupervisedProcess) -> Observation:
    if not process.was_launched():
        return Observation(DriverState.ABSENT)
    if process.supervisor() is not None:
        return Observation(DriverState.ALIVE)
    record = process.exit()
    log = process.log_tail(lines=_LOG_LINES)
    if record is None:
        return Observation(DriverState.ENDED, DriverEnd(log=log))
    return Observation(
        DriverState.ENDED,
        DriverEnd(code=record.code, signal=record.signal, oom=record.oom, log=log),
    )


def _clear(folder: Path) -> None:
    """Remove the files that only a running driver needs. The logs stay."""
    for name in (WORK, ROOT):
        shutil.rmtree(folder / name, ignore_errors=True)
    # They contain the caller's conf and the environment.
    for name in (DRIVER_SPEC, SUPERVISOR_SPEC):
        (folder / name).unlink(missing_ok=True)


def _make_folders(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, text: str) -> None:
    """Write a new file that its owner alone can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
