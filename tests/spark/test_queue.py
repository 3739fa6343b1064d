"""The queue with real Spark: a session waits with its place, and runs when another has ended."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway import Gateway
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

SETTINGS = {"LIVIUS_MAX_DRIVERS": "1", "LIVIUS_QUEUE_SIZE": "3"}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    started = Gateway(tmp_path / "home", SETTINGS)
    with started.serving():
        yield started


def test_a_session_waits_and_runs_when_the_one_before_it_was_deleted(gateway: Gateway) -> None:
    client = gateway.client()
    first = client.create(name="first")
    second, third = client.create(name="second"), client.create(name="third")
    number = second.submit("6 * 7")
    body = second.get()
    assert body["state"] == "not_started"
    assert body["fabricSessionStateInfo"]["state"] == "queued"
    assert body["schedulerInfo"]["currentState"] == body["pluginInfo"]["currentState"] == "Queued"
    assert body["tags"]["QueuePosition"] == "1 of 2"
    assert body["tags"]["QueueReason"].startswith("1 of 1 sessions are in use.")
    assert third.get()["tags"]["QueuePosition"] == "2 of 2"
    assert "Sessions    3; 2 of them wait for room" in gateway.livius("status")
    assert json.loads(gateway.livius("status", "--json"))["queued"] == 2
    assert "queued 1 of 2" in gateway.livius("session", "list")
    assert re.search("tag QueuePosition +2 of 2", gateway.livius("session", "show", third.id))
    client.create(name="fourth")
    full = client.call("POST", "/sessions", json={})
    assert full.status_code == 430
    assert "1 sessions are in use, and 3 of at most 3 wait for room." in full.json()["message"]
    assert int(full.headers["Retry-After"]) > 0

    # A gateway that was killed knows the order.
    gateway.kill()
    gateway.start()
    client.reconnect()
    assert second.get()["tags"]["QueuePosition"] == "1 of 3"
    first.wait_idle()
    first.delete()
    wait_for(lambda: "QueuePosition" not in second.get()["tags"], seconds=30, what="it is admitted")
    assert third.get()["tags"]["QueuePosition"] == "1 of 2"
    second.wait_idle()
    assert second.wait(number)["output"]["data"]["text/plain"] == "42"
    metrics = client.http.get(f"{gateway.connection['http']}/metrics", timeout=30)
    assert "livius_sessions_queued 2.0" in metrics.text

    # What ends while it is queued never runs; so do all at the gateway's end.
    third.delete()
    wait_for(
        lambda: client.call("GET", f"/sessions/{third.id}").status_code == 404,
        seconds=10,
        what="the deleted session is gone",
    )
    assert "Stopped: the gateway, 1 session " in gateway.livius("down")
    assert gateway.processes() == []
    assert len(list((gateway.home / "drivers").iterdir())) == 2, "of the first and the second"
