"""Outlines of sessions: how statements ended, their Spark jobs in numbers, drivers' heaps."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("statements", sa.Column("cancelled_by", sa.Text(), nullable=True))
    op.add_column("statements", sa.Column("ok", sa.Boolean(), nullable=True))
    op.add_column("statements", sa.Column("row_count", sa.BigInteger(), nullable=True))
    for name, kind in (
        ("total", sa.BigInteger()),
        ("failed", sa.Integer()),
        ("cancelled", sa.Integer()),
    ):
        op.add_column("statement_jobs", sa.Column(name, kind, nullable=False, server_default="0"))
    for statement in _FILL[op.get_bind().dialect.name]:
        op.execute(statement)
    op.drop_index("ix_statements_session", "statements")
    op.create_index(
        "ix_statements_outline",
        "statements",
        ["session", "repl", "number", "phase", "started_at", "ended_at", "ok", "row_count"],
    )
    op.drop_index("ix_statement_jobs_session", "statement_jobs")
    op.create_index(
        "ix_statement_jobs_outline",
        "statement_jobs",
        ["session", "repl", "number", "total", "failed", "cancelled"],
    )
    op.create_table(
        "heaps",
        sa.Column("session", sa.String(length=36), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("peak", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_heaps_session")),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_heaps")),
    )


_FILL = {
    "sqlite": (
        "UPDATE statements SET ok = json_extract(ending, '$.ok') WHERE ending IS NOT NULL",
        """
        UPDATE statement_jobs SET
        total = json_extract(jobs, '$.total'),
        failed = (SELECT count(*) FROM json_each(jobs, '$.jobs') AS one
                  WHERE json_extract(one.value, '$.status') = 'FAILED'),
        cancelled = (SELECT count(*) FROM json_each(jobs, '$.jobs') AS one
                     WHERE json_extract(one.value, '$.status') = 'CANCELLED')
        """,
    ),
    "postgresql": (
        "UPDATE statements SET ok = (ending ->> 'ok')::boolean WHERE ending IS NOT NULL",
        """
        UPDATE statement_jobs SET
        total = (jobs ->> 'total')::bigint,
        failed = (SELECT count(*) FROM json_array_elements(jobs -> 'jobs') AS one
                  WHERE one ->> 'status' = 'FAILED'),
        cancelled = (SELECT count(*) FROM json_array_elements(jobs -> 'jobs') AS one
                     WHERE one ->> 'status' = 'CANCELLED')
        """,
    ),
}
