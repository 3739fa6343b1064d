"""The findings of the doctor; the tests cause each."""

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from livius.adapters.local.metastore import ready_file
from livius.cli import checks
from livius.cli.checks import Check, Finding, Machine, Verdict, read_machine
from livius.installation.home import Connection, Home
from livius.installation.recipes import recipe
from livius.installation.runtime import DRIVER_JAR
from livius.installation.tls import ensure_certificates
from livius.settings import Settings

GIB = 1024**3
NOW = datetime.now(UTC)
FINE = Machine(
    disk=100 * GIB,
    temporary=100 * GIB,
    memory=100 * GIB,
    memory_limit=None,
    open_files=None,
    processes=None,
    now=NOW,
    file_time=NOW,
    booted=NOW - timedelta(days=1),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data folder, and no variable that changes what is found."""
    for name in os.environ:
        if name.startswith("LIVIUS_") or name in (*checks._PROXIES, *checks._BUNDLES, "JAVA_HOME"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    made = Home(tmp_path / "home")
    made.create()
    return made


def found(check: Check, home: Home, machine: Machine = FINE, **settings: Any) -> list[Finding]:
    return list(check(Settings(home=home.root, **settings), home, machine))


def bad(findings: list[Finding]) -> Finding:
    """The one finding that isn't good; it says what to do."""
    [one] = [finding for finding in findings if finding.verdict is not Verdict.OK]
    assert one.next_step
    return one


def fake_java(folder: Path, version: str) -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    binary.chmod(0o755)
    return folder


def test_a_java_that_spark_takes_is_fine(home: Home, tmp_path: Path) -> None:
    [finding] = found(checks.java, home, java_home=fake_java(tmp_path / "java", "17.0.1"))
    assert finding.verdict is Verdict.OK
    assert "Java 17" in finding.text


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_1", "25"])
def test_a_java_that_spark_does_not_take(home: Home, tmp_path: Path, version: str) -> None:
    finding = bad(found(checks.java, home, java_home=fake_java(tmp_path / "java", version)))
    assert finding.verdict is Verdict.FAIL
    assert "LIVIUS_JAVA_HOME" in finding.text


def test_a_java_that_does_not_run(home: Home, tmp_path: Path) -> None:
    folder = fake_java(tmp_path / "java", "17.0.1")
    (folder / "bin" / "java").chmod(0o644)
    assert bad(found(checks.java, home, java_home=folder)).verdict is Verdict.FAIL


def test_no_java_at_all(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "livius up" in bad(found(checks.java, home)).next_step


@pytest.fixture
def runtime(home: Home) -> Path:
    root = home.root / "runtimes" / "2.0"
    spark = root / "venv" / "lib" / "python3.11" / "site-packages" / "pyspark" / "jars"
    spark.mkdir(parents=True)
    python = root / "venv" / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    (root / "jars").mkdir()
    (root / "jars" / DRIVER_JAR).write_bytes(b"jar")
    write_manifest(root)
    return root


def write_manifest(root: Path, **changes: object) -> None:
    manifest = {
        "lock": recipe("2.0").lock_digest(),
        "sources": recipe("2.0").sources_digest(),
        "versions": {"spark": "4"},
        "jars": {DRIVER_JAR: hashlib.sha256(b"jar").hexdigest()},
        **changes,
    }
    (root / "manifest.json").write_text(json.dumps(manifest))


def test_a_whole_runtime_is_fine(home: Home, runtime: Path) -> None:
    assert [one.verdict for one in found(checks.runtime, home)] == [Verdict.OK]


def test_a_runtime_that_is_not_there(home: Home) -> None:
    assert "not set up" in bad(found(checks.runtime, home)).text


def test_a_runtime_of_another_version(home: Home, runtime: Path) -> None:
    write_manifest(runtime, lock="other")
    assert "another version" in bad(found(checks.runtime, home)).text


def test_a_jar_that_was_changed_or_lost(home: Home, runtime: Path) -> None:
    jar = runtime / "jars" / DRIVER_JAR
    jar.write_bytes(b"other")
    assert DRIVER_JAR in bad(found(checks.runtime, home)).text
    jar.unlink()
    assert bad(found(checks.runtime, home)).verdict is Verdict.FAIL


def test_a_driver_jar_of_other_sources(home: Home, runtime: Path) -> None:
    write_manifest(runtime, sources="older")
    finding = bad(found(checks.runtime, home))
    assert (finding.verdict, finding.next_step) == (Verdict.WARN, "run: livius runtime")


def test_a_runtime_without_its_python(home: Home, runtime: Path) -> None:
    (runtime / "venv" / "bin" / "python").unlink()
    assert "lost its Python" in bad(found(checks.runtime, home)).text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"disk": GIB}, "Disk: 1.0 GB"),
        ({"temporary": 1000}, "Temporary files: 0.0 GB"),
        ({"memory": GIB // 2}, "Memory: 0.5 GB"),
        ({"memory_limit": GIB}, "The container may use 1.0 GB"),
    ],
)
def test_what_is_short(home: Home, change: dict[str, Any], text: str) -> None:
    assert text in bad(found(checks.space, home, dataclasses.replace(FINE, **change))).text
    assert all(one.verdict is Verdict.OK for one in found(checks.space, home))


@pytest.mark.parametrize(("name", "flag"), [("open_files", "-n"), ("processes", "-u")])
def test_limits_that_are_low(home: Home, name: str, flag: str) -> None:
    changes: dict[str, Any] = {name: 100}
    low = dataclasses.replace(FINE, **changes)
    assert flag in bad(found(checks.limits, home, low)).next_step
    assert found(checks.limits, home) == []


def test_the_containers_limit_is_read_in_both_versions(tmp_path: Path) -> None:
    assert checks._memory_limit(tmp_path) is None
    older = tmp_path / "memory" / "memory.limit_in_bytes"
    older.parent.mkdir()
    older.write_text("9223372036854771712\n")
    assert checks._memory_limit(tmp_path) is None
    older.write_text("1048576\n")
    assert checks._memory_limit(tmp_path) == 1048576
    (tmp_path / "memory.max").write_text("max\n")
    assert checks._memory_limit(tmp_path) == 1048576
    (tmp_path / "memory.max").write_text("2097152\n")
    assert checks._memory_limit(tmp_path) == 2097152


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"now": datetime(2020, 1, 1, tzinfo=UTC), "booted": datetime(2019, 1, 1, tzinfo=UTC),
          "file_time": datetime(2020, 1, 1, tzinfo=UTC)}, "years behind"),
        ({"booted": NOW + timedelta(hours=1)}, "before the machine's start"),
        ({"file_time": NOW - timedelta(hours=1)}, "file system differs"),
    ],
)  # fmt: skip
def test_a_clock_that_is_wrong(home: Home, change: dict[str, Any], text: str) -> None:
    assert text in bad(found(checks.clock, home, dataclasses.replace(FINE, **change))).text
    assert found(checks.clock, home) == []


def test_records_from_the_future(home: Home) -> None:
    home.database.touch()
    later = (NOW + timedelta(days=1)).timestamp()
    os.utime(home.database, (later, later))
    assert "from the future" in bad(found(checks.clock, home)).text


@pytest.mark.parametrize(
    ("days", "text"),
    [(-2, "not valid yet"), (0, None), (395, "ends in"), (10_000, "has expired")],
)
def test_a_certificate_outside_its_time(home: Home, days: int, text: str | None) -> None:
    ensure_certificates(home.tls)
    moved = datetime.now(UTC) + timedelta(days=days)
    machine = dataclasses.replace(FINE, now=moved, file_time=moved, booted=moved)
    findings = found(checks.clock, home, machine)
    if text is None:
        assert [one.verdict for one in findings] == [Verdict.OK]
    else:
        assert text in bad(findings).text


def test_a_folder_that_others_may_look_into(home: Home) -> None:
    assert [one.verdict for one in found(checks.folder, home)] == [Verdict.OK]
    home.root.chmod(0o755)
    assert "chmod 700" in bad(found(checks.folder, home)).next_step


def test_keys_that_others_may_read(home: Home) -> None:
    ensure_certificates(home.tls)
    (home.tls / "ca.key").chmod(0o640)
    finding = bad(found(checks.folder, home))
    assert finding.next_step == f"run: chmod 600 {home.tls / 'ca.key'}"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "livius up" in bad(found(checks.folder, Home(tmp_path / "nowhere"))).next_step


def test_variables_that_lead_astray(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(checks.variables, home) == []
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    assert "NO_PROXY" in bad(found(checks.variables, home)).next_step
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert found(checks.variables, home) == []
    monkeypatch.setenv("CURL_CA_BUNDLE", "/x.pem")
    assert "CURL_CA_BUNDLE" in bad(found(checks.variables, home)).text


@contextlib.contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_port_that_is_taken(home: Home) -> None:
    with listener() as port:
        findings = found(checks.gateway, home, port=port, http_port=0)
    assert [f"Port {port} is taken" in one.text for one in findings] == [True, False]
    assert "No gateway" in bad(found(checks.gateway, home, port=0, http_port=0)).text


def test_processes_that_a_gateway_left(home: Home, tmp_path: Path) -> None:
    from livius_agent.spec import PID_RECORD, identify, write

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        folder = home.drivers / "d"
        folder.mkdir()
        identity = identify(process.pid)
        assert identity is not None
        write(folder / PID_RECORD, identity)
        findings = found(checks.gateway, home, port=0, http_port=0)
        process.communicate(b"\n")
    assert "go on without one: 1" in findings[0].text
    assert "livius down" in findings[0].next_step
    assert len(found(checks.gateway, home, port=0, http_port=0)) == 1


def test_a_gateway_that_does_not_answer(home: Home) -> None:
    certificates = ensure_certificates(home.tls)
    with listener() as port, home.lock():
        home.write_connection(connection(port, certificates.ca_file))
        finding = bad(found(checks.gateway, home))
    assert finding.verdict is Verdict.FAIL
    assert "livius logs" in finding.next_step


def test_a_metastore_that_does_not_answer(home: Home) -> None:
    assert bad(list(checks._metastore(home))).verdict is Verdict.FAIL
    home.metastore.mkdir()
    with listener() as port:
        ready_file(home.metastore).parent.mkdir(parents=True, exist_ok=True)
        ready_file(home.metastore).write_text(json.dumps({"port": port}))
        assert [one.verdict for one in checks._metastore(home)] == [Verdict.OK]
    assert "metastore" in bad(list(checks._metastore(home))).text


def connection(port: int, ca_file: Path) -> Connection:
    return Connection(
        api=f"https://localhost:{port}",
        http="http://localhost:1",
        authority="https://localhost:1/t",
        tenant_id="t",
        client_id="c",
        client_secret="s",
        certificate_file="c.pem",
        private_key_file="k.pem",
        thumbprint="t",
        username=None,
        password=None,
        workspace_id="w",
        lakehouse_id="l",
        ca_file=str(ca_file),
        pid=os.getpid(),
    )


def test_this_machine_can_be_read(home: Home) -> None:
    machine = read_machine(home)
    assert machine.disk > 0
    assert machine.temporary > 0
    assert abs(machine.file_time - machine.now) < timedelta(hours=1)


def test_the_report_for_programs(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("livius"), "doctor", "--json"],
        env={**os.environ, "LIVIUS_HOME": str(tmp_path / "none"), "LIVIUS_RUNTIMES": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False)
    runtime = [one for one in report["findings"] if one["check"] == "runtime"]
    assert [one["verdict"] for one in runtime] == ["fail"]
    assert all(one["next_step"] for one in report["findings"] if one["verdict"] != "ok")


def test_another_authority_about_which_not_all_was_said(home: Home, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {
        "authority_issuer": "https://id.example",
        "authority_audience": "livius",
    }
    portal, tokens = found(checks.authority, home, **chosen)
    assert "LIVIUS_AUTHORITY_CLIENT_ID, LIVIUS_AUTHORITY_SCOPE" in portal.next_step
    assert "LIVIUS_AUTHORITY_CLIENT_SECRET_FILE" in tokens.next_step
    secret = tmp_path / "secret"
    whole: dict[str, Any] = {
        **chosen,
        "authority_client_id": "x",
        "authority_scope": "y",
        "authority_client_secret_file": secret,
    }
    assert "can't be read" in bad(found(checks.authority, home, **whole)).text
    secret.write_text("s")
    secret.chmod(0o644)
    assert "Everybody may read" in bad(found(checks.authority, home, **whole)).text
    secret.chmod(0o600)
    assert found(checks.authority, home, **whole) == []
    assert found(checks.authority, home) == []
    given: dict[str, Any] = {
        **whole,
        "authority_client_secret": "s",
        "authority_client_secret_file": None,
    }
    assert "environment" in bad(found(checks.authority, home, **given)).text
