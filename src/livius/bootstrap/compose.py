"""All adapters, built from the settings and wired to one core."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
from livius.adapters.local.archives import ClassArchive
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.local.lakehouses import LocalLakehouses
from livius.adapters.local.launcher import LocalLaunch, LocalLauncher
from livius.adapters.local.metastore import LocalMetastore
from livius.adapters.local.os_users import OsUsers, PerPrincipalOsUsers, SharedOsUser
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
    SessionId,
    TenantId,
)
from livius.domain.tokens import FABRIC
from livius.installation.agent import ensure_agent
from livius.installation.home import Connection, Home
from livius.installation.prepare import Prepared
from livius.ports.vaults import Vaults
from livius.reconcile.housekeeping import Housekeeping
from livius.reconcile.services import Service, ServiceRunner
from livius.reconcile.sessions import Reconciler, Timeouts
from livius.reconcile.workqueue import WorkQueue
from livius.settings import Settings
from livius.usecases.audit import note_refusal
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.context import Context, Rules
from livius.usecases.livy_log import LivyLogs
from livius.usecases.personal_tokens import BearerVerifier
from livius.usecases.portal_sessions import PortalSessions

_LOOPBACK: Final = "127.0.0.1"
_BEAT: Final = timedelta(seconds=5)

_log = structlog.get_logger(__name__)


async def compose(prepared: Prepared, *, first_run: bool) -> Gateway:
    """Return a gateway that is ready to serve; a first run has the sample table."""
    settings, paths = prepared.settings, prepared.home
    clock, metrics = SystemClock(), Metrics()
    service_runner = ServiceRunner(metrics.service_failed)
    connections = _connections(settings, metrics)
    records = await _open_records(prepared, metrics, clock)
    machine = _machine(prepared, records.store)
    if first_run:
        await copy_table(machine.lakehouses, records.sample)
    connection = _connection(prepared, records)
    own_vaults = FileVaults(paths.vaults, clock)
    throttle = AuditThrottle(records.store, clock)
    trust = _trust(prepared, records, connection, own_vaults, clock, throttle)
    core = _core(
        prepared, records, machine, trust, _vaults(settings, own_vaults), throttle, metrics, clock
    )
    portal_app = _portal(prepared, core, trust, connection)
    app = create_app(
        BearerVerifier(trust.verifier, records.store, clock, present=trust.present),
        (
            fabric.router(core.context),
            driver.router(core.context),
            home.router(core.context, _facts(connection), lambda: service_runner.failing),
            metrics_api.router(partial(_scrape, core, connections, metrics)),
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
    for key in await records.store.live_sessions():
        core.queue.wake(key)
    return Gateway(
        prepared=prepared,
        store=records.store,
        queue=core.queue,
        service_runner=service_runner,
        services=_services(settings, core, machine, trust, connections, metrics),
        capacity=core.capacity,
        metastore=machine.metastore,
        archive=machine.archive,
        https=listener(
            app, settings.host, prepared.ports.https, prepared.certificates, connections
        ),
        http=listener(app, _LOOPBACK, prepared.ports.http, None, connections),
        notifications=core.notifications,
        throttle=throttle,
        streams=portal_app.streams,
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

    runtime: str
    users: OsUsers
    lakehouses: LocalLakehouses
    metastore: LocalMetastore
    archive: ClassArchive
    launcher: LocalLauncher


def _machine(prepared: Prepared, store: SqlStore) -> _Machine:
    settings, paths = prepared.settings, prepared.home
    numbers = settings.launch_numbers
    users: OsUsers = SharedOsUser() if numbers is None else PerPrincipalOsUsers(store, numbers)
    agent, runtime = ensure_agent(paths.root), prepared.launchable()
    metastore = LocalMetastore(
        paths.metastore,
        runtime,
        agent,
        lakehouses=paths.onelake,
        names=paths.names,
        users=users,
    )
    archive = prepared.class_archive()
    launcher = LocalLauncher(
        LocalLaunch(
            drivers=paths.drivers,
            lakehouses=paths.onelake,
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
            sql_row_limit=settings.sql_row_limit,
        ),
        {runtime.name: runtime},
        metastore.uri,
        lambda _: archive.options(),
    )
    return _Machine(
        runtime=runtime.name,
        users=users,
        lakehouses=LocalLakehouses(paths.onelake, users),
        metastore=metastore,
        archive=archive,
        launcher=launcher,
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
    queue: WorkQueue[SessionId]
    store: SqlStore
    links: LinkTable
    notifications: LocalNotifications
    capacity: MachineCapacity


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
    conf_secrets: dict[DriverId, Mapping[str, str]] = {}
    reconciler = Reconciler(
        store=store,
        launcher=machine.launcher,
        links=links,
        notifications=notifications,
        clock=clock,
        meter=metrics,
        timeouts=Timeouts(start=settings.start_timeout, redial=settings.redial_grace),
        conf_secrets=conf_secrets,
        started_at=clock.monotonic(),
    )
    queue = WorkQueue[SessionId](reconciler.step)
    capacity = _capacity(settings, paths)
    context = Context(
        store=store,
        lakehouses=machine.lakehouses,
        browser=LocalLakehouseBrowser(paths.onelake, machine.users),
        # Drivers cut their output earlier: at the whole reserve.
        outputs=FileOutputs(paths.outputs, reserve=settings.disk_reserve // 2),
        links=links,
        logs=FileDriverLogs(paths.drivers),
        pages=HttpSparkUi(),
        meter=metrics,
        clock=clock,
        capacity=capacity,
        notifications=notifications,
        wake=queue.wake,
        tokens=trust.tokens,
        directory=store if settings.provider is None else None,
        vaults=vaults,
        throttle=throttle,
        livy_logs=LivyLogs(store),
        conf_secrets=conf_secrets,
        rules=_rules(settings, records, machine.runtime),
    )
    return _Core(
        context=context,
        queue=queue,
        store=store,
        links=links,
        notifications=notifications,
        capacity=capacity,
    )


def _capacity(settings: Settings, paths: Home) -> MachineCapacity:
    return MachineCapacity(
        max_drivers=settings.max_drivers,
        per_driver=settings.driver_memory_bytes,
        reserve=settings.memory_reserve,
        disk=paths.root,
        disk_reserve=settings.disk_reserve,
    )


def _rules(settings: Settings, records: _Records, runtime: str) -> Rules:
    owners = frozenset({records.first_user.oid, *settings.owners.split()})
    all_may_run = settings.trust_all_users or settings.launch_numbers is not None
    return Rules(
        default_runtime=settings.default_runtime,
        runtimes=frozenset({runtime}),
        idle_timeout=settings.idle_timeout,
        local=settings.spark_master.startswith("local"),
        driver_memory=settings.driver_memory,
        driver_cores=_local_cores(settings.spark_master),
        beat=_BEAT,
        inline_bytes=settings.output_inline,
        output_limit=settings.output_limit,
        long_poll=settings.long_poll,
        trusted=None if all_may_run else owners | {records.application.object_id},
        owners=owners,
    )


def _portal(prepared: Prepared, core: _Core, trust: Trust, connection: Connection) -> portal.Portal:
    return portal.Portal(
        core.context,
        _portal_facts(prepared.settings, connection, prepared.home),
        portal_sessions=PortalSessions(
            core.store, core.context.clock, issuer=trust.issuer, present=trust.present
        ),
        people=trust.people,
        tokens=trust.verifier,
        navigation=portal.NAVIGATION,
        read_certificate=read_certificate,
        links=trust.links,
    )


async def _scrape(core: _Core, connections: Connections, metrics: Metrics) -> bytes:
    sessions, statements = await core.store.count_live()
    metrics.set_present(
        sessions=sessions,
        statements=statements,
        held=core.notifications.watched,
        links=len(core.links),
        connections=len(connections),
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
        launcher=machine.launcher,
        clock=core.context.clock,
        wake=core.queue.wake,
        settle=core.context.throttle.settle,
        retention=settings.retention,
    )
    return (
        ("queue", core.queue.run),
        *housekeeping.services(),
        ("metastore", machine.metastore.run),
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


def _local_cores(master: str) -> int | None:
    """Return how many cores a local master uses; None where Spark runs elsewhere."""
    found = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", master)
    if found is None:
        return None
    if found[1] == "*":
        return len(os.sched_getaffinity(0))
    return int(found[1] or 1)


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
        application=portal.OwnApplication(
            client_id=connection.client_id,
            private_key_file=connection.private_key_file or "",
            thumbprint=connection.thumbprint or "",
        )
        if connection.client_id
        else None,
    )
