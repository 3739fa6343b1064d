"""High-concurrency sessions with real Spark: side by side, apart, and each to its own end."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.gateway import Client, Gateway
from support.repls import RemoteRepl, acquired, ask, idle, shared
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

KINDS = ("pyspark", "sql", "spark")


@pytest.fixture(scope="module")
def repls(client: Client) -> Iterator[list[RemoteRepl]]:
    """Four repls of one session, for tests that leave them alive."""
    with shared(client, 4) as found:
        yield found


@pytest.fixture
def further(client: Client, repls: list[RemoteRepl]) -> Iterator[RemoteRepl]:
    """A fifth repl of theirs, which the test may end."""
    with shared(client, 1) as [found]:
        assert found.id == repls[0].id
        yield found


def value(repl: RemoteRepl, kind: str) -> str:
    """What a temp view named ``mine`` has in a repl; empty where there is none."""
    if kind == "sql":
        output = repl.run("SELECT who FROM mine", "sql")
        return str(output["data"]["application/json"]["data"][0][0]) if "data" in output else ""
    code = "print(spark.table('mine').first()[0])"
    if kind == "spark":
        code = 'println(spark.table("mine").first.getString(0))'
    output = repl.run(code, kind)
    return output["data"]["text/plain"].split()[0] if output["status"] == "ok" else ""


def test_acquires_at_once_share_one_driver(repls: list[RemoteRepl], client: Client) -> None:
    assert len({one.id for one in repls}) == 1
    assert len({one.repl for one in repls}) == 4
    session = client.call("GET", f"/sessions/{repls[0].id}").json()
    assert session["name"].startswith("HC_")
    assert session["name"].endswith(repls[0].id)


def test_all_run_at_the_same_time(repls: list[RemoteRepl]) -> None:
    """Each waits until the others are there: one after the other, it would never end."""
    code = (
        "import os, time, pathlib\n"
        "folder = pathlib.Path('/lakehouse/default/Files/meet')\n"
        "folder.mkdir(exist_ok=True); (folder / '{name}').touch()\n"
        "until = time.monotonic() + 60\n"
        "while len(list(folder.iterdir())) < 4 and time.monotonic() < until: time.sleep(0.02)\n"
        "print(len(list(folder.iterdir())))"
    )
    numbers = [one.submit(code.format(name=one.repl)) for one in repls]
    ends = [one.wait(number) for one, number in zip(repls, numbers, strict=True)]
    assert [end["output"]["data"]["text/plain"] for end in ends] == ["4"] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_temp_views_are_each_repls_own(repls: list[RemoteRepl], kind: str) -> None:
    one, other, none = repls[:3]
    for repl, who in ((one, "one"), (other, "other")):
        assert repl.run(f"CREATE OR REPLACE TEMP VIEW mine AS SELECT '{who}' who", "sql")
    assert [value(one, kind), value(other, kind), value(none, kind)] == ["one", "other", ""]


def test_settings_database_folder_and_variables_are_each_repls_own(
    repls: list[RemoteRepl],
) -> None:
    one, other = repls[:2]
    looks = {
        "pyspark": "print(spark.conf.get('spark.sql.shuffle.partitions'), "
        "spark.catalog.currentDatabase(), __import__('os').getcwd(), 'x' in globals())",
        "spark": 'println(spark.conf.get("spark.sql.shuffle.partitions"), '
        "spark.catalog.currentDatabase)",
    }
    before = {kind: other.text(code, kind) for kind, code in looks.items()}
    one.run("SET spark.sql.shuffle.partitions = 77", "sql")
    one.run("CREATE DATABASE IF NOT EXISTS elsewhere_hc; USE elsewhere_hc", "sql")
    one.text("import os; os.chdir('/tmp'); x = 1")
    one.text("val x = 1", "spark")
    assert one.text(looks["pyspark"]).split() == ["77", "elsewhere_hc", "/tmp", "True"]
    assert {kind: other.text(code, kind) for kind, code in looks.items()} == before
    assert other.run("x", "spark")["status"] == "error"
    one.run("USE default", "sql")
    one.text("import os; os.chdir('/lakehouse/default')")


def test_packages_are_each_repls_own(repls: list[RemoteRepl]) -> None:
    one, other = repls[:2]
    folders = {repl.repl: repl.text("import sys; print(sys.path)") for repl in (one, other)}
    assert f"{one.repl}.packages" in folders[one.repl]
    assert f"{one.repl}.packages" not in folders[other.repl]


def test_output_is_each_repls_own(repls: list[RemoteRepl]) -> None:
    code = "import time\nfor n in range(20): print('{who}', n, flush=True); time.sleep(0.01)"
    numbers = [one.submit(code.format(who=one.repl)) for one in repls]
    for one, number in zip(repls, numbers, strict=True):
        lines = one.wait(number)["output"]["data"]["text/plain"].splitlines()
        assert lines == [f"{one.repl} {n}" for n in range(20)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_reaches_one_repl_alone(repls: list[RemoteRepl], kind: str) -> None:
    endless = {
        "pyspark": "spark.range(10**12).selectExpr('sum(id * 3 % 7)').collect()",
        "sql": "SELECT sum(id * 3 % 7) FROM range(1000000000000)",
        "spark": 'spark.range(1000000000000L).selectExpr("sum(id * 3 % 7)").collect()',
    }[kind]
    one, other = repls[:2]
    victim, witness = one.submit(endless, kind), other.submit(endless, kind)
    for repl, number in ((one, victim), (other, witness)):
        wait_for(
            lambda repl=repl, number=number: repl.statement(number)["state"] == "running",  # type: ignore[misc]
            seconds=30,
            what="it runs",
        )
    one.cancel(victim)
    assert one.wait(victim)["state"] == "cancelled"
    assert other.statement(witness)["state"] == "running"
    assert repls[2].text("print(1 + 1)") == "2"
    other.cancel(witness)
    assert other.wait(witness)["state"] == "cancelled"


HOSTILE = {
    "exit": ("import os; os._exit(3)", "pyspark"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "pyspark"),
    "stop": ("spark.stop(); sc.stop()", "pyspark"),
    "scala stop": ("spark.stop()", "spark"),
    "chdir": ("import os; os.chdir('/')", "pyspark"),
    "set": ("SET spark.sql.caseSensitive = true", "sql"),
    "drop views": (
        "for v in spark.catalog.listTables(): spark.catalog.dropTempView(v.name)",
        "pyspark",
    ),
    "memory": ("x = bytearray(512 * 1024**2)", "pyspark"),
    "kills python": ("import os, signal; os.killpg(0, signal.SIGKILL)", "pyspark"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_repl_does_nothing_to_its_sibling(repls: list[RemoteRepl], what: str) -> None:
    hostile, sibling = repls[3], repls[0]
    sibling.text("kept = 41")
    sibling.run("CREATE OR REPLACE TEMP VIEW kept AS SELECT 41 n", "sql")
    witness = sibling.submit("import time; time.sleep(1); print(kept + 1)")
    code, kind = HOSTILE[what]
    hostile.run(code, kind)
    assert sibling.wait(witness)["output"]["data"]["text/plain"] == "42"
    assert sibling.rows("SELECT n FROM kept") == [[41]]
    assert sibling.text("println(spark.range(5).count)", "spark") == "5"
    look = "print(spark.conf.get('spark.sql.caseSensitive'), __import__('os').getcwd() != '/')"
    assert sibling.text(look) == "false True"
    assert hostile.text("print(1 + 1)") == "2"
    hostile.run("SET spark.sql.caseSensitive = false", "sql")


def test_a_release_stops_what_runs_and_leaves_nothing(
    client: Client, gateway: Gateway, repls: list[RemoteRepl], further: RemoteRepl
) -> None:
    pid = int(further.text("import os; print(os.getpid())"))
    assert psutil.pid_exists(pid)
    further.submit("import time\nwhile True: time.sleep(1)")
    witness = repls[0].submit("import time; time.sleep(1); print('here')")
    assert further.delete() == 200
    assert client.call("GET", f"{further.path}/statements/0").status_code == 404
    wait_for(lambda: not psutil.pid_exists(pid), seconds=30, what="its process ends")
    assert repls[0].wait(witness)["output"]["data"]["text/plain"] == "here"

    def closed() -> bool:
        page = client.call("GET", f"/sessions/{further.id}/repls").json()
        return any(one["id"] == further.repl and one["state"] == "closed" for one in page["items"])

    wait_for(closed, seconds=30, what="the repl is closed")
    work = [folder for folder in gateway.home.glob("drivers/*/work") if any(folder.iterdir())]
    assert not [one for folder in work for one in folder.glob(f"{further.repl}*")]
    with shared(client, 1) as [again]:
        assert again.id == repls[0].id
        assert again.text("print('further' in globals())") == "False"


def test_code_that_stops_its_session_ends_its_own_repl(
    repls: list[RemoteRepl], further: RemoteRepl
) -> None:
    further.submit("notebookutils.session.stop()")
    wait_for(lambda: further.get()["state"] == "Dead", seconds=30, what="its repl is closed")
    assert "session.stop" in further.get()["fabricSessionStateInfo"]["errorMessage"]
    assert repls[0].text("print(1 + 1)") == "2"


def test_a_killed_jvm_is_told_to_all(client: Client) -> None:
    with acquired(client, 3, sessionTag="killed") as found:
        *siblings, hostile = found
        waiting = [one.submit("import time; time.sleep(60)") for one in siblings]
        pid = hostile.text("print(spark._jvm.java.lang.ProcessHandle.current().pid())")
        hostile.submit(f"import os; os.kill({pid}, {signal.SIGKILL:d})")
        for one, number in zip(siblings, waiting, strict=True):
            output = one.wait(number)["output"]
            assert output["status"] == "error"
            assert "signal 9" in output["evalue"]
            assert one.get()["state"] == "Dead"


def test_scala_code_that_nothing_stops_ends_the_driver_with_a_reason(client: Client) -> None:
    with acquired(client, 2, sessionTag="unstoppable") as (hostile, sibling):
        witness = sibling.submit("import time; time.sleep(120)")
        endless = (
            'locally { println("on"); '
            "java.math.BigInteger.ONE.shiftLeft(300000).nextProbablePrime() }"
        )
        number = hostile.submit(endless, "spark")
        wait_for(lambda: "on" in hostile.printed(number), seconds=60, what="its code runs")
        hostile.cancel(number)
        assert hostile.wait(number)["state"] == "cancelled"
        output = sibling.wait(witness)["output"]
        assert output["status"] == "error"
        assert "Scala statement did not stop" in output["evalue"]


def test_a_gateway_that_is_killed_loses_and_doubles_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="livius-hc-") as folder:
        gateway = Gateway(Path(folder) / "home")
        with gateway.serving():
            client = gateway.client()
            found = [idle(client, handle) for handle in [ask(client) for _ in range(4)]]
            code = (
                "import pathlib, time\n"
                "open('/lakehouse/default/Files/{name}', 'a').write('ran\\n')\n"
                "time.sleep({seconds}); print('{name}')"
            )
            numbers = [
                one.submit(code.format(name=one.repl, seconds=4 * n)) for n, one in enumerate(found)
            ]
            for one, number in zip(found, numbers, strict=True):
                wait_for(
                    lambda one=one, number=number: one.statement(number)["state"] != "waiting",  # type: ignore[misc]
                    seconds=30,
                    what="it runs",
                )
            late = ask(client)  # killed while it is acquired
            gateway.kill()
            gateway.start()
            client.reconnect()
            for one, number in zip(found, numbers, strict=True):
                assert one.wait(number)["output"]["data"]["text/plain"] == one.repl
                lines = one.text(f"print(open('/lakehouse/default/Files/{one.repl}').read())")
                assert lines == "ran"
            fifth = idle(client, late)
            assert fifth.id == found[0].id
            assert fifth.text("print(1)") == "1"
            listed = client.call("GET", "/highConcurrencySessions").json()
            assert listed["totalCountOfMatchedItems"] == 5
            repls = client.call("GET", f"/sessions/{fifth.id}/repls").json()["items"]
            assert [one["state"] for one in repls] == ["open"] * 5
