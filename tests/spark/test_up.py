"""``livius up`` and its sisters as a stranger uses them: processes, real sockets, real MSAL."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from livius.installation.home import Home
from support.gateway import LIVIUS, ROOT, Gateway
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


@dataclass
class Installation:
    """A data folder of its own, with the runtime that is there already."""

    gateway: Gateway

    def livius(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [LIVIUS, *arguments],
            env=self.gateway.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=ROOT,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def shell(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=self.gateway.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        made = Installation(Gateway(Path(folder) / "home"))
        try:
            said = made.livius("up", "--detach")
            (Path(folder) / "said").write_text(said)
            yield made
        finally:
            made.livius("down", check=False)
            left = made.gateway.processes()
            made.gateway.clean()
            assert left == []


def said(installation: Installation) -> str:
    return (installation.gateway.home.parent / "said").read_text()


def test_the_first_run_checks_itself_and_says_all_that_is_needed(
    installation: Installation,
) -> None:
    text = said(installation)
    facts = installation.gateway.connection
    assert "20000 rows were counted; all is well" in text
    for name in ("tenant_id", "client_id", "workspace_id", "lakehouse_id", "api", "authority"):
        assert facts[name] in text


def test_it_says_who_can_sign_in_and_where_the_password_is(installation: Installation) -> None:
    file = installation.gateway.home / "sample" / "user.json"
    facts, first = installation.gateway.connection, json.loads(file.read_text())
    assert f"{first['username']}, password in {file}" in said(installation)
    assert (facts["username"], facts["password"]) == (first["username"], first["password"])
    assert file.stat().st_mode & 0o777 == 0o600
    for told in (said(installation), installation.livius("logs", "-n", "10000")):
        assert first["password"] not in told


def test_the_three_next_commands_run_when_pasted(installation: Installation) -> None:
    next_commands = said(installation).split("Next, each can be pasted:")[1].splitlines()
    curl, query, doctor = (line.strip() for line in next_commands if line.startswith("  "))
    assert json.loads(installation.shell(curl))["totalCountOfMatchedItems"] == 0
    assert "|payment_type|trips|average|" in installation.shell(query)
    assert "The gateway serves" in installation.shell(doctor)


def test_connection_json_is_private_and_whole(installation: Installation) -> None:
    path = installation.gateway.home / "connection.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(installation.gateway.connection) == {
        "api", "http", "authority", "tenant_id", "client_id", "client_secret",
        "certificate_file", "private_key_file", "thumbprint", "username", "password",
        "workspace_id", "lakehouse_id", "ca_file", "pid",
    }  # fmt: skip


def test_a_second_up_says_that_one_is_running(installation: Installation) -> None:
    pid = installation.gateway.connection["pid"]
    assert f"running already (process {pid})" in installation.livius("up")
    assert installation.gateway.connection["pid"] == pid


def test_status_logs_and_token(installation: Installation) -> None:
    assert installation.gateway.connection["api"] in installation.livius("status")
    assert "gateway_serving" in installation.livius("logs")
    token = installation.livius("token").strip()
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token)
    assert token not in installation.livius("logs", "-n", "1000")


def test_the_sample_table_has_the_real_schema_and_says_that_it_is_synthetic(
    installation: Installation,
) -> None:
    with installation.gateway.client().session() as session:
        rows = session.rows("describe table extended green_tripdata_2022")
        kinds = {row[0]: row[1] for row in rows}
        assert kinds["VendorID"] == "bigint"
        assert kinds["lpep_pickup_datetime"] == "timestamp"
        assert kinds["ehail_fee"] == "double"
        assert "Synthetic" in kinds["Comment"]
        assert session.rows("select count(*) from green_tripdata_2022") == [[20_000]]


def test_the_commands_of_the_readme_run(installation: Installation) -> None:
    """Those after ``make up``, in order; each block is one script."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    scripts = [block for block in blocks if ".livius/" in block or "livius " in block]
    assert scripts
    home = str(installation.gateway.home)
    for script in scripts:
        if "livius up" in script:
            continue
        ours = script.replace(".livius/", f"{home}/").replace(
            ".venv/bin", str(Path(sys.executable).parent)
        )
        installation.shell(ours)


def test_exec_starts_a_gateway_where_none_serves(installation: Installation) -> None:
    installation.livius("down")
    url = "https://api.fabric.microsoft.com/healthz"
    done = subprocess.run(
        [LIVIUS, "exec", "--up", "--only", "--", "curl", "-sS", url],
        env=installation.gateway.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == '{"status":"alive"}', done.stderr
    assert "Livius serves." in done.stderr


def test_ctrl_c_of_a_foreground_up_ends_everything_and_counts_it() -> None:
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        gateway = Gateway(Path(folder) / "home")
        gateway.home.mkdir(mode=0o700)
        (gateway.home / "first_run_done").touch()
        with subprocess.Popen(
            [LIVIUS, "up"],
            env=gateway.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as up:
            try:
                serves = gateway.home / "connection.json"
                wait_for(serves.exists, seconds=60, what="it serves")
                client = gateway.client()
                client.create().wait_idle()
                # The whole foreground group, as a terminal does it.
                os.killpg(up.pid, signal.SIGINT)
                output, _ = up.communicate(timeout=60)
                assert up.returncode == 0
                assert "Stopped: the gateway, 1 session and the metastore." in output
                assert gateway.processes() == []
            finally:
                gateway.clean()
                up.kill()


def test_a_gateway_that_is_killed_under_up_is_reported_and_its_sessions_go_on() -> None:
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        gateway = Gateway(Path(folder) / "home")
        gateway.home.mkdir(mode=0o700)
        (gateway.home / "first_run_done").touch()
        installation = Installation(gateway)
        with subprocess.Popen(
            [LIVIUS, "up"],
            env=gateway.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as up:
            try:
                serves = gateway.home / "connection.json"
                wait_for(serves.exists, seconds=60, what="it serves")
                client = gateway.client()
                session = client.create()
                session.wait_idle()
                session.text("kept = 5")
                os.kill(gateway.connection["pid"], signal.SIGKILL)
                output, _ = up.communicate(timeout=60)
                assert up.returncode == 1
                assert "signal 9" in output
                # What it left says that it serves; a dead process's word does not count.
                assert "No gateway serves" in installation.livius("status", check=False)
                installation.livius("up", "--detach")
                client.reconnect()
                assert session.text("kept") == "5"
                assert "Stopped: the gateway, 1 session" in installation.livius("down")
                assert gateway.processes() == []
            finally:
                gateway.clean()
                up.kill()


def test_a_sigterm_in_the_first_run_ends_all_that_was_started() -> None:
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        gateway = Gateway(Path(folder) / "home")
        with subprocess.Popen(
            [LIVIUS, "up"],
            env=gateway.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as up:
            try:
                # A driver is on its way: that is in the middle of the first run's session.
                wait_for(gateway.driver_processes, seconds=120, what="a driver")
                up.terminate()
                output, _ = up.communicate(timeout=60)
                assert up.returncode == 130, output
                assert "Interrupted. Nothing is lost" in output
                assert "Stopped: the gateway, 1 session and the metastore." in output
                assert gateway.processes() == []
                assert Home(gateway.home).holder() is None
            finally:
                gateway.clean()
                up.kill()


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "home", {"LIVIUS_PORT": "many", "LIVIUS_DRIVER_MEMORY": "huge"})
    output = Installation(gateway).livius("status", check=False)
    assert "LIVIUS_PORT" in output
    assert "LIVIUS_DRIVER_MEMORY" in output
    assert shlex.quote("many") in output
