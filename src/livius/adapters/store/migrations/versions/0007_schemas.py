"""Lakehouses may have schemas."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column(
        "lakehouses",
        sa.Column("has_schemas", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
