"""PortalSessions of the portal."""

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
        "portal_sessions",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("principal", sa.String(36), nullable=False),
        sa.Column("caller", sa.JSON(), nullable=False),
        sa.Column("began_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_portal_sessions"),
    )
    op.create_index("ix_portal_sessions_principal", "portal_sessions", ["principal"])
    op.create_index("ix_portal_sessions_seen_at", "portal_sessions", ["seen_at"])
