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
from pathlib import Path

import pytest
from deltalake import DeltaTable

from livius.installation.home import Home
from support.documents import blocks
from support.gateway import AS_INSTALLED, LIVIUS, ROOT, Gateway, runtime_folder
from support.terminal import in_a_terminal
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


def shell(gateway: Gateway, command: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=gateway.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installation() -> Iterator[Gateway]:
    """A data folder of its own, with the runtime that is there already."""
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        made = Gateway(Path(folder) / "home", AS_INSTALLED)
        try:
            said = made.livius("up", "--detach", seconds=300)
            (Path(folder) / "said").write_text(said)
            yield made
        finally:
            made.livius("down", code=None)
            left = made.processes()
            made.clean()
            assert left == []


def skip_self_check(gateway: Gateway) -> None:
    """Say that it has passed already."""
    gateway.home.mkdir(mode=0o700)
    passed = {"state": "passed", "at": "2026-01-01T00:00:00+00:00", "pid": 1, "text": "as before"}
    (gateway.home / "self_check.json").write_text(json.dumps(passed))


def after_self_check(installation: Gateway) -> Path:
    """Wait until the self-check and its session have ended; return the file of its result."""
    check = installation.home / "self_check.json"
    wait_for(
        lambda: json.loads(check.read_text())["state"] != "running", seconds=300, what="the check"
    )
    return check


def said(installation: Gateway) -> str:
    return (installation.home.parent / "said").read_text()


def test_the_first_run_checks_itself_and_says_all_that_is_needed(
    installation: Gateway,
) -> None:
    text = said(installation)
    facts = installation.connection
    check = after_self_check(installation)
    found = json.loads(installation.livius("doctor", "--json", code=None))["findings"]
    [checked] = [one for one in found if one["check"] == "self_check"]
    assert checked["verdict"] == "ok"
    assert "Python and Scala counted 20,000 rows" in checked["text"]
    assert check.stat().st_mode & 0o777 == 0o600
    for name in ("tenant_id", "client_id", "workspace_id", "lakehouse_id", "api", "authority"):
        assert facts[name] in text


def test_it_says_who_can_sign_in_and_where_the_password_is(installation: Gateway) -> None:
    file = installation.home / "sample" / "user.json"
    facts, first = installation.connection, json.loads(file.read_text())
    assert f"{first['username']}, password in {file}" in said(installation)
    assert (facts["username"], facts["password"]) == (first["username"], first["password"])
    assert file.stat().st_mode & 0o777 == 0o600
    for told in (said(installation), installation.livius("logs", "-n", "10000")):
        assert first["password"] not in told


def test_the_three_next_commands_run_when_pasted(installation: Gateway) -> None:
    after_self_check(installation)
    next_commands = said(installation).split("Next, each can be pasted:")[1].splitlines()
    curl, query, doctor = (line.strip() for line in next_commands if line.startswith("  "))
    listed = json.loads(shell(installation, curl))
    # A test that stopped the gateway may have ended the self-check's session.
    assert listed["totalCountOfMatchedItems"] == len(listed["items"])
    assert "|payment_type|trips|average|" in shell(installation, query)
    assert "The gateway serves" in shell(installation, doctor)


def test_connection_json_is_private_and_whole(installation: Gateway) -> None:
    path = installation.home / "connection.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(installation.connection) == {
        "api", "http", "authority", "tenant_id", "client_id", "client_secret",
        "certificate_file", "private_key_file", "thumbprint", "username", "password",
        "workspace_id", "lakehouse_id", "ca_file", "pid",
    }  # fmt: skip


def test_a_second_up_says_that_one_is_running(installation: Gateway) -> None:
    pid = installation.connection["pid"]
    assert f"running already (process {pid})" in installation.livius("up")
    assert installation.connection["pid"] == pid


def test_status_logs_and_token(installation: Gateway) -> None:
    assert installation.connection["api"] in installation.livius("status")
    assert installation.livius("logs")
    token = installation.livius("token").strip()
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token)
    logged = installation.livius("logs", "-n", "100000")
    assert "gateway_serving" in logged
    assert token not in logged


def test_the_sample_table_has_the_real_schema_and_says_that_it_is_synthetic(
    installation: Gateway,
) -> None:
    with installation.client().session() as session:
        rows = session.rows("describe table extended green_tripdata_2022")
        kinds = {row[0]: row[1] for row in rows}
        assert kinds["VendorID"] == "bigint"
        assert kinds["lpep_pickup_datetime"] == "timestamp"
        assert kinds["ehail_fee"] == "double"
        assert kinds["Type"] == "MANAGED"
        assert "Synthetic" in kinds["Comment"]
        assert session.rows("select count(*) from green_tripdata_2022") == [[20_000]]


@pytest.mark.timeout(900)  # a first start and two sessions
def test_the_blocks_of_the_readme_print_what_it_shows(
    installation: Gateway, tmp_path: Path
) -> None:
    """Each block after ``make up``, pasted into a terminal in a clone."""
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    (tmp_path / ".livius").symlink_to(installation.home)
    pasted = [block for block in blocks(ROOT / "README.md", "sh") if "make up" not in block.code]
    assert [block.prints is not None for block in pasted] == [True, True, True, False]
    for block in pasted:
        printed = in_a_terminal(
            ["bash", "-euo", "pipefail", "-c", block.code], installation.environment, tmp_path
        )
        assert block.prints is None or block.is_printed(printed), printed


def test_exec_starts_a_gateway_where_none_serves(installation: Gateway) -> None:
    installation.livius("down")
    url = "https://api.fabric.microsoft.com/healthz"
    done = subprocess.run(
        [LIVIUS, "exec", "--up", "--only", "--", "curl", "-sS", url],
        env=installation.environment,
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
        skip_self_check(gateway)
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
        skip_self_check(gateway)
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
                assert "No gateway serves" in gateway.livius("status", code=None)
                gateway.livius("up", "--detach")
                client.reconnect()
                assert session.text("kept") == "5"
                assert "Stopped: the gateway, 1 session" in gateway.livius("down")
                assert gateway.processes() == []
            finally:
                gateway.clean()
                up.kill()


@pytest.fixture
def starting() -> Iterator[tuple[Gateway, subprocess.Popen[str]]]:
    """``livius up`` in a data folder without anything; nothing of it may be left afterwards."""
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        gateway = Gateway(Path(folder) / "home")
        with subprocess.Popen(
            [LIVIUS, "up"],
            env=gateway.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as up:
            try:
                yield gateway, up
                assert gateway.processes() == []
                assert Home(gateway.home).holder() is None
                assert not (gateway.home / "self_check.json").exists()
            finally:
                gateway.clean()
                up.kill()


def test_a_sigterm_before_it_serves_leaves_nothing_running(
    starting: tuple[Gateway, subprocess.Popen[str]],
) -> None:
    gateway, up = starting
    wait_for(Home(gateway.home).is_locked, seconds=60, what="the gateway starts")
    assert not (gateway.home / "connection.json").exists()
    up.terminate()
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 130, output
    assert "Interrupted. Nothing is lost" in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_in_the_self_check_ends_all_that_was_started(
    starting: tuple[Gateway, subprocess.Popen[str]], number: signal.Signals
) -> None:
    gateway, up = starting
    # A driver is on its way: that is in the middle of the self-check's session.
    wait_for(gateway.driver_processes, seconds=120, what="a driver")
    os.killpg(up.pid, number)
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    assert output.index("Livius serves.") < output.index("Stopped: the gateway, 1 session and")


def test_down_in_the_self_check_ends_all_that_was_started(
    starting: tuple[Gateway, subprocess.Popen[str]],
) -> None:
    gateway, up = starting
    wait_for(gateway.driver_processes, seconds=120, what="a driver")
    assert "Stopped: the gateway, 1 session and" in gateway.livius("down")
    output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    assert "The gateway was stopped." in output
    assert "failed" not in output


def test_the_sample_table_is_there_before_any_session(
    starting: tuple[Gateway, subprocess.Popen[str]],
) -> None:
    gateway, up = starting
    wait_for((gateway.home / "connection.json").exists, seconds=60, what="it serves")
    facts = gateway.connection
    lakehouse = f"{facts['workspace_id']}/{facts['lakehouse_id']}"
    table = gateway.home / "onelake" / lakehouse / "Tables" / "green_tripdata_2022"
    assert DeltaTable(table).count() == 20_000
    assert list(table.parent.iterdir()) == [table]
    up.terminate()
    up.communicate(timeout=60)


def test_the_rows_of_the_sample_table_are_those_that_its_program_draws() -> None:
    program = ROOT / "src" / "livius" / "sample" / "green_tripdata_2022.py"
    code = f"""
import runpy, pandas
drawn = runpy.run_path({str(program)!r})["trips"]()
[file] = {[str(one) for one in program.with_suffix("").glob("*.parquet")]}
read = pandas.read_parquet(file)
same = read.astype({{name: drawn[name].dtype for name in drawn}})  # in the same unit of time
pandas.testing.assert_frame_equal(drawn, same)
"""
    python = runtime_folder() / "venv" / "bin" / "python"
    subprocess.run([python, "-c", code], check=True, timeout=120)


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "home", {"LIVIUS_PORT": "many", "LIVIUS_DRIVER_MEMORY": "huge"})
    output = gateway.livius("status", code=None)
    assert "LIVIUS_PORT" in output
    assert "LIVIUS_DRIVER_MEMORY" in output
    assert shlex.quote("many") in output
