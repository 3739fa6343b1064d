"""What lists of sessions are sorted by for their duration."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_BEYOND = 10**15


def upgrade() -> None:
    """Go forward."""
    op.add_column(
        "sessions",
        sa.Column("duration_key", sa.String(length=16), nullable=False, server_default=""),
    )
    sessions = sa.table(
        "sessions",
        sa.column("id"),
        sa.column("duration_key"),
        sa.column("created_at", Moment()),
        sa.column("ended_at", Moment()),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(sessions)).all():
        key = _key(row.created_at, row.ended_at)
        change = sessions.update().where(sessions.c.id == row.id).values(duration_key=key)
        connection.execute(change)


def _key(created_at: datetime, ended_at: datetime | None) -> str:
    """Return what the code of this moment would: it may be another one later."""
    began = int((created_at - _EPOCH).total_seconds() * 1000)
    if ended_at is None:
        return f"{_BEYOND - began:016d}"
    ended = int((ended_at - _EPOCH).total_seconds() * 1000)
    return f"{max(0, ended - began):016d}"
