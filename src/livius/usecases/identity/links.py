"""Sign-in by a one-time link, which the operator has made at the machine."""

from __future__ import annotations

from dataclasses import dataclass

from livius.domain.audit import Action
from livius.domain.errors import Unauthenticated
from livius.domain.ids import ClientId
from livius.domain.messages import Message
from livius.domain.resources import RESOURCES
from livius.domain.tokens import FABRIC, Scope
from livius.ports.identity import SignInLinks
from livius.usecases.audit_throttle import act
from livius.usecases.identity.authority import Authority, present_user
from livius.usecases.identity.token_issuance import Issue, user_token


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedLinkSignIn:
    """Implements `livius.ports.login_provider.LinkSignIn` for the embedded authority.

    ``portal`` is the client id of the portal, for which the tokens are issued.
    """

    authority: Authority
    links: SignInLinks
    portal: ClientId

    async def redeem(self, secret: str) -> str:
        """See the port."""
        authority = self.authority
        oid = await self.links.spend(secret, now=authority.clock.now())
        user = None if oid is None else await present_user(authority.store, oid)
        application = await authority.store.application(self.portal)
        if user is None or application is None:
            refused = act(authority.clock, Action.SIGN_IN, "portal", result="LinkRefused")
            await authority.throttle.note(refused)
            raise Unauthenticated(
                "LinkRefused",
                Message(
                    "This link was used before, is older than ten minutes, or its user was "
                    "removed. Make another one: livius open"
                ),
            )
        issue = Issue(address=authority.home, version=2, application=application, proof="1")
        token = user_token(
            authority,
            issue,
            user,
            resource=next(one for one in RESOURCES if one.takes(FABRIC)),
            audience=FABRIC,
            scopes=frozenset(Scope),
        )
        return token.access_token
