"""Workspaces and lakehouses, roles, and the name that a lakehouse has in the metastore."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from livius.domain.errors import Invalid
from livius.domain.ids import LakehouseId, PrincipalId, WorkspaceId
from livius.domain.messages import Message


class Role(StrEnum):
    """Fabric's four roles in a workspace, from the most rights to the least."""

    ADMIN = "Admin"
    MEMBER = "Member"
    CONTRIBUTOR = "Contributor"
    VIEWER = "Viewer"


MAY_RUN: Final = frozenset({Role.ADMIN, Role.MEMBER, Role.CONTRIBUTOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace contains lakehouses, and its roles control access to them."""

    id: WorkspaceId
    name: str
    created_at: datetime
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lakehouse:
    """A lakehouse. ``database`` is its name in the metastore, fixed at creation.

    With schemas, which can't be changed either, it is the prefix of their databases.
    """

    id: LakehouseId
    workspace: WorkspaceId
    name: str
    database: str
    created_at: datetime
    description: str = ""
    has_schemas: bool = False

    def table_parts(self, name: str) -> list[str]:
        """Return the folders below ``Tables/`` that a table's name in SQL stands for."""
        return name.split(".", 1) if self.has_schemas else [name]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakehouseTable:
    """A table as its folder shows it.

    ``folder`` is the folder's name below ``Tables/``, or below its schema's folder there.
    ``changed_at`` is the time of its last commit.
    """

    folder: str
    format: str
    schema: str | None = None
    changed_at: datetime | None = None

    @property
    def name(self) -> str:
        """The name in SQL: with the schema, if the lakehouse has schemas."""
        return ".".join(self.parts)

    @property
    def parts(self) -> list[str]:
        """The folders below ``Tables/``: its schema's, if there are schemas, and its own."""
        return [self.folder] if self.schema is None else [self.schema, self.folder]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    """One principal's role in one workspace."""

    workspace: WorkspaceId
    principal: PrincipalId
    role: Role


ONELAKE: Final = "onelake.dfs.fabric.microsoft.com"
"""The host of files in Fabric. Sessions have the same addresses."""

DEFAULT_SCHEMA: Final = "dbo"
"""The schema that each lakehouse with schemas has, and in which its sessions start."""

_LONGEST_DATABASE_NAME: Final = 100
_LONGEST_PREFIX: Final = 60
"""The metastore's names have 128 characters at most, and a schema's follows the prefix."""
_SCHEMA_NAME: Final = re.compile(r"[a-z0-9_]{1,66}", re.ASCII)
_LAKEHOUSE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,122}", re.ASCII)
_MAX_WORKSPACE_NAME: Final = 256
_MAX_DESCRIPTION: Final = 256


def check_lakehouse_name(name: str) -> None:
    """Refuse a lakehouse's name that Fabric would not accept.

    Raises:
        Invalid: the message has the rule.
    """
    if not _LAKEHOUSE_NAME.fullmatch(name):
        raise Invalid(
            "InvalidInput",
            Message(
                "%(name)s can't be a lakehouse's name. It begins with a letter and has up to "
                "123 letters, digits and underscores.",
                name=repr(name[:130]),
            ),
            field="displayName",
        )


def check_workspace_name(name: str) -> None:
    """Refuse an empty, endless or unprintable name.

    Raises:
        Invalid: the message has the rule.
    """
    if not name.strip() or len(name) > _MAX_WORKSPACE_NAME or not name.isprintable():
        raise Invalid(
            "InvalidInput",
            Message(
                "A workspace's name has 1 to %(most)s printable characters.",
                most=_MAX_WORKSPACE_NAME,
            ),
            field="displayName",
        )


def check_description(text: str) -> None:
    """Refuse a description that is too long.

    Raises:
        Invalid: the message has the rule.
    """
    if len(text) > _MAX_DESCRIPTION:
        raise Invalid(
            "InvalidInput",
            Message("A description has at most %(most)s characters.", most=_MAX_DESCRIPTION),
            field="description",
        )


def is_schema_name(name: str) -> bool:
    """Tell whether a schema can have this name. SQL ignores case; folders have small letters."""
    return _SCHEMA_NAME.fullmatch(name) is not None


def database_name(
    display_name: str, lakehouse: LakehouseId, *, taken: frozenset[str], has_schemas: bool = False
) -> str:
    """Return a database name for a new lakehouse: its name in lower case, made an identifier.

    It never has ``__``, which separates a lakehouse from its schema. If the name is taken, or
    reserved by Spark, the id's first digits follow.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", display_name.lower()).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"lakehouse_{plain}".rstrip("_")
    plain = plain[: _LONGEST_PREFIX if has_schemas else _LONGEST_DATABASE_NAME].rstrip("_")
    if plain in taken or plain in {"default", "global_temp", "information_schema", "sys"}:
        return f"{plain}_{lakehouse[:4]}"
    return plain
