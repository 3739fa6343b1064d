"""Programs of other people, unchanged, under `livius exec` and in its kernel, with real Spark."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.clients import client_python
from support.environments import RemoteEnvironment
from support.gateway import LIVIUS, ROOT, Client, Gateway

PROGRAMS = ROOT / "tests" / "intercept" / "programs"

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


def facts(gateway: Gateway) -> dict[str, str]:
    """A program's variables, which differ between installations."""
    known = gateway.connection
    return {
        "TENANT": known["tenant_id"],
        "CLIENT": known["client_id"],
        "SECRET": known["client_secret"],
        "CERTIFICATE": known["certificate_file"],
        "KEY": known["private_key_file"],
        "THUMBPRINT": known["thumbprint"],
        "WORKSPACE": known["workspace_id"],
        "LAKEHOUSE": known["lakehouse_id"],
    }


def run(
    gateway: Gateway,
    *command: str | Path,
    led: tuple[str, ...] | None = ("--only",),
    cwd: Path | None = None,
    given: str = "",
    **variables: str,
) -> str:
    """A program's output; led, unless told otherwise, and never to another host."""
    prefix: list[str | Path] = [LIVIUS, "exec", *led, "--"] if led is not None else []
    environment: Mapping[str, str] = gateway.environment | facts(gateway) | variables
    done = subprocess.run(
        [*prefix, *command],
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("which", ["current", "msal-1.34"])
def test_msal_signs_in_by_each_way(gateway: Gateway, which: str) -> None:
    ways = ("certificate", "secret", "browser")
    python, program = client_python(which), PROGRAMS / "sign_in.py"
    found = json.loads(run(gateway, python, program, *ways, led=("--only", "--as", "admin")))
    version = found.pop("msal")
    assert version.startswith("1.34.") == (which == "msal-1.34")
    assert found == dict.fromkeys(ways, 200)


def test_msal_signs_in_without_being_led_where_its_addresses_are_ours(gateway: Gateway) -> None:
    known = gateway.connection
    ways = ("certificate", "secret")
    found = run(
        gateway,
        client_python("current"),
        PROGRAMS / "sign_in.py",
        *ways,
        led=None,
        AUTHORITY=f"{known['authority']}/b2c_livius",
        API=known["api"],
        REQUESTS_CA_BUNDLE=known["ca_file"],
    )
    assert json.loads(found).items() >= dict.fromkeys(ways, 200).items()


def test_azure_identity_as_an_application(gateway: Gateway) -> None:
    kinds = ("secret", "certificate", "cli", "managed", "default")
    found = run(gateway, client_python("current"), PROGRAMS / "credentials.py", *kinds)
    assert json.loads(found) == dict.fromkeys(kinds, 200)


def test_azure_identity_as_a_user(gateway: Gateway) -> None:
    kinds = ("browser", "browser of the tools", "device", "cli", "default")
    program = PROGRAMS / "credentials.py"
    found = run(gateway, client_python("current"), program, *kinds, led=("--only", "--as", "admin"))
    assert json.loads(found) == dict.fromkeys(kinds, 200)


def test_a_wrong_password_ends_the_program_with_the_authoritys_words(gateway: Gateway) -> None:
    """Instead of leaving it waiting for a browser."""
    found = run(
        gateway,
        client_python("current"),
        PROGRAMS / "sign_in.py",
        "browser",
        led=("--as", "nobody"),
        LIVIUS_PASSWORD="wrong",
    )
    assert "AADSTS50126" in json.loads(found)["browser"] or "password" in found.lower()


CELLS = (
    """
import os, time, msal, requests
app = msal.ConfidentialClientApplication(
    os.environ["CLIENT"],
    authority="https://login.windows.net/" + os.environ["TENANT"],
    client_credential={
        "private_key": open(os.environ["KEY"]).read(), "thumbprint": os.environ["THUMBPRINT"],
    },
)
token = app.acquire_token_for_client(["https://analysis.windows.net/powerbi/api/.default"])
headers = {"Authorization": "Bearer " + token["access_token"]}
""",
    """
sessions = (
    "https://api.fabric.microsoft.com/v1/workspaces/" + os.environ["WORKSPACE"]
    + "/lakehouses/" + os.environ["LAKEHOUSE"] + "/livyapi/versions/2023-12-01/sessions"
)
created = requests.post(sessions, headers=headers, json={})
session = sessions + "/" + created.json()["id"]
while requests.get(session, headers=headers).json()["state"] != "idle":
    time.sleep(1)
print(created.status_code)
""",
    """
sent = requests.post(
    session + "/statements", headers=headers,
    json={"code": 'println(spark.sql("SELECT 6 * 7").first.getInt(0))', "kind": "spark"},
)
statement = session + "/statements/" + str(sent.json()["id"])
while (answer := requests.get(statement, headers=headers).json())["state"] != "available":
    time.sleep(1)
print(answer["output"]["data"]["text/plain"])
""",
    "print(requests.delete(session, headers=headers).status_code)",
)


def test_a_notebook_runs_unchanged_in_the_installed_kernel(
    gateway: Gateway, tmp_path: Path
) -> None:
    python = client_python("current")
    install = ("kernel", "install", "--python", python, "--prefix", tmp_path)
    run(gateway, LIVIUS, *install, led=None)
    notebook = PROGRAMS / "notebook.py"
    outputs: Any = json.loads(
        run(
            gateway,
            python,
            notebook,
            led=None,
            given=json.dumps(CELLS),
            JUPYTER_PATH=str(tmp_path / "share" / "jupyter"),
            JUPYTER_RUNTIME_DIR=str(tmp_path / "runtime"),
            IPYTHONDIR=str(tmp_path / "ipython"),
        )
    )
    assert "lead to https://localhost" in outputs[0]
    assert [text.strip() for text in outputs[1:]] == ["202", "42", "200"]


def dbt(gateway: Gateway, project: Path, *arguments: str, environment: str = "") -> str:
    program = client_python("dbt").with_name("dbt")
    known = gateway.connection
    variables = {
        "FABRIC_TENANT_ID": known["tenant_id"],
        "FABRIC_CLIENT_ID": known["client_id"],
        "FABRIC_WORKSPACE_ID": known["workspace_id"],
        "FABRIC_LAKEHOUSE_ID": known["lakehouse_id"],
        "DBT_ENV_SECRET_CLIENT": known["client_secret"],
        "FABRIC_ENVIRONMENT_ID": environment,
    }
    return run(gateway, program, "--no-use-colors", *arguments, cwd=project, **variables)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "dbt"
    shutil.copytree(ROOT / "examples" / "dbt", folder)
    return folder


@dataclass
class Shared:
    """The shared sessions of a lakehouse but those that were there ``before``."""

    client: Client
    before: frozenset[str] = frozenset()

    def ids(self) -> list[str]:
        items = self.client.call("GET", "/sessions").json()["items"]
        found = [item["id"] for item in items if item["name"].startswith("HC_")]
        return [one for one in found if one not in self.before]

    def repls(self) -> list[int]:
        """How many repls each of them ever had."""
        return [
            self.client.call("GET", f"/sessions/{one}/repls").json()["totalCountOfMatchedItems"]
            for one in self.ids()
        ]

    def end(self) -> None:
        """They stay warm until their idle timeout, which is long."""
        for one in self.ids():
            self.client.call("DELETE", f"/sessions/{one}")


@pytest.fixture
def shared_sessions(gateway: Gateway) -> Iterator[Shared]:
    client = gateway.client()
    found = Shared(client, frozenset(Shared(client).ids()))
    yield found
    found.end()


def test_dbt_builds_with_threads_in_high_concurrency_sessions(
    gateway: Gateway, project: Path, shared_sessions: Shared
) -> None:
    for _again in range(2):  # the second time the incremental model merges
        assert "Done. PASS=10 WARN=0 ERROR=0" in dbt(gateway, project, "build")
        # dbt has a tag for each run: one driver, a repl for each thread and one of its own.
        [repls] = shared_sessions.repls()
        assert 4 <= repls <= 6
        shared_sessions.end()


def test_dbt_takes_its_high_concurrency_session_again(
    gateway: Gateway, project: Path, shared_sessions: Shared
) -> None:
    for _again in range(2):
        assert "Done. PASS=10 WARN=0 ERROR=0" in dbt(gateway, project, "build", "--target", "reuse")
    assert len(shared_sessions.ids()) == 1


def test_dbt_builds_in_one_session_as_whom_the_command_line_is_signed_in(
    gateway: Gateway, project: Path
) -> None:
    assert "All checks passed!" in dbt(gateway, project, "debug", "--target", "cli")
    assert "Done. PASS=10 WARN=0 ERROR=0" in dbt(gateway, project, "build", "--target", "cli")


@pytest.fixture
def environment(gateway: Gateway) -> Iterator[RemoteEnvironment]:
    """A published one, whose sessions have a time zone of their own."""
    made = RemoteEnvironment.create(gateway.client(), "dbt")
    compute = {"sparkProperties": [{"key": "spark.sql.session.timeZone", "value": "Asia/Taipei"}]}
    made.must("PATCH", "/staging/sparkcompute?beta=false", json=compute)
    made.published()
    yield made
    made.must("DELETE", "")


@pytest.mark.usefixtures("shared_sessions")
@pytest.mark.parametrize("target", ["secret", "cli"])
def test_dbt_builds_in_an_environment(
    gateway: Gateway, project: Path, environment: RemoteEnvironment, target: str
) -> None:
    (project / "models" / "place.sql").write_text("select current_timezone() as zone")
    (project / "tests").mkdir()
    check = "select * from {{ ref('place') }} where zone <> 'Asia/Taipei'"
    (project / "tests" / "place.sql").write_text(check)
    wanted = ("build", "--select", "place", "--target", target)
    assert "Done. PASS=2 WARN=0" in dbt(gateway, project, *wanted, environment=environment.id)
