"""A session reports the effect of its conf and sizes: nothing is dropped silently."""

from wire.conftest import Wire


async def test_sizes_are_echoed_as_asked_and_told_as_they_are(wire: Wire) -> None:
    asked = {
        "driverMemory": "56g",
        "driverCores": 8,
        "numExecutors": 2,
        "conf": {
            "spark.executor.memory": "28g",
            "spark.native.enabled": "true",
            "spark.sql.shuffle.partitions": "4",
        },
        "tags": {"project": "x"},
    }
    answer = await wire.client.post(f"{wire.base}/sessions", json=asked)
    assert answer.json()["tags"] == {
        "project": "x",
        "ConfWithoutEffect": "spark.executor.memory,spark.native.enabled",
        "SizesInEffect": "driverMemory=1g,driverCores=2,numExecutors=0",
    }
    session = await wire.ready_session()
    assert session.tags == {}
    body = (await wire.client.get(f"{wire.base}/sessions/{answer.json()['id']}")).json()
    assert body["state"] == "not_started"
    stored = await wire.world.store.session(answer.json()["id"])
    assert stored is not None
    assert stored.request["driverMemory"] == "56g"
    assert stored.conf == {"spark.sql.shuffle.partitions": "4"}


async def test_a_refused_key_is_named_with_what_to_do_and_nothing_is_recorded(wire: Wire) -> None:
    for key in ("spark.driver.extraJavaOptions", "SPARK.JARS", "spark.hadoop.fs.file.impl"):
        answer = await wire.client.post(f"{wire.base}/sessions", json={"conf": {key: "x"}})
        body = answer.json()
        assert answer.status_code == 400
        assert body["errorCode"] == "SparkConfNotAllowed"
        assert key in body["message"]
        assert body["message"].count(". ") == 1, "a reason, then what to do"
    assert await wire.world.store.live_sessions() == []


async def test_an_idle_timeout_is_taken_and_one_out_of_bounds_refused(wire: Wire) -> None:
    key = "spark.livy.session.idle.timeout"
    answer = await wire.client.post(f"{wire.base}/sessions", json={"conf": {key: "60m"}})
    stored = await wire.world.store.session(answer.json()["id"])
    assert stored is not None
    assert stored.idle_timeout.total_seconds() == 3600
    for text in ("0", "15d", "soon", "1ms"):
        answer = await wire.client.post(f"{wire.base}/sessions", json={"conf": {key: text}})
        assert answer.status_code == 400
        assert key in answer.json()["message"]
