"""The audiences of tokens, and the scope that each one needs inside a session.

The scopes' meaning is Fabric contract 8.2, the short names 8.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from livius.domain.errors import Forbidden, Invalid
from livius.domain.tokens import AUDIENCES, FABRIC, Scope

DEFAULT: Final = ".default"
"""The scope that stands for all that the application was allowed on a resource."""

USER_IMPERSONATION: Final = "user_impersonation"
ACCESS_AS_USER: Final = "access_as_user"
OPENID_SCOPES: Final = frozenset({"openid", "profile", "email", "offline_access"})

_OLDER_SCOPES: Final = frozenset({"Item.ReadWrite.All", "Workspace.ReadWrite.All"})
"""The scopes of older pages of Fabric's Livy API; `livius.domain.permissions` applies them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A service that accepts tokens.

    ``name`` is its name in notebookutils. ``audiences`` are all spellings of its audience. Code in
    a session gets tokens for it if the scope ``opened_by`` is granted; None: never.
    """

    name: str
    audiences: frozenset[str]
    scopes: frozenset[str]
    opened_by: Scope | None
    pattern: re.Pattern[str] | None = None

    def takes(self, audience: str) -> bool:
        """Tell whether an audience in its plain form is this resource."""
        return audience in self.audiences or bool(
            self.pattern is not None and self.pattern.fullmatch(audience)
        )


def _azure(
    name: str, opened_by: Scope, *audiences: str, pattern: re.Pattern[str] | None = None
) -> Resource:
    return Resource(
        name=name,
        audiences=frozenset(audiences),
        scopes=frozenset({USER_IMPERSONATION}),
        opened_by=opened_by,
        pattern=pattern,
    )


RESOURCES: Final = (
    Resource(
        name="pbi",
        audiences=AUDIENCES,
        scopes=frozenset(Scope) | _OLDER_SCOPES,
        opened_by=Scope.CODE_FABRIC,
    ),
    _azure("storage", Scope.CODE_STORAGE, "https://storage.azure.com"),
    _azure("keyvault", Scope.CODE_KEY_VAULT, "https://vault.azure.net"),
    _azure(
        "kusto",
        Scope.CODE_DATA_EXPLORER,
        "https://kusto.kusto.windows.net",
        # Each cluster is an audience of its own.
        pattern=re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+){0,2}\.kusto\.windows\.net"),
    ),
    _azure("sql", Scope.CODE_SQL, "https://database.windows.net"),
    _azure("datalake", Scope.CODE_DATA_LAKE, "https://datalake.azure.net"),
    Resource(
        # The audience of tokens for sign-in alone. No service here accepts them.
        name="graph",
        audiences=frozenset(
            {"https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"}
        ),
        scopes=frozenset({"User.Read"}),
        opened_by=None,
    ),
)
GRAPH: Final = "https://graph.microsoft.com"

AUDIENCE_OF: Final = {
    "pbi": FABRIC,
    "storage": "https://storage.azure.com",
    "keyvault": "https://vault.azure.net",
    "kusto": "https://kusto.kusto.windows.net",
    "sql": "https://database.windows.net",
    "datalake": "https://datalake.azure.net",
}
"""The audience of the tokens for each short name."""


def find_resource(text: str) -> tuple[Resource, str] | None:
    """Return a resource and the plain form of an audience, or None for an unknown audience.

    ``text`` is an audience in any spelling, or a short name of notebookutils.
    """
    plain = text.strip().removesuffix("/").lower()
    plain = AUDIENCE_OF.get(plain, plain)
    for resource in RESOURCES:
        if resource.takes(plain):
            return resource, plain
    return None


def opened_resource(audience: str) -> tuple[Resource, str]:
    """Return the resource that session code requests, and the plain form of its audience.

    Raises:
        Invalid: there is no such audience.
    """
    found = find_resource(audience)
    if found is None or found[0].opened_by is None:
        raise Invalid(
            "UnknownAudience",
            f"There is no audience {audience[:100]!r}. Known are "
            f"{', '.join(one.name for one in RESOURCES if one.opened_by)}, and their URLs.",
        )
    return found


def missing_scope(whose: str, resource: Resource) -> Forbidden:
    """Return the refusal that names the scope."""
    return Forbidden(
        "InsufficientScopes",
        f"{whose} lacks the scope {resource.opened_by}, without which code gets no token for "
        f"{resource.name}.",
    )
