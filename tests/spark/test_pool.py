"""The starter pool with real Spark: a claimed driver is like any other, only at once."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from livius_agent.spec import MARKER
from support.gateway import Client, Gateway, RemoteSession
from support.repls import ask, idle
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

JOBS = 200
"""So many that an event log of 300 kB has not all of them."""
CONF = {"spark.sql.shuffle.partitions": "3", "spark.livy.session.idle.timeout": "30m"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {"LIVIUS_POOL_SIZE": "1", "LIVIUS_EVENT_LOG_LIMIT": "300kb"}
    started = Gateway(tmp_path_factory.mktemp("pool") / "home", settings)
    with started.serving():
        yield started


@pytest.fixture(autouse=True)
def no_session_is_left(gateway: Gateway) -> Iterator[None]:
    yield
    gateway.client().delete_all()
    wait_for(lambda: len(supervisors(gateway)) <= 1, seconds=60, what="the sessions' drivers end")


def pool(gateway: Gateway) -> dict[str, Any]:
    answer = requests.get(f"{gateway.connection['http']}/readyz", timeout=10)
    found: dict[str, Any] = answer.json()["pool"]
    return found


def warm(gateway: Gateway) -> None:
    wait_for(lambda: pool(gateway)["warm"] == 1, seconds=400, what="a driver is warm")


def claimed(client: Client, **body: Any) -> RemoteSession:
    """Create a session when a driver is warm; return it once it is idle."""
    warm(client.gateway)
    session = client.create(**body)
    session.wait_idle()
    assert "FallbackReasons" not in tags(session)
    return session


def tags(session: RemoteSession) -> dict[str, str]:
    found: dict[str, str] = session.get().get("tags") or {}
    return found


def said(session: RemoteSession, code: str, kind: str = "pyspark") -> str:
    output = session.run(code, kind=kind)
    assert output["status"] == "ok", output
    text: str = output["data"]["text/plain"]
    return text


def supervisors(gateway: Gateway) -> dict[str, psutil.Process]:
    """The supervisor of each driver, by the driver's id."""
    found = {}
    for folder in (gateway.home / "drivers").iterdir():
        record = folder / "supervisor.pid"
        if record.exists():
            pid = json.loads(record.read_text())["pid"]
            if psutil.pid_exists(pid):
                found[folder.name] = psutil.Process(pid)
    return found


def test_a_claimed_driver_is_its_sessions_in_every_kind(gateway: Gateway) -> None:
    client = gateway.client()
    warm(gateway)
    [driver] = supervisors(gateway)
    before = priorities(gateway, driver)
    session = claimed(client, name="a pooled one", conf=CONF)
    if os.geteuid() == 0:  # only root may raise a priority again
        assert (set(before), set(priorities(gateway, driver))) == ({2}, {0})
    lakehouse = gateway.connection["lakehouse_id"]
    host = f"{gateway.connection['workspace_id']}@onelake.dfs.fabric.microsoft.com"
    onelake = f"abfss://{host}/{lakehouse}"
    # First of all what the warm-up could have left.
    jobs = """
import json, urllib.request
url = f"{sc.uiWebUrl}/api/v1/applications/{sc.applicationId}"
found = [json.load(urllib.request.urlopen(f"{url}/{what}")) for what in ("jobs", "stages", "sql")]
print([len(one) for one in found])
"""
    assert said(session, jobs) == "[0, 0, 0]"
    left = "(In[2:], sorted(Out), spark.catalog.listTables('default'))"
    assert said(session, left) == "([], [], [])"
    assert said(session, "1 + 1", "spark").startswith("res0: Int = 2")
    # Where it is.
    assert said(session, "import os\nprint(os.getcwd())").endswith(lakehouse)
    assert said(session, "print(spark.catalog.currentDatabase())") == "sample"
    assert said(session, "println(spark.catalog.currentDatabase)", "spark") == "sample"
    said(session, "open('Files/here.txt', 'w').write('found')")
    for code, kind in (
        ("open('Files/here.txt').read()", "pyspark"),
        ("open('/lakehouse/default/Files/here.txt').read()", "pyspark"),
        ("spark.read.text('Files/here.txt').first()[0]", "pyspark"),
        (
            "sc.parallelize([1], 1).map(lambda _: open('Files/here.txt').read()).first()",
            "pyspark",
        ),
        ("notebookutils.fs.ls('Files')[0].name[:4] and 'found'", "pyspark"),
        (
            f"spark.read.text('{onelake}/Files/here.txt').first()[0]",
            "pyspark",
        ),
    ):
        assert said(session, code, kind) == "'found'", code
    for code in (
        'println(scala.io.Source.fromFile("Files/here.txt").mkString)',
        'println(scala.io.Source.fromFile("/lakehouse/default/Files/here.txt").mkString)',
        'println(spark.read.text("Files/here.txt").head.getString(0))',
    ):
        assert said(session, code, "spark") == "found", code
    # Its name, and its conf: also where code makes sessions of its own.
    assert said(session, "print(sc.appName)") == "a pooled one"
    partitions = "'spark.sql.shuffle.partitions'"
    for code in (
        f"spark.conf.get({partitions})",
        f"spark.newSession().conf.get({partitions})",
        f"sc.getConf().get({partitions})",
    ):
        assert said(session, code) == "'3'", code
    effective = client.call("GET", f"/sessions/{session.id}").json()
    assert effective["name"] == "a pooled one"
    # A table outlives it, also in a high-concurrency session, whose repls are all bound.
    said(session, "spark.range(5).write.saveAsTable('left_by_the_pool')")
    assert_history_of_its_own(client, session, driver)
    warm(gateway)
    conf = {"spark.sql.shuffle.partitions": "5"}
    handles = [ask(client, sessionTag="pooled", conf=conf) for _ in range(2)]
    first, second = (idle(client, handle) for handle in handles)
    assert first.id == second.id
    for one in (first, second):
        assert said(one, "spark.conf.get('spark.sql.shuffle.partitions')") == "'5'"
        assert said(one, "println(spark.catalog.currentDatabase)", "spark") == "sample"
        assert said(one, "import os\nprint(os.getcwd())").endswith(lakehouse)
        assert one.rows("select count(*) as n from left_by_the_pool") == [[5]]


def assert_history_of_its_own(client: Client, session: RemoteSession, driver: str) -> None:
    """End a claimed session: its event log has its own jobs alone, and no more than it may."""
    said(session, f"for (_ <- 1 to {JOBS}) sc.range(0, 9).count()", "spark")
    facts, home = client.gateway.connection, client.gateway.home
    base = (
        f"{facts['api']}/v1/workspaces/{facts['workspace_id']}/lakehouses/"
        f"{facts['lakehouse_id']}/livySessions/{session.id}"
    )
    app = client.http.get(base, timeout=20).json()["sparkApplicationId"]

    def listed() -> list[int] | None:
        answer = client.http.get(f"{base}/applications/{app}/jobs", timeout=60)
        return [one["jobId"] for one in answer.json()] if answer.status_code == 200 else None

    # Spark's pages have shown nothing of the warm-up from the start.
    before = wait_for(
        lambda: found if len(found := listed() or []) > JOBS else None,
        seconds=60,
        what="Spark's pages list the jobs",
    )
    session.delete()
    # As long as its driver runs, its jobs are those of Spark's own pages.
    wait_for(lambda: driver not in supervisors(client.gateway), seconds=30, what="it has ended")
    jobs = wait_for(listed, seconds=180, what="the ended session's jobs are listed")
    assert jobs == before[-len(jobs) :], "the log has the first ones"
    assert 0 < len(jobs) < len(before)
    about = client.http.get(f"{base}/applications/{app}", timeout=60).json()
    assert about["name"] == "a pooled one"
    [full] = (home / "drivers").glob("*/eventlog/full")
    size = (full.parent / "events.zstd").stat().st_size
    assert 300_000 < size < 600_000
    assert "limit of 300000 bytes" in (full.parents[1] / "stderr.log").read_text()


def history_servers(gateway: Gateway) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(part.startswith(str(gateway.home / "history")) for part in process.cmdline()):
                found.append(process)
    return found


def priorities(gateway: Gateway, driver: str) -> list[int]:
    """Those of all threads of a driver, but for its supervisor's."""
    supervisor = supervisors(gateway)[driver].pid
    found = []
    for process in gateway.driver_processes():
        if process.environ().get(MARKER, "").endswith(driver) and process.pid != supervisor:
            for thread in process.threads():
                with contextlib.suppress(ProcessLookupError):
                    found.append(os.getpriority(os.PRIO_PROCESS, thread.id))
    assert found
    return found


def test_conf_of_another_spark_starts_cold_and_says_which_key(gateway: Gateway) -> None:
    warm(gateway)
    session = gateway.client().create(conf={"spark.task.maxFailures": "2"})
    session.wait_idle()
    assert tags(session)["FallbackReasons"] == "UserSparkConfigMismatch"
    assert "spark.task.maxFailures" in tags(session)["FallbackMessages"]
    assert pool(gateway)["warm"] == 1, "the warm one waits for the next"
    session.delete()


def test_a_killed_gateway_finds_the_warm_driver_again_also_while_it_is_bound(
    gateway: Gateway,
) -> None:
    warm(gateway)
    [(driver, _)] = supervisors(gateway).items()
    gateway.kill()
    # It runs since the first test, as long as it gets requests.
    wait_for(lambda: not history_servers(gateway), seconds=30, what="no History Server is left")
    gateway.start()
    assert not (gateway.home / "history").exists()
    warm(gateway)
    assert set(supervisors(gateway)) == {driver}
    # Stopped, it can't answer: the gateway dies between the claim and the binding.
    agents = [one for one in gateway.driver_processes() if "livius_agent" in one.cmdline()]
    for agent in agents:
        agent.send_signal(signal.SIGSTOP)
    client = gateway.client()
    session = client.create()
    queued = session.submit("print('after all of it')")
    gateway.kill()
    gateway.start()
    for agent in agents:
        agent.send_signal(signal.SIGCONT)
    client.reconnect()
    session.wait_idle()
    assert session.wait(queued)["output"]["data"]["text/plain"] == "after all of it"
    assert driver in supervisors(gateway)
    assert said(session, "notebookutils.runtime.context['clusterId']") == f"'{driver}'"
    session.delete()


def test_a_warm_driver_that_is_killed_is_replaced_and_costs_no_session(gateway: Gateway) -> None:
    warm(gateway)
    [(driver, supervisor)] = supervisors(gateway).items()
    for process in gateway.driver_processes():
        if process.environ().get(MARKER, "").endswith(driver) and process.pid != supervisor.pid:
            process.send_signal(signal.SIGSTOP)
    client = gateway.client()
    session = client.create()  # it claims what can't answer any more
    supervisor.kill()
    session.wait_idle(120)
    assert said(session, "1 + 1") == "2"
    assert said(session, "notebookutils.runtime.context['clusterId']") != f"'{driver}'"
    assert driver not in supervisors(gateway)
    session.delete()


def test_status_says_how_many_are_warm(gateway: Gateway) -> None:
    warm(gateway)
    assert "Pool        1 of 1 warm" in gateway.livius("status")
    assert json.loads(gateway.livius("status", "--json"))["pool"]["warm"] == 1
    assert "Starter pool: 1 of 1 warm" in gateway.livius("doctor", code=None)


def test_none_is_left_after_the_gateways_end(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "home", {"LIVIUS_POOL_SIZE": "1"})
    with gateway.serving():
        wait_for(lambda: pool(gateway)["starting"] == 1, seconds=60, what="one is starting")
    assert gateway.processes() == []


def test_a_claimed_driver_has_the_schemas_of_its_lakehouse(gateway: Gateway) -> None:
    client = gateway.client()
    warm(gateway)
    gateway.livius("lakehouse", "create", "gold", "--schemas")
    listed = json.loads(gateway.livius("lakehouse", "list", "--json"))
    [gold] = [one["id"] for one in listed if one["displayName"] == "gold"]
    client.base = client.base.replace(gateway.connection["lakehouse_id"], gold)
    session = claimed(client)
    assert session.rows("select current_schema()") == [["dbo"]]
    session.rows("create schema sales")
    session.rows("create table gold.sales.t as select 1 as id")
    assert session.text("spark.table('sample.gold.sales.t').first().id") == "1"
    assert session.rows("show schemas") == [["`sample`.`gold`.`dbo`"], ["`sample`.`gold`.`sales`"]]
    session.delete()
