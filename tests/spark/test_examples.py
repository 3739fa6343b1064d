"""The programs of `examples/`, each run as it stands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.clients import client_python
from support.gateway import DEFAULTS, LIVIUS, ROOT, Gateway, runtimes_folder

EXAMPLES = ROOT / "examples"
PROGRAMS = ROOT / "tests" / "intercept" / "programs"

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


def run(gateway: Gateway, *command: str | Path, **variables: str) -> str:
    """The output of a command, in a shell that has read `livius.sh`."""
    done = subprocess.run(
        ["bash", "-c", '. examples/livius.sh && exec "$@"', "bash", *command],
        env=gateway.environment | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_waiting(text: str) -> list[str]:
    return [line for line in text.splitlines() if line != "The session starts."]


def test_a_session_in_python(gateway: Gateway) -> None:
    found = run(gateway, client_python("current"), EXAMPLES / "session.py")
    assert without_waiting(found) == [
        "45",
        "['id', 'square'] [[0, 0], [1, 1], [2, 4]]",
        "5",
        "The session is deleted.",
    ]


def test_a_session_in_python_with_fabrics_own_addresses(gateway: Gateway) -> None:
    program = ("env", "-u", "FABRIC_API", "-u", "FABRIC_AUTHORITY", "-u", "REQUESTS_CA_BUNDLE")
    led = (*program, "-u", "CURL_CA_BUNDLE", LIVIUS, "exec", "--only", "--")
    found = run(gateway, *led, client_python("current"), EXAMPLES / "session.py")
    assert without_waiting(found)[-1] == "The session is deleted."


def test_a_session_with_curl(gateway: Gateway) -> None:
    found = run(gateway, EXAMPLES / "session.sh")
    assert without_waiting(found) == ["[0,0]", "[1,1]", "[2,4]", "The session is deleted."]


def test_without_a_gateway_the_variables_say_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f". {EXAMPLES}/livius.sh"],
        env={"LIVIUS_HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "Start Livius (livius up)" in done.stderr


def test_the_notebook_in_its_kernel(gateway: Gateway, tmp_path: Path) -> None:
    python = client_python("current")
    run(gateway, LIVIUS, "kernel", "install", "--python", python, "--prefix", tmp_path)
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "livius"
    outputs: Any = json.loads(
        run(
            gateway,
            python,
            PROGRAMS / "notebook.py",
            EXAMPLES / "notebook.ipynb",
            JUPYTER_PATH=str(tmp_path / "share" / "jupyter"),
            JUPYTER_RUNTIME_DIR=str(tmp_path / "runtime"),
            IPYTHONDIR=str(tmp_path / "ipython"),
        )
    )
    assert outputs[1:] == ["The session is ready.\n", "[[0, 0], [1, 1], [2, 4]]", "'deleted'"]


@pytest.mark.timeout(1500)
def test_the_workflow_runs_a_teams_tests(tmp_path: Path) -> None:
    """Its steps in a clean folder and environment, from a copy of this checkout."""
    workflow = yaml.safe_load((EXAMPLES / "ci" / ".github" / "workflows" / "test.yml").read_text())
    source, project, venv = (tmp_path / name for name in ("source", "project", "venv"))
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():  # one that was removed is listed until that is committed
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    shutil.copytree(EXAMPLES / "ci", project)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name.upper().startswith("PIP_") or name.lower().endswith(("_proxy", "_bundle"))
    }
    environment = {
        **passed_on,
        **DEFAULTS,
        **workflow["env"],
        "LIVIUS": f"file://{source}",
        "LIVIUS_RUNTIMES": str(runtimes_folder()),  # else 650 MB come with each run
        "HOME": str(tmp_path),
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
    }
    [job] = workflow["jobs"].values()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert len(steps) == 3
    output = ""
    for step in steps:
        done = subprocess.run(
            ["bash", "-e", "-c", step],
            env=environment,
            cwd=project,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        output = done.stdout
    assert "2 passed" in output
