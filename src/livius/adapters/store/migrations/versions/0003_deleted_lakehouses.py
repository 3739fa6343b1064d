"""Descriptions, and the lakehouses that were deleted."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    for table in ("workspaces", "lakehouses"):
        op.add_column(table, sa.Column("description", sa.Text(), nullable=False, server_default=""))
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
