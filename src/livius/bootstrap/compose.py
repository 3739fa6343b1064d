"""All adapters, built from the settings and wired to one core."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import structlog

from livius import __version__, portal
from livius.adapters.capacity import MachineCapacity
from livius.adapters.clock import SystemClock
from livius.adapters.identity.certificates import read_certificate
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.sample import (
    FirstUser,
    SampleApplication,
    ensure_first_user,
    ensure_own_applications,
    ensure_sample,
)
from livius.adapters.links import LinkTable
from livius.adapters.listener import (
    Connections,
    raise_descriptor_limit,
    within_descriptors,
)
from livius.adapters.local.archives import ClassArchives
from livius.adapters.local.built_runtimes import LocalRuntimes
from livius.adapters.local.environments import LocalEnvironments
from livius.adapters.local.event_logs import FileEventLogs
from livius.adapters.local.history_server import LocalHistoryServer
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.local.lakehouse_edits import LocalLakehouseEdits
from livius.adapters.local.lakehouse_uploads import LocalLakehouseUploads
from livius.adapters.local.lakehouses import LocalLakehouses
from livius.adapters.local.launcher import LocalLaunch, LocalLauncher
from livius.adapters.local.metastore import LocalMetastore
from livius.adapters.local.metastore_client import MetastoreClient
from livius.adapters.local.os_users import OsUsers, PerPrincipalOsUsers, SharedOsUser
from livius.adapters.local.python_packages import PythonPackages
from livius.adapters.local.sizes import local_cores
from livius.adapters.local.table_claims import TableClaims
from livius.adapters.local.table_loads import LocalTableLoads
from livius.adapters.logs import FileDriverLogs
from livius.adapters.metrics import Metrics
from livius.adapters.notifications import LocalNotifications
from livius.adapters.outputs import FileOutputs
from livius.adapters.spark_ui import HttpSparkUi
from livius.adapters.store import SqlStore, open_store
from livius.adapters.vaults import FileVaults, RemoteVaults
from livius.api import audit, driver, fabric, home
from livius.api import metrics as metrics_api
from livius.api.app import create_app
from livius.bootstrap.authority import Trust, trust_ourselves, trust_provider
from livius.bootstrap.gateway import Gateway
from livius.bootstrap.listeners import KEEP_ALIVE, listener
from livius.bootstrap.sample import Sample, copy_table, ensure_place, tenant_of
from livius.domain.ids import (
    DriverId,
    PrincipalId,
    TenantId,
)
from livius.domain.operation import OperationKind
from livius.domain.spark_pool import Compute, mebibytes
from livius.domain.tokens import FABRIC
from livius.event_streams import EventStreams
from livius.installation.agent import ensure_agent
from livius.installation.home import Connection, Home
from livius.installation.prepare import Prepared, class_archive, find_runtime
from livius.installation.recipes import recipe_names
from livius.installation.runtime import builds_digest
from livius.ports.vaults import Vaults
from livius.reconcile.drivers import DriverReconciler, Timeouts
from livius.reconcile.housekeeping import Housekeeping
from livius.reconcile.loading import Loading
from livius.reconcile.operations import OperationReconciler
from livius.reconcile.pool import WarmPools
from livius.reconcile.publishing import Publishing
from livius.reconcile.queue import SessionQueue
from livius.reconcile.runtimes import RuntimeBuilds
from livius.reconcile.services import Service, ServiceRunner
from livius.reconcile.sessions import SessionSteps
from livius.reconcile.workqueue import WorkQueue
from livius.settings import Settings
from livius.usecases.audit import note_refusal
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.context import Context, Rules
from livius.usecases.livy_log import LivyLogs
from livius.usecases.personal_tokens import BearerVerifier
from livius.usecases.portal_sessions import PortalSessions
from livius.usecases.queue import count_queued

_LOOPBACK: Final = "127.0.0.1"
_BEAT: Final = timedelta(seconds=5)
_BUILD: Final = (sys.executable, "-m", "livius.cli", "runtime", "build")

_log = structlog.get_logger(__name__)


async def compose(prepared: Prepared, *, first_run: bool) -> Gateway:
    """Return a gateway that is ready to serve; a first run has the sample table."""
    settings, paths = prepared.settings, prepared.home
    clock, metrics = SystemClock(), Metrics()
    service_runner = ServiceRunner(metrics.service_failed)
    connections = _connections(settings, metrics)
    records = await _open_records(prepared, metrics, clock)
    machine = _machine(prepared, records.store)
    sample = records.sample
    await machine.lakehouses.create(sample.workspace.id, sample.lakehouse.id)
    if first_run:
        await copy_table(machine.lakehouses, sample)
    connection = _connection(prepared, records)
    own_vaults = FileVaults(paths.vaults, clock)
    throttle = AuditThrottle(records.store, clock)
    trust = _trust(prepared, records, connection, own_vaults, clock, throttle)
    core = _core(
        prepared, records, machine, trust, _vaults(settings, own_vaults), throttle, metrics, clock
    )
    streams = EventStreams()
    portal_app = _portal(prepared, core, trust, connection, streams)
    app = create_app(
        BearerVerifier(trust.verifier, records.store, clock, present=trust.present),
        (
            fabric.router(core.context, streams),
            driver.router(core.context),
            home.router(core.context, _facts(connection), lambda: service_runner.failing),
            metrics_api.router(partial(_scrape, core, connections, streams, metrics)),
            audit.router(core.context),
            *trust.routers,
        ),
        version=__version__,
        observe=metrics.request_handled,
        refused=partial(note_refusal, core.context),
        mounts={portal.ROOT: portal.create_portal(portal_app)},
        addresses=_addresses(settings, connection),
        link_address=link_address(settings, connection),
    )
    paths.write_address(f"ws://{_LOOPBACK}:{prepared.ports.http}/driver/v1/attach")
    for live in await records.store.live_drivers():
        core.queue.wake(live.id)
    return Gateway(
        prepared=prepared,
        store=records.store,
        queue=core.queue,
        service_runner=service_runner,
        services=_services(settings, core, machine, trust, connections, metrics),
        capacity=machine.capacity,
        metastore=machine.metastore,
        archives=machine.archives,
        https=listener(
            app, settings.host, prepared.ports.https, prepared.certificates, connections
        ),
        http=listener(app, _LOOPBACK, prepared.ports.http, None, connections),
        notifications=core.notifications,
        throttle=throttle,
        connection=connection,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Records:
    """The store, and an installation's first records."""

    store: SqlStore
    tenant: TenantId
    application: SampleApplication
    first_user: FirstUser
    portal_secret: str
    sample: Sample


async def _open_records(prepared: Prepared, metrics: Metrics, clock: SystemClock) -> _Records:
    settings, paths = prepared.settings, prepared.home
    transactions = open_store(paths.database, synchronous=settings.sqlite_synchronous)
    transactions.observe = metrics.transaction
    store = SqlStore(transactions, keep_audit=settings.audit_retention)
    tenant = tenant_of(paths)
    application = await ensure_sample(paths.sample, store, clock)
    first_user = await ensure_first_user(paths.sample, store, clock)
    portal_secret = await ensure_own_applications(
        store, tenant, clock, portal=_portal_origins(prepared)
    )
    sample = await ensure_place(store, clock, (PrincipalId(application.object_id), first_user.oid))
    return _Records(
        store=store,
        tenant=tenant,
        application=application,
        first_user=first_user,
        portal_secret=portal_secret,
        sample=sample,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """The adapters that start processes, and the files of these."""

    users: OsUsers
    lakehouses: LocalLakehouses
    metastore: LocalMetastore
    metastore_client: MetastoreClient
    runtimes: LocalRuntimes
    archives: ClassArchives
    launcher: LocalLauncher
    environments: LocalEnvironments
    capacity: MachineCapacity
    event_logs: FileEventLogs
    history: LocalHistoryServer
    table_loads: LocalTableLoads
    edits: LocalLakehouseEdits


def _machine(prepared: Prepared, store: SqlStore) -> _Machine:
    settings, paths = prepared.settings, prepared.home
    numbers = settings.launch_numbers
    users: OsUsers = SharedOsUser() if numbers is None else PerPrincipalOsUsers(store, numbers)
    agent = ensure_agent(paths.root)
    metastore = LocalMetastore(
        paths.metastore,
        prepared.metastore_runtime,
        agent,
        lakehouses=paths.onelake,
        names=paths.names,
        users=users,
    )
    archives = ClassArchives(partial(class_archive, settings))
    runtimes = LocalRuntimes(
        recipe_names(),
        partial(find_runtime, settings),
        lambda name: (*_BUILD, name, "--no-archive"),
        built=archives.add,
        local=settings.spark_master.startswith("local"),
    )
    runtimes.add(prepared.runtime)
    archives.add(prepared.runtime)
    capacity = _capacity(settings, paths)
    event_logs = FileEventLogs(paths.drivers, limit=settings.event_log_limit)
    launcher = LocalLauncher(
        _launch(settings, paths, agent, users),
        prepared.runtime,
        runtimes.__getitem__,
        metastore.uri,
        archives.options,
    )
    claims = TableClaims()
    return _Machine(
        users=users,
        lakehouses=LocalLakehouses(paths.onelake, users),
        metastore=metastore,
        metastore_client=MetastoreClient(metastore.port, paths.onelake, apart=numbers is not None),
        runtimes=runtimes,
        archives=archives,
        launcher=launcher,
        table_loads=LocalTableLoads(
            paths.onelake, paths.root / "loads", apart=numbers is not None, claims=claims
        ),
        edits=_edits(paths, users, claims),
        environments=_environments(settings, paths, users, runtimes),
        capacity=capacity,
        event_logs=event_logs,
        history=LocalHistoryServer(
            paths.history,
            prepared.metastore_runtime,  # the newest one reads the logs of all
            agent,
            event_logs,
            users,
            check_room=capacity.check_history_server,
            shared_classes=partial(archives.options, prepared.metastore_runtime),
        ),
    )


def _launch(settings: Settings, paths: Home, agent: Path, users: OsUsers) -> LocalLaunch:
    return LocalLaunch(
        drivers=paths.drivers,
        lakehouses=paths.onelake,
        environments=paths.environments,
        names=paths.names,
        agent=agent,
        address_file=paths.address_file,
        users=users,
        master=settings.spark_master,
        memory=settings.driver_memory,
        java_options=tuple(shlex.split(settings.driver_java_options)),
        show_lakehouse=settings.show_lakehouse,
        lease_seconds=settings.lease.total_seconds(),
        cancel_seconds=settings.cancel_grace.total_seconds(),
        output_limit_bytes=settings.output_limit,
        disk_reserve_bytes=settings.disk_reserve,
        event_log_limit=settings.event_log_limit,
        sql_row_limit=settings.sql_row_limit,
    )


def _trust(
    prepared: Prepared,
    records: _Records,
    connection: Connection,
    own_vaults: FileVaults,
    clock: SystemClock,
    throttle: AuditThrottle,
) -> Trust:
    # Made in any case, so that an installation can return to its own authority.
    keys = KeyRing.open(prepared.home.keys, clock)
    if (provider := prepared.settings.provider) is not None:
        return trust_provider(prepared.settings, provider, records.store, clock)
    return trust_ourselves(
        prepared,
        connection,
        records.tenant,
        records.store,
        keys,
        own_vaults,
        clock,
        throttle,
        portal_secret=records.portal_secret,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """The use cases' context with the queue of the reconciler, and adapters by their own types."""

    context: Context
    queue: WorkQueue[DriverId]
    pool: WarmPools
    operations: OperationReconciler
    waiting: SessionQueue
    builds: RuntimeBuilds
    store: SqlStore
    links: LinkTable
    notifications: LocalNotifications


def _core(
    prepared: Prepared,
    records: _Records,
    machine: _Machine,
    trust: Trust,
    vaults: Vaults,
    throttle: AuditThrottle,
    metrics: Metrics,
    clock: SystemClock,
) -> _Core:
    settings, paths, store = prepared.settings, prepared.home, records.store
    links, notifications = LinkTable(clock), LocalNotifications(most=settings.max_long_polls)
    queue = WorkQueue[DriverId](lambda key: reconciler.step(key))  # noqa: PLW0108 - made below
    pool = _pool(settings, machine, store, queue)
    waiting = _waiting(store, machine.capacity, notifications, queue)
    operations = _operations(settings, store, machine, clock, notifications)
    context = Context(
        store=store,
        lakehouses=machine.lakehouses,
        environments=machine.environments,
        browser=LocalLakehouseBrowser(paths.onelake, machine.users),
        uploads=_uploads(paths, machine),
        edits=machine.edits,
        metastore=machine.metastore_client,
        outputs=_outputs(settings, paths),
        links=links,
        logs=FileDriverLogs(paths.drivers),
        pages=HttpSparkUi(),
        event_logs=machine.event_logs,
        history=machine.history,
        meter=metrics,
        clock=clock,
        capacity=machine.capacity,
        notifications=notifications,
        wake=queue.wake,
        wake_operations=operations.wake,
        runtimes=machine.runtimes,
        tokens=trust.tokens,
        directory=store if settings.provider is None else None,
        vaults=vaults,
        throttle=throttle,
        livy_logs=LivyLogs(store),
        conf_secrets={},
        pool=pool.state,
        environment_drivers=pool.environments_state,
        rules=_rules(settings, records, pool),
    )
    builds = _builds(context)
    reconciler = _reconciler(settings, machine, context, pool, waiting, builds)
    return _Core(
        context=context,
        queue=queue,
        pool=pool,
        operations=operations,
        waiting=waiting,
        builds=builds,
        store=store,
        links=links,
        notifications=notifications,
    )


def _waiting(
    store: SqlStore,
    capacity: MachineCapacity,
    notifications: LocalNotifications,
    queue: WorkQueue[DriverId],
) -> SessionQueue:
    return SessionQueue(
        store=store,
        capacity=capacity,
        clock=SystemClock(),
        notifications=notifications,
        wake=queue.wake,
    )


def _builds(context: Context) -> RuntimeBuilds:
    return RuntimeBuilds(
        runtimes=context.runtimes,
        store=context.store,
        notifications=context.notifications,
        wake=context.wake,
    )


def _environments(
    settings: Settings, paths: Home, users: OsUsers, runtimes: LocalRuntimes
) -> LocalEnvironments:
    environments = LocalEnvironments(
        folder=paths.environments,
        users=users,
        packages=PythonPackages(python_of=lambda name: runtimes[name].python),
        reserve=settings.disk_reserve,
    )
    environments.remove_unfinished()
    return environments


def _edits(paths: Home, users: OsUsers, claims: TableClaims) -> LocalLakehouseEdits:
    edits = LocalLakehouseEdits(paths.onelake, paths.root / "removed", users, claims)
    edits.delete_removed()
    return edits


def _outputs(settings: Settings, paths: Home) -> FileOutputs:
    # Drivers cut their output earlier: at the whole reserve.
    return FileOutputs(paths.outputs, reserve=settings.disk_reserve // 2)


def _uploads(paths: Home, machine: _Machine) -> LocalLakehouseUploads:
    uploads = LocalLakehouseUploads(paths.onelake, paths.uploads, machine.users)
    uploads.remove_unfinished()
    return uploads


def _operations(
    settings: Settings,
    store: SqlStore,
    machine: _Machine,
    clock: SystemClock,
    notifications: LocalNotifications,
) -> OperationReconciler:
    """Return what runs operations, with the work of each kind."""
    machine.table_loads.remove_unfinished()
    loading = Loading(
        store=store,
        loads=machine.table_loads,
        metastore=machine.metastore_client,
        capacity=machine.capacity,
    )
    publishing = Publishing(
        store=store,
        files=machine.environments,
        runtimes=machine.runtimes,
        clock=clock,
        deadline=settings.publish_timeout,
    )
    return OperationReconciler(
        store=store,
        clock=clock,
        notifications=notifications,
        runners={
            OperationKind.PUBLISH_ENVIRONMENT: publishing.runner(),
            OperationKind.LOAD_TABLE: loading.runner(),
        },
    )


def _pool(
    settings: Settings,
    machine: _Machine,
    store: SqlStore,
    queue: WorkQueue[DriverId],
) -> WarmPools:
    apart = settings.launch_numbers is not None
    cores = local_cores(settings.spark_master)
    return WarmPools(
        store=store,
        capacity=machine.capacity,
        clock=SystemClock(),
        # A driver that runs as its user from the start can't be another user's.
        size=0 if apart else settings.pool_size,
        environments=0 if apart else settings.environment_pool_size,
        runtime=settings.default_runtime,
        fingerprint=machine.launcher.fingerprint(builds_digest(settings.runtimes_folder)),
        compute=None if cores is None else Compute(cores, mebibytes(settings.driver_memory)),
        wake=queue.wake,
    )


def _reconciler(
    settings: Settings,
    machine: _Machine,
    context: Context,
    pool: WarmPools,
    waiting: SessionQueue,
    builds: RuntimeBuilds,
) -> DriverReconciler:
    return DriverReconciler(
        store=context.store,
        launcher=machine.launcher,
        links=context.links,
        clock=context.clock,
        timeouts=Timeouts(start=settings.start_timeout, redial=settings.redial_grace),
        sessions=SessionSteps(
            store=context.store,
            notifications=context.notifications,
            meter=context.meter,
            conf_secrets=context.conf_secrets,
        ),
        builds=builds,
        started_at=context.clock.monotonic(),
        wake=context.wake,
        room_made=waiting.room_made,
        pool_driver_ended=pool.driver_ended,
    )


def _capacity(settings: Settings, paths: Home) -> MachineCapacity:
    return MachineCapacity(
        max_drivers=settings.max_drivers,
        per_driver=settings.driver_memory_bytes,
        reserve=settings.memory_reserve,
        disk=paths.root,
        disk_reserve=settings.disk_reserve,
    )


def _rules(settings: Settings, records: _Records, pool: WarmPools) -> Rules:
    owners = frozenset({records.first_user.oid, *settings.owners.split()})
    apart = settings.launch_numbers is not None
    all_may_run = settings.trust_all_users or apart
    return Rules(
        default_runtime=settings.default_runtime,
        idle_timeout=settings.idle_timeout,
        local=settings.spark_master.startswith("local"),
        driver_memory=settings.driver_memory,
        driver_cores=local_cores(settings.spark_master),
        beat=_BEAT,
        inline_bytes=settings.output_inline,
        output_limit=settings.output_limit,
        long_poll=settings.long_poll,
        pool=pool.fingerprint if pool.size else None,
        environment_drivers=pool.fingerprint if pool.environments else None,
        queue=settings.queue_size,
        trusted=None if all_may_run else owners | {records.application.object_id},
        owners=owners,
        apart=apart,
    )


def _portal(
    prepared: Prepared, core: _Core, trust: Trust, connection: Connection, streams: EventStreams
) -> portal.Portal:
    return portal.Portal(
        core.context,
        _portal_facts(prepared.settings, connection, prepared.home),
        portal_sessions=PortalSessions(
            core.store, core.context.clock, issuer=trust.issuer, present=trust.present
        ),
        streams=streams,
        people=trust.people,
        tokens=trust.verifier,
        navigation=portal.NAVIGATION,
        read_certificate=read_certificate,
        links=trust.links,
    )


async def _scrape(
    core: _Core, connections: Connections, streams: EventStreams, metrics: Metrics
) -> bytes:
    sessions, statements = await core.store.count_live()
    metrics.set_present(
        sessions=sessions,
        statements=statements,
        held=core.notifications.watched,
        links=len(core.links),
        connections=len(connections),
        pool=await core.pool.state(),
        environment_drivers=await core.pool.environments_state(),
        streams=streams.open,
        queued=await count_queued(core.context),
    )
    return metrics.text()


def _services(
    settings: Settings,
    core: _Core,
    machine: _Machine,
    trust: Trust,
    connections: Connections,
    metrics: Metrics,
) -> Sequence[Service]:
    """Return what runs as long as the gateway does, by its name."""
    housekeeping = Housekeeping(
        store=core.store,
        outputs=core.context.outputs,
        environments=machine.environments,
        launcher=machine.launcher,
        clock=core.context.clock,
        wake=core.queue.wake,
        settle=core.context.throttle.settle,
        retention=settings.retention,
    )
    return (
        ("queue", core.queue.run),
        ("warm pools", core.pool.run),
        ("session queue", core.waiting.run),
        ("runtime builds", core.builds.run),
        ("operations", core.operations.run),
        *housekeeping.services(),
        ("metastore", machine.metastore.run),
        ("history server", machine.history.run),
        ("loop watch", metrics.watch_loop),
        ("connections", connections.run),
        *trust.services,
    )


def _connections(settings: Settings, metrics: Metrics) -> Connections:
    """Return the limits of both listeners, within what the system lets this process open."""
    descriptors = raise_descriptor_limit()
    most = within_descriptors(settings.max_connections, descriptors)
    if most < settings.max_connections:
        _log.warning("connections_limited", most=most, descriptors=descriptors)
    return Connections(
        most=most,
        most_of_peer=settings.max_connections_per_address,
        patience=settings.request_timeout.total_seconds(),
        keep_alive=KEEP_ALIVE,
        dropped=metrics.connection_dropped,
    )


def _vaults(settings: Settings, own: FileVaults) -> Vaults:
    """Return the vaults that sessions ask."""
    if settings.vault_url is None:
        return own
    return RemoteVaults(settings.vault_url, httpx.AsyncClient)


def _portal_origins(prepared: Prepared) -> tuple[str, ...]:
    """Return where browsers find the portal, with its ports."""
    elsewhere = prepared.settings.portal_url
    return (
        *(
            f"{scheme}://{host}:{port}"
            for scheme, port in (("http", prepared.ports.http), ("https", prepared.ports.https))
            for host in ("localhost", _LOOPBACK)
        ),
        *(() if elsewhere is None else (elsewhere,)),
    )


def _connection(prepared: Prepared, records: _Records) -> Connection:
    application, first_user = records.application, records.first_user
    api = f"https://localhost:{prepared.ports.https}"
    provider = prepared.settings.provider
    embedded = provider is None
    has_sample = embedded and application.registered
    return Connection(
        api=api,
        http=f"http://localhost:{prepared.ports.http}",
        authority=f"{api}/{records.tenant}" if provider is None else provider.issuer,
        tenant_id=records.tenant if provider is None else provider.realm,
        # Only the embedded authority has the sample application and the first user.
        client_id=application.client_id if has_sample else None,
        client_secret=application.client_secret if has_sample else None,
        certificate_file=str(application.certificate_file) if has_sample else None,
        private_key_file=str(application.private_key_file) if has_sample else None,
        thumbprint=application.thumbprint if has_sample else None,
        username=first_user.username if embedded and first_user.password else None,
        password=first_user.password if embedded else None,
        workspace_id=records.sample.workspace.id,
        lakehouse_id=records.sample.lakehouse.id,
        ca_file=str(prepared.certificates.ca_file),
        pid=os.getpid(),
    )


def _addresses(settings: Settings, connection: Connection) -> Sequence[str]:
    """Return the addresses that the gateway is known under."""
    ours = (settings.portal_url, connection.api, connection.http, FABRIC)
    return [one.rstrip("/").lower() for one in ours if one is not None]


def link_address(settings: Settings, connection: Connection) -> str | None:
    """Return the address for links to anybody; beyond loopback, localhost is another machine."""
    if settings.portal_url is not None:
        return settings.portal_url.lower()
    return connection.api if settings.on_loopback else None


def _facts(connection: Connection) -> home.Facts:
    return home.Facts(
        version=__version__,
        api=connection.api,
        authority=connection.authority,
    )


def _portal_facts(settings: Settings, connection: Connection, paths: Home) -> portal.Facts:
    return portal.Facts(
        version=__version__,
        api=connection.api,
        http=connection.http,
        authority=connection.authority,
        tenant_id=connection.tenant_id,
        ca_file=connection.ca_file,
        portal=settings.portal_url,
        first_query=f"{sys.executable} {paths.first_query_file}",
        command=shlex.join(
            (
                "env",
                f"LIVIUS_HOME={paths.first_query_file.parent}",
                str(Path(sys.executable).with_name("livius")),
            )
        ),
        application=portal.OwnApplication(
            client_id=connection.client_id,
            private_key_file=connection.private_key_file or "",
            thumbprint=connection.thumbprint or "",
        )
        if connection.client_id
        else None,
    )
