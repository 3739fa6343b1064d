"""A whole core over fakes: what unit tests of use cases and reconciler start from."""

import asyncio
import dataclasses
import io
import os
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from fakes.clock import FakeClock
from fakes.store import new_store
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.local.lakehouse_edits import LocalLakehouseEdits
from livius.adapters.local.lakehouse_uploads import LocalLakehouseUploads
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.runtimes import conf_defaults
from livius.adapters.local.table_claims import TableClaims
from livius.adapters.metrics import Metrics
from livius.adapters.notifications import LocalNotifications
from livius.adapters.store import SqlStore
from livius.domain.contents import View
from livius.domain.driver import Driver, DriverEnd
from livius.domain.environment import EnvironmentVersion, Library
from livius.domain.errors import Forbidden, LiviusError, NotFound, Unavailable
from livius.domain.ids import (
    DriverId,
    EnvironmentId,
    EnvironmentVersionId,
    LakehouseId,
    PrincipalId,
    ReplId,
    SessionId,
    StatementNumber,
    TenantId,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import Lakehouse, LakehouseTable, Role, RoleAssignment, Workspace
from livius.domain.operation import OperationKind
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.tokens import Scope
from livius.ports.capacity import Capacity, Occupancy
from livius.ports.catalog import LakehouseAccess
from livius.ports.environments import Log, Progress
from livius.ports.history import EventLog, Opening
from livius.ports.launcher import Binding, DriverState, LaunchSpec, Observation
from livius.ports.links import Link
from livius.ports.logs import LogFile, SparkAddress, SparkPage
from livius.ports.outputs import Stream
from livius.ports.runtimes import ConfDefaults
from livius.reconcile.drivers import DriverReconciler, Timeouts
from livius.reconcile.housekeeping import Housekeeping
from livius.reconcile.operations import OperationReconciler
from livius.reconcile.publishing import Publishing
from livius.reconcile.runtimes import RuntimeBuilds
from livius.reconcile.sessions import SessionSteps
from livius.usecases.access import SessionPath
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.context import Context, Rules
from livius.usecases.livy_log import LivyLogs
from livius.usecases.statement_reads import StatementView
from livius.usecases.statements import may_submit, submit
from livius_agent.wire import Bind, FromGateway

Key = tuple[SessionId, ReplId, StatementNumber]


class MemoryOutputs:
    """Output streams in memory. Held to the same contract tests as the files."""

    def __init__(self) -> None:
        self._streams: dict[tuple[Key, Stream], bytes] = {}

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
        key = ((session, repl, number), stream)
        present, end = self._streams.get(key, b""), offset + len(data)
        if len(present) >= most:
            return max(len(present), end)
        if offset > len(present) or end <= len(present):
            return len(present)
        present += data[len(present) - offset :]
        if end > most:
            present = present[:most].decode(errors="ignore").encode()
            present += f"\n[output cut: the limit is {most} bytes]\n".encode()
        self._streams[key] = present
        return end

    async def size(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        stream: Stream = "text",
    ) -> int:
        return len(self._streams.get(((session, repl, number), stream), b""))

    async def read(
        self,
        session: SessionId,
        repl: ReplId,
        number: StatementNumber,
        *,
        offset: int = 0,
        size: int | None = None,
    ) -> bytes:
        stream = self._streams.get(((session, repl, number), "text"), b"")
        return stream[offset : None if size is None else offset + size]

    async def write_data(
        self, session: SessionId, repl: ReplId, number: StatementNumber, data: bytes
    ) -> None:
        self._streams[(session, repl, number), "data"] = data

    async def read_data(self, session: SessionId, repl: ReplId, number: StatementNumber) -> bytes:
        return self._streams.get(((session, repl, number), "data"), b"")

    async def remove(self, session: SessionId) -> None:
        for key in [key for key in self._streams if key[0][0] == session]:
            del self._streams[key]


@dataclass
class MemoryLakehouses:
    """Lakehouses whose tables are what the test says."""

    present: dict[LakehouseId, list[LakehouseTable]] = field(default_factory=dict)

    async def create(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        del workspace
        self.present.setdefault(lakehouse, [])

    async def tables(
        self, workspace: WorkspaceId, lakehouse: LakehouseId, *, has_schemas: bool
    ) -> Sequence[LakehouseTable]:
        del workspace
        found = self.present.get(lakehouse, [])
        assert all((table.schema is not None) == has_schemas for table in found)
        return sorted(found, key=lambda table: table.name)

    async def schemas(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> Sequence[str]:
        del workspace
        return sorted({table.schema or "" for table in self.present.get(lakehouse, [])})

    async def remove(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        del workspace
        self.present.pop(lakehouse, None)


@dataclass
class MemoryMetastore:
    """Views, and the tables that were forgotten; silent if the test says so."""

    known: dict[str, View] = field(default_factory=dict)
    registered: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    is_silent: bool = False

    async def views(self, lakehouse: Lakehouse) -> Sequence[str]:
        del lakehouse
        self._answer()
        return sorted(self.known)

    async def view(self, lakehouse: Lakehouse, name: str) -> View:
        del lakehouse
        self._answer()
        if name not in self.known:
            raise NotFound("ViewNotFound", f"There is no view {name}.")
        return self.known[name]

    async def register(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        del lakehouse
        self._answer()
        self.registered.append(table.name)

    async def forget(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        del lakehouse
        self._answer()
        self.forgotten.append(table.name)

    def _answer(self) -> None:
        if self.is_silent:
            raise Unavailable("MetastoreUnavailable", "The metastore does not answer now.")


@dataclass
class MemoryEnvironments:
    """Custom libraries in memory, and versions that the test lets become complete."""

    files: dict[EnvironmentId, dict[str, bytes]] = field(default_factory=dict)
    versions: dict[EnvironmentVersionId, EnvironmentId] = field(default_factory=dict)
    packages: Sequence[Library] = ()
    error: LiviusError | None = None
    gate: asyncio.Event | None = None

    async def staged(self, environment: EnvironmentId) -> Sequence[str]:
        return sorted(self.files.get(environment, {}))

    async def stage(
        self, environment: EnvironmentId, name: str, content: AsyncIterator[bytes]
    ) -> None:
        whole = b"".join([piece async for piece in content])
        self.files.setdefault(environment, {})[name] = whole

    async def unstage(self, environment: EnvironmentId, name: str) -> bool:
        return self.files.get(environment, {}).pop(name, None) is not None

    async def discard_staged(self, environment: EnvironmentId) -> None:
        self.files.pop(environment, None)

    async def build(
        self, version: EnvironmentVersion, *, log: Log, progress: Progress
    ) -> Sequence[Library]:
        log("Resolving.")
        await progress(40)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.versions[version.id] = version.environment
        return self.packages

    async def discard(self, environment: EnvironmentId, version: EnvironmentVersionId) -> None:
        del environment
        self.versions.pop(version, None)

    async def known(self) -> frozenset[tuple[EnvironmentId, EnvironmentVersionId | None]]:
        staged = {(environment, None) for environment in self.files}
        return frozenset({*staged, *((of, one) for one, of in self.versions.items())})


@dataclass
class FakeTokens:
    """Gives a token for each audience that a scope of the same name opens."""

    issued: list[tuple[Principal, str]] = field(default_factory=list)

    brought: list[tuple[SessionId, Principal, str]] = field(default_factory=list)

    def offer(self, session: SessionId, caller: Principal, token: str) -> None:
        self.brought.append((session, caller, token))

    async def issue(self, session: SessionId, principal: Principal, audience: str) -> str:
        del session
        if audience not in principal.scopes:
            raise Forbidden("InsufficientScopes", f"The scope {audience} is missing.")
        self.issued.append((principal, audience))
        return f"token for {audience}"


@dataclass
class FakeVaults:
    """Vaults in a dictionary."""

    kept: dict[tuple[str, str], str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)

    async def secret(self, vault: str, name: str, *, token: str) -> str:
        self.tokens.append(token)
        if (vault, name) not in self.kept:
            raise NotFound("SecretNotFound", f"There is no {name} in {vault}.")
        return self.kept[vault, name]


@dataclass
class FakeLinks:
    """Links that remember what was sent."""

    open: set[DriverId] = field(default_factory=set)
    sent: list[FromGateway] = field(default_factory=list)
    last: dict[DriverId, float] = field(default_factory=dict)

    def admits(self, driver: DriverId) -> bool:
        del driver
        return True

    def add(self, driver: DriverId, link: Link) -> object:
        self.open.discard(driver)
        return link

    def opened(self, driver: DriverId, token: object) -> None:
        del token
        self.open.add(driver)

    def heard(self, driver: DriverId) -> None:
        self.last[driver] = 0.0

    def drop(self, driver: DriverId, token: object) -> None:
        del token
        self.open.discard(driver)

    def send(self, driver: DriverId, message: FromGateway) -> bool:
        if driver in self.open:
            self.sent.append(message)
        return driver in self.open

    def is_open(self, driver: DriverId) -> bool:
        return driver in self.open

    def last_heard(self, driver: DriverId) -> float | None:
        return self.last.get(driver)

    def close(self, driver: DriverId) -> None:
        self.open.discard(driver)

    def forget(self, driver: DriverId) -> None:
        self.open.discard(driver)
        self.last.pop(driver, None)


@dataclass
class ScriptedRuntimes:
    """2.0 is built; 1.3 is built when the test says so, or fails."""

    built: set[str] = field(default_factory=lambda: {"2.0"})
    steps: dict[str, str] = field(default_factory=dict)
    refuse: LiviusError | None = None
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    def names(self) -> frozenset[str]:
        return frozenset({"1.3", "2.0"})

    def is_built(self, name: str) -> bool:
        return name in self.built

    def step(self, name: str) -> str | None:
        return self.steps.get(name)

    def defaults(self, name: str) -> ConfDefaults:
        return conf_defaults(name, local=True)

    async def build(self, name: str) -> None:
        self.steps[name] = "Downloading"
        await self.may_end.wait()
        del self.steps[name]
        if self.refuse is not None:
            raise self.refuse
        self.built.add(name)


@dataclass
class ScriptedLauncher:
    """Drivers that do what the test says."""

    alive: dict[DriverId, LaunchSpec] = field(default_factory=dict)
    bound: dict[DriverId, Binding] = field(default_factory=dict)
    ended: dict[DriverId, DriverEnd] = field(default_factory=dict)
    refuse: LiviusError | None = None
    places: list[LakehouseAccess] = field(default_factory=list)
    launches: int = 0

    async def launch(self, spec: LaunchSpec) -> None:
        if self.refuse is not None:
            raise self.refuse
        if spec.driver not in self.alive:
            self.launches += 1
            self.alive[spec.driver] = spec

    async def bind(self, driver: DriverId, binding: Binding) -> Bind:
        self.bound[driver] = binding
        return Bind(
            lakehouse_root=f"/onelake/{binding.lakehouse}",
            database=binding.database,
            names="/names.tsv",
            name=binding.name,
            conf=binding.conf,
        )

    async def publish_lakehouse_index(self, places: Sequence[LakehouseAccess]) -> None:
        self.places = list(places)

    async def observe(self, driver: DriverId) -> Observation:
        if driver in self.alive:
            return Observation(DriverState.ALIVE)
        if driver in self.ended:
            return Observation(DriverState.ENDED, self.ended[driver])
        return Observation(DriverState.ABSENT)

    async def end(self, driver: DriverId) -> None:
        if self.alive.pop(driver, None) is not None:
            self.ended[driver] = DriverEnd(signal=15)

    async def remove(self, driver: DriverId) -> None:
        self.ended.pop(driver, None)

    async def known(self) -> frozenset[DriverId]:
        return frozenset(self.alive)

    async def log_tail(self, driver: DriverId) -> tuple[str, ...]:
        return ("the last line",) if driver in self.alive else ()

    def die(self, driver: DriverId, end: DriverEnd) -> None:
        del self.alive[driver]
        self.ended[driver] = end


@dataclass
class MemoryLogs:
    """Logs that are what the test says."""

    clock: FakeClock
    printed: dict[tuple[DriverId, str], bytes] = field(default_factory=dict)

    async def files(self, driver: DriverId) -> Sequence[LogFile]:
        now = self.clock.now()
        return [
            LogFile(name=name, size=len(text), created_at=now, changed_at=now)
            for (owner, name), text in sorted(self.printed.items())
            if owner == driver
        ]

    async def read(self, driver: DriverId, name: str, *, offset: int, size: int) -> bytes:
        return self.printed.get((driver, name), b"")[offset : offset + size]


@dataclass
class ScriptedPages:
    """Pages of Spark that say what the test says; ``asked`` is what they were asked."""

    said: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    async def page(self, at: SparkAddress, path: str, query: str, *, root: str) -> SparkPage:
        self.asked.append((at.url, path, {"query": query, "root": root}))
        if path == "environment":
            return SparkPage(status=302, kind="text/plain", body=b"", leads_to="/jobs/")
        return SparkPage(status=200, kind="text/html", body=self.said.get(path, b"<p>Spark</p>"))

    async def get(self, at: SparkAddress, path: str, query: Mapping[str, str]) -> bytes:
        whole = f"{at.application}/{path}" if path else at.application
        self.asked.append((at.url, whole, dict(query)))
        if whole not in self.said:
            raise NotFound("SparkCoreItemNotFound", "Spark knows nothing of this.")
        return self.said[whole]


@dataclass
class ScriptedHistory:
    """Event logs and a History Server as the test has them."""

    logs: dict[DriverId, EventLog] = field(default_factory=dict)
    state: Opening = Opening.READY
    url: str = "http://127.0.0.1:18080"

    async def find(self, driver: DriverId) -> EventLog | None:
        return self.logs.get(driver)

    async def zipped(self, driver: DriverId, name: str) -> BinaryIO | None:
        if driver not in self.logs:
            return None
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr(f"{name}.zstd", b"events")
        whole.seek(0)
        return whole

    def opening(self) -> Opening:
        return self.state

    def begin(self) -> None:
        if self.state is Opening.ABSENT:
            self.state = Opening.STARTING

    async def open(self, driver: DriverId) -> SparkAddress:
        if driver not in self.logs:
            raise NotFound("SparkCoreItemNotFound", "The session has ended without an event log.")
        if self.state is not Opening.READY:
            raise Unavailable("SparkHistoryUnavailable", "Spark's History Server is starting.")
        return SparkAddress(url=self.url, application=driver, token="proof")


@dataclass
class RoomForAll:
    """Room for any session, unless a test has a real capacity asked."""

    real: Capacity | None = None

    def admit(self, found: Occupancy) -> None:
        if self.real is not None:
            self.real.admit(found)

    def has_room(self, *, more: int, starting: int) -> bool:
        return self.real is None or self.real.has_room(more=more, starting=starting)

    def check_disk(self) -> None:
        if self.real is not None:
            self.real.check_disk()


def principal(name: str = "Ada", oid: str | None = None) -> Principal:
    return Principal(
        tenant=TenantId(new_id()),
        oid=oid or new_id(),
        kind=PrincipalKind.USER,
        name=name,
        client_id=None,
        scopes=frozenset(Scope),
        roles=frozenset(),
        issuer="https://localhost/test",
        subject=name,
    )


@dataclass
class World:
    """One workspace with one lakehouse, its admin, and a core to call."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: SqlStore = field(default_factory=new_store)
    lakehouses: MemoryLakehouses = field(default_factory=MemoryLakehouses)
    environments: MemoryEnvironments = field(default_factory=MemoryEnvironments)
    browser: LocalLakehouseBrowser = field(
        default_factory=lambda: LocalLakehouseBrowser(Path(os.devnull))
    )
    uploads: LocalLakehouseUploads = field(
        default_factory=lambda: LocalLakehouseUploads(
            Path(os.devnull), Path(os.devnull), SharedOsUser()
        )
    )
    edits: LocalLakehouseEdits = field(
        default_factory=lambda: LocalLakehouseEdits(
            Path(os.devnull), Path(os.devnull), SharedOsUser(), TableClaims()
        )
    )
    metastore: MemoryMetastore = field(default_factory=MemoryMetastore)
    outputs: MemoryOutputs = field(default_factory=MemoryOutputs)
    links: FakeLinks = field(default_factory=FakeLinks)
    pages: ScriptedPages = field(default_factory=ScriptedPages)
    history: ScriptedHistory = field(default_factory=ScriptedHistory)
    metrics: Metrics = field(default_factory=Metrics)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    vaults: FakeVaults = field(default_factory=FakeVaults)
    room: RoomForAll = field(default_factory=RoomForAll)
    launcher: ScriptedLauncher = field(default_factory=ScriptedLauncher)
    runtimes: ScriptedRuntimes = field(default_factory=ScriptedRuntimes)
    notifications: LocalNotifications = field(default_factory=lambda: LocalNotifications(most=100))
    woken: list[DriverId] = field(default_factory=list)
    room_made: Callable[[], None] = lambda: None
    pool_driver_ended: Callable[[Driver], None] = lambda _: None
    conf_secrets: dict[SessionId, Mapping[str, str]] = field(default_factory=dict)
    admin: Principal = field(default_factory=principal)
    queue: int = 0

    def __post_init__(self) -> None:
        now = self.clock.now()
        self.logs = MemoryLogs(self.clock)
        self.workspace = Workspace(id=WorkspaceId(new_id()), name="Research", created_at=now)
        self.lakehouse = Lakehouse(
            id=LakehouseId(new_id()),
            workspace=self.workspace.id,
            name="Bronze",
            database="bronze",
            created_at=now,
        )
        self.context = Context(
            store=self.store,
            lakehouses=self.lakehouses,
            environments=self.environments,
            browser=self.browser,
            uploads=self.uploads,
            edits=self.edits,
            metastore=self.metastore,
            outputs=self.outputs,
            links=self.links,
            logs=self.logs,
            pages=self.pages,
            event_logs=self.history,
            history=self.history,
            meter=self.metrics,
            clock=self.clock,
            capacity=self.room,
            notifications=self.notifications,
            wake=self.woken.append,
            tokens=self.tokens,
            vaults=self.vaults,
            runtimes=self.runtimes,
            throttle=AuditThrottle(self.store, self.clock),
            livy_logs=LivyLogs(self.store),
            conf_secrets=self.conf_secrets,
            rules=Rules(
                default_runtime="2.0",
                idle_timeout=timedelta(minutes=20),
                local=True,
                driver_memory="1g",
                driver_cores=2,
                beat=timedelta(seconds=5),
                inline_bytes=1024,
                output_limit=1024 * 1024,
                long_poll=timedelta(),
                queue=self.queue,
            ),
        )
        self.builds = RuntimeBuilds(
            runtimes=self.runtimes,
            store=self.store,
            notifications=self.notifications,
            wake=self.woken.append,
        )
        self.reconciler = self.restarted_reconciler()

    def restarted_reconciler(self) -> DriverReconciler:
        return DriverReconciler(
            store=self.store,
            launcher=self.launcher,
            links=self.links,
            clock=self.clock,
            timeouts=Timeouts(start=timedelta(minutes=5), redial=timedelta(seconds=60)),
            sessions=SessionSteps(
                store=self.store,
                notifications=self.notifications,
                meter=self.metrics,
                conf_secrets=self.conf_secrets,
            ),
            builds=self.builds,
            started_at=self.clock.monotonic(),
            wake=self.woken.append,
            room_made=self.room_made,
            pool_driver_ended=self.pool_driver_ended,
        )

    def housekeeping(self, retention: timedelta = timedelta(days=30)) -> Housekeeping:
        return Housekeeping(
            store=self.store,
            outputs=self.outputs,
            environments=self.environments,
            launcher=self.launcher,
            clock=self.clock,
            wake=self.woken.append,
            settle=self.context.throttle.settle,
            retention=retention,
        )

    async def begin(self) -> "World":
        await self.store.add_workspace(self.workspace, PrincipalId(self.admin.oid))
        await self.store.add_lakehouse(self.lakehouse)
        return self

    async def member(self, role: Role) -> Principal:
        found = principal(name=f"a {role}")
        await self.store.assign_role(
            RoleAssignment(workspace=self.workspace.id, principal=PrincipalId(found.oid), role=role)
        )
        return found

    async def step(self, session: SessionId) -> float | None:
        """Take the next step of a session's driver."""
        found = await self.store.session(session)
        return None if found is None else await self.reconciler.step(found.driver)

    async def settle(self, session: SessionId, *, steps: int = 20) -> None:
        """Step until nothing more is wanted at once."""
        for _ in range(steps):
            delay = await self.step(session)
            if delay is None or delay > 0:
                return
        raise AssertionError("the session never settles")

    @property
    def place(self) -> tuple[str, str]:
        return self.workspace.id, self.lakehouse.id

    def path(self, session: SessionId) -> SessionPath:
        return SessionPath(*self.place, session)


def with_rules(world: World, **changes: object) -> Context:
    return dataclasses.replace(
        world.context,
        rules=dataclasses.replace(world.context.rules, **changes),  # type: ignore[arg-type]
    )


async def submit_statement(
    context: Context,
    caller: Principal,
    path: SessionPath,
    *,
    code: str,
    kind: str | None,
    source_id: str | None,
) -> StatementView:
    """The API's handling of a statement that came whole."""
    session = await may_submit(context, caller, path)
    return await submit(context, caller, session, code=code, kind=kind, source_id=source_id)


def publisher(world: World) -> OperationReconciler:
    """What runs the publishes of environments."""
    publishing = Publishing(
        store=world.store,
        files=world.environments,
        runtimes=world.runtimes,
        clock=world.clock,
        deadline=timedelta(seconds=20),
    )
    return OperationReconciler(
        store=world.store,
        clock=world.clock,
        notifications=world.notifications,
        runners={OperationKind.PUBLISH_ENVIRONMENT: publishing.runner()},
        every=0.05,
    )
