"""The caller: the bearer of a verified token."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from livius.domain.ids import ClientId, TenantId


class PrincipalKind(StrEnum):
    """Entra's two kinds: a person, or an application that acts for itself."""

    USER = "user"
    APP = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The bearer of a verified token.

    ``issuer`` and ``subject`` identify the principal for ever: the issuer doesn't depend on the
    host name under which the authority was reached. ``scopes`` are short names, and empty for an
    application that acts for itself. ``client_id`` is the application that obtained the token.
    """

    tenant: TenantId
    oid: str
    kind: PrincipalKind
    name: str
    client_id: ClientId | None
    scopes: frozenset[str]
    roles: frozenset[str]
    issuer: str
    subject: str
