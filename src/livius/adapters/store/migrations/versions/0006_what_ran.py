"""The Spark jobs of statements, and the conf that sessions run with."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "statement_jobs",
        sa.Column("repl", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["sessions.id"], name=op.f("fk_statement_jobs_session")
        ),
        sa.PrimaryKeyConstraint("repl", "number", name=op.f("pk_statement_jobs")),
    )
    op.create_index(op.f("ix_statement_jobs_session"), "statement_jobs", ["session"])
    op.create_table(
        "effective_confs",
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("conf", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session"], ["sessions.id"], name=op.f("fk_effective_confs_session")
        ),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_effective_confs")),
    )
