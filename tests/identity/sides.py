"""The side that trusts another Livius: its application there, and who calls it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from identity.conftest import TENANT, World
from identity.sockets import Served
from livius.adapters.identity.external import ExternalVerifier
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.domain.accounts import ClientApplication
from livius.domain.ids import SessionId
from livius.domain.oidc_provider import Provider, own_audiences
from livius.domain.principal import Principal
from livius.domain.realm import Address
from livius.domain.resources import Resource
from livius.domain.tokens import FABRIC, Scope
from livius.usecases.identity import directory
from livius.usecases.identity.token_issuance import Issue, user_token
from support.tasks import running

SCOPES = frozenset({Scope.LAKEHOUSE_READ, Scope.CODE_STORAGE, Scope.CODE_FABRIC})


@dataclass
class Side:
    """The served Livius, as far as it gets tokens: its application, and who calls it."""

    served: Served
    own: ClientApplication
    secret: str
    provider: Provider
    keys: ProviderKeys
    verifier: ExternalVerifier
    ended: set[SessionId] = field(default_factory=set)
    token_principal: Principal | None = None

    @property
    def world(self) -> World:
        return self.served.world

    def issue(self) -> Issue:
        port = int(self.served.origin.rpartition(":")[2])
        address = Address(host="localhost", port=port, tenant=TENANT)
        return Issue(address=address, version=2, application=self.own, proof="1")

    async def caller(self, *, audience: str | None = None) -> str:
        """A token by which the first user calls."""
        user = await directory.find_user(self.world.store, self.world.user.username)
        resource = Resource(
            name=self.own.client_id, audiences=frozenset(), scopes=frozenset(), opened_by=None
        )
        return user_token(
            self.world.authority,
            self.issue(),
            user,
            resource=resource,
            audience=audience or self.own.client_id,
            scopes=SCOPES,
        ).access_token


@contextlib.asynccontextmanager
async def standing(served: Served) -> AsyncIterator[Side]:
    """Make the application, with the first user's consent, and keep the authority's keys fresh."""
    world = served.world
    own = await directory.create_application(
        world.store, world.clock, "served", public=False, redirect_uris=(), scopes=tuple(SCOPES)
    )
    _, secret = await directory.add_secret(world.store, world.clock, own)
    user = await directory.find_user(world.store, world.user.username)
    own = await directory.find_application(world.store, "served")
    await directory.consent_for(world.store, world.clock, user, own)
    provider = Provider(
        issuer=f"{served.origin}/{TENANT}/v2.0",
        audiences=own_audiences(f"{own.client_id} {FABRIC}"),
        tenant=TENANT,
    )
    keys = ProviderKeys(provider, world.clock)
    async with running(keys.run()):
        yield Side(
            served,
            own,
            secret,
            provider,
            keys,
            ExternalVerifier(provider, keys, world.clock),
        )
