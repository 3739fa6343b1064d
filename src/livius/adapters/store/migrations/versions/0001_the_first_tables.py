"""The first tables."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
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
            batch_op.f("ix_sessions_lakehouse_created_at"),
            ["lakehouse", "created_at"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_sessions_phase"), ["phase"], unique=False)

    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
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
        "lakehouses",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("database", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
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
        "statements",
        sa.Column("repl", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("driver", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
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
        batch_op.create_index(batch_op.f("ix_statements_session"), ["session"], unique=False)
        batch_op.create_index(
            "uq_statements_active",
            ["repl"],
            unique=True,
            sqlite_where=sa.text("phase IN ('running', 'cancelling')"),
            postgresql_where=sa.text("phase IN ('running', 'cancelling')"),
        )
