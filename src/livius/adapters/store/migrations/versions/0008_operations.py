"""Long-running operations."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_GUID = sa.String(length=36)


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "operations",
        sa.Column("id", _GUID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("workspace", _GUID, nullable=False),
        sa.Column("item", _GUID, nullable=False),
        sa.Column("requested_by", _GUID, nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("goal", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.CheckConstraint("goal IN ('run', 'cancel')", name=op.f("ck_operations_goal")),
        sa.CheckConstraint(
            "phase IN ('not_started', 'running', 'succeeded', 'failed')",
            name=op.f("ck_operations_phase"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index("ix_operations_item", "operations", ["item"], unique=False)
    op.create_index(
        "ix_operations_phase_updated_at", "operations", ["phase", "updated_at"], unique=False
    )
