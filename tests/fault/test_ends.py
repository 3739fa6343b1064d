"""After an end no process runs and no temporary file is left."""

import contextlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from support.gateway import Client, Gateway
from support.shared import Spares
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
        wait_for(
            lambda: client.call("GET", f"/sessions/{one}").json()["state"] == "dead",  # noqa: B023
            seconds=30,
            what="the session has ended",
        )
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
def test_a_session_deleted_while_it_starts_leaves_nothing(
    shared: Gateway, client: Client, others: set[psutil.Process], moment: str
) -> None:
    drivers = shared.home / "drivers"
    folders, listening = set(drivers.glob("*/work")), _listening(others)

    def started() -> set[psutil.Process]:
        return set(shared.driver_processes()) - others

    session = client.create()
    if moment == "launched":
        wait_for(started, seconds=30, what="the supervisor runs")
    if moment == "java":
        wait_for(lambda: any("java" in p.name() for p in started()), seconds=60, what="Java runs")
    assert session.delete() == 200
    wait_for(lambda: not started(), seconds=20, what="no process is left")
    wait_for(
        lambda: set(drivers.glob("*/work")) <= folders,
        seconds=10,
        what="no temporary folder is left",
    )
    assert _listening(shared.driver_processes()) <= listening
    assert client.call("GET", session.path).status_code == 404


def _listening(processes: Iterable[psutil.Process]) -> set[object]:
    return {
        connection.laddr
        for process in processes
        if process.is_running()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def test_a_killed_metastore_comes_back_on_the_same_port(
    shared: Gateway, client: Client, spares: Spares
) -> None:
    assert client is not None
    with spares.taken() as session:
        session.run("create table before_the_fall as select 1 as a", "sql")
        port = (shared.home / "metastore" / "port").read_text()
        for process in shared.processes():
            if process.name() == "java" and "livius.Metastore" in process.cmdline():
                process.kill()

        def answers() -> bool:
            output = session.run("select * from before_the_fall", "sql")
            return bool(output["status"] == "ok")

        wait_for(answers, seconds=90, what="the table can be read again", every=0.5)
        assert (shared.home / "metastore" / "port").read_text() == port
