"""Spark settings of workspaces, custom pools, and drivers that a pool bounds."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_GUID = sa.String(length=36)


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "spark_pools",
        sa.Column("id", _GUID, nullable=False),
        sa.Column("workspace", _GUID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("node_size", sa.String(length=16), nullable=False),
        sa.Column("scales", sa.Boolean(), nullable=False),
        sa.Column("min_nodes", sa.Integer(), nullable=False),
        sa.Column("max_nodes", sa.Integer(), nullable=False),
        sa.Column("allocates", sa.Boolean(), nullable=False),
        sa.Column("min_executors", sa.Integer(), nullable=False),
        sa.Column("max_executors", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name=op.f("fk_spark_pools_workspace")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spark_pools")),
    )
    op.create_index(
        "uq_spark_pools_workspace_name_key", "spark_pools", ["workspace", "name_key"], unique=True
    )
    op.create_table(
        "spark_settings",
        sa.Column("workspace", _GUID, nullable=False),
        sa.Column("default_pool", _GUID, nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name=op.f("fk_spark_settings_workspace")
        ),
        sa.ForeignKeyConstraint(
            ["default_pool"],
            ["spark_pools.id"],
            name=op.f("fk_spark_settings_default_pool"),
        ),
        sa.PrimaryKeyConstraint("workspace", name=op.f("pk_spark_settings")),
    )
    op.add_column("drivers", sa.Column("cores", sa.Integer(), nullable=True))
    op.add_column("drivers", sa.Column("memory_mb", sa.Integer(), nullable=True))
