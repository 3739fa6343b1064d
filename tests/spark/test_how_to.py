"""Pages of docs/how-to whose programs and messages need a real gateway."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from support.documents import Block, blocks
from support.gateway import LIVIUS, ROOT, Gateway

pytestmark = pytest.mark.spark

HOW_TO = ROOT / "docs" / "how-to"
TROUBLE = (HOW_TO / "troubleshooting.md").read_text(encoding="utf-8")
GET = "import sys, requests; requests.get(sys.argv[1])"


@pytest.mark.timeout(400)
def test_what_changes_in_my_code_is_a_whole_program(gateway: Gateway, tmp_path: Path) -> None:
    program = "".join(block.code for block in blocks(HOW_TO / "from-fabric-and-back.md", "python"))
    (tmp_path / ".livius").symlink_to(gateway.home)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=gateway.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("curl", "-sS"), "curl: (60) SSL certificate problem: "),
        ((sys.executable, "-c", GET), "certificate verify failed"),
    ],
)
def test_a_client_that_does_not_know_the_authority(
    gateway: Gateway, command: tuple[str, ...], message: str
) -> None:
    url = f"{gateway.connection['api']}/healthz"
    environment = gateway.environment | {"NO_PROXY": "localhost", "no_proxy": "localhost"}
    done = subprocess.run(
        [*command, url], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert message in TROUBLE


def test_a_call_without_a_token(gateway: Gateway) -> None:
    facts = gateway.connection
    with requests.Session() as http:
        http.trust_env = False
        refused = http.get(f"{facts['api']}/v1/workspaces", verify=facts["ca_file"], timeout=20)
    assert refused.status_code == 401
    assert refused.json()["errorCode"] == "MissingToken"
    assert refused.json()["message"] in TROUBLE


@pytest.mark.timeout(400)
def test_an_environments_first_steps(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "livius").symlink_to(LIVIUS)
    shown = ""
    for block in blocks(HOW_TO / "environments.md", "sh"):
        done = subprocess.run(
            ["sh", "-e", "-c", block.code],
            cwd=tmp_path,
            env=gateway.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shown += done.stdout
    expected = [block.code for block in blocks(HOW_TO / "environments.md", "text")]
    assert len(expected) == 2
    for text in expected:
        assert Block("", text).is_printed(shown), shown
