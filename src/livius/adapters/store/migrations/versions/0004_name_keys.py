"""Constraints: names of workspaces and lakehouses are unique in any case."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    connection = op.get_bind()
    for name, scope in (("workspaces", []), ("lakehouses", ["workspace"])):
        op.add_column(name, sa.Column("name_key", sa.Text(), nullable=False, server_default=""))
        table = sa.table(name, sa.column("id"), sa.column("name"), sa.column("name_key"))
        for row in connection.execute(sa.select(table.c.id, table.c.name)).all():
            connection.execute(
                sa.update(table).where(table.c.id == row.id).values(name_key=row.name.lower())
            )
        columns = [*scope, "name_key"]
        op.create_index("_".join(["uq", name, *columns]), name, columns, unique=True)
