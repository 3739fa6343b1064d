"""`livius sql`, `run` and `session` as people start them: each a process of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import ipc

from support.gateway import LIVIUS, Gateway, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

WAITS = """
import pathlib, time
print("begun", flush=True)
while not pathlib.Path({path!r}).exists():
    time.sleep(0.05)
print("seen")
6 * 7
"""
FOREVER = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.05)"


@contextlib.contextmanager
def started(
    gateway: Gateway, *arguments: str | Path, given: str
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [LIVIUS, *arguments],
        env=gateway.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        process.stdin = None  # `communicate` would write to it
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def last_state(session: RemoteSession) -> str:
    page = session.client.call("GET", f"{session.path}/statements", params={"order": "desc"})
    state: str = page.json()["statements"][0]["state"]
    return state


QUERY = "SELECT 1 AS n, 'a,b' AS t, CAST(1.50 AS DECIMAL(5,2)) AS d, NULL AS nothing"


def test_sql_writes_its_rows_in_each_format(
    gateway: Gateway, session: RemoteSession, tmp_path: Path
) -> None:
    def rows(*arguments: str | Path) -> str:
        done = gateway.run("sql", QUERY, "--session", session.id, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert list(csv.reader(io.StringIO(rows()))) == [
        ["n", "t", "d", "nothing"],
        ["1", "a,b", "1.50", ""],
    ]
    assert json.loads(rows("--format", "json")) == [
        {"n": 1, "t": "a,b", "d": "1.50", "nothing": None}
    ]
    assert rows("--format", "table").splitlines()[2] == "1  a,b  1.50  NULL"
    file = tmp_path / "rows.arrow"
    assert rows("--output", file) == ""
    [row] = ipc.open_stream(file.read_bytes()).read_all().to_pylist()
    assert (row["n"], str(row["d"]), row["nothing"]) == (1, "1.50", None)
    assert list(tmp_path.iterdir()) == [file]


def test_moments_in_arrow_are_those_of_the_sessions_zone(
    gateway: Gateway, session: RemoteSession, tmp_path: Path
) -> None:
    session.rows("SET TIME ZONE 'Asia/Taipei'")
    try:
        file = tmp_path / "a.arrow"
        query = "SELECT timestamp'2024-01-01 08:00:00.25' AS t"
        assert gateway.run("sql", query, "-s", session.id, "-o", file).returncode == 0
        [moment] = ipc.open_stream(file.read_bytes()).read_all().column("t").to_pylist()
        assert moment.isoformat() == "2024-01-01T08:00:00.250000+08:00"
    finally:
        session.rows("RESET spark.sql.session.timeZone")


def test_sql_reads_standard_input_and_says_that_a_result_is_cut(
    gateway: Gateway, session: RemoteSession
) -> None:
    given = "SET x = 1; -- and then\nSELECT id FROM range(20000)"
    done = gateway.run("sql", "-s", session.id, given=given)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 10_001)
    assert "The first 10000 rows are given; there are more." in done.stderr


def test_a_query_that_fails_is_1_and_leaves_the_file_of_before(
    gateway: Gateway, session: RemoteSession, tmp_path: Path
) -> None:
    (tmp_path / "q.sql").write_text("SELECT * FROM nowhere")
    output = tmp_path / "rows.csv"
    output.write_text("before")
    done = gateway.run("sql", "-f", tmp_path / "q.sql", "-s", session.id, "-o", output)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("[TABLE_OR_VIEW_NOT_FOUND]") == 1
    assert output.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_code_prints_is_shown_while_it_runs(
    gateway: Gateway, session: RemoteSession, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    file = tmp_path / "job.py"
    file.write_text(WAITS.format(path=str(sign)))
    with started(gateway, "run", file, "-s", session.id, given="") as process:
        assert first_line(process) == "begun\n"
        sign.touch()
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "seen\n42\n")


def test_a_gateway_that_is_started_anew_is_found_again(
    gateway: Gateway, session: RemoteSession, tmp_path: Path
) -> None:
    sign = tmp_path / "sign"
    arguments = ("run", "-", "--kind", "pyspark", "-s", session.id)
    with started(gateway, *arguments, given=WAITS.format(path=str(sign))) as process:
        assert first_line(process) == "begun\n"
        gateway.kill()
        gateway.start()
        sign.touch()
        rest, said = process.communicate(timeout=120)
    assert (process.returncode, rest) == (0, "seen\n42\n"), said


def test_a_notebook_runs_cell_by_cell_up_to_the_first_that_fails(
    gateway: Gateway, session: RemoteSession, tmp_path: Path
) -> None:
    sources = (
        "x = 6",
        "%%sql\nSELECT 7 AS n",
        "%%spark\nprintln(8)",
        "display(spark.range(1))",
        "1 / 0",
        "print('never')",
    )
    cells = [{"cell_type": "code", "source": source, "metadata": {}} for source in sources]
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    done = gateway.run("run", path, "-s", session.id)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:4] == ["n", "─", "7", "8"]
    assert "never" not in done.stdout
    assert f"The output has text/html too. See {gateway.connection['http']}/portal" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr


def test_ctrl_c_cancels_the_statement_and_the_session_goes_on(
    gateway: Gateway, session: RemoteSession
) -> None:
    arguments = ("run", "-", "--kind", "pyspark", "-s", session.id)
    with started(gateway, *arguments, given=FOREVER) as process:
        assert first_line(process) == "begun\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The statement is being cancelled" in said
    assert last_state(session) == "cancelled"
    assert session.text("1 + 1") == "2"


def test_sigterm_leaves_at_once_and_the_statement_is_cancelled(
    gateway: Gateway, session: RemoteSession
) -> None:
    arguments = ("run", "-", "--kind", "pyspark", "-s", session.id)
    with started(gateway, *arguments, given=FOREVER) as process:
        assert first_line(process) == "begun\n"
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    wait_for(lambda: last_state(session) == "cancelled", seconds=30, what="it is cancelled")


def test_a_reader_that_leaves_ends_the_statement(gateway: Gateway, session: RemoteSession) -> None:
    code = "import time\nwhile True: print('line', flush=True); time.sleep(0.05)"
    arguments = ("run", "-", "--kind", "pyspark", "-s", session.id)
    with started(gateway, *arguments, given=code) as process:
        assert first_line(process) == "line\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    wait_for(lambda: last_state(session) == "cancelled", seconds=30, what="it is cancelled")


def test_a_reader_that_leaves_rows_is_no_error(gateway: Gateway, session: RemoteSession) -> None:
    query = "SELECT repeat('x', 100) AS x FROM range(10000)"
    with started(gateway, "sql", "-s", session.id, given=query) as process:
        assert first_line(process) == "x\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def live(gateway: Gateway) -> str:
    done = gateway.run("session", "list")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_session_of_its_own_may_be_kept_shown_and_stopped(gateway: Gateway) -> None:
    conf = ("--conf", "spark.sql.shuffle.partitions=7")
    query = "SET spark.sql.shuffle.partitions"
    done = gateway.run("sql", query, *conf, "--keep", "--name", "kept here")
    assert (done.returncode, done.stdout.splitlines()[1:]) == (
        0,
        ["spark.sql.shuffle.partitions,7"],
    ), done.stderr
    assert "The session goes on. Use it: --session " in done.stderr
    assert re.search("kept here +idle", live(gateway))
    assert gateway.run("sql", query, "-s", "kept here").stdout == done.stdout

    shown = gateway.run("session", "show", "kept here").stdout
    assert "name         kept here" in shown
    assert f"sql   available  {query}" in shown
    log = gateway.run("session", "log", "kept here", "--source", "livy", "-n", "2").stdout
    assert len(log.splitlines()) == 2
    assert "statement 1 (sql) available" in log

    stopped = gateway.run("session", "stop", "kept here")
    assert (stopped.returncode, stopped.stdout[:18]) == (0, "Stopped kept here ")
    again = gateway.run("session", "stop", "kept here")
    assert again.returncode == 2, "it does not count as live while it ends"
    assert "kept here" in gateway.run("session", "list", "--all").stdout
    assert "WARN" in gateway.run("session", "log", "kept here").stdout


def test_a_session_that_is_not_kept_ends_with_the_command(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "a.sql"
    file.write_text("SELECT 1 AS n")
    done = gateway.run("run", file, "--name", "not kept")
    assert (done.returncode, done.stdout) == (0, "n\n─\n1\n"), done.stderr
    assert "not kept  idle" not in live(gateway)
    answer = gateway.run("sql", "SELECT 1", "-s", "not kept")
    assert answer.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--session", "nobody"], "There is no live session nobody. See: livius session list"),
        (["--lakehouse", "nowhere"], "There is no lakehouse nowhere. These exist: sample/sample"),
        (["--conf", "spark.master=yarn"], "spark.master"),
        (["--conf", "spark.master"], "--conf is KEY=VALUE"),
        (["--session", "nobody", "--keep"], "leave out --session"),
    ],
)
def test_what_cannot_be_used_is_said_with_status_2(
    gateway: Gateway, arguments: list[str], message: str
) -> None:
    done = gateway.run("sql", "SELECT 1", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
