"""The command line before it does anything: what it shows, how little it imports, its log."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from livius.cli.commands import app
from livius.cli.overview import GROUPS, overview
from livius.cli.reference import commands_page
from support.gateway import LIVIUS
from support.plain import LIBRARIES, imported, plain_environment
from support.terminal import in_a_terminal


def livius(
    home: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LIVIUS, *arguments],
        env={**plain_environment(home), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["status"], ["status", "--json"], ["token"]], ids=" ".join
)
def test_quick_commands_import_no_library(tmp_path: Path, arguments: list[str]) -> None:
    assert not imported(tmp_path, *arguments) & LIBRARIES


def test_another_command_imports_its_library(tmp_path: Path) -> None:
    """So that the test above sees what it looks for."""
    assert imported(tmp_path, "status", "--help") >= {"cyclopts", "rich"}


def test_the_help_has_all_commands_in_groups(tmp_path: Path) -> None:
    listed = [name for commands in GROUPS.values() for name in commands]
    assert sorted(listed) == sorted(name for name in app if not name.startswith("-"))
    for arguments in ([], ["-h"], ["--help"]):
        assert livius(tmp_path, *arguments).stdout == overview() + "\n"
    for group, commands in GROUPS.items():
        assert f"\n{group}\n  {next(iter(commands))} " in overview()


def test_the_reference_is_what_the_code_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == commands_page()
    for command in app:
        assert command.startswith("-") or f"\n## livius {command}\n" in page


def test_each_option_and_argument_is_described() -> None:
    assert re.findall(r"^\* `[^`]*`: *(?:$|\*)", commands_page(), re.MULTILINE) == []


def test_help_fills_its_lines(tmp_path: Path) -> None:
    """A line that ends early is the end of a paragraph, an example or a box."""
    lines = livius(tmp_path, "sql", "--help", variables={"COLUMNS": "80"}).stdout.splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("Messages and progress"))
    assert "a second" in lines[begin]
    assert lines[begin + 1].startswith("one leaves at once. Exit status")


def test_each_commands_own_help_is_there(tmp_path: Path) -> None:
    said = livius(tmp_path, "up", "--help").stdout
    assert "Set up what is missing" in said
    assert "--detach" in said


def test_status_without_a_gateway(tmp_path: Path) -> None:
    done = livius(tmp_path, "status")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"No gateway serves {tmp_path}. Start one with: livius up\n"
    done = livius(tmp_path, "status", "--json")
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert found == {"home": str(tmp_path), "state": "stopped", "leftProcesses": 0}


def test_token_without_a_gateway(tmp_path: Path) -> None:
    done = livius(tmp_path, "token")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"No gateway serves {tmp_path}. Start one with: livius up" in done.stderr


@pytest.mark.parametrize(
    "command", ["lakehouse list", "lakehouse create a", "session list", "sql SELECT"]
)
def test_commands_of_the_api_without_a_gateway(tmp_path: Path, command: str) -> None:
    done = livius(tmp_path, *command.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"livius: No gateway serves {tmp_path}. Start one with: livius up\n"


@pytest.mark.parametrize("command", ["up", "status", "token", "open", "logs"])
def test_a_data_folder_that_is_none_is_said_in_a_sentence(tmp_path: Path, command: str) -> None:
    file = tmp_path / "file"
    file.touch()
    done = livius(file, command)
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    if command != "logs":
        assert "set LIVIUS_HOME to another folder" in " ".join(done.stderr.split())


@pytest.mark.parametrize("command", ["status", "token", "logs"])
def test_quick_commands_name_a_setting_that_is_none(tmp_path: Path, command: str) -> None:
    done = livius(tmp_path, command, variables={"LIVIUS_PROT": "8443"})
    assert "LIVIUS_PROT is no setting and is ignored. Did you mean LIVIUS_PORT?" in done.stderr


@pytest.mark.parametrize("text", ["soon", "20 min", "P20X", "PT", "1:2:3:4"])
def test_a_wrong_duration_is_explained(tmp_path: Path, text: str) -> None:
    done = livius(tmp_path, "status", variables={"LIVIUS_IDLE_TIMEOUT": text})
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "LIVIUS_IDLE_TIMEOUT: it is a duration, such as 90 (seconds), 20m, 14d or PT20M" in said
    assert "timedelta" not in said


@pytest.fixture
def log(tmp_path: Path) -> Path:
    entry = {
        "event": "gateway_serving",
        "level": "info",
        "timestamp": "2026-05-01T10:11:12.123456Z",
        "api": "https://localhost:8443\x1b[2J",
    }
    file = tmp_path / "gateway.log"
    file.write_text(f"plain \x1b[2J words\n{json.dumps(entry)}\n")
    return file


def test_logs_in_a_pipe_are_as_they_were_written(tmp_path: Path, log: Path) -> None:
    assert livius(tmp_path, "logs").stdout == log.read_text()
    assert livius(tmp_path, "logs", "-n", "1").stdout == log.read_text().splitlines()[1] + "\n"
    assert livius(tmp_path, "logs", "-n", "0").stdout == ""


def test_logs_on_a_terminal_are_for_people(tmp_path: Path, log: Path) -> None:
    assert log.exists()
    text = in_a_terminal([LIVIUS, "logs"], plain_environment(tmp_path))
    assert "2026-05-01 10:11:12" in text
    assert "gateway_serving" in text
    assert '"event"' not in text
    assert "\x1b[2J" not in text
