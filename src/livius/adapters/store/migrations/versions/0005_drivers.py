"""Drivers are records with lives of their own: a session may claim one of the pool."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What all rows of before are given; the values of each follow from its session.
_ADDED: dict[str, tuple[sa.types.TypeEngine[Any], Any]] = {
    "owner": (sa.String(length=16), "session"),
    "goal": (sa.String(length=16), "run"),
    "phase": (sa.String(length=16), "requested"),
    "runtime": (sa.String(length=32), ""),
    "first_repl": (sa.String(length=36), ""),
    "fingerprint": (sa.String(length=64), ""),
    "pooled": (sa.Boolean(), sa.false()),
}
_CHECKS = {
    "owner": ("session", "pool"),
    "goal": ("run", "end"),
    "phase": ("requested", "launching", "starting", "warm", "ready", "ending", "ended"),
}
_FOLLOW = """
UPDATE drivers SET
  runtime = (SELECT runtime FROM sessions WHERE sessions.id = drivers.session),
  first_repl = (SELECT first_repl FROM sessions WHERE sessions.id = drivers.session),
  goal = (SELECT CASE goal WHEN 'stop' THEN 'end' ELSE 'run' END
    FROM sessions WHERE sessions.id = drivers.session),
  phase = (SELECT CASE phase WHEN 'stopping' THEN 'ending'
      WHEN 'requested' THEN phase WHEN 'launching' THEN phase
      WHEN 'starting' THEN phase WHEN 'ready' THEN phase ELSE 'ended' END
    FROM sessions WHERE sessions.id = drivers.session)
"""


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("drivers") as batch:
        for name, (kind, before) in _ADDED.items():
            batch.add_column(sa.Column(name, kind, nullable=False, server_default=before))
        batch.add_column(sa.Column("end_reason", sa.Text(), nullable=True))
        batch.alter_column("session", existing_type=sa.String(length=36), nullable=True)
    op.execute(_FOLLOW)
    with op.batch_alter_table("drivers") as batch:
        for name, (kind, _) in _ADDED.items():
            batch.alter_column(name, existing_type=kind, server_default=None)
        for name, values in _CHECKS.items():
            listed = ", ".join(f"'{value}'" for value in values)
            batch.create_check_constraint(op.f(f"ck_drivers_{name}"), f"{name} IN ({listed})")
        batch.create_index("ix_drivers_phase", ["phase"], unique=False)
