"""The warm driver of an environment with real Spark: the next session has the libraries at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from livius_agent.spec import MARKER
from spark.test_environments import SCALA
from support.environments import RemoteEnvironment, make_jar, make_wheel
from support.gateway import RUNTIME, Gateway
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

PROPERTIES = {
    "spark.livius.environment.warm": "true",
    "spark.example.word": "blue",  # what a running Spark can't take
    "spark.sql.shuffle.partitions": "3",
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "home", {"LIVIUS_ENVIRONMENT_POOL_SIZE": "1"}).serving() as started:
        yield started


def pool(gateway: Gateway) -> dict[str, Any]:
    answer = requests.get(f"{gateway.connection['http']}/readyz", timeout=10)
    found: dict[str, Any] = answer.json()["environmentPool"]
    return found


def warm(gateway: Gateway) -> None:
    wait_for(lambda: pool(gateway)["warm"] == 1, seconds=400, what="a driver is warm")


def version_of(gateway: Gateway, word: str, folder: Path, lab: RemoteEnvironment) -> None:
    """Publish a wheel whose function says the word."""
    lab.stage(make_wheel(folder, "livius_hello", "1.2", f"def greet(): return {word!r}\n"))
    lab.published()
    wait_for(lambda: pool(gateway)["condition"] == "filling", seconds=60, what="one is starting")
    warm(gateway)


def test_a_session_starts_from_its_environments_pool_and_has_the_libraries(
    gateway: Gateway, tmp_path: Path
) -> None:
    client = gateway.client()
    assert pool(gateway)["condition"] == "off"
    lab = RemoteEnvironment.create(client, "Lab")
    lab.must("PATCH", "/staging/sparkcompute?beta=true", json={"sparkProperties": PROPERTIES})
    lab.stage(make_jar(tmp_path, "example", SCALA, RUNTIME))
    version_of(gateway, "first", tmp_path, lab)
    [waiting] = (gateway.home / "drivers").iterdir()
    session = client.create(conf={**lab.conf, "spark.sql.shuffle.partitions": "5"})
    session.wait_idle()
    assert "FallbackReasons" not in (session.get().get("tags") or {})
    assert session.text(f"import os; print(os.environ['{MARKER}'])") == str(waiting)
    code = """
import livius_hello
from pyspark.sql.functions import udf
@udf("string")
def greet(_):
    import livius_hello
    return livius_hello.greet()
words = [row[0] for row in spark.range(1).select(greet("id")).collect()]
confs = [spark.conf.get(f"spark.{key}") for key in ("example.word", "sql.shuffle.partitions")]
print(livius_hello.greet(), *words, *confs)
"""
    assert session.text(code) == "first first blue 5"
    assert "from the jar" in session.text("example.Place.name", kind="spark")
    session.run("create temporary function twice as 'example.Twice'", kind="sql")
    assert session.rows("select twice(21)") == [[42]]
    # A new version: its driver has the new code, and the session keeps the one that it has.
    version_of(gateway, "second", tmp_path, lab)
    with client.session(conf=lab.conf) as second:
        assert "FallbackReasons" not in (second.get().get("tags") or {})
        assert second.text("import livius_hello; print(livius_hello.greet())") == "second"
    assert session.text("print(livius_hello.greet())") == "first"
    lab.must("DELETE", "")
    session.delete()
    wait_for(lambda: not gateway.driver_processes(), seconds=60, what="the warm driver ends")
