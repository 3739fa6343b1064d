"""The process of the History Server, with a small program in Spark's place."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest

import livius_agent
from livius.adapters.local import history_server
from livius.adapters.local.event_logs import FileEventLogs
from livius.adapters.local.history_server import LocalHistoryServer
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.runtimes import Runtime
from livius.domain.errors import NotFound, Unavailable
from livius.domain.ids import DriverId
from livius.ports.history import Opening
from livius_agent.spec import EVENT_LOG

DRIVER = DriverId("d")
JAVA = f"""#!{sys.executable}
import http.server, sys
conf = dict(line.split() for line in open(sys.argv[sys.argv.index('--properties-file') + 1]))
asked = []

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # Like Spark's, it has its parts one after the other: the first page, the API, applications.
        asked.append(self.path)
        is_api = self.path.startswith('/api/') and len(asked) > 2
        is_none = self.path == '/history/none' and len(asked) > 4
        self.send_response(404 if is_none else 200)
        self.send_header('Content-Type', 'application/json' if is_api else 'text/html')
        self.end_headers()
        self.wfile.write(str(len(asked)).encode())

http.server.ThreadingHTTPServer(
    ('127.0.0.1', int(conf['spark.history.ui.port'])), Pages
).serve_forever()
"""
FAILS = f"""#!{sys.executable}
import sys
with open(sys.argv[0] + '.starts', 'a') as starts:
    starts.write('.')
raise SystemExit('java.lang.OutOfMemoryError: Java heap space')
"""


def write_log(folder: Path, driver: DriverId) -> None:
    log = folder / "drivers" / driver / EVENT_LOG
    log.mkdir(parents=True, exist_ok=True)
    (log / "events.zstd").write_bytes(b"events")


def made(
    folder: Path,
    java: str,
    *,
    idle: float = 60,
    check_room: Callable[[int], None] = lambda _: None,
) -> LocalHistoryServer:
    """A server in the folder; a driver has a log there."""
    write_log(folder, DRIVER)
    program = folder / "java" / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(java)
    program.chmod(0o755)
    runtime = Runtime(
        name="2.0",
        folder=folder,
        python=Path(sys.executable),
        spark_home=folder,
        jars=(),
        java=program,
    )
    return LocalHistoryServer(
        folder / "history",
        runtime,
        Path(livius_agent.__file__).parents[1],
        FileEventLogs(folder / "drivers", limit=1000),
        SharedOsUser(),
        check_room=check_room,
        idle=timedelta(seconds=idle),
    )


@asynccontextmanager
async def running(server: LocalHistoryServer) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        service = group.create_task(server.run())
        try:
            yield
        finally:
            service.cancel()


def processes(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(part.startswith(str(folder / "history")) for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


async def until(what: Opening, server: LocalHistoryServer) -> None:
    async with asyncio.timeout(30):
        while server.opening() is not what:
            await asyncio.sleep(0.02)


async def test_it_is_started_once_for_all_and_ends_when_idle(tmp_path: Path) -> None:
    server = made(tmp_path, JAVA, idle=1)
    async with running(server):
        assert server.opening() is Opening.ABSENT
        first, second = await asyncio.gather(server.open(DRIVER), server.open(DRIVER))
        assert first == second
        assert (first.application, first.is_history) == (DRIVER, True)
        assert len(processes(tmp_path)) == 1
        copied = tmp_path / "history" / "logs" / DRIVER
        assert (copied.read_bytes(), server.opening()) == (b"events", Opening.READY)
        with pytest.raises(NotFound):
            await server.open(DriverId("unknown"))
        await until(Opening.ABSENT, server)
        assert (processes(tmp_path), copied.exists()) == ([], False)
        assert (await server.open(DRIVER)).token != first.token
    assert processes(tmp_path) == []


async def test_it_is_ready_when_all_of_its_parts_are(tmp_path: Path) -> None:
    server = made(tmp_path, JAVA)
    async with running(server):
        address = await server.open(DRIVER)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{address.url}/api/v1/applications/{DRIVER}")
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.text) > 6


async def test_one_that_fails_says_why_and_rests_before_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = made(tmp_path, FAILS)
    starts = tmp_path / "java" / "bin" / "java.starts"
    async with running(server):
        for _ in range(2):
            with pytest.raises(Unavailable, match="ended for want of memory with exit code 1"):
                await server.open(DRIVER)
            assert server.opening() is Opening.FAILED
        assert starts.read_text() == "."
        monkeypatch.setattr(history_server, "_REST_AFTER_FAILURE", 0.0)
        with pytest.raises(Unavailable):
            await server.open(DRIVER)
        assert starts.read_text() == ".."


async def test_one_that_is_killed_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = made(tmp_path, JAVA)
    async with running(server):
        first = await server.open(DRIVER)
        [process] = processes(tmp_path)
        process.kill()
        await until(Opening.FAILED, server)
        assert processes(tmp_path) == []
        with pytest.raises(Unavailable, match="exit code -9"):
            await server.open(DRIVER)
        monkeypatch.setattr(history_server, "_REST_AFTER_FAILURE", 0.0)
        assert (await server.open(DRIVER)).token != first.token
        assert (tmp_path / "history" / "logs" / DRIVER).read_bytes() == b"events"
        [again] = processes(tmp_path)
        assert again != process


async def test_none_is_started_without_room_for_it(tmp_path: Path) -> None:
    asked = []

    def refuse(megabytes: int) -> None:
        asked.append(megabytes)
        raise Unavailable("OutOfMemory", "There is no room.")

    server = made(tmp_path, JAVA, check_room=refuse)
    async with running(server):
        with pytest.raises(Unavailable, match="no room"):
            await server.open(DRIVER)
        assert server.opening() is Opening.ABSENT
        assert processes(tmp_path) == []
    assert asked == [768]


async def test_it_has_few_copies_and_none_of_an_earlier_gateway(tmp_path: Path) -> None:
    server, copies = made(tmp_path, JAVA), tmp_path / "history" / "logs"
    copies.mkdir(parents=True)
    (copies / "earlier").write_bytes(b"events")
    drivers = [DriverId(f"d{number}") for number in range(9)]
    async with running(server):
        for driver in drivers:
            write_log(tmp_path, driver)
            await server.open(driver)
        assert sorted(one.name for one in copies.iterdir()) == drivers[1:]
        await server.open(drivers[0])
        assert (copies / drivers[0]).read_bytes() == b"events"
        assert not (copies / drivers[1]).exists()


GATEWAY = """
import asyncio, sys
from pathlib import Path
from contract.test_history_server import DRIVER, JAVA, made, running

async def main():
    server = made(Path(sys.argv[1]), JAVA)
    async with running(server):
        await server.open(DRIVER)
        print("open", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_it_ends_with_a_gateway_that_is_killed(tmp_path: Path) -> None:
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GATEWAY, tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert gateway.stdout is not None
    async with asyncio.timeout(60):
        while b"open" not in await gateway.stdout.readline():
            pass
    assert len(processes(tmp_path)) == 1
    gateway.send_signal(signal.SIGKILL)
    await gateway.wait()
    async with asyncio.timeout(10):
        while processes(tmp_path):
            await asyncio.sleep(0.02)
