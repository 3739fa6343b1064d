"""The tables. A migration brings an older database to exactly this; a test proves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from livius.domain.lakehouse import Role
from livius.domain.session import Goal
from livius.domain.session import Phase as SessionPhase
from livius.domain.statement import Kind
from livius.domain.statement import Phase as StatementPhase


class Moment(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite has no time zones, so it is kept without one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Drop the zone, after turning to UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Put the zone back."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


GUID: Final = String(36)
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: Any) -> CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({names})", name=column)


WORKSPACES: Final = Table(
    "workspaces",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
)

LAKEHOUSES: Final = Table(
    "lakehouses",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("workspace", GUID, ForeignKey("workspaces.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("database", String(128), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    UniqueConstraint("database"),
    UniqueConstraint("workspace", "name"),
)

DELETED_LAKEHOUSES: Final = Table(
    "deleted_lakehouses",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("workspace", GUID, nullable=False),
    Column("name", Text, nullable=False),
    Column("database", String(128), nullable=False),
    Column("deleted_at", Moment, nullable=False),
    Column("deleted_by", GUID, nullable=False),
)

ROLES: Final = Table(
    "roles",
    METADATA,
    Column("workspace", GUID, ForeignKey("workspaces.id"), primary_key=True),
    Column("principal", GUID, primary_key=True),
    Column("role", String(16), nullable=False),
    _one_of("role", Role),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("workspace", GUID, nullable=False),
    Column("lakehouse", GUID, nullable=False),
    Column("submitter", GUID, nullable=False),
    Column("submitter_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("runtime", String(32), nullable=False),
    Column("conf", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("request", JSON, nullable=False),
    Column("goal", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("driver", GUID, nullable=False),
    Column("repl", GUID, nullable=False),
    Column("idle_seconds", Float, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_active_at", Moment, nullable=False),
    Column("times", JSON, nullable=False),
    Column("deleted_at", Moment),
    Column("end_cause", String(32)),
    Column("end_reason", Text),
    Column("log", JSON, nullable=False),
    Column("spark_app_id", Text),
    Column("ui_url", Text),
    Column("versions", JSON, nullable=False),
    _one_of("goal", Goal),
    _one_of("phase", SessionPhase),
    Index(None, "lakehouse", "created_at"),
    Index(None, "phase"),
    UniqueConstraint("driver"),
    UniqueConstraint("repl"),
)

DRIVERS: Final = Table(
    "drivers",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("secret_hash", String(64)),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
)

STATEMENTS: Final = Table(
    "statements",
    METADATA,
    Column("repl", GUID, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("driver", GUID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("code", Text, nullable=False),
    Column("source_id", Text),
    Column("phase", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("progress", Float, nullable=False),
    Column("ending", JSON(none_as_null=True)),
    _one_of("kind", Kind),
    _one_of("phase", StatementPhase),
    Index(None, "driver", "phase"),
)

# At most one statement occupies a repl: the database says so too.
Index(
    "uq_statements_active",
    STATEMENTS.c.repl,
    unique=True,
    sqlite_where=STATEMENTS.c.phase.in_(("running", "cancelling")),
    postgresql_where=STATEMENTS.c.phase.in_(("running", "cancelling")),
)
