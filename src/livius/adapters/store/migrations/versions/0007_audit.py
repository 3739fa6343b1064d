"""The audit log, which nobody changes."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("kept_until", Moment(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("workspace", sa.String(length=36), nullable=False),
        sa.Column("lakehouse", sa.String(length=36), nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("result", sa.String(length=32), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("code_hash", sa.String(length=64), nullable=True),
        sa.Column("code_head", sa.Text(), nullable=True),
        sa.Column("actor_id", sa.String(length=36), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=True),
        sa.Column("actor_kind", sa.String(length=16), nullable=True),
        sa.Column("actor_client_id", sa.Text(), nullable=True),
        sa.Column("actor_address", sa.Text(), nullable=True),
        sa.Column("actor_request_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_workspace_number"), "audit", ["workspace", "number"])
    op.create_index(op.f("ix_audit_kept_until"), "audit", ["kept_until"])
    op.execute(
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END"
    )
    op.execute(
        "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit "
        "WHEN OLD.kept_until > strftime('%Y-%m-%d %H:%M:%f', 'now') "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is kept'); END"
    )
