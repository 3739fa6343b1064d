"""A driver may be queued."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PHASES = (*("queued", "requested", "launching", "starting", "warm", "ready", "ending", "ended"),)


def upgrade() -> None:
    """Go forward."""
    name = op.f("ck_drivers_phase")
    listed = ", ".join(f"'{phase}'" for phase in _PHASES)
    with op.batch_alter_table("drivers") as batch:
        batch.drop_constraint(name, type_="check")
        batch.create_check_constraint(name, f"phase IN ({listed})")
