"""The Jupyter kernel as nbclient and an editor drive it, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from intercept.conftest import Place
from intercept.test_exec import FABRIC, gone
from support.clients import client_python

PROGRAMS = Path(__file__).parent / "programs"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def install(place: Place) -> Path:
    prefix = place.home.root.parent / "prefix"
    python = str(client_python("current"))
    done = place.livius("kernel", "install", "--python", python, "--prefix", str(prefix))
    assert done.returncode == 0, done.stderr
    return prefix


def run(place: Place, prefix: Path, program: str, given: Any = None) -> Any:
    done = subprocess.run(
        [client_python("current"), PROGRAMS / program],
        env={
            **place.environment,
            "JUPYTER_PATH": str(prefix / "share" / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(prefix / "runtime"),
            "IPYTHONDIR": str(prefix / "ipython"),
        },
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_notebook_runs_unchanged_and_its_first_output_says_where_names_lead(
    place: Place,
) -> None:
    cell = f"import requests\nprint(requests.get({FABRIC!r}).json()['host'])"
    first, second = run(place, install(place), "notebook.py", [cell, cell])
    said, _, printed = first.rstrip("\n").rpartition("\n")
    assert "the host names of Fabric, OneLake, Key Vault and Entra lead to https://" in said
    assert printed == "api.fabric.microsoft.com"
    assert second == "api.fabric.microsoft.com\n"
    gone(place)


def test_interrupt_and_restart_are_the_kernels_own(place: Place) -> None:
    found = run(place, install(place), "kernel_life.py")
    assert found["first"][1].startswith("Livius: in this kernel")
    assert found["second"] == ["ok", "two\n"]
    assert found["interrupted"] == "KeyboardInterrupt"
    assert found["after"] == ["ok", "three\n"]
    assert found["restarted"][1].startswith("Livius: in this kernel")
    assert found["restarted"][1].endswith("\nfour\n")
    gone(place)


def test_without_a_gateway_the_kernel_says_what_is_missing(place: Place) -> None:
    prefix = install(place)
    place.home.connection_file.rename(place.home.root / "away")
    code = f"""
import requests
from pathlib import Path
try:
    requests.get({FABRIC!r})
except requests.exceptions.ProxyError as error:
    print('No gateway serves' in str(error))
Path({str(place.home.root / "away")!r}).rename({str(place.home.connection_file)!r})
print(requests.get({FABRIC!r}).status_code)
"""
    (said,) = run(place, prefix, "notebook.py", [code])
    assert "Start one with: livius up" in said
    assert said.endswith("\nTrue\n200\n")


def test_a_kernel_is_installed_for_a_python_that_has_ipykernel(place: Place) -> None:
    python = str(client_python("msal-1.34"))
    done = place.livius("kernel", "install", "--python", python)
    assert done.returncode == 1
    assert f"{python} -m pip install ipykernel" in done.stderr
    done = place.livius("kernel", "install", "--python", "/no/python")
    assert "/no/python does not run" in done.stderr


def test_where_a_kernel_is_installed_and_removed(place: Place) -> None:
    current = client_python("current")
    data = place.home.root.parent / "data"
    variables = {"JUPYTER_DATA_DIR": str(data), "VIRTUAL_ENV": str(current.parents[1])}
    file = data / "kernels" / "livius" / "kernel.json"
    for _ in range(2):
        assert place.livius("kernel", "install", **variables).returncode == 0
    kernel = json.loads(file.read_text())
    assert str(current) in kernel["argv"]
    assert kernel["env"] == {"LIVIUS_HOME": str(place.home.root)}
    assert place.livius("kernel", "remove", **variables).returncode == 0
    assert not file.parent.exists()
    again = place.livius("kernel", "remove", **variables)
    assert (again.returncode, "There is no kernel in" in again.stderr) == (1, True)
