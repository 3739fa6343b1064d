"""What activities are listed and filtered by."""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from livius.adapters.store.schema import Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FINAL = ("stopped", "failed", "died")


def upgrade() -> None:
    """Go forward."""
    op.add_column("sessions", sa.Column("submitter_kind", sa.String(length=16)))
    op.add_column(
        "sessions",
        sa.Column("state", sa.String(length=16), nullable=False, server_default="waiting"),
    )
    op.add_column("sessions", sa.Column("ended_at", Moment()))
    sessions = sa.table(
        "sessions",
        *(sa.column(name) for name in ("id", "goal", "phase", "end_cause", "times", "state")),
        sa.column("last_active_at", Moment()),
        sa.column("ended_at", Moment()),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(sessions)).all():
        times = json.loads(row.times)
        ended_at = None
        if row.phase in _FINAL:
            ended = times.get(row.phase)
            ended_at = datetime.fromisoformat(ended) if ended else row.last_active_at
        connection.execute(
            sessions.update()
            .where(sessions.c.id == row.id)
            .values(state=_state(row, times), ended_at=ended_at)
        )
    op.drop_index("ix_sessions_lakehouse_created_at", "sessions")
    listed = ["created_at", "id", "state", "submitter", "ended_at"]
    op.create_index("ix_sessions_of_workspace", "sessions", ["workspace", *listed])
    op.create_index("ix_sessions_of_lakehouse", "sessions", ["lakehouse", *listed])


def _state(row: sa.Row[Any], times: dict[str, str]) -> str:
    """Return what the code of this moment would: it may be another one later."""
    if row.phase in ("failed", "died"):
        state = "failed"
    elif row.phase == "stopped":
        ended = "stopped" if "ready" in times else "cancelled"
        state = {"idle": "timed_out", "start_timed_out": "failed"}.get(row.end_cause, ended)
    elif row.goal == "stop" or row.phase == "stopping":
        state = "stopping"
    else:
        state = "running" if row.phase == "ready" else "waiting"
    return state
