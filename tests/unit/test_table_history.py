"""The sentences of a table's history, from what Spark and the deltalake library write."""

from typing import Any

import pytest

from livius.domain.contents import Commit
from livius.language import ENGLISH, TRADITIONAL_CHINESE, translations
from livius.portal.table_history import sentence


def commit(operation: str, parameters: dict[str, str], metrics: dict[str, str]) -> Commit:
    return Commit(version=3, at=None, operation=operation, parameters=parameters, metrics=metrics)


@pytest.mark.parametrize(
    ("operation", "parameters", "metrics", "said"),
    [
        (
            "WRITE",
            {"mode": "Append"},
            {"numFiles": "2", "numOutputRows": "1000"},
            "Appended 1,000 rows in 2 files",
        ),
        (
            "WRITE",
            {"mode": "Append"},
            {"num_added_files": "1", "num_added_rows": "1"},
            "Appended 1 row in 1 file",
        ),
        (
            "WRITE",
            {"mode": "Overwrite"},
            {"numFiles": "1", "numOutputRows": "5"},
            "Overwritten with 5 rows in 1 file",
        ),
        ("WRITE", {"mode": "Overwrite"}, {}, "Overwritten"),
        ("WRITE", {}, {}, "Written"),
        ("CREATE TABLE", {}, {}, "Created, without rows"),
        (
            "CREATE TABLE AS SELECT",
            {},
            {"numFiles": "1", "numOutputRows": "20000"},
            "Created from a query: 20,000 rows in 1 file",
        ),
        (
            "STREAMING UPDATE",
            {},
            {"numAddedFiles": "1", "numOutputRows": "7"},
            "A stream wrote 7 rows in 1 file",
        ),
        (
            "MERGE",
            {},
            {
                "numTargetRowsInserted": "2",
                "numTargetRowsUpdated": "3",
                "numTargetRowsDeleted": "0",
            },
            "Merged: 2 inserted, 3 updated",
        ),
        ("MERGE", {}, {"num_target_rows_deleted": "4"}, "Merged: 4 deleted"),
        ("MERGE", {}, {"numTargetRowsUpdated": "0"}, "Merged: no row changed"),
        ("MERGE", {}, {}, "Merged"),
        ("UPDATE", {}, {"numUpdatedRows": "1"}, "Updated 1 row"),
        ("DELETE", {}, {"num_deleted_rows": "12"}, "Deleted 12 rows"),
        ("DELETE", {}, {}, "Deleted rows"),
        (
            "OPTIMIZE",
            {},
            {"numRemovedFiles": "10", "numAddedFiles": "1"},
            "Optimized: 10 files became 1 file",
        ),
        (
            "OPTIMIZE",
            {},
            {"numFilesRemoved": "2", "numFilesAdded": "1"},
            "Optimized: 2 files became 1 file",
        ),
        ("VACUUM END", {}, {"numDeletedFiles": "3"}, "Vacuumed: 3 files deleted"),
        ("RESTORE", {"version": "3", "timestamp": "null"}, {}, "Restored to version 3"),
        (
            "RESTORE",
            {"version": "null", "timestamp": "2026-01-01 00:00:00"},
            {},
            "Restored to its state of 2026-01-01 00:00:00",
        ),
        ("RESTORE", {}, {}, "Restored to an earlier version"),
        (
            "ADD COLUMNS",
            {"columns": '[{"column":{"name":"a","type":"long"}},{"column":{"name":"b"}}]'},
            {},
            "Added columns: a, b",
        ),
        ("CHANGE COLUMN", {"column": '{"name":"n","type":"long"}'}, {}, "Changed the column n"),
        ("RENAME COLUMN", {"oldColumnPath": "n", "newColumnPath": "m"}, {}, "Renamed the column n"),
        ("DROP COLUMNS", {"columns": '["a"]'}, {}, "Removed columns: a"),
        ("ADD COLUMNS", {"columns": "broken ["}, {}, "Added columns"),
        ("ADD COLUMNS", {"columns": '[7, {"column": 8}, null]'}, {}, "Added columns"),
        ("SET TBLPROPERTIES", {}, {}, "Changed properties"),
        ("From the <future>", {}, {}, "From the <future>"),
        ("WRITE", {"mode": "Append"}, {"numFiles": "-1", "numOutputRows": "x"}, "Appended"),
        ("WRITE", {"mode": "Append"}, {"numFiles": "²", "numOutputRows": "1"}, "Appended"),
    ],
)
def test_a_commit_is_a_sentence(
    operation: str, parameters: dict[str, str], metrics: dict[str, Any], said: str
) -> None:
    made = commit(operation, parameters, metrics)
    assert sentence(made, translations(ENGLISH)) == said


def test_a_sentence_is_in_the_readers_language() -> None:
    made = commit("WRITE", {"mode": "Append"}, {"numFiles": "2", "numOutputRows": "1000"})
    assert sentence(made, translations(TRADITIONAL_CHINESE)) == "附加了 1,000 列，共 2 個檔案"  # noqa: RUF001
    merged = commit("MERGE", {}, {"numTargetRowsInserted": "2", "numTargetRowsUpdated": "3"})
    assert sentence(merged, translations(TRADITIONAL_CHINESE)) == "已合併：插入 2 列、更新 3 列"  # noqa: RUF001
