"""Finds principals by name or id, and their names for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from livius.domain.errors import Invalid
from livius.domain.ids import PrincipalId
from livius.domain.messages import Message
from livius.domain.principal import PrincipalKind
from livius.ports.identity import Directory

_SHOWN: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A principal of the directory. ``handle``: a user's username, an application's client id."""

    kind: PrincipalKind
    name: str
    handle: str

    @property
    def spoken(self) -> str:
        """Return a unique name: several users may have the same display name."""
        return self.handle if self.kind is PrincipalKind.USER else self.name


@dataclass(frozen=True, slots=True)
class Principals:
    """All users and applications of the embedded authority; none of another authority's."""

    known: Mapping[PrincipalId, Known]

    @classmethod
    async def read(cls, directory: Directory | None) -> Principals:
        """Return the principals of a directory; none without one."""
        if directory is None:
            return cls({})
        applications = {
            PrincipalId(one.object_id): Known(
                kind=PrincipalKind.APP, name=one.name, handle=one.client_id
            )
            for one in await directory.applications()
        }
        users = {
            one.oid: Known(kind=PrincipalKind.USER, name=one.name, handle=one.username)
            for one in await directory.users()
        }
        return cls({**applications, **users})

    def named(self, asked: str, *, only_known: bool = False) -> PrincipalId:
        """Return the object id of a principal.

        Any GUID may be one, of a removed principal or of another authority's, unless ``only_known``
        excludes these.

        Raises:
            Invalid: it is neither a GUID nor a known name, or several principals have the name.
        """
        wanted = asked.strip().lower()
        found = [
            oid
            for oid, one in self.known.items()
            if wanted in (oid, one.name.lower(), one.handle.lower())
        ]
        if len(found) == 1:
            return found[0]
        shown = asked.strip()[:_SHOWN]
        if found:
            raise Invalid(
                "InvalidInput",
                Message("Several are called %(shown)s. Give an object id.", shown=shown),
            )
        try:
            principal = PrincipalId(str(UUID(wanted)))
        except ValueError:
            raise Invalid(
                "InvalidInput",
                Message(
                    "%(shown)s is neither an object id nor a user or application that is known "
                    "here.",
                    shown=repr(shown),
                ),
            ) from None
        if only_known:
            raise Invalid(
                "InvalidInput",
                Message(
                    "There is no user or application with the object id %(shown)s. It may have "
                    "been removed.",
                    shown=shown,
                ),
            )
        return principal

    def name(self, principal: str) -> str:
        """Return the display name of a principal; empty if it is unknown."""
        known = self.known.get(PrincipalId(principal))
        return known.spoken if known else ""
