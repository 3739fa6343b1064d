"""Publishes whose gateway, index or disk fails: each has its reason, and leaves nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from support.environments import RemoteEnvironment, make_wheel
from support.gateway import Gateway
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


class SilentIndex:
    """A package index that takes requests and never answers."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/simple"
        self.asked = threading.Event()
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with suppress(OSError):
            while True:
                self._taken.append(self._listening.accept()[0])
                self.asked.set()

    def close(self) -> None:
        for one in (self._listening, *self._taken):
            one.close()


@pytest.fixture
def index() -> Iterator[SilentIndex]:
    made = SilentIndex()
    yield made
    made.close()


ON_A_SMALL_DISK = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mount -t tmpfs -o size=4m tmpfs "$LIVIUS_HOME/environments" && exec "$@"',
    "sh",
)
"""Before a command: environments are on a disk of 4 MB, which the command's processes alone see."""


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose packages are in a folder, and whose environments are on a small disk."""
    index, home = tmp_path / "index", tmp_path / "home"
    index.mkdir()
    (home / "environments").mkdir(mode=0o700, parents=True)
    for name, needs in (("livius_far", ()), ("livius_pinned", ("livius-far==2.0",))):
        make_wheel(index, name, "1.0", "x = 1\n", *needs)
    settings = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(index), "LIVIUS_DISK_RESERVE": "0"}
    with Gateway(home, settings, ON_A_SMALL_DISK).serving() as started:
        yield started


def left_of(lab: RemoteEnvironment) -> list[str]:
    """What the folder of an environment has, as the gateway sees it."""
    process = lab.client.gateway.process
    assert process is not None
    return sorted(one.name for one in Path(f"/proc/{process.pid}/root{lab.folder}").iterdir())


def test_each_failure_has_a_readable_log_and_the_version_before_goes_on(
    offline: Gateway, tmp_path: Path
) -> None:
    lab = published(offline, tmp_path)
    before = left_of(lab)
    broken = tmp_path / "livius_broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"PK, but no wheel")
    grows = make_wheel(tmp_path, "livius_large", "1.0", f"x = {'a' * 9_000_000!r}\n")
    jar = tmp_path / "large.jar"
    jar.write_bytes(bytes(2_500_000))

    def fails(*says: str) -> None:
        failed = lab.ended(lab.publish())
        assert failed["status"] == "Failed"
        assert lab.details()["state"] == "Failed"
        # The resolver breaks its lines where they become too long.
        message, log = (" ".join(one.split()) for one in (failed["error"]["message"], lab.log))
        for word in says:
            assert word in message, failed
            assert word in log
        assert str(offline.home) not in lab.log + str(failed), "no path of the server's"
        assert left_of(lab) == before
        libraries = lab.must("GET", "/libraries").json()["libraries"]
        assert [one["name"] for one in libraries] == ["livius_near-1.0-py3-none-any.whl"]

    for packages, says in (
        ("livius-nowhere", "livius-nowhere was not found"),
        ("livius-far==1.0\nlivius-pinned==1.0", "your requirements are unsatisfiable"),
    ):
        lab.import_list(packages)
        fails(says)
    lab.import_list("dependencies: []\n")
    for file, says in (
        (broken, "livius_broken-1.0-py3-none-any.whl can't be read"),
        (grows, "No space left on device"),  # where uv writes
        (jar, "disk is full"),  # where we do
    ):
        lab.stage(file)
        fails(says)
        lab.must("DELETE", f"/staging/libraries/{file.name}")
    with lab.client.session(conf=lab.conf) as session:
        assert session.text("import livius_near; print(livius_near.x)") == "1"
    lab.stage(make_wheel(tmp_path, "livius_near", "1.0", "x = 2\n"))
    assert lab.published()["state"] == "Success"


@pytest.fixture
def gateway(tmp_path: Path, index: SilentIndex) -> Iterator[Gateway]:
    settings = {
        "UV_DEFAULT_INDEX": index.url,
        "UV_HTTP_TIMEOUT": "200",
        "LIVIUS_QUEUE_SIZE": "50",
        "LIVIUS_MAX_DRIVERS": "1",
    }
    with Gateway(tmp_path / "home", settings).serving() as started:
        yield started


def resolvers(gateway: Gateway) -> list[psutil.Process]:
    """The processes that work on environments of this installation."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(gateway.home / "environments") in one for one in process.cmdline()):
                found.append(process)
    return found


def published(gateway: Gateway, folder: Path) -> RemoteEnvironment:
    """An environment with a wheel, which needs no index."""
    made = RemoteEnvironment.create(gateway.client(), "Lab")
    made.stage(make_wheel(folder, "livius_near", "1.0", "x = 1\n"))
    made.published()
    return made


def test_a_gateway_killed_in_the_middle_of_a_publish(
    gateway: Gateway, index: SilentIndex, tmp_path: Path
) -> None:
    lab = published(gateway, tmp_path)
    before = sorted(one.name for one in lab.folder.iterdir())
    lab.import_list("livius-far\n")
    operation = lab.publish()
    assert index.asked.wait(60)
    assert lab.details()["state"] == "Running"
    assert resolvers(gateway)
    gateway.kill()
    wait_for(lambda: not resolvers(gateway), seconds=10, what="uv ends with the gateway")
    gateway.start()
    lab.client.reconnect()
    failed = lab.ended(operation)
    assert failed["error"]["errorCode"] == "OperationInterrupted"
    assert lab.details()["state"] == "Failed"
    assert sorted(one.name for one in lab.folder.iterdir()) == before
    [library] = lab.must("GET", "/libraries").json()["libraries"]
    assert library["name"] == "livius_near-1.0-py3-none-any.whl"
    lab.must("POST", "/staging/libraries/importExternalLibraries", data=b"dependencies: []\n")
    assert lab.published()["state"] == "Success"


def test_a_cancelled_publish_leaves_nothing(gateway: Gateway, index: SilentIndex) -> None:
    lab = RemoteEnvironment.create(gateway.client(), "Lab")
    lab.import_list("livius-far\n")
    operation = lab.publish()
    assert index.asked.wait(60)
    answer = lab.must("POST", "/staging/cancelPublish")
    assert answer.json()["publishDetails"]["state"] == "Cancelled"
    assert lab.ended(operation)["error"]["errorCode"] == "OperationCancelled"
    assert not resolvers(gateway)
    assert list(lab.folder.iterdir()) == []


def test_sessions_wait_while_the_first_publish_runs(gateway: Gateway, index: SilentIndex) -> None:
    client = gateway.client()
    lab = RemoteEnvironment.create(client, "Lab")
    lab.import_list("livius-far\n")
    operation = lab.publish()
    assert index.asked.wait(60)
    sessions = [client.create(conf=lab.conf) for _ in range(20)]
    found = [one.get()["fabricSessionStateInfo"]["state"] for one in sessions]
    assert found == ["libraryPackaging"] + ["queued"] * 19
    lab.must("POST", "/staging/cancelPublish")
    assert lab.ended(operation)["status"] == "Failed"

    def dead() -> bool:
        bodies = [one.get() for one in sessions]
        return all(body["state"] == "dead" for body in bodies)

    wait_for(dead, seconds=60, what="the sessions end with the publish")
    body = sessions[0].get()
    assert "was not published. It was cancelled." in str(body["errorInfo"])
    assert gateway.driver_processes() == []


def test_sessions_have_the_version_before_while_another_publish_runs(
    gateway: Gateway, index: SilentIndex, tmp_path: Path
) -> None:
    lab = published(gateway, tmp_path)
    lab.import_list("livius-far\n")
    operation = lab.publish()
    assert index.asked.wait(60)
    first, *others = [lab.client.create(conf=lab.conf) for _ in range(20)]
    states = [one.get()["fabricSessionStateInfo"]["state"] for one in others]
    assert states == ["queued"] * 19
    first.wait_idle()
    assert first.text("import livius_near; print(livius_near.x)") == "1"
    assert lab.details()["state"] == "Running"
    lab.must("POST", "/staging/cancelPublish")
    assert lab.ended(operation)["status"] == "Failed"
    assert first.text("print(livius_near.x)") == "1"
    assert {one.get()["fabricSessionStateInfo"]["state"] for one in others} == {"queued"}
    lab.client.delete_all()
    wait_for(lambda: not gateway.driver_processes(), seconds=60, what="the session's driver ends")
