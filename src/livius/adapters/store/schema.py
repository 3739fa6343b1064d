"""The tables. A migration brings an older database to exactly this; a test proves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    column,
    event,
    false,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from livius.domain.accounts import Decision, GrantKind
from livius.domain.driver import Goal as DriverGoal
from livius.domain.driver import Owner as DriverOwner
from livius.domain.driver import Phase as DriverPhase
from livius.domain.idempotency import LONGEST_KEY
from livius.domain.lakehouse import Role
from livius.domain.operation import Goal as OperationGoal
from livius.domain.operation import Phase as OperationPhase
from livius.domain.repl import Phase as ReplPhase
from livius.domain.session import Goal
from livius.domain.session import Phase as SessionPhase
from livius.domain.statement import OPEN, Kind
from livius.domain.statement import Phase as StatementPhase


class SchemaMismatch(Exception):
    """The database was made by a newer Livius. Install that one; nothing was changed."""


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


class AnyText(TypeDecorator[str]):
    """Text with any character: PostgreSQL's texts have no NUL, so there it is bytes of UTF-8."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return what the database stores."""
        plain: TypeEngine[Any] = LargeBinary() if _is_postgresql(dialect) else Text()
        return dialect.type_descriptor(plain)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Encode, where bytes are stored."""
        return value.encode() if value is not None and _is_postgresql(dialect) else value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Decode, where bytes are stored."""
        return bytes(value).decode() if value is not None and _is_postgresql(dialect) else value


def _is_postgresql(dialect: Dialect) -> bool:
    return dialect.name == "postgresql"


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


VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, for databases that are made without it."""


def _one_of(column: str, values: Any) -> CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({names})", name=column)


def _name_key() -> Column[str]:
    """Return the column of what is unique of a name: databases differ in what lower case is."""
    return Column("name_key", Text, nullable=False, server_default="")


WORKSPACES: Final = Table(
    "workspaces",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    _name_key(),
    Index("uq_workspaces_name_key", "name_key", unique=True),
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
    Column("has_schemas", Boolean, nullable=False, server_default=false()),
    _name_key(),
    UniqueConstraint("database"),
    UniqueConstraint("workspace", "name"),
    Index("uq_lakehouses_workspace_name_key", "workspace", "name_key", unique=True),
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

SPARK_POOLS: Final = Table(
    "spark_pools",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("workspace", GUID, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("node_size", String(16), nullable=False),
    Column("scales", Boolean, nullable=False),
    Column("min_nodes", Integer, nullable=False),
    Column("max_nodes", Integer, nullable=False),
    Column("allocates", Boolean, nullable=False),
    Column("min_executors", Integer, nullable=False),
    Column("max_executors", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    _name_key(),
    Index("uq_spark_pools_workspace_name_key", "workspace", "name_key", unique=True),
)

SPARK_SETTINGS: Final = Table(
    "spark_settings",
    METADATA,
    Column("workspace", GUID, ForeignKey("workspaces.id"), primary_key=True),
    Column("default_pool", GUID, ForeignKey("spark_pools.id")),
    Column("settings", JSON, nullable=False),
)

# Of operating system users and groups; an owner is a principal or a workspace.
NUMBERS: Final = Table(
    "numbers",
    METADATA,
    Column("owner", GUID, primary_key=True),
    Column("number", Integer, nullable=False),
    UniqueConstraint("number"),
)

PERSONAL_TOKENS: Final = Table(
    "personal_tokens",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("principal", GUID, nullable=False),
    Column("principal_name", Text, nullable=False),
    Column("tenant", GUID, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    UniqueConstraint("digest"),
)

PORTAL_SESSIONS: Final = Table(
    "portal_sessions",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("principal", GUID, nullable=False, index=True),
    Column("caller", JSON, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False, index=True),
)

_LISTED: Final = ("created_at", "id", "state", "submitter", "ended_at")

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
    Column("first_repl", GUID, nullable=False),
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
    Column("submitter_kind", String(16)),
    # What lists are filtered by: made of the other columns, in the same transaction.
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("ended_at", Moment),
    Column("token_principal", JSON(none_as_null=True)),
    # The version of an environment that its driver has.
    Column("environment", GUID, index=True),
    # Both or neither: a session that high-concurrency sessions share.
    Column("sharing_key", String(64)),
    Column("sharing_limit", Integer),
    # What lists are sorted by, made likewise.
    Column("duration_key", String(16), nullable=False, server_default=""),
    _one_of("goal", Goal),
    _one_of("phase", SessionPhase),
    # A page of activities is found in one of these alone, whatever the filter.
    Index("ix_sessions_of_workspace", "workspace", *_LISTED),
    Index("ix_sessions_of_lakehouse", "lakehouse", *_LISTED),
    Index(None, "phase"),
    Index(
        "ix_sessions_shared",
        "sharing_key",
        sqlite_where=column("sharing_key").is_not(None),
        postgresql_where=column("sharing_key").is_not(None),
    ),
    UniqueConstraint("driver"),
    UniqueConstraint("first_repl"),
)

DRIVERS: Final = Table(
    "drivers",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("session", GUID, ForeignKey("sessions.id"), index=True),
    Column("secret_hash", String(64)),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("owner", String(16), nullable=False),
    Column("goal", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("runtime", String(32), nullable=False),
    Column("first_repl", GUID, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("pooled", Boolean, nullable=False),
    # The version whose libraries it has.
    Column("environment", GUID),
    # Both or neither: what a custom pool leaves of the operator's sizes.
    Column("cores", Integer),
    Column("memory_mb", Integer),
    Column("end_reason", Text),
    _one_of("owner", DriverOwner),
    _one_of("goal", DriverGoal),
    _one_of("phase", DriverPhase),
    Index(None, "phase"),
)

REPLS: Final = Table(
    "repls",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("driver", GUID, nullable=False, index=True),
    Column("phase", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("end_reason", Text),
    _one_of("phase", ReplPhase),
)

HIGH_CONCURRENCY_SESSIONS: Final = Table(
    "high_concurrency_sessions",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("repl", GUID, ForeignKey("repls.id"), nullable=False),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("workspace", GUID, nullable=False),
    Column("lakehouse", GUID, nullable=False),
    Column("creator", GUID, nullable=False),
    Column("tag", Text),
    Column("created_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    UniqueConstraint("repl"),
    Index(None, "lakehouse", "creator"),
)

STATEMENTS: Final = Table(
    "statements",
    METADATA,
    Column("repl", GUID, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False),
    Column("driver", GUID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("code", AnyText, nullable=False),
    Column("source_id", Text),
    Column("phase", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("progress", Float, nullable=False),
    Column("ending", JSON(none_as_null=True)),
    Column("cancelled_by", Text),
    # What outlines of sessions need of the ending.
    Column("ok", Boolean),
    Column("row_count", BigInteger),
    _one_of("kind", Kind),
    _one_of("phase", StatementPhase),
    Index(None, "driver", "phase"),
    # Outlines are read from it alone.
    Index(
        "ix_statements_outline",
        *("session", "repl", "number", "phase", "started_at", "ended_at", "ok", "row_count"),
    ),
)

STATEMENT_JOBS: Final = Table(
    "statement_jobs",
    METADATA,
    Column("repl", GUID, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False),
    Column("jobs", JSON, nullable=False),
    Column("total", BigInteger, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("cancelled", Integer, nullable=False, server_default="0"),
    Index(
        "ix_statement_jobs_outline",
        *("session", "repl", "number", "total", "failed", "cancelled"),
    ),
)

# Not a column of the session: every request reads that record.
HEAPS: Final = Table(
    "heaps",
    METADATA,
    Column("session", GUID, ForeignKey("sessions.id"), primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("peak", BigInteger, nullable=False),
    Column("most", BigInteger, nullable=False),
)

# Not a column of the session: every request reads that record.
EFFECTIVE_CONFS: Final = Table(
    "effective_confs",
    METADATA,
    Column("session", GUID, ForeignKey("sessions.id"), primary_key=True),
    Column("conf", JSON, nullable=False),
)

ENVIRONMENTS: Final = Table(
    "environments",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("workspace", GUID, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("description", Text, nullable=False),
    Column("compute", JSON, nullable=False),
    Column("libraries", JSON, nullable=False),
    Column("published", GUID),
    Column("latest", GUID),
    _name_key(),
    Index("uq_environments_workspace_name_key", "workspace", "name_key", unique=True),
)

# Without a reference to the environment: sessions may have a version of one that is gone.
ENVIRONMENT_VERSIONS: Final = Table(
    "environment_versions",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("environment", GUID, nullable=False),
    Column("workspace", GUID, nullable=False),
    Column("operation", GUID, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("compute", JSON, nullable=False),
    Column("libraries", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    Column("packages", JSON, nullable=False),
    Column("published_at", Moment),
    Column("log", AnyText, nullable=False),
    UniqueConstraint("operation"),
)

# Without a constraint on the kind, so that a new one needs no migration.
OPERATIONS: Final = Table(
    "operations",
    METADATA,
    Column("id", GUID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("workspace", GUID, nullable=False),
    Column("item", GUID, nullable=False, index=True),
    Column("requested_by", GUID, nullable=False),
    Column("request", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("goal", String(16), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("percent", Integer, nullable=False),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("result", JSON(none_as_null=True)),
    _one_of("goal", OperationGoal),
    _one_of("phase", OperationPhase),
    Index(None, "phase", "updated_at"),
)

# With the session that each one's resource belongs to, and goes with.
IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    METADATA,
    Column("principal", GUID, primary_key=True),
    Column("key", String(LONGEST_KEY), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("session", GUID, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("kept_until", Moment, nullable=False, index=True),
    Column("action", String(32), nullable=False),
    Column("workspace", GUID),
    Column("lakehouse", GUID),
    Column("session", GUID),
    Column("result", String(64), nullable=False),
    Column("target", Text),
    Column("detail", Text),
    Column("times", Integer, nullable=False),
    Column("code_hash", String(64)),
    Column("code_head", AnyText),
    Column("actor_id", GUID),
    Column("actor_name", Text),
    Column("actor_kind", String(16)),
    Column("actor_client_id", Text),
    Column("actor_address", Text),
    Column("actor_request_id", GUID),
    Index(None, "workspace", "number"),
    # A number is never used again, so that a gap shows that something is missing.
    sqlite_autoincrement=True,
)

# No code that reaches the database through this process can rewrite the log.
_UNCHANGED: Final = (
    "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END"
)
_KEPT: Final = (
    "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit "
    "WHEN OLD.kept_until > strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now') "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is kept'); END"
)
_POSTGRESQL: Final = (
    (
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the audit log is kept, and not changed' "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    ),
    (
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()"
    ),
    (
        "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit FOR EACH ROW "
        "WHEN (OLD.kept_until > now() AT TIME ZONE 'UTC') EXECUTE FUNCTION refuse_audit_change()"
    ),
)
for _database, _triggers in (("sqlite", (_UNCHANGED, _KEPT)), ("postgresql", _POSTGRESQL)):
    for _trigger in _triggers:
        _ddl = DDL(_trigger)  # type: ignore[no-untyped-call]
        event.listen(AUDIT, "after_create", _ddl.execute_if(dialect=_database))

# At most one statement occupies a repl: the database says so too.
Index(
    "uq_statements_active",
    STATEMENTS.c.repl,
    unique=True,
    sqlite_where=STATEMENTS.c.phase.in_(("running", "cancelling")),
    postgresql_where=STATEMENTS.c.phase.in_(("running", "cancelling")),
)

# Written out, not bound: only so does SQLite see that the index below is meant.
IS_OPEN: Final = STATEMENTS.c.phase.in_(
    [literal_column(f"'{phase}'") for phase in StatementPhase if phase in OPEN]
)

# Every statement looks for those of its repl that are open, which may be one among thousands.
Index(
    "ix_statements_open",
    STATEMENTS.c.repl,
    STATEMENTS.c.number,
    sqlite_where=IS_OPEN,
    postgresql_where=IS_OPEN,
)

USERS: Final = Table(
    "users",
    METADATA,
    Column("oid", GUID, primary_key=True),
    Column("username", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    UniqueConstraint("username"),
)

APPLICATIONS: Final = Table(
    "applications",
    METADATA,
    Column("client_id", GUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("object_id", GUID, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("certificates", JSON, nullable=False),
    Column("redirect_uris", JSON, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("trusted", Boolean, nullable=False),
    UniqueConstraint("object_id"),
)

CONSENTS: Final = Table(
    "consents",
    METADATA,
    Column("user", GUID, ForeignKey("users.oid", ondelete="CASCADE"), primary_key=True),
    Column(
        "client_id",
        GUID,
        ForeignKey("applications.client_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("resource", String(128), primary_key=True),
    Column("scopes", JSON, nullable=False),
    Column("given_at", Moment, nullable=False),
)

GRANTS: Final = Table(
    "grants",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("family", GUID, nullable=False, index=True),
    Column(
        "client_id",
        GUID,
        ForeignKey("applications.client_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("user", GUID, ForeignKey("users.oid", ondelete="CASCADE"), index=True),
    Column("scope", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("spent_at", Moment),
    Column("user_code", String(16)),
    Column("decision", String(16), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", String(64), nullable=False),
    Column("nonce", Text, nullable=False),
    Column("caller", Text, nullable=False, server_default=""),
    _one_of("kind", GrantKind),
    _one_of("decision", Decision),
    UniqueConstraint("user_code"),
)

SIGN_INS: Final = Table(
    "sign_ins",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("user", GUID, ForeignKey("users.oid", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
