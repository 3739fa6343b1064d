"""What is left when things end: nothing that runs, nothing temporary."""

import contextlib
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from support.gateway import Gateway
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]


def test_ctrl_c_ends_drivers_and_metastore_and_counts_them(gateway: Gateway) -> None:
    client = gateway.start().client()
    session = client.create()
    session.wait_idle()
    client.create()
    gateway.stop()
    assert gateway.processes() == []
    assert list((gateway.home / "drivers").glob("*/work")) == []
    assert not (gateway.home / "connection.json").exists()
    counted = json.loads((gateway.home / "last_shutdown.json").read_text())
    assert gateway.process is not None
    assert counted == {"drivers": 2, "metastore": True, "pid": gateway.process.pid}
    client = gateway.start().client()
    body = client.call("GET", session.path).json()
    assert body["state"] == "dead"
    assert "shut down" in body["cancellationReason"]
    gateway.stop()
    assert gateway.processes() == []


def test_sessions_asked_for_while_it_shuts_down_are_refused_or_ended(gateway: Gateway) -> None:
    gateway.settings = {"LIVIUS_MAX_DRIVERS": "3"}
    client = gateway.start().client()
    accepted: list[str] = []

    def ask() -> None:
        with contextlib.suppress(requests.ConnectionError):
            while True:
                answer = client.call("POST", "/sessions", json={})
                assert answer.status_code in (202, 430, 503), answer.text
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])

    with ThreadPoolExecutor() as beside:
        asking = beside.submit(ask)
        wait_for(lambda: accepted, seconds=30, what="one was accepted")
        gateway.stop()
        asking.result()
    assert gateway.processes() == []
    gateway.start()
    client.reconnect()
    for one in accepted:
        assert client.call("GET", f"/sessions/{one}").json()["state"] == "dead"
    gateway.stop()


def test_kept_drivers_go_on_and_are_adopted(gateway: Gateway) -> None:
    client = gateway.start("--keep-drivers").client()
    session = client.create()
    session.wait_idle()
    session.text("kept = 1")
    gateway.stop()
    assert gateway.processes() != []
    gateway.start()
    client.reconnect()
    assert session.text("kept") == "1"
    gateway.stop()
    assert gateway.processes() == []


def test_a_kept_driver_that_is_being_launched_comes_up_once(gateway: Gateway) -> None:
    client = gateway.start("--keep-drivers").client()
    session = client.create()
    drivers = gateway.home / "drivers"
    wait_for(lambda: list(drivers.glob("*/work")), seconds=60, what="its folder is laid out")
    gateway.stop()
    gateway.start()
    client.reconnect()
    session.wait_idle()
    supervisors = [
        p for p in gateway.driver_processes() if "livius_agent.supervisor" in p.cmdline()
    ]
    assert len(supervisors) == 1
    gateway.stop()
    assert gateway.processes() == []


@pytest.mark.parametrize("moment", ["at once", "launched", "java"])
def test_a_session_deleted_while_it_starts_leaves_nothing(gateway: Gateway, moment: str) -> None:
    client = gateway.start().client()
    before = _listening(gateway)
    session = client.create()
    if moment == "launched":
        wait_for(gateway.driver_processes, seconds=30, what="the supervisor runs")
    if moment == "java":
        wait_for(
            lambda: any("java" in p.name() for p in gateway.driver_processes()),
            seconds=60,
            what="Java runs",
        )
    assert session.delete() == 200
    wait_for(lambda: not gateway.driver_processes(), seconds=20, what="no process is left")
    wait_for(
        lambda: not list((gateway.home / "drivers").glob("*/work")),
        seconds=10,
        what="no temporary folder is left",
    )
    assert _listening(gateway) <= before
    assert client.call("GET", session.path).status_code == 404


def _listening(gateway: Gateway) -> set[object]:
    return {
        connection.laddr
        for process in gateway.driver_processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def test_a_killed_supervisor_takes_its_driver_with_it_and_the_session_says_so(
    gateway: Gateway,
) -> None:
    client = gateway.start().client()
    session = client.create()
    session.wait_idle()
    number = session.submit("import time; time.sleep(600)")
    [supervisor] = [
        p for p in gateway.driver_processes() if "livius_agent.supervisor" in p.cmdline()
    ]
    os.kill(supervisor.pid, signal.SIGKILL)
    ended = session.wait(number, 30)
    assert ended["state"] == "available"
    assert ended["output"]["ename"] == "SessionEnded"
    body = session.get()
    assert (body["state"], body["result"]) == ("dead", "Failed")
    wait_for(lambda: not gateway.driver_processes(), seconds=20, what="nothing of it is left")


def test_a_killed_jvm_ends_the_session_with_the_reason(gateway: Gateway) -> None:
    client = gateway.start().client()
    session = client.create()
    session.wait_idle()
    number = session.submit("import time; time.sleep(600)")
    [java] = [p for p in gateway.driver_processes() if p.name() == "java"]
    java.kill()
    ended = session.wait(number, 30)
    assert ended["output"]["status"] == "error"
    assert "signal 9" in ended["output"]["evalue"] or "SIGKILL" in ended["output"]["evalue"]
    assert session.get()["errorInfo"][0]["errorCode"] == "SparkDriverDied"


def test_a_killed_metastore_comes_back_on_the_same_port(gateway: Gateway) -> None:
    client = gateway.start().client()
    with client.session() as session:
        session.run("create table before_the_fall as select 1 as a", "sql")
        port = (gateway.home / "metastore" / "port").read_text()
        for process in gateway.processes():
            if process.name() == "java" and "livius.Metastore" in process.cmdline():
                process.kill()

        def answers() -> bool:
            output = session.run("select * from before_the_fall", "sql")
            return bool(output["status"] == "ok")

        wait_for(answers, seconds=90, what="the table can be read again", every=0.5)
        assert (gateway.home / "metastore" / "port").read_text() == port
    gateway.stop()
    assert gateway.processes() == []
