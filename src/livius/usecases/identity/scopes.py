"""The scopes in a request, and their resource."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from livius.domain.accounts import ClientApplication
from livius.domain.ids import ClientId
from livius.domain.resources import (
    ACCESS_AS_USER,
    DEFAULT,
    GRAPH,
    OPENID_SCOPES,
    RESOURCES,
    Resource,
    find_resource,
)
from livius.domain.tokens import Scope
from livius.usecases.identity.authority import Authority, TokenRefused

_LONGEST: Final = 4096

Permissions = tuple[tuple[Resource, frozenset[str]], ...]
"""Resources and the short names of their scopes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One resource and the requested scopes, besides OpenID's own scopes.

    ``spelling`` is the resource as the request wrote it, ``audience`` the audience of the tokens.
    ``scopes`` are short names. ``by_default``: the request had ``.default``. The consent page lists
    ``permissions``: with ``.default``, those on every resource that the application was allowed
    (Entra shows its whole registration).
    """

    resource: Resource
    spelling: str
    audience: str
    scopes: frozenset[str]
    openid: frozenset[str]
    by_default: bool
    permissions: Permissions

    @property
    def granted(self) -> str:
        """Return the granted scopes for the token response, spelled as in the request."""
        return self._spell([*sorted(self.scopes), *([DEFAULT] if self.by_default else [])])

    @property
    def request(self) -> str:
        """Return a scope text that requests the same again."""
        return self._spell([DEFAULT] if self.by_default else sorted(self.scopes))

    def _spell(self, names: list[str]) -> str:
        return " ".join([*(f"{self.spelling}/{name}" for name in names), *sorted(self.openid)])

    def with_openid(self, scope: str) -> Wanted:
        """Return the same request with one more of OpenID's scopes."""
        return replace(self, openid=self.openid | {scope})


async def read_scope(authority: Authority, application: ClientApplication, text: str) -> Wanted:
    """Return the scopes that a user is asked to consent to.

    Raises:
        TokenRefused: there is no such resource or scope, or not for this application.
    """
    words = text.split() if len(text) <= _LONGEST else []
    if not words:
        raise _invalid(
            "The request must have a 'scope', for example https://api.fabric.microsoft.com/.default."
        )
    openid = frozenset(word for word in words if word in OPENID_SCOPES)
    named = {_split(word) for word in words if word not in OPENID_SCOPES}
    if not named:
        named = {(GRAPH, "User.Read")} if openid else set()
    spelling = _only({resource for resource, _ in named})
    resource, audience = await find(authority, spelling)
    names = frozenset(name for _, name in named)
    by_default = DEFAULT in names
    if by_default and len(names) > 1:
        raise _invalid(f"{DEFAULT} can't be combined with scopes of the same resource.")
    scopes = allowed_scopes(application, resource) if by_default else names
    _check_known(scopes, resource, spelling)
    missing = scopes - allowed_scopes(application, resource)
    if missing or not scopes:
        raise TokenRefused(
            650057,
            "invalid_resource",
            f"The application {application.name} ({application.client_id}) is not allowed to ask "
            f"for {', '.join(sorted(missing)) or spelling}. Allow it: livius identity app allow "
            f"{application.client_id} SCOPE.",
        )
    return Wanted(
        resource=resource,
        spelling=spelling,
        audience=audience,
        scopes=scopes,
        openid=openid,
        by_default=by_default,
        permissions=_asked_for(application, resource, scopes, by_default=by_default),
    )


def _asked_for(
    application: ClientApplication,
    resource: Resource,
    scopes: frozenset[str],
    *,
    by_default: bool,
) -> Permissions:
    """Return the permissions of a consent page, those of the request's own resource first."""
    others = permissions_of(application) if by_default else ()
    return ((resource, scopes), *(one for one in others if one[0].name != resource.name))


async def find(authority: Authority, spelling: str) -> tuple[Resource, str]:
    """Return a resource: one of Azure's, or a client application that accepts tokens itself.

    Raises:
        TokenRefused: there is none with this name.
    """
    found = find_resource(spelling)
    if found is not None:
        return found
    try:
        client_id = str(UUID(spelling.removeprefix("api://").rstrip("/")))
    except ValueError:
        client_id = ""
    application = await authority.store.application(ClientId(client_id)) if client_id else None
    if application is None:
        raise TokenRefused(
            500011,
            "invalid_resource",
            "The resource principal named in the scope was not found in the tenant. Ask for "
            "https://api.fabric.microsoft.com/.default or "
            "https://analysis.windows.net/powerbi/api/.default.",
        )
    resource = Resource(
        name=client_id,
        audiences=frozenset({client_id}),
        # Fabric's short names too: another Livius may accept this authority's tokens.
        scopes=frozenset({ACCESS_AS_USER, *Scope}),
        opened_by=None,
    )
    return resource, client_id


def allowed_scopes(application: ClientApplication, resource: Resource) -> frozenset[str]:
    """Return the scopes that an application may request of users, on one resource.

    On Fabric these are its own scopes, on other Azure resources those that its scopes open. On an
    application that accepts tokens: its scopes, and the one that every such application has.
    """
    if resource.name == "pbi":
        return resource.scopes & application.scopes
    if ACCESS_AS_USER in resource.scopes:
        return resource.scopes & (application.scopes | {ACCESS_AS_USER})
    if resource.opened_by is None or resource.opened_by in application.scopes:
        return resource.scopes
    return frozenset()


def permissions_of(application: ClientApplication) -> Permissions:
    """Return all that an application was allowed, by resource."""
    return tuple(
        (resource, scopes)
        for resource in RESOURCES
        if resource.opened_by is not None and (scopes := allowed_scopes(application, resource))
    )


def _split(word: str) -> tuple[str, str]:
    resource, slash, name = word.rpartition("/")
    if not slash:
        return GRAPH, name
    return resource, name


def _only(resources: set[str]) -> str:
    if not resources:
        raise _invalid("The scope names no resource.")
    if len(resources) > 1:
        raise TokenRefused(
            28000,
            "invalid_scope",
            "The scope contains more than one resource. Ask for the scopes of one resource in each "
            "request; a refresh token gets tokens to the others.",
        )
    return next(iter(resources))


def _check_known(scopes: frozenset[str], resource: Resource, spelling: str) -> None:
    unknown = scopes - resource.scopes
    if unknown:
        raise TokenRefused(
            650053,
            "invalid_scope",
            f"The application asked for the scope {', '.join(sorted(unknown))[:200]} that doesn't "
            f"exist on the resource {spelling}. It knows {', '.join(sorted(resource.scopes))}.",
        )


def _invalid(message: str) -> TokenRefused:
    return TokenRefused(
        70011, "invalid_scope", f"The provided value for scope is not valid. {message}"
    )
