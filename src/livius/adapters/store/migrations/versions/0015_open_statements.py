"""The open statements of a repl are found without looking at all of its statements."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OPEN = sa.text("phase IN ('waiting', 'running', 'cancelling')")


def upgrade() -> None:
    """Go forward."""
    op.create_index(
        "ix_statements_open",
        "statements",
        ["repl", "number"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
