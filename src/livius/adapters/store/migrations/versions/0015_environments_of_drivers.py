"""Drivers that have the libraries of an environment, also before a session has them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("drivers", sa.Column("environment", sa.String(length=36), nullable=True))
    op.execute(
        "UPDATE drivers SET environment = "
        "(SELECT environment FROM sessions WHERE sessions.id = drivers.session)"
    )
