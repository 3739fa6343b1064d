"""``kill -9`` of the gateway at different moments, and a new start: nothing is lost or run twice.

Each test is one moment. Tests that need a ready session share one. A statement proves that it
ran once by adding a line to a file.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.gateway import Client, Gateway, RemoteSession, driver_folder
from support.shared import SharedSession, Spares
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]


def restart(gateway: Gateway, client: Client) -> None:
    gateway.kill()
    gateway.start()
    client.reconnect()


def once(path: Path, *, seconds: float = 0.0, chatter: int = 0) -> str:
    """Code that notes its run in a file, prints for a while, and ends with a value."""
    return "\n".join(
        [
            "import time",
            f"with open({str(path)!r}, 'a') as file: file.write('ran\\n')",
            f"for i in range({chatter}):",
            f"    print('line', i, flush=True); time.sleep({seconds / max(1, chatter)})",
            f"time.sleep({0 if chatter else seconds})",
            "'done'",
        ]
    )


def runs(path: Path) -> int:
    return path.read_text().count("ran") if path.exists() else 0


def has_run(path: Path) -> None:
    wait_for(lambda: runs(path), seconds=60, what="the statement begins")


@pytest.fixture(scope="module")
def lent(caller: Client) -> Iterator[SharedSession]:
    """One ready session for all tests that need one: it survives all their kills."""
    sessions = SharedSession(caller)
    yield sessions
    sessions.end()


@pytest.fixture
def session(client: Client, lent: SharedSession) -> Iterator[RemoteSession]:
    assert client is not None
    with lent.used() as session:
        session.text("kept = 'a value'")
        yield session


def test_right_after_the_create_was_answered(
    shared: Gateway, client: Client, spares: Spares
) -> None:
    session = client.create()
    restart(shared, client)
    session.wait_idle()
    assert session.text("1 + 1") == "2"
    spares.leave(session)


def test_while_the_driver_is_being_launched(
    shared: Gateway, client: Client, others: set[psutil.Process], spares: Spares
) -> None:
    session = client.create()
    wait_for(lambda: session.get()["state"] == "starting", seconds=30, what="it is starting")
    restart(shared, client)
    session.wait_idle()
    started = set(shared.driver_processes()) - others
    assert len([one for one in started if "livius_agent.supervisor" in one.cmdline()]) == 1
    spares.leave(session)


def java_runs(gateway: Gateway, others: set[psutil.Process]) -> None:
    """Wait until the Java of a driver of the test's own runs."""
    wait_for(
        lambda: any("java" in p.name() for p in set(gateway.driver_processes()) - others),
        seconds=60,
        what="Java runs",
    )


def test_while_spark_is_starting(
    shared: Gateway, client: Client, others: set[psutil.Process], spares: Spares
) -> None:
    session = client.create()
    number = session.submit("'waited'")
    java_runs(shared, others)
    restart(shared, client)
    assert session.wait(number)["output"]["data"]["text/plain"] == "'waited'"
    spares.leave(session)


def test_while_the_gateway_is_down_spark_becomes_ready(
    shared: Gateway, client: Client, others: set[psutil.Process], spares: Spares
) -> None:
    opened = set((shared.home / "drivers").glob("*/work/*.pipe"))
    session = client.create()
    java_runs(shared, others)
    shared.kill()
    wait_for(
        lambda: set((shared.home / "drivers").glob("*/work/*.pipe")) - opened,
        seconds=60,
        what="the repl is opened",
    )
    shared.start()
    client.reconnect()
    session.wait_idle()
    assert session.text("1 + 1") == "2"
    spares.leave(session)


def test_while_idle(shared: Gateway, client: Client, session: RemoteSession) -> None:
    before = session.get()
    number = session.submit("'before the kill'")
    ended = session.wait(number)
    restart(shared, client)
    assert session.text("kept") == "'a value'"
    after = session.wait_idle()
    assert (after["id"], after["appId"]) == (before["id"], before["appId"])
    assert session.statement(number) == ended


def test_while_a_statement_runs_and_prints(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    number = session.submit(once(mark, seconds=4, chatter=40))
    has_run(mark)
    restart(shared, client)
    output = session.wait(number)["output"]
    assert output["data"]["text/plain"].splitlines() == [
        *(f"line {i}" for i in range(40)),
        "'done'",
    ]
    assert runs(mark) == 1
    assert session.text("kept") == "'a value'"


def test_while_the_gateway_is_down_a_statement_ends(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    mark, ended = tmp_path / "ran", tmp_path / "ended"
    number = session.submit(
        once(mark, seconds=1, chatter=10) + f"\nopen({str(ended)!r}, 'w').close()"
    )
    has_run(mark)
    shared.kill()
    wait_for(ended.exists, seconds=60, what="the statement ends")
    shared.start()
    client.reconnect()
    output = session.wait(number)["output"]
    assert output["data"]["text/plain"].splitlines()[:10] == [f"line {i}" for i in range(10)]
    assert runs(mark) == 1


def test_right_after_a_statement_was_accepted(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    number = session.submit(once(mark))
    restart(shared, client)
    assert session.wait(number)["output"]["data"]["text/plain"] == "'done'"
    assert runs(mark) == 1


def test_while_statements_wait_behind_a_running_one(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    marks = [tmp_path / f"ran-{i}" for i in range(3)]
    numbers = [session.submit(once(mark, seconds=1)) for mark in marks]
    has_run(marks[0])
    restart(shared, client)
    for number in numbers:
        assert session.wait(number)["output"]["data"]["text/plain"] == "'done'"
    assert [runs(mark) for mark in marks] == [1, 1, 1]


def test_while_a_stream_of_short_statements_finishes(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    marks = [tmp_path / f"ran-{i}" for i in range(20)]
    numbers = [session.submit(once(mark)) for mark in marks]
    has_run(marks[7])
    restart(shared, client)
    for number in numbers:
        assert session.wait(number)["output"]["data"]["text/plain"] == "'done'"
    assert [runs(mark) for mark in marks] == [1] * 20


def test_while_a_scala_statement_and_an_sql_statement_run(
    shared: Gateway, client: Client, session: RemoteSession
) -> None:
    scala = session.submit('for (i <- 1 to 20) { println(s"s $i"); Thread.sleep(100) }', "spark")
    sql = session.submit("select count(*) from range(1000)", "sql")
    wait_for(lambda: session.statement(scala)["state"] == "running", seconds=30, what="it runs")
    restart(shared, client)
    text = session.wait(scala)["output"]["data"]["text/plain"]
    assert text.splitlines() == [f"s {i}" for i in range(1, 21)]
    assert session.wait(sql)["output"]["data"]["application/json"]["data"] == [[1000]]


def test_while_a_statement_is_being_cancelled(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    number = session.submit(once(mark, seconds=600))
    has_run(mark)
    session.cancel(number)
    restart(shared, client)
    assert session.wait(number)["state"] == "cancelled"
    assert session.text("kept") == "'a value'"


def test_while_a_session_is_being_deleted(shared: Gateway, client: Client, spares: Spares) -> None:
    with spares.taken() as session:
        started = shared.driver_processes(of=driver_folder(session))
        assert started
        assert session.delete() == 200
        restart(shared, client)
        wait_for(
            lambda: not any(one.is_running() for one in started),
            seconds=30,
            what="the driver has ended",
        )
        assert client.call("GET", session.path).status_code == 404


def test_tables_outlive_their_session_and_the_gateway(
    shared: Gateway, client: Client, session: RemoteSession, spares: Spares
) -> None:
    with spares.taken() as maker:
        maker.run("create table outlives as select 42 as a", "sql")
        maker.run("create view outlives_too as select a from outlives", "sql")
    restart(shared, client)
    assert session.rows("select * from outlives_too") == [[42]]


def test_a_stream_of_events_continues_after_a_restart_without_a_gap_or_a_repeat(
    shared: Gateway, client: Client, session: RemoteSession, tmp_path: Path
) -> None:
    file, key = tmp_path / "runs", {"Idempotency-Key": "one-run"}
    body = {"code": once(file, seconds=10, chatter=200), "kind": "pyspark"}
    path = f"{session.path}/statements"
    number = client.call("POST", path, json=body, headers=key).json()["id"]
    has_run(file)
    text, seen = followed(client, f"{path}/{number}/events", "", most=20)
    restart(shared, client)
    again = client.call("POST", path, json=body, headers=key)
    assert again.json()["id"] == number, "the key outlives the gateway"
    rest, seen = followed(client, f"{path}/{number}/events", seen)
    assert text + rest == "".join(f"line {line}\n" for line in range(200)) + "'done'\n"
    assert seen.endswith(".end")
    assert runs(file) == 1


def followed(client: Client, path: str, seen: str, most: int = 10**6) -> tuple[str, str]:
    """The text of a stream's events, up to so many, and the last one's id."""
    text = name = ""
    headers = {"Last-Event-ID": seen} if seen else {}
    with client.http.get(client.base + path, headers=headers, stream=True, timeout=60) as answer:
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                seen = value
            elif field == "data" and name == "output":
                text += json.loads(value)["text"]
                most -= 1
                if not most:
                    break
    return text, seen
