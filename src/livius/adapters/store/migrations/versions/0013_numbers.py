"""The numbers of operating system users and groups."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "numbers",
        sa.Column("owner", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_numbers"),
        sa.UniqueConstraint("number", name="uq_numbers_number"),
    )
