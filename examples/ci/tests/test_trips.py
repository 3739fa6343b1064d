import pytest
from trips import run_sql


def test_a_table_is_written_and_read(livius):
    query = "CREATE TABLE trips AS SELECT id, id * 2.5 AS fare FROM range(3); SELECT sum(fare) FROM trips"
    assert run_sql(livius.http, livius.livy_url, query) == [["7.5"]]


def test_each_test_begins_with_an_empty_lakehouse(livius):
    assert run_sql(livius.http, livius.livy_url, "SHOW TABLES") == []
    with pytest.raises(ValueError, match="TABLE_OR_VIEW_NOT_FOUND"):
        run_sql(livius.http, livius.livy_url, "SELECT * FROM trips")
