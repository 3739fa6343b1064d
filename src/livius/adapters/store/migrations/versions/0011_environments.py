"""Environments and their versions; sessions have one of these."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None

_GUID = sa.String(length=36)


def upgrade() -> None:
    """Go forward."""
    # AnyText: PostgreSQL's texts have no NUL.
    any_text = sa.LargeBinary() if op.get_bind().dialect.name == "postgresql" else sa.Text()
    op.create_table(
        "environments",
        sa.Column("id", _GUID, nullable=False),
        sa.Column("workspace", _GUID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("compute", sa.JSON(), nullable=False),
        sa.Column("libraries", sa.JSON(), nullable=False),
        sa.Column("published", _GUID, nullable=True),
        sa.Column("latest", _GUID, nullable=True),
        sa.Column("name_key", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environments")),
    )
    op.create_index(
        "uq_environments_workspace_name_key",
        "environments",
        ["workspace", "name_key"],
        unique=True,
    )
    op.create_table(
        "environment_versions",
        sa.Column("id", _GUID, nullable=False),
        sa.Column("environment", _GUID, nullable=False),
        sa.Column("workspace", _GUID, nullable=False),
        sa.Column("operation", _GUID, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("compute", sa.JSON(), nullable=False),
        sa.Column("libraries", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("published_at", sa.DateTime(), nullable=True),
        sa.Column("log", any_text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environment_versions")),
        sa.UniqueConstraint("operation", name=op.f("uq_environment_versions_operation")),
    )
    op.add_column("sessions", sa.Column("environment", _GUID, nullable=True))
    op.create_index("ix_sessions_environment", "sessions", ["environment"], unique=False)
