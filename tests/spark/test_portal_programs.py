"""The programs that the portal shows, run as they are pasted from its page."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from support.chromium import chromium, sign_in
from support.clients import client_python
from support.gateway import ROOT, SPARK, Gateway

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def programs(gateway: Gateway) -> Mapping[str, str]:
    """The text of each program, as its copy button copies it."""
    facts = gateway.connection
    place = f"workspaces/{facts['workspace_id']}/lakehouses/{facts['lakehouse_id']}"
    with chromium() as browser:
        page = browser.new_page()
        sign_in(page, gateway)
        page.goto(f"{facts['http']}/portal/{place}/settings/livy")
        found = page.locator("code[id^=code-]")
        return {
            str(one.get_attribute("id")).removeprefix("code-"): str(one.text_content()).strip()
            for one in found.all()
        }


def run(gateway: Gateway, *command: str, given: str) -> str:
    done = subprocess.run(
        command,
        env={name: value for name, value in gateway.environment.items() if name != "LIVIUS_HOME"},
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl(gateway: Gateway, programs: Mapping[str, str]) -> None:
    printed = run(gateway, "bash", given=programs["curl"] + "\n")
    assert f'"{SPARK}.' in printed.replace("The session starts.\n", "")


def test_python_with_a_certificate(gateway: Gateway, programs: Mapping[str, str]) -> None:
    python = str(client_python("current"))
    printed = run(gateway, python, "-", given=programs["certificate"] + "\n")
    assert f"'{SPARK}." in printed


def test_sparkmagic(gateway: Gateway, programs: Mapping[str, str], tmp_path: Path) -> None:
    """Its magics print errors and go on, so that the rows are what tells."""
    program = tmp_path / "program.ipy"
    program.write_text(programs["sparkmagic"] + "\n", encoding="utf-8")
    ipython = client_python("sparkmagic").with_name("ipython")
    folders = (f"SPARKMAGIC_CONF_DIR={tmp_path}", f"IPYTHONDIR={tmp_path}")
    printed = run(gateway, "env", *folders, str(ipython), str(program), given="")
    assert re.search(rf"\n *lakehouse +spark\n *sample +{SPARK}\.", printed), printed


def test_the_dbt_profile_has_what_the_tested_one_has(programs: Mapping[str, str]) -> None:
    ours = yaml.safe_load(programs["dbt"])["livius"]["outputs"]["dev"]
    text = (ROOT / "examples" / "dbt" / "profiles.yml").read_text(encoding="utf-8")
    tested = yaml.safe_load(text)["trips"]["outputs"]["secret"]
    assert set(ours) <= set(tested)
    for name in ("type", "method", "endpoint", "authentication", "client_secret"):
        assert ours[name] == tested[name]
