"""Composes the authority: this installation's own, or an external one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog
from fastapi import APIRouter

from livius.adapters.identity.assertions import JwtAssertions
from livius.adapters.identity.delegations import Delegations
from livius.adapters.identity.external import ExternalVerifier
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.links import FileSignInLinks
from livius.adapters.identity.oidc_login import NobodySignsIn, OidcLogin
from livius.adapters.identity.provider_client import Credential, ProviderClient, read_credential
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.adapters.identity.replay_cache import FileAssertionReplayCache
from livius.adapters.identity.sample import (
    portal_client_id,
)
from livius.adapters.identity.session_tokens import (
    OwnApplication,
    ProviderSessionTokens,
)
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.adapters.store import SqlStore
from livius.adapters.vaults import FileVaults
from livius.api import authority, vault
from livius.domain.audit import Action
from livius.domain.endpoints import Endpoints
from livius.domain.ids import (
    SessionId,
    TenantId,
)
from livius.domain.intercepted_hosts import ENTRA
from livius.domain.oidc_provider import Provider
from livius.domain.principal import Principal
from livius.domain.realm import Address, Realm
from livius.domain.tokens import FABRIC
from livius.domain.vault import RESOURCE as KEY_VAULT
from livius.installation.home import Connection
from livius.installation.prepare import Prepared
from livius.installation.progress import SetupFailed
from livius.ports.clock import Clock
from livius.ports.identity import Present, SessionTokens, TokenVerifier
from livius.ports.login_provider import LinkSignIn, LoginProvider
from livius.reconcile.services import Service
from livius.settings import Settings
from livius.usecases.audit_throttle import AuditThrottle, act, present_actor
from livius.usecases.identity.authority import Authority
from livius.usecases.identity.links import EmbeddedLinkSignIn
from livius.usecases.identity.presence import Presence, anybody
from livius.usecases.identity.session_tokens import EmbeddedSessionTokens

_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"}) | ENTRA
_DOMAIN: Final = "livius.localhost"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The authority whose tokens are valid, and the services that it needs.

    ``issuer`` is the issuer of its principals. ``people`` signs people in at the portal.
    ``present`` refuses principals that were removed.
    ``services`` run as long as the gateway does, and refresh data of an external authority.
    """

    issuer: str
    verifier: TokenVerifier
    tokens: SessionTokens
    routers: tuple[APIRouter, ...]
    people: LoginProvider
    present: Present
    links: LinkSignIn | None = None
    services: tuple[Service, ...] = ()


def trust_provider(settings: Settings, provider: Provider, store: SqlStore, clock: Clock) -> Trust:
    """Trust an external authority."""
    keys = ProviderKeys(provider, clock)
    credential = _credential(settings)
    own = None
    if credential is not None and not credential.is_public:
        client = ProviderClient(credential, keys.endpoints, clock)

        async def token_principal(session: SessionId) -> Principal | None:
            found = await store.session(session)
            return found.token_principal if found is not None and found.accepts_statements else None

        own = OwnApplication(
            client=client,
            delegations=Delegations(provider, client, clock, token_principal),
            audiences=frozenset(settings.authority_application_audiences.split()),
        )
    verifier = ExternalVerifier(provider, keys, clock)
    missing, scope = settings.missing_for_portal, settings.sign_in_scope
    people: LoginProvider = NobodySignsIn(missing)
    if credential is not None and scope is not None:
        people = OidcLogin(
            client=ProviderClient(credential, keys.endpoints, clock),
            known=keys.known_endpoints,
            id_tokens=verifier,
            scope=scope,
            issuer=provider.issuer,
        )
    else:
        _log.warning("portal_not_configured", missing=missing)
    return Trust(
        issuer=provider.issuer,
        verifier=verifier,
        tokens=ProviderSessionTokens(provider, clock, own),
        routers=(authority.elsewhere(provider.issuer),),
        people=people,
        present=anybody,
        services=(
            ("provider keys", keys.run),
            *((("delegations", own.delegations.run),) if own is not None else ()),
        ),
    )


def _credential(settings: Settings) -> Credential | None:
    """Return Livius's own application at the external authority, if it has one.

    Raises:
        SetupFailed: one of its files is invalid.
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


def _own_endpoints(connection: Connection, tenant: TenantId) -> Endpoints:
    # People use it over http on loopback, the gateway over https.
    pages = f"{connection.http}/{tenant}/oauth2/v2.0"
    return Endpoints(
        authorize=f"{pages}/authorize",
        token=f"{connection.authority}/oauth2/v2.0/token",
        sign_out=f"{pages}/logout",
    )


def trust_ourselves(
    prepared: Prepared,
    connection: Connection,
    tenant: TenantId,
    store: SqlStore,
    keys: KeyRing,
    vaults: FileVaults,
    clock: Clock,
    throttle: AuditThrottle,
    *,
    portal_secret: str,
) -> Trust:
    """Trust this installation's own authority, and serve it."""
    realm = Realm(tenant=tenant, hosts=_HOSTS, domains=frozenset({_DOMAIN}))
    embedded = Authority(
        realm=realm,
        store=store,
        used=FileAssertionReplayCache(prepared.home.used_assertions, clock),
        assertions=JwtAssertions(),
        signer=keys,
        clock=clock,
        home=Address(host="localhost", port=prepared.ports.https, tenant=tenant),
        pages=connection.http,
        throttle=throttle,
    )
    present = Presence(store, clock).check
    for_vaults = EmbeddedVerifier(keys, realm, clock, present=present, resource=KEY_VAULT)
    verifier = EmbeddedVerifier(keys, realm, clock, present=present)
    endpoints = _own_endpoints(connection, tenant)

    async def known() -> Endpoints:
        return endpoints

    async def secret_read(caller: Principal | None, what: str, result: str) -> None:
        by = present_actor(caller)
        await throttle.note(act(clock, Action.SECRET_READ, what, by=by, result=result))

    return Trust(
        issuer=realm.name,
        present=present,
        verifier=verifier,
        tokens=EmbeddedSessionTokens(embedded),
        routers=(
            vault.router(vaults, for_vaults, connection.authority, secret_read),
            authority.router(embedded),
        ),
        people=OidcLogin(
            client=ProviderClient(
                Credential(client_id=portal_client_id(tenant), secret=portal_secret),
                known,
                clock,
                ca_file=prepared.certificates.ca_file,
            ),
            known=lambda: endpoints,
            id_tokens=verifier,
            scope=f"{FABRIC}/.default",
        ),
        links=EmbeddedLinkSignIn(
            authority=embedded,
            links=FileSignInLinks(prepared.home.links),
            portal=portal_client_id(tenant),
        ),
    )
