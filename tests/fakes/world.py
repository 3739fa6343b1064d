"""A whole core over fakes: what unit tests of use cases and reconciler start from."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from fakes.clock import FakeClock
from fakes.store import new_store
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.metrics import Metrics
from livius.adapters.notifications import LocalNotifications
from livius.adapters.store import SqlStore
from livius.domain.driver import DriverEnd
from livius.domain.errors import Forbidden, LiviusError, NotFound
from livius.domain.ids import (
    DriverId,
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
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.tokens import Scope
from livius.ports.capacity import Capacity
from livius.ports.catalog import LakehouseAccess
from livius.ports.launcher import DriverState, LaunchSpec, Observation
from livius.ports.links import Link
from livius.ports.logs import LogFile, SparkPage
from livius.ports.outputs import Stream
from livius.reconcile.sessions import Reconciler, Timeouts
from livius.usecases.access import SessionPath
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.context import Context, Rules
from livius.usecases.livy_log import LivyLogs
from livius.usecases.statement_reads import StatementView
from livius.usecases.statements import may_submit, submit
from livius_agent.wire import FromGateway

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
        self, workspace: WorkspaceId, lakehouse: LakehouseId
    ) -> Sequence[LakehouseTable]:
        del workspace
        return sorted(self.present.get(lakehouse, []), key=lambda table: table.folder)

    async def remove(self, workspace: WorkspaceId, lakehouse: LakehouseId) -> None:
        del workspace
        self.present.pop(lakehouse, None)


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
class ScriptedLauncher:
    """Drivers that do what the test says."""

    alive: dict[DriverId, LaunchSpec] = field(default_factory=dict)
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

    def has_runtime(self, name: str) -> bool:
        return name == "2.0"

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

    async def page(self, ui_url: str, path: str, query: str, *, root: str) -> SparkPage:
        self.asked.append((ui_url, path, {"query": query, "root": root}))
        if path == "environment":
            return SparkPage(status=302, kind="text/plain", body=b"", leads_to="/jobs/")
        return SparkPage(status=200, kind="text/html", body=self.said.get(path, b"<p>Spark</p>"))

    async def get(self, ui_url: str, path: str, query: Mapping[str, str]) -> bytes:
        self.asked.append((ui_url, path, dict(query)))
        if path not in self.said:
            raise NotFound("SparkCoreItemNotFound", "Spark knows nothing of this.")
        return self.said[path]


@dataclass
class RoomForAll:
    """Room for any session, unless a test has a real capacity asked."""

    real: Capacity | None = None

    def admit(self, *, drivers: int, starting: int) -> None:
        if self.real is not None:
            self.real.admit(drivers=drivers, starting=starting)

    def check_disk(self) -> None:
        pass


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
    browser: LocalLakehouseBrowser = field(
        default_factory=lambda: LocalLakehouseBrowser(Path(os.devnull))
    )
    outputs: MemoryOutputs = field(default_factory=MemoryOutputs)
    links: FakeLinks = field(default_factory=FakeLinks)
    pages: ScriptedPages = field(default_factory=ScriptedPages)
    metrics: Metrics = field(default_factory=Metrics)
    tokens: FakeTokens = field(default_factory=FakeTokens)
    vaults: FakeVaults = field(default_factory=FakeVaults)
    room: RoomForAll = field(default_factory=RoomForAll)
    launcher: ScriptedLauncher = field(default_factory=ScriptedLauncher)
    notifications: LocalNotifications = field(default_factory=lambda: LocalNotifications(most=100))
    woken: list[SessionId] = field(default_factory=list)
    conf_secrets: dict[DriverId, Mapping[str, str]] = field(default_factory=dict)
    admin: Principal = field(default_factory=principal)

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
            browser=self.browser,
            outputs=self.outputs,
            links=self.links,
            logs=self.logs,
            pages=self.pages,
            meter=self.metrics,
            clock=self.clock,
            capacity=self.room,
            notifications=self.notifications,
            wake=self.woken.append,
            tokens=self.tokens,
            vaults=self.vaults,
            throttle=AuditThrottle(self.store, self.clock),
            livy_logs=LivyLogs(self.store),
            conf_secrets=self.conf_secrets,
            rules=Rules(
                default_runtime="2.0",
                runtimes=frozenset({"2.0"}),
                idle_timeout=timedelta(minutes=20),
                local=True,
                driver_memory="1g",
                driver_cores=2,
                beat=timedelta(seconds=5),
                inline_bytes=1024,
                output_limit=1024 * 1024,
                long_poll=timedelta(),
            ),
        )
        self.reconciler = self.restarted_reconciler()

    def restarted_reconciler(self) -> Reconciler:
        return Reconciler(
            store=self.store,
            launcher=self.launcher,
            links=self.links,
            notifications=self.notifications,
            clock=self.clock,
            meter=self.metrics,
            timeouts=Timeouts(start=timedelta(minutes=5), redial=timedelta(seconds=60)),
            conf_secrets=self.conf_secrets,
            started_at=self.clock.monotonic(),
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

    async def settle(self, session: SessionId, *, steps: int = 20) -> None:
        """Step until nothing more is wanted at once."""
        for _ in range(steps):
            delay = await self.reconciler.step(session)
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
