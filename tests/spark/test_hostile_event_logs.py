"""Event logs of hostile drivers, in Spark's own History Server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

import livius_agent
from contract.test_history_server import processes, running
from livius.adapters.local.event_logs import FileEventLogs
from livius.adapters.local.history_server import LocalHistoryServer
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.runtimes import Runtime
from livius.domain.ids import DriverId, new_id
from livius.installation.java import find_java
from livius.installation.runtime import load_runtime
from livius_agent.spec import EVENT_LOG
from support.gateway import RUNTIME, runtimes_folder

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

MIB = 2**20
BEGINNING = """{"Event":"SparkListenerLogStart","Spark Version":"4.1.1"}
{"Event":"SparkListenerApplicationStart","App Name":"hostile","App ID":"local-1","Timestamp":1,\
"User":"root"}
"""
LONG_EVENT = f'{{"Event":"SparkListenerLogStart","Spark Version":"{"x" * MIB}"}}\n'
END = '{"Event":"SparkListenerApplicationEnd","Timestamp":2}\n'
WRITE = """
import json, sys, pyarrow
with pyarrow.output_stream(sys.argv[1], compression="zstd") as log:
    for text, times in json.load(sys.stdin):
        for _ in range(times):
            log.write(text.encode())
"""


@pytest.mark.parametrize(
    ("parts", "completed"),
    [
        pytest.param([(BEGINNING, 1), (LONG_EVENT, 8), (END, 1)], True, id="honest"),
        pytest.param([(BEGINNING, 1), ("x" * MIB, 3000), (END, 1)], False, id="endless line"),
        pytest.param([(BEGINNING, 1), (LONG_EVENT, 300), (END, 1)], False, id="endless log"),
    ],
)
async def test_no_more_of_a_log_is_read_than_an_honest_driver_writes(
    tmp_path: Path, parts: list[tuple[str, int]], *, completed: bool
) -> None:
    """A page shows what came before; the server goes on."""
    runtime = present_runtime()
    driver = DriverId(new_id())
    log = tmp_path / "drivers" / driver / EVENT_LOG / "events.zstd"
    log.parent.mkdir(parents=True)
    write(log, parts, runtime.python)
    assert log.stat().st_size < MIB
    server = LocalHistoryServer(
        tmp_path / "history",
        runtime,
        Path(livius_agent.__file__).parents[1],
        FileEventLogs(tmp_path / "drivers", limit=MIB),
        SharedOsUser(),
        check_room=lambda _: None,
    )
    async with running(server):
        address = await server.open(driver)
        [process] = processes(tmp_path)
        found = ask(f"{address.url}/api/v1/applications/{driver}", address.token)
        assert found["name"] == "hostile"
        assert found["attempts"][0]["completed"] is completed
        assert processes(tmp_path) == [process]


def present_runtime() -> Runtime:
    folder = runtimes_folder()
    installed, java = load_runtime(folder, RUNTIME), find_java(None, folder)
    assert installed is not None
    assert java is not None
    return Runtime(
        name=RUNTIME,
        folder=installed.folder,
        python=installed.python,
        spark_home=installed.spark_home,
        jars=installed.jars,
        java=java.binary,
    )


def write(log: Path, parts: list[tuple[str, int]], python: Path) -> None:
    subprocess.run([python, "-c", WRITE, log], input=json.dumps(parts), text=True, check=True)


def ask(url: str, token: str | None) -> Any:
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.json()
