"""Visits of the portal."""

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "visits",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("principal", sa.String(36), nullable=False),
        sa.Column("caller", sa.JSON(), nullable=False),
        sa.Column("began_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_visits"),
    )
    op.create_index("ix_visits_principal", "visits", ["principal"])
    op.create_index("ix_visits_seen_at", "visits", ["seen_at"])
