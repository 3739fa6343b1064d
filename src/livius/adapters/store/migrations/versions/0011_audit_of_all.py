"""The audit log also tells what belongs to no session, and how often."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SAME = (
    "number, at, kept_until, action, workspace, lakehouse, session, result, target, code_hash, "
    "code_head, actor_id, actor_name, actor_kind, actor_client_id, actor_address, actor_request_id"
)


def upgrade() -> None:
    """Go forward. SQLite can't let go of NOT NULL: the entries move, with their numbers."""
    op.create_table(
        "audit_of_all",
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
    op.execute(f"INSERT INTO audit_of_all ({_SAME}, times) SELECT {_SAME}, 1 FROM audit")  # noqa: S608 - our own names
    # The last number counts also where its entry is past keeping and gone.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'audit_of_all'")
    op.execute(
        "INSERT INTO sqlite_sequence (name, seq) "
        "SELECT 'audit_of_all', seq FROM sqlite_sequence WHERE name = 'audit'"
    )
    op.drop_table("audit")
    op.rename_table("audit_of_all", "audit")
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
