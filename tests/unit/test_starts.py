"""Starts and stops beside another gateway: who has the data folder's lock is the one gateway."""

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from livius.bootstrap.compose import link_address
from livius.cli.console import ConsoleProgress
from livius.cli.own_gateway import OwnGateway, interrupts_deferred
from livius.cli.running import count_ended
from livius.cli.serving import ALREADY_SERVING, changed_ports
from livius.installation.home import AlreadyServing, Connection, Home, Ports
from livius.installation.prepare import find_runtime, prepare
from livius.installation.progress import SetupFailed
from livius.settings import Settings
from support.gateway import LIVIUS
from support.waiting import wait_for

up_command = importlib.import_module("livius.cli.up")  # its name is also the command's

HOLDER = """
import sys, time
from pathlib import Path
from livius.installation.home import Home
with Home(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""

PAIR = ("127.0.0.1", "127.0.0.2")
OLDER_HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1] + "/gateway.lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A data folder, which the commands find; there is no runtime."""
    before = signal.getsignal(signal.SIGTERM)
    for name in [name for name in os.environ if name.startswith("LIVIUS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIVIUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIVIUS_RUNTIMES", str(tmp_path / "runtimes"))
    found = Home(tmp_path / "home")
    found.create()
    yield found
    signal.signal(signal.SIGTERM, before)  # livius up has set its own


@contextlib.contextmanager
def another(home: Home, program: str = HOLDER) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock, as a gateway has that is still starting."""
    with subprocess.Popen(
        [sys.executable, "-c", program, home.root], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def livius(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LIVIUS, *arguments], capture_output=True, text=True, timeout=25, check=False
    )


def connection(pid: int) -> Connection:
    facts = dict.fromkeys(Connection.__dataclass_fields__, "x")
    return Connection(**{**facts, "pid": pid})  # type: ignore[arg-type]


def test_a_refused_serve_changes_nothing_and_says_who_serves(home: Home) -> None:
    with another(home) as gateway:
        before = sorted(home.root.rglob("*"))
        done = livius("serve")
        assert done.returncode == ALREADY_SERVING
        assert f"serves {home.root} already (process {gateway.pid})" in done.stderr
        assert sorted(home.root.rglob("*")) == before, "no ports were chosen, nothing was made"


def test_status_and_down_go_by_the_lock(home: Home) -> None:
    old = {"pid": 1, "drivers": 7, "metastore": True}
    home.last_shutdown_file.write_text(json.dumps(old))
    with another(home) as gateway:
        status = livius("status")
        assert (status.returncode, f"(process {gateway.pid})" in status.stdout) == (4, True)
        down = livius("down")
        assert (down.returncode, down.stdout) == (0, "Stopped: the gateway.\n")
        assert gateway.wait(5) == -15
    assert "No gateway serves" in livius("status").stdout
    assert livius("down").stdout == f"No gateway serves {home.root}.\n"


def test_a_gateway_of_a_version_that_wrote_no_process_id_is_found_and_stopped(home: Home) -> None:
    with another(home, OLDER_HOLDER) as gateway:
        home.connection_file.write_text(json.dumps({"pid": os.getpid()}))
        assert home.holder() is None, "a process that has not opened the lock is no gateway"
        home.write_connection(connection(gateway.pid))
        assert home.read_connection() == connection(gateway.pid)
        home.connection_file.write_text(json.dumps({"pid": gateway.pid, "api": "of before"}))
        status = livius("status")
        assert (status.returncode, f"(process {gateway.pid})" in status.stdout) == (4, True)
        assert livius("down").stdout == "Stopped: the gateway.\n"
        assert gateway.wait(5) == -15


def test_up_waits_for_a_gateway_that_starts_and_does_not_start_another(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up_command, "SERVES_WITHIN", 0.2)
    home.log_file.write_text("another one's words\n")
    with another(home) as gateway:
        assert up_command.up(detach=True) == 1
        said = "".join(capsys.readouterr())
        assert f"(process {gateway.pid}) and does not say where it serves" in said
        assert "livius down" in said
        assert "another one's words" not in said
        assert "Stopp" not in said
        assert gateway.poll() is None
        home.write_connection(connection(gateway.pid))
        assert up_command.up(detach=True) == 0
        assert f"running already (process {gateway.pid})" in capsys.readouterr().out


def test_an_up_that_fails_quotes_its_own_gateway_alone(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.log_file.write_text("an earlier one's words\n")
    home.last_shutdown_file.write_text(json.dumps({"pid": 1, "drivers": 7, "metastore": True}))
    monkeypatch.setattr(up_command, "prepare", lambda *_: None)
    monkeypatch.setattr(up_command, "_warn_of_size", lambda _: None)
    assert up_command.up(detach=True) == 1
    said = "".join(capsys.readouterr())
    assert "The runtime 2.0 is not set up" in said
    assert "an earlier one's words" not in said
    assert "Stopped" not in said


def test_of_two_ups_at_once_the_second_says_so(home: Home) -> None:
    own = OwnGateway(home)
    with another(home):
        own.start(first_run=False)
        with pytest.raises(SetupFailed, match="in the same moment"):
            own.wait_until_serving()


def test_a_connection_that_a_killed_gateway_left_is_not_the_next_ones(home: Home) -> None:
    home.write_connection(connection(pid=1))
    with another(home) as gateway:
        assert home.read_connection() is None
        home.write_connection(connection(gateway.pid))
        found = home.read_connection()
        assert found is not None
        assert asdict(found)["pid"] == gateway.pid
    assert home.read_connection() is None


def look(home: Home, until: Any) -> None:
    while not until.is_set():
        home.is_locked()


def test_looks_at_the_lock_never_keep_a_gateway_from_it(home: Home) -> None:
    context = multiprocessing.get_context("fork")
    over = context.Event()
    lookers = [context.Process(target=look, args=(home, over)) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(200):
            with home.lock():
                assert home.holder() == os.getpid()
        with home.lock(), pytest.raises(AlreadyServing, match=str(os.getpid())):
            home.lock().__enter__()
    finally:
        over.set()
        for looker in lookers:
            looker.join(10)


def test_what_another_gateway_ended_is_not_counted(home: Home) -> None:
    home.last_shutdown_file.write_text(json.dumps({"pid": 1, "drivers": 7, "metastore": True}))
    assert count_ended(home, 2) == "Stopped: the gateway."
    assert count_ended(home, 1) == "Stopped: the gateway, 7 sessions and the metastore."


def test_a_taken_port_is_said_and_the_one_in_its_place_kept(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = home.choose_ports(host="127.0.0.1", https=port, http=0)
        assert ports.https != port
        assert home.kept_ports() == ports
        chosen = Settings(port=port, http_port=0)
        [text] = changed_ports(chosen, None, ports)
        assert f"Port {port} (LIVIUS_PORT) is taken" in text
        assert str(ports.https) in text
        [text] = changed_ports(chosen, Ports(https=port, http=ports.http), ports)
        assert f"Port {port} is taken" in text
    [text] = changed_ports(Settings(port=port, http_port=0), ports, ports)
    assert "ports.json" in text, "a setting that is not followed says why"
    assert list(changed_ports(Settings(http_port=0), ports, ports)) == []


def test_a_port_counts_as_free_only_at_all_addresses_of_a_name(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(*_: object, **__: object) -> list[Any]:
        """What a name of two addresses resolves to, such as localhost with ::1."""
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in PAIR]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with socket.socket() as taken:
        taken.bind((PAIR[1], 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = home.choose_ports(host="two.addresses", https=port, http=0)
        assert ports.https != port
    for ip in PAIR:
        with socket.create_server((ip, ports.https)):
            pass


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [("no.such.host.invalid", 0, "LIVIUS_HOST"), ("192.0.2.77", 0, "Correct LIVIUS_HOST")],
)
def test_a_host_that_is_not_ours_is_said(home: Home, host: str, port: int, words: str) -> None:
    with pytest.raises(SetupFailed, match=words):
        home.choose_ports(host=host, https=port, http=0)


@pytest.mark.parametrize("command", ["up", "serve", "runtime"])
def test_a_folder_that_can_not_be_made_is_said(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIVIUS_HOME", str(tmp_path / "file" / "home"))
    done = livius(command)
    assert done.returncode == 1
    assert "can't be used" in done.stderr
    assert "set LIVIUS_HOME" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_runtime_that_there_is_none_of_is_said(home: Home) -> None:
    del home
    words = r"no runtime 9\.9.*this version has 1\.3, 2\.0"
    chosen = Settings(default_runtime="9.9")
    with pytest.raises(SetupFailed, match=words):
        prepare(chosen, ConsoleProgress())
    with pytest.raises(SetupFailed, match=words):
        find_runtime(chosen, "9.9")


RUN = """
import signal
from livius.installation.commands import run
class Progress:
    def step(self, text): pass
    def detail(self, text): print(text, flush=True)
signal.signal(signal.SIGTERM, signal.default_int_handler)
run(["sh", "-c", "sleep 600 & echo $!; wait"], Progress())
"""


def test_a_step_of_the_installation_ends_with_all_that_it_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=20)
    wait_for(
        lambda: not psutil.pid_exists(started) or _is_zombie(started),
        seconds=10,
        what="it has ended",
    )


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_an_interrupt_during_the_start_waits_until_the_process_is_known() -> None:
    reached = []

    def start() -> None:
        with interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the process is known")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert reached


@pytest.mark.parametrize(
    ("chosen", "address"),
    [
        ({}, "https://localhost:8443"),
        ({"host": "127.0.0.1"}, "https://localhost:8443"),
        ({"host": "0.0.0.0"}, None),
        ({"host": "0.0.0.0", "portal_url": "https://Data.test"}, "https://data.test"),
    ],
)
def test_links_lead_beyond_loopback_only_to_an_address_that_was_given(
    home: Home, chosen: dict[str, Any], address: str | None
) -> None:
    del home
    found = replace(connection(1), api="https://localhost:8443")
    chosen = {"embedded_authority_beyond_loopback": True, **chosen}
    assert link_address(Settings(**chosen), found) == address
