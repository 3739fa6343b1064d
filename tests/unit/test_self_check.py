"""The self-check of a first run, where it can't be done."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from livius.cli.self_check import State, read, run_beside
from livius.installation.home import Home, write_private


async def test_a_check_that_cannot_be_written_down_is_logged_and_ends_no_gateway(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        await run_beside(Home(tmp_path / "nowhere"), 1)
    assert [one["event"] for one in logs] == ["self_check_impossible"]


async def test_a_check_without_a_gateway_fails_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVIUS_HOME", str(tmp_path))
    await run_beside(Home(tmp_path), 7)
    found = read(Home(tmp_path))
    assert found is not None
    assert (found.state, found.pid) == (State.FAILED, 7)
    assert found.text == f"No gateway serves {tmp_path}. Start one with: livius up"


def test_a_record_that_is_none_counts_as_missing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read(home) is None
    write_private(home.self_check_file, {"state": "unheard of"})
    assert read(home) is None
