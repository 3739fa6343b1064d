"""Repls are records of their own, and high-concurrency sessions share a session's driver."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PHASES = "phase IN ('opening', 'open', 'closing', 'closed')"
_FIRST_REPLS = """
INSERT INTO repls (id, session, driver, phase, created_at, ended_at)
SELECT first_repl, id, driver,
  CASE phase WHEN 'ready' THEN 'open'
    WHEN 'requested' THEN 'opening' WHEN 'launching' THEN 'opening' WHEN 'starting' THEN 'opening'
    WHEN 'stopping' THEN 'closing' ELSE 'closed' END,
  created_at, ended_at
FROM sessions
"""


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("sessions") as batch:
        batch.drop_constraint("uq_sessions_repl", type_="unique")
        batch.alter_column("repl", new_column_name="first_repl", existing_type=sa.String(36))
        batch.add_column(sa.Column("sharing_key", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("sharing_limit", sa.Integer(), nullable=True))
    with op.batch_alter_table("sessions") as batch:
        batch.create_unique_constraint("uq_sessions_first_repl", ["first_repl"])
        batch.create_index(
            "ix_sessions_shared",
            ["sharing_key"],
            unique=False,
            sqlite_where=sa.text("sharing_key IS NOT NULL"),
            postgresql_where=sa.text("sharing_key IS NOT NULL"),
        )
    op.create_table(
        "repls",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("driver", sa.String(length=36), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(_PHASES, name=op.f("ck_repls_phase")),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_repls_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repls")),
    )
    op.create_index("ix_repls_session", "repls", ["session"], unique=False)
    op.create_index("ix_repls_driver", "repls", ["driver"], unique=False)
    op.create_table(
        "high_concurrency_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("repl", sa.String(length=36), nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("lakehouse", sa.String(length=36), nullable=False),
        sa.Column("creator", sa.String(length=36), nullable=False),
        sa.Column("tag", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("deleted_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repl"], ["repls.id"], name=op.f("fk_high_concurrency_sessions_repl")
        ),
        sa.ForeignKeyConstraint(
            ["session"], ["sessions.id"], name=op.f("fk_high_concurrency_sessions_session")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_high_concurrency_sessions")),
        sa.UniqueConstraint("repl", name=op.f("uq_high_concurrency_sessions_repl")),
    )
    op.create_index(
        "ix_high_concurrency_sessions_session", "high_concurrency_sessions", ["session"]
    )
    op.create_index(
        "ix_high_concurrency_sessions_lakehouse_creator",
        "high_concurrency_sessions",
        ["lakehouse", "creator"],
    )
    op.execute(_FIRST_REPLS)
