"""From where a device code was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("grants", sa.Column("caller", sa.Text(), nullable=False, server_default=""))
