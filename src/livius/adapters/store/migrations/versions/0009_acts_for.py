"""Whose tokens a session's code may get."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward. Sessions of before keep none: nobody knows what they were allowed."""
    op.add_column(
        "sessions", sa.Column("token_principal", sa.JSON(none_as_null=True), nullable=True)
    )
