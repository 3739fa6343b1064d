"""A page of activities is found without reading the records that are not on it."""

from pathlib import Path

import pytest
from sqlalchemy import Connection

from livius.adapters.store import open_store


@pytest.mark.parametrize("owner", ["workspace", "lakehouse"])
@pytest.mark.parametrize(
    "filters",
    ["", "AND state IN ('failed', 'timed_out')", "AND submitter = 'x'", "AND ended_at <= 'x'",
     "AND created_at >= 'x'", "AND created_at <= 'x' AND (created_at < 'x' OR id < 'y')"],
)  # fmt: skip
async def test_a_page_is_found_in_an_index_alone(tmp_path: Path, owner: str, filters: str) -> None:
    transactions = open_store(tmp_path / "livius.db")

    def plan(connection: Connection) -> str:
        rows = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN SELECT id FROM sessions WHERE {owner} = 'w' {filters} "
            "ORDER BY created_at DESC, id DESC LIMIT 101"
        )
        return "\n".join(str(row) for row in rows)

    try:
        found = await transactions.run(plan)
    finally:
        transactions.close()
    assert f"COVERING INDEX ix_sessions_of_{owner}" in found
    assert "TEMP B-TREE" not in found
