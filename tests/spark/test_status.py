"""``livius status`` and ``livius token`` beside a gateway that serves."""

import json
import re
import subprocess

import pytest

from support.gateway import LIVIUS, Gateway
from support.plain import LIBRARIES, imported, plain_environment

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


def livius(gateway: Gateway, *arguments: str) -> str:
    return subprocess.run(
        [LIVIUS, *arguments],
        env=plain_environment(gateway.home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_status_for_people_and_for_programs(gateway: Gateway) -> None:
    facts = gateway.connection
    said = livius(gateway, "status")
    assert f"{facts['api']}/v1" in said
    assert re.search(r"Disk +\d+\.\d GB free in ", said)
    found = json.loads(livius(gateway, "status", "--json"))
    assert found["state"] == "serving"
    assert (found["api"], found["portal"]) == (f"{facts['api']}/v1", facts["http"])
    assert (found["pid"], found["sessions"]) == (facts["pid"], int(found["sessions"]))


def test_a_token_is_printed_and_nothing_else(gateway: Gateway) -> None:
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", livius(gateway, "token"))


@pytest.mark.parametrize("command", ["status", "token"])
def test_they_import_no_library(gateway: Gateway, command: str) -> None:
    packages = imported(gateway.home, command)
    assert "http" in packages
    assert not packages & LIBRARIES
