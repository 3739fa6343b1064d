"""The composition root: builds the adapters, wires the core, owns every task of the gateway.

Order of a start: store, identity, recovery, listeners, ``connection.json``. Order of an end:
drivers (unless they are to go on), metastore, listeners, store. A service that dies ends the
process with an error, because a gateway whose loops are dead must not go on answering.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import httpx
import structlog
import uvicorn
from fastapi import APIRouter

import livius_agent.wire
from livius import __version__, portal
from livius.adapters.archives import ClassArchive
from livius.adapters.capacity import MachineCapacity
from livius.adapters.changes import LocalChanges
from livius.adapters.clock import SystemClock
from livius.adapters.contents import LocalContents
from livius.adapters.identity.assertions import JwtAssertions
from livius.adapters.identity.certificates import read_certificate
from livius.adapters.identity.delegations import Delegations
from livius.adapters.identity.external import ExternalVerifier
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.people import HttpPeoplesAuthority, NobodySignsIn
from livius.adapters.identity.provider_client import Credential, ProviderClient, read_credential
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.adapters.identity.sample import (
    FirstUser,
    SampleApplication,
    ensure_first_user,
    ensure_own_applications,
    ensure_sample,
    portal_client_id,
)
from livius.adapters.identity.session_tokens import (
    EmbeddedSessionTokens,
    OwnApplication,
    ProviderSessionTokens,
)
from livius.adapters.identity.used import FileUsedAssertions
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.adapters.lakehouses import LocalLakehouses
from livius.adapters.launcher import LocalLaunch, LocalLauncher
from livius.adapters.links import LinkTable
from livius.adapters.logs import FileDriverLogs
from livius.adapters.metastore import LocalMetastore
from livius.adapters.metrics import Metrics
from livius.adapters.outputs import FileOutputs
from livius.adapters.spark_pages import HttpSparkPages
from livius.adapters.store import SqlStore, open_store
from livius.adapters.users import OneUser, OwnUsers, Users
from livius.adapters.vaults import FileVaults, RemoteVaults
from livius.api import audit, authority, driver, fabric, home, vault
from livius.api import metrics as metrics_api
from livius.api.app import create_app
from livius.domain.audit import Action
from livius.domain.endpoints import Endpoints
from livius.domain.identity import FABRIC, Address, Principal, Realm
from livius.domain.ids import (
    LakehouseId,
    PrincipalId,
    SessionId,
    TenantId,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import (
    Lakehouse,
    Role,
    RoleAssignment,
    Workspace,
    database_name,
)
from livius.domain.led import ENTRA, is_led
from livius.domain.provider import Provider
from livius.domain.session import EndCause
from livius.domain.vault import RESOURCE as KEY_VAULT
from livius.installation.agent import ensure_agent
from livius.installation.certificates import Certificates
from livius.installation.home import Connection, Home
from livius.installation.prepare import Prepared
from livius.installation.progress import SetupFailed
from livius.ports.clock import Clock
from livius.ports.identity import SessionTokens, TokenVerifier
from livius.ports.people import PeoplesAuthority
from livius.ports.store import Store
from livius.ports.vaults import Vaults
from livius.reconcile.loops import Housekeeping
from livius.reconcile.sessions import Patience, Reconciler
from livius.reconcile.workqueue import WorkQueue
from livius.settings import Settings
from livius.usecases.audit import note_refusal
from livius.usecases.context import Context, Rules
from livius.usecases.identity.authority import Authority
from livius.usecases.personal_tokens import BearerVerifier
from livius.usecases.trail import Trail, act, present_actor

_LOOPBACK: Final = "127.0.0.1"
_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"}) | ENTRA
_DOMAIN: Final = "livius.localhost"
_BEAT: Final = timedelta(seconds=5)
_SESSIONS_END_WITHIN: Final = 12.0
_LISTENERS_END_WITHIN: Final = 2
_IDLE_CONNECTIONS_LIVE: Final = 75
"""Seconds. Clients sleep five, ten or thirty between questions; a connection that is closed just
when one of them asks again fails its request."""
_SAMPLE_NAME: Final = "sample"

_log = structlog.get_logger(__name__)


Services = tuple[tuple[str, Callable[[], Coroutine[Any, Any, None]]], ...]
"""Names, and what runs as long as the gateway does."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The workspace and lakehouse that every installation begins with."""

    workspace: Workspace
    lakehouse: Lakehouse


class _Stop(Exception):
    """The orderly end of the task group."""


async def serve(prepared: Prepared, *, keep_drivers: bool) -> None:
    """Serve until SIGTERM or SIGINT.

    ``keep_drivers`` leaves drivers and metastore running for the next start to adopt.
    """
    gateway = await _compose(prepared)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as group:
            for name, service in (
                ("queue", gateway.queue.run()),
                ("housekeeping", gateway.housekeeping.run()),
                ("metastore", gateway.metastore.run()),
                ("loop watch", gateway.metrics.watch_loop()),
                ("https", gateway.https.serve()),
                ("http", gateway.http.serve()),
            ):
                group.create_task(service, name=name)
            for name, run in gateway.services:
                group.create_task(run(), name=name)
            await gateway.announce()
            if prepared.settings.launch_numbers is None:
                # It runs Spark as ourselves, which is nothing to have beside others' drivers.
                group.create_task(gateway.archive.run(), name="class archive")
            await stop.wait()
            await gateway.end(keep_drivers=keep_drivers)
            raise _Stop  # noqa: TRY301 - a task group ends by an error and by nothing else
    except* _Stop:
        _log.info("gateway_stopped")
    finally:
        prepared.home.connection_file.unlink(missing_ok=True)
        gateway.store.close()


class _Server(uvicorn.Server):
    """A listener whose signals are the gateway's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gateway:
    prepared: Prepared
    store: SqlStore
    queue: WorkQueue[SessionId]
    housekeeping: Housekeeping
    metastore: LocalMetastore
    archive: ClassArchive
    https: _Server
    http: _Server
    changes: LocalChanges
    trail: Trail
    metrics: Metrics
    streams: portal.Streams
    services: Services
    connection: Connection

    async def announce(self) -> None:
        """Say that we serve, once we do."""
        while not (self.https.started and self.http.started):
            await asyncio.sleep(0.01)
        self.prepared.home.write_connection(self.connection)
        _log.info("gateway_serving", api=self.connection.api, http=self.connection.http)

    async def end(self, *, keep_drivers: bool) -> None:
        """End what we started, and write down what that was."""
        drivers, metastore = 0, False
        if not keep_drivers:
            drivers = await self._end_sessions()
            metastore = await self.metastore.end()
        self.streams.close()
        self.changes.close()
        await self.trail.settle(everything=True)
        for server in (self.https, self.http):
            server.should_exit = True
        self.prepared.home.last_shutdown_file.write_text(
            json.dumps({"drivers": drivers, "metastore": metastore}), encoding="utf-8"
        )

    async def _end_sessions(self) -> int:
        """Want every session ended and wait until all are; return how many there were."""
        live = await self.store.live_sessions()
        for key in live:
            await self.store.want_stop(
                key,
                end_cause=EndCause.GATEWAY_SHUTDOWN,
                end_reason="The gateway was shut down.",
            )
            self.queue.wake(key)
        try:
            async with asyncio.timeout(_SESSIONS_END_WITHIN):
                while await self.store.live_sessions():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            _log.warning("sessions_still_ending", left=len(await self.store.live_sessions()))
        return len(live)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trust:
    """Whose tokens count, and what is served because of it.

    ``people`` is where the portal signs people in.
    ``services`` run as long as the gateway does: what is known of another authority is kept fresh.
    """

    verifier: TokenVerifier
    tokens: SessionTokens
    routers: tuple[APIRouter, ...]
    people: PeoplesAuthority
    services: Services = ()


def _trust_provider(
    settings: Settings, provider: Provider, store: SqlStore, clock: Clock
) -> _Trust:
    keys = ProviderKeys(provider, clock)
    credential = _credential(settings)
    own = None
    if credential is not None and not credential.is_public:
        client = ProviderClient(credential, keys.endpoints, clock)

        async def acts_for(session: SessionId) -> Principal | None:
            found = await store.session(session)
            return found.acts_for if found is not None and found.accepts_statements else None

        own = OwnApplication(
            client=client,
            delegations=Delegations(provider, client, clock, acts_for),
            audiences=frozenset(settings.authority_application_audiences.split()),
        )
    verifier = ExternalVerifier(provider, keys, clock)
    missing, scope = settings.missing_for_portal, settings.sign_in_scope
    people: PeoplesAuthority = NobodySignsIn(missing)
    if credential is not None and scope is not None:
        people = HttpPeoplesAuthority(
            client=ProviderClient(credential, keys.endpoints, clock),
            known=keys.known_endpoints,
            id_tokens=verifier,
            scope=scope,
            issuer=provider.issuer,
        )
    else:
        _log.warning("portal_not_configured", missing=missing)
    return _Trust(
        verifier=verifier,
        tokens=ProviderSessionTokens(provider, clock, own),
        routers=(authority.elsewhere(provider.issuer),),
        people=people,
        services=(
            ("provider keys", keys.run),
            *((("delegations", own.delegations.run),) if own is not None else ()),
        ),
    )


def _credential(settings: Settings) -> Credential | None:
    """Return what Livius is at the other authority, if it is anything there.

    Raises:
        SetupFailed: a file of it is no good.
    """
    if settings.authority_client_id is None:
        return None
    secret = settings.authority_client_secret
    try:
        return read_credential(
            settings.authority_client_id,
            secret=None if secret is None else secret.get_secret_value(),
            secret_file=settings.authority_client_secret_file,
            certificate_file=settings.authority_client_certificate_file,
        )
    except ValueError as error:
        raise SetupFailed(f"The credential at the authority: {error}") from None


def _trust_ourselves(
    prepared: Prepared,
    connection: Connection,
    tenant: TenantId,
    store: SqlStore,
    keys: KeyRing,
    vaults: FileVaults,
    clock: Clock,
    trail: Trail,
) -> _Trust:
    realm = Realm(tenant=tenant, hosts=_HOSTS, domains=frozenset({_DOMAIN}))
    embedded = Authority(
        realm=realm,
        store=store,
        used=FileUsedAssertions(prepared.home.used_assertions, clock),
        assertions=JwtAssertions(),
        signer=keys,
        clock=clock,
        home=Address(host="localhost", port=prepared.ports.https, tenant=tenant),
        pages=connection.http,
        trail=trail,
    )
    for_vaults = EmbeddedVerifier(keys, realm, clock, resource=KEY_VAULT)
    verifier = EmbeddedVerifier(keys, realm, clock)
    # People see it over http on loopback, we over https.
    pages = f"{connection.http}/{tenant}/oauth2/v2.0"
    endpoints = Endpoints(
        authorize=f"{pages}/authorize",
        token=f"{connection.authority}/oauth2/v2.0/token",
        sign_out=f"{pages}/logout",
    )

    async def known() -> Endpoints:
        return endpoints

    async def secret_read(caller: Principal, what: str) -> None:
        await trail.note(act(clock, Action.SECRET_READ, what, by=present_actor(caller)))

    return _Trust(
        verifier=verifier,
        tokens=EmbeddedSessionTokens(embedded),
        routers=(
            vault.router(vaults, for_vaults.verify, connection.authority, secret_read),
            authority.router(embedded),
        ),
        people=HttpPeoplesAuthority(
            client=ProviderClient(
                Credential(client_id=portal_client_id(tenant)),
                known,
                clock,
                ca_file=prepared.certificates.ca_file,
            ),
            known=lambda: endpoints,
            id_tokens=verifier,
            scope=f"{FABRIC}/.default",
        ),
    )


async def _compose(prepared: Prepared) -> _Gateway:
    settings, paths = prepared.settings, prepared.home
    clock = SystemClock()
    metrics = Metrics()
    transactions = open_store(paths.database, synchronous=settings.sqlite_synchronous)
    transactions.observe = metrics.transaction
    store = SqlStore(transactions, keep_audit=settings.audit_retention)
    tenant = _tenant(paths)
    sample_app = await ensure_sample(paths.sample, store, clock)
    first_user = await ensure_first_user(paths.sample, store, clock)
    await ensure_own_applications(store, tenant, clock)
    sample = await _ensure_sample(store, clock, (PrincipalId(sample_app.object_id), first_user.oid))
    numbers = settings.launch_numbers
    users: Users = OneUser() if numbers is None else OwnUsers(store, numbers)
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
    links, outputs = LinkTable(clock), FileOutputs(paths.outputs)
    changes = LocalChanges(most=settings.max_held)
    reconciler = Reconciler(
        store=store,
        launcher=launcher,
        links=links,
        changes=changes,
        clock=clock,
        meter=metrics,
        patience=Patience(start=settings.start_timeout, redial=settings.redial_grace),
        born=clock.monotonic(),
    )
    queue = WorkQueue[SessionId](reconciler.step)
    keys = KeyRing.open(paths.keys, clock)
    connection = _connection(prepared, tenant, sample_app, first_user, sample)
    own_vaults = FileVaults(paths.vaults, clock)
    trail = Trail(store, clock)
    trust = (
        _trust_provider(settings, settings.provider, store, clock)
        if settings.provider is not None
        else _trust_ourselves(prepared, connection, tenant, store, keys, own_vaults, clock, trail)
    )
    context = Context(
        store=store,
        lakehouses=LocalLakehouses(paths.onelake, users),
        contents=LocalContents(paths.onelake, users),
        outputs=outputs,
        links=links,
        logs=FileDriverLogs(paths.drivers),
        pages=HttpSparkPages(),
        meter=metrics,
        clock=clock,
        capacity=MachineCapacity(
            max_drivers=settings.max_drivers,
            per_driver=settings.driver_memory_bytes,
            reserve=settings.memory_reserve,
            disk=paths.root,
            disk_reserve=settings.disk_reserve,
        ),
        changes=changes,
        wake=queue.wake,
        tokens=trust.tokens,
        directory=store if settings.provider is None else None,
        vaults=_vaults(settings, own_vaults),
        trail=trail,
        rules=Rules(
            default_runtime=settings.default_runtime,
            runtimes=frozenset({runtime.name}),
            idle_timeout=settings.idle_timeout,
            local=settings.spark_master.startswith("local"),
            driver_memory=settings.driver_memory,
            driver_cores=_local_cores(settings.spark_master),
            beat=_BEAT,
            inline_bytes=settings.output_inline,
            hold=settings.hold,
            trusted=None
            if settings.trust_all_users or numbers is not None
            else frozenset({sample_app.object_id, first_user.oid, *settings.owners.split()}),
            owners=frozenset({first_user.oid, *settings.owners.split()}),
        ),
    )

    async def scrape() -> bytes:
        sessions, statements = await store.count_live()
        metrics.set_present(
            sessions=sessions, statements=statements, held=changes.watched, links=len(links)
        )
        return metrics.text()

    desk = portal.Desk(
        context,
        _portal_facts(settings, connection, paths),
        visits=portal.Visits(clock),
        people=trust.people,
        tokens=trust.verifier,
        navigation=portal.NAVIGATION,
        read_certificate=read_certificate,
    )
    app = create_app(
        BearerVerifier(trust.verifier, store, clock),
        (
            fabric.router(context),
            driver.router(context, links),
            home.router(context, _facts(connection)),
            metrics_api.router(scrape),
            audit.router(context),
            *trust.routers,
        ),
        version=__version__,
        observe=metrics.request_handled,
        refused=partial(note_refusal, context),
        mounts={portal.ROOT: portal.create_portal(desk)},
    )
    paths.write_address(f"ws://{_LOOPBACK}:{prepared.ports.http}/driver/v1/attach")
    for key in await store.live_sessions():
        queue.wake(key)
    return _Gateway(
        prepared=prepared,
        store=store,
        queue=queue,
        housekeeping=Housekeeping(
            store=store,
            outputs=outputs,
            launcher=launcher,
            clock=clock,
            wake=queue.wake,
            settle=trail.settle,
            retention=settings.retention,
        ),
        metastore=metastore,
        archive=archive,
        https=_listener(app, settings.host, prepared.ports.https, prepared.certificates),
        http=_listener(app, _LOOPBACK, prepared.ports.http, None),
        changes=changes,
        trail=trail,
        metrics=metrics,
        streams=desk.streams,
        services=trust.services,
        connection=connection,
    )


def _vaults(settings: Settings, own: FileVaults) -> Vaults:
    """Return the vaults that sessions ask."""
    if settings.vault_url is None:
        return own
    return RemoteVaults(settings.vault_url, httpx.AsyncClient)


def _local_cores(master: str) -> int | None:
    """Return how many cores a local master uses; None where Spark runs elsewhere."""
    found = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\d+)?\])?", master)
    if found is None:
        return None
    if found[1] == "*":
        return len(os.sched_getaffinity(0))
    return int(found[1] or 1)


def _listener(app: object, host: str, port: int, certificates: Certificates | None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type] # an ASGI application
            host=host,
            port=port,
            ssl_certfile=certificates.leaf_file if certificates else None,
            ssl_keyfile=certificates.leaf_key_file if certificates else None,
            ssl_context_factory=_with_led_names(certificates) if certificates else None,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=livius_agent.wire.MAX_FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # the agents' own beats tell more
            timeout_graceful_shutdown=_LISTENERS_END_WITHIN,
            timeout_keep_alive=_IDLE_CONNECTIONS_LIVE,
        )
    )


def _with_led_names(
    certificates: Certificates,
) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    """Have callers of a led name see the certificate for those, and everybody else the other."""

    def make(_config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        own, led = default(), default()
        led.load_cert_chain(certificates.led_file, certificates.led_key_file)

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None and is_led(name):
                connection.context = led

        own.sni_callback = choose
        return own

    return make


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
    return Connection(
        api=api,
        http=f"http://localhost:{prepared.ports.http}",
        authority=f"{api}/{tenant}" if provider is None else provider.issuer,
        tenant_id=tenant if provider is None else provider.realm,
        # The sample application and the first user are known to the embedded authority alone.
        client_id=application.client_id if embedded else None,
        client_secret=application.client_secret if embedded else None,
        certificate_file=str(application.certificate_file) if embedded else None,
        private_key_file=str(application.private_key_file) if embedded else None,
        thumbprint=application.thumbprint if embedded else None,
        username=first_user.username if embedded and first_user.password else None,
        password=first_user.password if embedded else None,
        workspace_id=sample.workspace.id,
        lakehouse_id=sample.lakehouse.id,
        ca_file=str(prepared.certificates.ca_file),
        pid=os.getpid(),
    )


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


def _tenant(paths: Home) -> TenantId:
    """Return the installation's tenant; the first start makes it up."""
    if not paths.tenant_file.exists():
        paths.tenant_file.write_text(new_id(), encoding="ascii")
    return TenantId(paths.tenant_file.read_text(encoding="ascii").strip())


async def _ensure_sample(
    store: Store, clock: SystemClock, admins: tuple[PrincipalId, PrincipalId]
) -> Sample:
    """Return the first workspace and lakehouse; the first start makes them, with two Admins."""
    workspaces = await store.list_workspaces()
    if workspaces:
        workspace = workspaces[0]
    else:
        workspace = Workspace(id=WorkspaceId(new_id()), name=_SAMPLE_NAME, created_at=clock.now())
        await store.add_workspace(workspace, admins[0])
        await store.assign_role(
            RoleAssignment(workspace=workspace.id, principal=admins[1], role=Role.ADMIN)
        )
    lakehouses = await store.list_lakehouses(workspace.id)
    if lakehouses:
        return Sample(workspace, lakehouses[0])
    identity = LakehouseId(new_id())
    lakehouse = Lakehouse(
        id=identity,
        workspace=workspace.id,
        name=_SAMPLE_NAME,
        database=database_name(_SAMPLE_NAME, identity, taken=await store.database_names()),
        created_at=clock.now(),
    )
    await store.add_lakehouse(lakehouse)
    return Sample(workspace, lakehouse)
