"""Tokens for code that runs inside a session (Fabric contract 8.3)."""

from __future__ import annotations

from livius.domain.errors import Unauthenticated
from livius.domain.ids import PrincipalId, SessionId
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.resources import missing_scope, opened_resource
from livius.usecases.identity.authority import Authority, present_user
from livius.usecases.identity.token_issuance import Issue, IssuedToken, app_token, user_token


class EmbeddedSessionTokens:
    """Implements `livius.ports.identity.SessionTokens` with the embedded authority."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def offer(self, session: SessionId, caller: Principal, token: str) -> None:
        """Need no token: the authority is ours."""

    async def issue(self, session: SessionId, principal: Principal, audience: str) -> str:
        """See the port."""
        del session
        issued = await issue_for_session(self._authority, principal, audience)
        return issued.access_token


async def issue_for_session(
    authority: Authority, principal: Principal, audience: str
) -> IssuedToken:
    """Return a fresh token of the session's submitter for an audience.

    ``audience`` is a short name of notebookutils (``storage``, ``pbi``, ``keyvault``, ``kusto``,
    ``sql``, ``datalake``) or a URL. A user's token requires that the scopes of the session allow
    it; an application's, that the application was allowed the scope. It works for the session's
    whole life, also after the caller's own token has expired.

    Raises:
        Invalid: there is no such audience.
        Forbidden: the scope is missing; the message names it.
        Unauthenticated: the user or the application was removed meanwhile.
    """
    resource, plain = opened_resource(audience)
    application = (
        await authority.store.application(principal.client_id) if principal.client_id else None
    )
    if application is None:
        raise _gone("application")
    is_app = principal.kind is PrincipalKind.APP
    if resource.opened_by not in (application.scopes if is_app else principal.scopes):
        whose = f"The application {application.name}" if is_app else "The session's token"
        raise missing_scope(whose, resource)
    issue = Issue(address=authority.home, version=2, application=application, proof="2")
    if is_app:
        return app_token(authority, issue, audience=plain)
    user = await present_user(authority.store, PrincipalId(principal.oid))
    if user is None:
        raise _gone("user")
    scopes = principal.scopes if resource.name == "pbi" else resource.scopes
    return user_token(authority, issue, user, resource=resource, audience=plain, scopes=scopes)


def _gone(what: str) -> Unauthenticated:
    return Unauthenticated(
        "InvalidToken", f"The {what} that submitted the session is not known any more."
    )
