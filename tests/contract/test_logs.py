"""Drivers' logs in files, and Spark's pages over sockets."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from livius.adapters.logs import FileDriverLogs
from livius.adapters.spark_ui import HttpSparkUi
from livius.domain.errors import NotFound, Unavailable
from livius.domain.ids import DriverId
from livius.ports.logs import SparkAddress
from livius_agent.spec import STDERR, STDOUT

DRIVER = DriverId("d")


async def test_logs_are_listed_and_read_from_anywhere(tmp_path: Path) -> None:
    logs = FileDriverLogs(tmp_path)
    assert await logs.files(DRIVER) == []
    assert await logs.read(DRIVER, "stdout", offset=0, size=10) == b""
    (tmp_path / DRIVER).mkdir()
    (tmp_path / DRIVER / STDOUT).write_bytes(b"0123456789")
    (tmp_path / DRIVER / STDERR).write_bytes(b"")
    (tmp_path / DRIVER / "secret").write_bytes(b"never")
    files = await logs.files(DRIVER)
    assert [(file.name, file.size) for file in files] == [("stderr", 0), ("stdout", 10)]
    assert all(file.created_at <= file.changed_at for file in files)
    assert await logs.read(DRIVER, "stdout", offset=7, size=10) == b"789"
    assert await logs.read(DRIVER, "stdout", offset=99, size=10) == b""
    for name in ("secret", "../d/secret", STDOUT):
        assert await logs.read(DRIVER, name, offset=0, size=10) == b""


class Handler(BaseHTTPRequestHandler):
    """Spark's pages, and what a hostile driver would rather say."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.endswith("/jobs"):
            self._answer(200, "application/json", json.dumps({"query": query}).encode())
        elif path.endswith("/elsewhere"):
            self._answer(302, "application/json", b"", location="/api/v1/applications/a/jobs")
        elif path.endswith("/page"):
            self._answer(200, "text/html", b"<script>")
        elif path.endswith("/huge"):
            self._answer(200, "application/json", b" " * (17 * 1024 * 1024))
        elif path.endswith("/slow"):
            self.server.released.wait(20)  # type: ignore[attr-defined]
        else:
            self._answer(404, "application/json", b"{}")

    def _answer(self, status: int, kind: str, body: bytes, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def spark() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


async def test_pages_are_asked_with_their_query(spark: str) -> None:
    pages, at = HttpSparkUi(), SparkAddress(url=spark, application="a")
    assert json.loads(await pages.get(at, "jobs", {"status": "running"})) == {
        "query": "status=running"
    }
    with pytest.raises(NotFound):
        await pages.get(at, "unknown", {})


@pytest.mark.parametrize("path", ["elsewhere", "page", "huge", "slow"])
async def test_what_is_no_bearable_json_is_not_passed_on(spark: str, path: str) -> None:
    pages = HttpSparkUi(within=timedelta(seconds=0.5 if path == "slow" else 10))
    with pytest.raises(Unavailable):
        await pages.get(SparkAddress(url=spark, application="a"), path, {})


@pytest.mark.parametrize(
    "address",
    ["http://192.0.2.1:4040", "http://example.org:80", "https://127.0.0.1:1", "file:///etc/passwd",
     "http://127.0.0.1", "http://[::1", "", "http://127.0.0.1:1@192.0.2.1:80/"],
)  # fmt: skip
async def test_a_driver_leads_nowhere_but_to_loopback(address: str) -> None:
    with pytest.raises(Unavailable):
        await HttpSparkUi().get(SparkAddress(url=address, application="a"), "jobs", {})
