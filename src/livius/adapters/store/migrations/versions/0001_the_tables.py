"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import AnyText, Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "applications",
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("certificates", sa.JSON(), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_applications")),
        sa.UniqueConstraint("object_id", name=op.f("uq_applications_object_id")),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("kept_until", Moment(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=True),
        sa.Column("lakehouse", sa.String(length=36), nullable=True),
        sa.Column("session", sa.String(length=36), nullable=True),
        sa.Column("result", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=True),
        sa.Column("code_head", AnyText(), nullable=True),
        sa.Column("actor_id", sa.String(length=36), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=True),
        sa.Column("actor_kind", sa.String(length=16), nullable=True),
        sa.Column("actor_client_id", sa.Text(), nullable=True),
        sa.Column("actor_address", sa.Text(), nullable=True),
        sa.Column("actor_request_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_kept_until"), ["kept_until"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_workspace_number"), ["workspace", "number"], unique=False
        )

    op.create_table(
        "deleted_lakehouses",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("database", sa.String(length=128), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=False),
        sa.Column("deleted_by", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_lakehouses")),
    )
    op.create_table(
        "numbers",
        sa.Column("owner", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_numbers")),
        sa.UniqueConstraint("number", name=op.f("uq_numbers_number")),
    )
    op.create_table(
        "personal_tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("principal", sa.String(length=36), nullable=False),
        sa.Column("principal_name", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_personal_tokens_digest")),
    )
    op.create_table(
        "portal_sessions",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=36), nullable=False),
        sa.Column("caller", sa.JSON(), nullable=False),
        sa.Column("began_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_portal_sessions")),
    )
    with op.batch_alter_table("portal_sessions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_portal_sessions_principal"), ["principal"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_portal_sessions_seen_at"), ["seen_at"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("lakehouse", sa.String(length=36), nullable=False),
        sa.Column("submitter", sa.String(length=36), nullable=False),
        sa.Column("submitter_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("runtime", sa.String(length=32), nullable=False),
        sa.Column("conf", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("goal", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("driver", sa.String(length=36), nullable=False),
        sa.Column("repl", sa.String(length=36), nullable=False),
        sa.Column("idle_seconds", sa.Float(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("last_active_at", Moment(), nullable=False),
        sa.Column("times", sa.JSON(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.Column("end_cause", sa.String(length=32), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("log", sa.JSON(), nullable=False),
        sa.Column("spark_app_id", sa.Text(), nullable=True),
        sa.Column("ui_url", sa.Text(), nullable=True),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("submitter_kind", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), server_default="waiting", nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("token_principal", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("duration_key", sa.String(length=16), server_default="", nullable=False),
        sa.CheckConstraint("goal IN ('run', 'stop')", name=op.f("ck_sessions_goal")),
        sa.CheckConstraint(
            "phase IN ('requested', 'launching', 'starting', 'ready', 'stopping', 'stopped', 'failed', 'died')",
            name=op.f("ck_sessions_phase"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("driver", name=op.f("uq_sessions_driver")),
        sa.UniqueConstraint("repl", name=op.f("uq_sessions_repl")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(
            "ix_sessions_of_lakehouse",
            ["lakehouse", "created_at", "id", "state", "submitter", "ended_at"],
            unique=False,
        )
        batch_op.create_index(
            "ix_sessions_of_workspace",
            ["workspace", "created_at", "id", "state", "submitter", "ended_at"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_sessions_phase"), ["phase"], unique=False)

    op.create_table(
        "users",
        sa.Column("oid", sa.String(length=36), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("oid", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_table(
        "consents",
        sa.Column("user", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("resource", sa.String(length=128), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("given_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["applications.client_id"],
            name=op.f("fk_consents_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user"], ["users.oid"], name=op.f("fk_consents_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user", "client_id", "resource", name=op.f("pk_consents")),
    )
    op.create_table(
        "drivers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_drivers_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drivers")),
    )
    with op.batch_alter_table("drivers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_drivers_session"), ["session"], unique=False)

    op.create_table(
        "effective_confs",
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("conf", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["sessions.id"], name=op.f("fk_effective_confs_session")
        ),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_effective_confs")),
    )
    op.create_table(
        "grants",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("family", sa.String(length=36), nullable=False),
        sa.Column("client_id", sa.String(length=36), nullable=False),
        sa.Column("user", sa.String(length=36), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("spent_at", Moment(), nullable=True),
        sa.Column("user_code", sa.String(length=16), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("challenge", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "decision IN ('pending', 'approved', 'denied')", name=op.f("ck_grants_decision")
        ),
        sa.CheckConstraint("kind IN ('code', 'refresh', 'device')", name=op.f("ck_grants_kind")),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["applications.client_id"],
            name=op.f("fk_grants_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user"], ["users.oid"], name=op.f("fk_grants_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_grants")),
        sa.UniqueConstraint("user_code", name=op.f("uq_grants_user_code")),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_grants_client_id"), ["client_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_grants_family"), ["family"], unique=False)
        batch_op.create_index(batch_op.f("ix_grants_user"), ["user"], unique=False)

    op.create_table(
        "lakehouses",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("database", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name=op.f("fk_lakehouses_workspace")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lakehouses")),
        sa.UniqueConstraint("database", name=op.f("uq_lakehouses_database")),
        sa.UniqueConstraint("workspace", "name", name=op.f("uq_lakehouses_workspace_name")),
    )
    with op.batch_alter_table("lakehouses", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_lakehouses_workspace"), ["workspace"], unique=False)

    op.create_table(
        "roles",
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("principal", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.CheckConstraint(
            "role IN ('Admin', 'Member', 'Contributor', 'Viewer')", name=op.f("ck_roles_role")
        ),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_roles_workspace")),
        sa.PrimaryKeyConstraint("workspace", "principal", name=op.f("pk_roles")),
    )
    op.create_table(
        "sign_ins",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=36), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user"], ["users.oid"], name=op.f("fk_sign_ins_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_ins")),
    )
    with op.batch_alter_table("sign_ins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sign_ins_user"), ["user"], unique=False)

    op.create_table(
        "statement_jobs",
        sa.Column("repl", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["sessions.id"], name=op.f("fk_statement_jobs_session")
        ),
        sa.PrimaryKeyConstraint("repl", "number", name=op.f("pk_statement_jobs")),
    )
    with op.batch_alter_table("statement_jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_statement_jobs_session"), ["session"], unique=False)

    op.create_table(
        "statements",
        sa.Column("repl", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("driver", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("code", AnyText(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("started_at", Moment(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("ending", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('spark', 'pyspark', 'sparkr', 'sql')", name=op.f("ck_statements_kind")
        ),
        sa.CheckConstraint(
            "phase IN ('waiting', 'running', 'cancelling', 'available', 'cancelled')",
            name=op.f("ck_statements_phase"),
        ),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_statements_session")),
        sa.PrimaryKeyConstraint("repl", "number", name=op.f("pk_statements")),
    )
    with op.batch_alter_table("statements", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_statements_driver_phase"), ["driver", "phase"], unique=False
        )
        batch_op.create_index(
            "ix_statements_open",
            ["repl", "number"],
            unique=False,
            sqlite_where=sa.text("phase IN ('waiting', 'running', 'cancelling')"),
            postgresql_where=sa.text("phase IN ('waiting', 'running', 'cancelling')"),
        )
        batch_op.create_index(batch_op.f("ix_statements_session"), ["session"], unique=False)
        batch_op.create_index(
            "uq_statements_active",
            ["repl"],
            unique=True,
            sqlite_where=sa.text("phase IN ('running', 'cancelling')"),
            postgresql_where=sa.text("phase IN ('running', 'cancelling')"),
        )

    for trigger in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(trigger)


TRIGGERS = {
    "sqlite": (
        (
            "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END"
        ),
        (
            "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit "
            "WHEN OLD.kept_until > strftime('%Y-%m-%d %H:%M:%f', 'now') "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is kept'); END"
        ),
    ),
    "postgresql": (
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
    ),
}
"""No code that reaches the database through this process can rewrite the log."""
