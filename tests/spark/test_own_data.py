"""Your own files as tables, and lakehouses of your own, with real Spark."""

import gzip
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from livius.cli.lakehouse.loading import Wanted, look, readable, statement
from support.gateway import LIVIUS, ROOT, Client, Gateway, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]


def load(session: RemoteSession, source: Path, **asked: Any) -> dict[str, Any]:
    """The same load as `livius lakehouse load`, in an existing session."""
    defaults = {"table": None, "mode": "error", "format": None, "header": True, "delimiter": None}
    planned = look(Wanted(source=source, **{**defaults, **asked}))
    with readable(source) as path:
        output = session.run(statement(planned, path))
    if output["status"] == "error":
        return {"error": output["ename"], "message": output["evalue"]}
    done: dict[str, Any] = json.loads(output["data"]["text/plain"])
    return done


@pytest.fixture(scope="module")
def made(gateway: Gateway) -> str:
    """A lakehouse made on the command line."""
    assert "Created the lakehouse own_data" in gateway.livius("lakehouse", "create", "own_data")
    return "own_data"


def test_a_csv_file_becomes_a_table_of_a_new_lakehouse(
    gateway: Gateway, client: Client, made: str, tmp_path: Path
) -> None:
    file = tmp_path / "Trips [2022].csv"
    file.write_text('id,Full Name,amount (EUR)\n1,"Ada, ""first""",1.5\n2,"line\nbreak",2\n')
    before = client.call("GET", "/sessions").json()["totalCountOfMatchedItems"]
    printed = gateway.livius("lakehouse", "load", file, "--lakehouse", made)
    assert "2 rows loaded into the table trips_2022 of own_data." in printed
    assert "id int, Full_Name string, amount_EUR double" in printed
    assert "'Full Name' to Full_Name" in printed
    assert "tables  trips_2022" in gateway.livius("lakehouse", "list")
    assert list(tmp_path.iterdir()) == [file]
    assert client.call("GET", "/sessions").json()["totalCountOfMatchedItems"] == before
    facts = gateway.connection
    answer = client.http.get(f"{facts['api']}/v1/workspaces/{facts['workspace_id']}/lakehouses")
    [other] = [one for one in answer.json()["value"] if one["displayName"] == made]
    base = client.base
    client.base = base.replace(facts["lakehouse_id"], other["id"])
    try:
        with client.session() as session:
            assert session.rows("select current_database()") == [["own_data"]]
            rows = session.rows("select Full_Name, amount_EUR from trips_2022 order by id")
            assert rows == [['Ada, "first"', 1.5], ["line\nbreak", 2.0]]
        refused = client.http.delete(f"{answer.url}/{other['id']}?hardDelete=true")
        wait_for(
            lambda: (
                client.http.delete(f"{answer.url}/{other['id']}?hardDelete=true").status_code
                in (200, 404)
            ),
            seconds=60,
            what="the lakehouse is deleted once its session has ended",
            every=0.2,
        )
        assert refused.status_code in (200, 409)
    finally:
        client.base = base
    assert made not in gateway.livius("lakehouse", "list")
    folder = gateway.home / "onelake" / facts["workspace_id"] / other["id"]
    assert not folder.exists()


def test_ctrl_c_ends_a_load_and_its_session(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "interrupted.csv").write_text("id\n1\n")

    def names() -> list[str]:
        return [one["name"] for one in client.call("GET", "/sessions").json()["items"]]

    with subprocess.Popen(
        [LIVIUS, "lakehouse", "load", tmp_path / "interrupted.csv"],
        env=gateway.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as loading:
        wait_for(lambda: "load interrupted" in names(), seconds=60, what="the load's session")
        loading.send_signal(signal.SIGINT)
        out, err = loading.communicate(timeout=60)
    assert (loading.returncode, out) == (130, ""), err
    assert "What was not finished is not in the table." in err
    assert "load interrupted" not in names()


def test_each_format_gives_the_same_rows(session: RemoteSession, tmp_path: Path) -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "ü"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "one_jsonl.jsonl").write_text(lines)
    (tmp_path / "one_jsongz.json.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "one_json.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "one_csvgz.csv.gz").write_bytes(gzip.compress("id,name\n1,a\n2,ü\n".encode()))
    # As Excel writes it.
    (tmp_path / "one_excel.csv").write_bytes("\ufeffid,name\r\n1,a\r\n2,ü\r\n".encode())
    (tmp_path / "one_tsv.tsv").write_text("id\tname\n1\ta\n2\tü\n")
    path = tmp_path / "one_parquet.parquet"
    session.text(f"import pandas; pandas.DataFrame({rows!r}).to_parquet({str(path)!r})")
    folder = tmp_path / "one_folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("id,name\n1,a\n")
    (folder / "deep" / "b.csv").write_text("id,name\n2,ü\n")
    for source in tmp_path.iterdir():
        done = load(session, source)
        assert done.get("rows") == 2, (source, done)
        table = source.name.partition(".")[0]
        assert session.rows(f"select id, name from {table} order by id") == [[1, "a"], [2, "ü"]]


def test_names_inside_of_structs_are_made_deltas_too(
    session: RemoteSession, tmp_path: Path
) -> None:
    (tmp_path / "nested.json").write_text('{"a":{"x y":1,"list":[{"p,q":2}]},"nothing":null}\n')
    assert load(session, tmp_path / "nested.json")["rows"] == 1
    assert session.rows("select a.x_y, a.list[0].p_q, nothing from nested") == [[1, 2, None]]


def test_a_table_that_is_there_is_added_to_or_replaced_only_if_asked(
    session: RemoteSession, tmp_path: Path
) -> None:
    file = tmp_path / "grown.csv"
    file.write_text("id;name\n1;a\n")
    uncut = load(session, file)
    assert "--delimiter ';'" in uncut["message"]
    file.write_text("id,name\n1,a\n")
    assert load(session, file)["rows"] == 1
    refused = load(session, file)
    assert refused["error"] == "Refused"
    assert "--mode append" in refused["message"]
    file.write_text("NAME,id\nb,2\nc,3\n")
    done = load(session, file, mode="append")
    assert (done["rows"], done["total"]) == (2, 3)
    file.write_text("id,city\n4,x\n")
    mismatch = load(session, file, mode="append")
    assert mismatch["error"] == "Refused"
    assert "lacks name and has city besides" in mismatch["message"]
    file.write_text("id,name\nnone,d\n")
    assert "CAST_INVALID_INPUT" in load(session, file, mode="append")["message"]
    assert session.rows("select id, name from grown order by id") == [[1, "a"], [2, "b"], [3, "c"]]
    file.write_text("id,city\n4,x\n")
    assert load(session, file, mode="overwrite")["total"] == 1
    assert session.rows("select * from grown") == [[4, "x"]]


def test_a_line_that_does_not_fit_loads_nothing_and_leaves_nothing(
    session: RemoteSession, gateway: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "broken.csv"
    file.write_text("id,name\n1,a\n2,b,c\n")
    assert "MALFORMED" in load(session, file)["message"]
    facts = gateway.connection
    folder = gateway.home / "onelake" / facts["workspace_id"] / facts["lakehouse_id"] / "Tables"
    assert not (folder / "broken").exists()
    file.write_text("id,name\n1,a\n2,b\n")
    assert load(session, file)["rows"] == 2


def test_a_delta_folder_that_is_copied_in_is_a_table(
    session: RemoteSession, gateway: Gateway, tmp_path: Path
) -> None:
    outside = tmp_path / "written elsewhere"
    session.text(f"spark.range(5).write.format('delta').save({str(outside)!r})")
    facts = gateway.connection
    tables = gateway.home / "onelake" / facts["workspace_id"] / facts["lakehouse_id"] / "Tables"
    shutil.copytree(outside, tables / "copied_in")
    copy_as_created(outside, tables / "made_long_ago", at=time.time() - 3600)
    copy_as_created(outside, tables / "being_made", at=time.time())
    assert "copied_in" in gateway.livius("lakehouse", "list")

    def known() -> set[str]:
        return {row[1] for row in session.rows("show tables")}

    wait_for(
        lambda: {"copied_in", "made_long_ago"} <= known(),
        seconds=60,
        what="the folders are registered",
        every=1,
    )
    assert session.rows("select count(*) from copied_in") == [[5]]
    # A CREATE TABLE that is under way would fail if its table were there already.
    assert "being_made" not in known()


def test_a_delta_folder_that_was_there_before_any_session_is_a_managed_table_at_once(
    gateway: Gateway,
) -> None:
    lakehouse = re.search(r"id +(\S+)", gateway.livius("lakehouse", "create", "there_before"))
    assert lakehouse is not None
    workspace = gateway.connection["workspace_id"]
    tables = gateway.home / "onelake" / workspace / lakehouse[1] / "Tables"
    sample = ROOT / "src" / "livius" / "sample" / "green_tripdata_2022"
    shutil.copytree(sample, tables / "trips")
    client = Client(gateway)
    client.base = client.base.replace(gateway.connection["lakehouse_id"], lakehouse[1])
    with client.session() as session:
        assert session.rows("select count(*) from trips") == [[20_000]]
        about = {row[0]: row[1] for row in session.rows("describe table extended trips")}
        assert about["Type"] == "MANAGED"
        session.rows("drop table trips")
        assert not (tables / "trips").exists()


def copy_as_created(table: Path, to: Path, *, at: float) -> None:
    """Copy a table as if CREATE TABLE had begun it then."""
    shutil.copytree(table, to)
    commit = to / "_delta_log" / f"{0:020d}.json"
    text = re.sub(r'"timestamp":\d+', f'"timestamp":{int(at * 1000)}', commit.read_text(), count=1)
    assert '"operation":"WRITE"' in text
    commit.write_text(text.replace('"operation":"WRITE"', '"operation":"CREATE TABLE"'))
    (to / "_delta_log" / f".{commit.name}.crc").unlink(missing_ok=True)


def test_what_can_not_be_done_says_what_to_do(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\n1\n")
    elsewhere = Gateway(tmp_path / "elsewhere")
    for where, arguments, said in (
        (gateway, ("load", file, "--lakehouse", "nowhere"), "sample/sample"),
        (gateway, ("create", "not a name"), "letters, digits"),
        (gateway, ("create", "SAMPLE"), "There is a lakehouse SAMPLE"),
        (gateway, ("create", "x", "--workspace", "nowhere"), "There is: sample"),
        (elsewhere, ("list",), "livius up"),
    ):
        assert said in where.livius("lakehouse", *arguments, code=2)
