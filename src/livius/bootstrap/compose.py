"""All adapters, built from the settings and wired to one core."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
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
from livius.adapters.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.lakehouses import LocalLakehouses
from livius.adapters.launcher import LocalLaunch, LocalLauncher
from livius.adapters.links import LinkTable
from livius.adapters.listener import (
    Connections,
    raise_descriptor_limit,
    within_descriptors,
)
from livius.adapters.logs import FileDriverLogs
from livius.adapters.metastore import LocalMetastore
from livius.adapters.metrics import Metrics
from livius.adapters.notifications import LocalNotifications
from livius.adapters.os_users import OsUsers, PerPrincipalOsUsers, SharedOsUser
from livius.adapters.outputs import FileOutputs
from livius.adapters.spark_ui import HttpSparkUi
from livius.adapters.store import SqlStore, open_store
from livius.adapters.vaults import FileVaults, RemoteVaults
from livius.api import audit, driver, fabric, home
from livius.api import metrics as metrics_api
from livius.api.app import create_app
from livius.bootstrap.authority import trust_ourselves, trust_provider
from livius.bootstrap.gateway import Gateway
from livius.bootstrap.listeners import KEEP_ALIVE, listener
from livius.bootstrap.sample import Sample, copy_table, ensure_place, tenant_of
from livius.domain.identity import FABRIC
from livius.domain.ids import (
    DriverId,
    PrincipalId,
    SessionId,
    TenantId,
)
from livius.installation.agent import ensure_agent
from livius.installation.home import Connection, Home
from livius.installation.prepare import Prepared
from livius.ports.vaults import Vaults
from livius.reconcile.housekeeping import Housekeeping
from livius.reconcile.services import ServiceRunner
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
    """Return a gateway that is ready to serve, in a first run with the sample table."""
    settings, paths = prepared.settings, prepared.home
    clock = SystemClock()
    metrics = Metrics()
    service_runner = ServiceRunner(metrics.service_failed)
    connections = _connections(settings, metrics)
    transactions = open_store(paths.database, synchronous=settings.sqlite_synchronous)
    transactions.observe = metrics.transaction
    store = SqlStore(transactions, keep_audit=settings.audit_retention)
    tenant = tenant_of(paths)
    sample_app = await ensure_sample(paths.sample, store, clock)
    first_user = await ensure_first_user(paths.sample, store, clock)
    portal_secret = await ensure_own_applications(
        store, tenant, clock, portal=_portal_origins(prepared)
    )
    sample = await ensure_place(store, clock, (PrincipalId(sample_app.object_id), first_user.oid))
    numbers = settings.launch_numbers
    users: OsUsers = SharedOsUser() if numbers is None else PerPrincipalOsUsers(store, numbers)
    lakehouses = LocalLakehouses(paths.onelake, users)
    if first_run:
        await copy_table(lakehouses, sample)
    agent = ensure_agent(paths.root)
    runtime = prepared.launchable()
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
    links, outputs = (
        LinkTable(clock),
        FileOutputs(
            paths.outputs,
            # The drivers cut what they print before: at the whole reserve.
            reserve=settings.disk_reserve // 2,
        ),
    )
    notifications = LocalNotifications(most=settings.max_long_polls)
    conf_secrets: dict[DriverId, Mapping[str, str]] = {}
    reconciler = Reconciler(
        store=store,
        launcher=launcher,
        links=links,
        notifications=notifications,
        clock=clock,
        meter=metrics,
        timeouts=Timeouts(start=settings.start_timeout, redial=settings.redial_grace),
        conf_secrets=conf_secrets,
        started_at=clock.monotonic(),
    )
    queue = WorkQueue[SessionId](reconciler.step)
    capacity = MachineCapacity(
        max_drivers=settings.max_drivers,
        per_driver=settings.driver_memory_bytes,
        reserve=settings.memory_reserve,
        disk=paths.root,
        disk_reserve=settings.disk_reserve,
    )
    keys = KeyRing.open(paths.keys, clock)
    connection = _connection(prepared, tenant, sample_app, first_user, sample)
    own_vaults = FileVaults(paths.vaults, clock)
    throttle = AuditThrottle(store, clock)
    trust = (
        trust_provider(settings, settings.provider, store, clock)
        if settings.provider is not None
        else trust_ourselves(
            prepared,
            connection,
            tenant,
            store,
            keys,
            own_vaults,
            clock,
            throttle,
            portal_secret=portal_secret,
        )
    )
    context = Context(
        store=store,
        lakehouses=lakehouses,
        browser=LocalLakehouseBrowser(paths.onelake, users),
        outputs=outputs,
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
        vaults=_vaults(settings, own_vaults),
        throttle=throttle,
        livy_logs=LivyLogs(store),
        conf_secrets=conf_secrets,
        rules=Rules(
            default_runtime=settings.default_runtime,
            runtimes=frozenset({runtime.name}),
            idle_timeout=settings.idle_timeout,
            local=settings.spark_master.startswith("local"),
            driver_memory=settings.driver_memory,
            driver_cores=_local_cores(settings.spark_master),
            beat=_BEAT,
            inline_bytes=settings.output_inline,
            output_limit=settings.output_limit,
            long_poll=settings.long_poll,
            trusted=None
            if settings.trust_all_users or numbers is not None
            else frozenset({sample_app.object_id, first_user.oid, *settings.owners.split()}),
            owners=frozenset({first_user.oid, *settings.owners.split()}),
        ),
    )

    async def scrape() -> bytes:
        sessions, statements = await store.count_live()
        metrics.set_present(
            sessions=sessions,
            statements=statements,
            held=notifications.watched,
            links=len(links),
            connections=len(connections),
        )
        return metrics.text()

    portal_app = portal.Portal(
        context,
        _portal_facts(settings, connection, paths),
        portal_sessions=PortalSessions(store, clock, issuer=trust.issuer, present=trust.present),
        people=trust.people,
        tokens=trust.verifier,
        navigation=portal.NAVIGATION,
        read_certificate=read_certificate,
        links=trust.links,
    )
    app = create_app(
        BearerVerifier(trust.verifier, store, clock, present=trust.present),
        (
            fabric.router(context),
            driver.router(context),
            home.router(context, _facts(connection), lambda: service_runner.failing),
            metrics_api.router(scrape),
            audit.router(context),
            *trust.routers,
        ),
        version=__version__,
        observe=metrics.request_handled,
        refused=partial(note_refusal, context),
        mounts={portal.ROOT: portal.create_portal(portal_app)},
        addresses=_addresses(settings, connection),
        link_address=link_address(settings, connection),
    )
    paths.write_address(f"ws://{_LOOPBACK}:{prepared.ports.http}/driver/v1/attach")
    for key in await store.live_sessions():
        queue.wake(key)
    housekeeping = Housekeeping(
        store=store,
        outputs=outputs,
        launcher=launcher,
        clock=clock,
        wake=queue.wake,
        settle=throttle.settle,
        retention=settings.retention,
    )
    return Gateway(
        prepared=prepared,
        store=store,
        queue=queue,
        service_runner=service_runner,
        services=(
            ("queue", queue.run),
            *housekeeping.services(),
            ("metastore", metastore.run),
            ("loop watch", metrics.watch_loop),
            ("connections", connections.run),
            *trust.services,
        ),
        capacity=capacity,
        metastore=metastore,
        archive=archive,
        https=listener(
            app, settings.host, prepared.ports.https, prepared.certificates, connections
        ),
        http=listener(app, _LOOPBACK, prepared.ports.http, None, connections),
        notifications=notifications,
        throttle=throttle,
        streams=portal_app.streams,
        connection=connection,
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


def _connection(
    prepared: Prepared,
    tenant: TenantId,
    application: SampleApplication,
    first_user: FirstUser,
    sample: Sample,
) -> Connection:
    api = f"https://localhost:{prepared.ports.https}"
    provider = prepared.settings.provider
    embedded = provider is None
    has_sample = embedded and application.registered
    return Connection(
        api=api,
        http=f"http://localhost:{prepared.ports.http}",
        authority=f"{api}/{tenant}" if provider is None else provider.issuer,
        tenant_id=tenant if provider is None else provider.realm,
        # The sample application and the first user are known to the embedded authority alone.
        client_id=application.client_id if has_sample else None,
        client_secret=application.client_secret if has_sample else None,
        certificate_file=str(application.certificate_file) if has_sample else None,
        private_key_file=str(application.private_key_file) if has_sample else None,
        thumbprint=application.thumbprint if has_sample else None,
        username=first_user.username if embedded and first_user.password else None,
        password=first_user.password if embedded else None,
        workspace_id=sample.workspace.id,
        lakehouse_id=sample.lakehouse.id,
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
