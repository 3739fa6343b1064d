"""A real gateway as a process of its own, and a client that speaks to it over real sockets."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from livius_agent.spec import MARKER
from support.waiting import wait_for

ROOT = Path(__file__).parents[2]
LIVIUS = Path(sys.executable).with_name("livius")
RUNTIME = os.environ.get("LIVIUS_DEFAULT_RUNTIME", "2.0")
"""The runtime of the tests' sessions: ``make test RUNTIME=1.3``."""


def by_runtime(older: str, newer: str) -> str:
    """Return what the session's runtime says: 1.3 the one, 2.0 the other."""
    return older if RUNTIME == "1.3" else newer


SPARK = by_runtime("3.5", "4.1")
"""How the version of the sessions' Spark begins."""
DEFAULTS = {"LIVIUS_POOL_SIZE": "0"}
"""Settings of every `Gateway` that does not have its own: a pool would start drivers beside."""
AS_INSTALLED = {"LIVIUS_DRIVER_JAVA_OPTIONS": ""}
"""The settings of a `Gateway` whose drivers use both of Java's compilers, as a user's do."""
TRUST_VARIABLES = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


def runtimes_folder() -> Path:
    """Where ``make test`` has built the runtime.

    Without links: a class archive fits the paths of its jars; other paths get one of their own.
    """
    return Path(os.environ.get("LIVIUS_RUNTIMES", ROOT / ".livius" / "runtimes")).resolve()


def runtime_folder() -> Path:
    """Where the runtime of the tests' sessions is."""
    return runtimes_folder() / RUNTIME


@dataclass
class Gateway:
    """One installation in a folder of its own; started, killed and started again by tests."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str | Path] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name not in TRUST_VARIABLES}
        return {
            **ours,
            "LIVIUS_HOME": str(self.home),
            "LIVIUS_PORT": "0",
            "LIVIUS_HTTP_PORT": "0",
            "LIVIUS_RUNTIMES": str(runtimes_folder()),
            **DEFAULTS,
            **self.settings,
        }

    @property
    def connection(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.home / "connection.json").read_text())
        return loaded

    def start(self, *arguments: str) -> "Gateway":
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "test.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, LIVIUS, "serve", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._serves, seconds=60, what="the gateway serves")
        return self

    def _serves(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            tail = (self.home / "test.log").read_text()[-3000:]
            raise AssertionError(f"the gateway ended at its start:\n{tail}")
        with contextlib.suppress(FileNotFoundError, ValueError):
            return bool(self.connection["pid"] == self.process.pid)
        return False

    def run(
        self,
        *arguments: str | Path,
        given: str = "",
        seconds: float = 250,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this installation, whatever its exit code.

        ``given`` is its standard input, ``variables`` are more of its environment.
        """
        return subprocess.run(
            [*self.prefix, LIVIUS, *arguments],
            env={**self.environment, **(variables or {})},
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def livius(
        self, *arguments: str | Path, given: str = "", code: int | None = 0, seconds: float = 120
    ) -> str:
        """Run a command; return its output, errors last. ``code``: its exit code; None: any."""
        done = self.run(*arguments, given=given, seconds=seconds)
        assert code in (done.returncode, None), done.stdout + done.stderr
        return done.stdout + done.stderr

    def kill(self) -> None:
        """As a crash would: no warning, no clean-up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As Ctrl-C would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def clean(self) -> None:
        """End whatever a failed test may have left."""
        with contextlib.suppress(Exception):
            self.stop()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    @contextlib.contextmanager
    def serving(self) -> "Iterator[Gateway]":
        """It serves until the block ends, and leaves no process."""
        try:
            yield self.start()
        finally:
            self.stop()
            left = self.processes()
            self.clean()
            assert left == []

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to a driver or the metastore of this installation."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                command = process.cmdline()
                marked = process.environ().get(MARKER, "").startswith(str(self.home))
                kept = (
                    any(str(self.home) in part for part in command) and "livius" not in command[1:2]
                )
                if marked or ("livius_agent.supervisor" in command and kept):
                    found.append(process)
        return found

    def driver_processes(self, of: Path | None = None) -> list[psutil.Process]:
        """Those of `processes` that are not the metastore's: of all drivers, or of one's folder."""
        metastore = str(self.home / "metastore")
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error, OSError):
                folders = {process.environ().get(MARKER, ""), *process.cmdline()}
                if metastore not in folders if of is None else str(of) in folders:
                    found.append(process)
        return found

    def client(self) -> "Client":
        return Client(self)


class Client:
    """A caller with `requests` and a bearer token; it waits the way a person would."""

    def __init__(self, gateway: Gateway, token: str | None = None) -> None:
        self.gateway = gateway
        self.token = token
        self.http = requests.Session()
        self.http.trust_env = False
        self.reconnect()

    def reconnect(self) -> None:
        """Read where the gateway serves, and sign in unless there is a token."""
        facts = self.gateway.connection
        self.http.verify = facts["ca_file"]
        self.base = (
            f"{facts['api']}/v1/workspaces/{facts['workspace_id']}/lakehouses/"
            f"{facts['lakehouse_id']}/livyapi/versions/2023-12-01"
        )
        if self.token is not None:
            self.http.headers["Authorization"] = f"Bearer {self.token}"
            return
        answer = self.http.post(
            f"{facts['authority']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": facts["client_id"],
                "client_secret": facts["client_secret"],
                "scope": "https://api.fabric.microsoft.com/.default",
            },
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.http.request(method, self.base + path, timeout=60, **arguments)

    def create(self, **body: Any) -> "RemoteSession":
        answer = self.call("POST", "/sessions", json=body)
        assert answer.status_code == 202, answer.text
        return RemoteSession(self, answer.json()["id"])

    def delete_all(self) -> None:
        """Delete every session that is still there."""
        for item in self.call("GET", "/sessions").json()["items"]:
            RemoteSession(self, item["id"]).delete()

    @contextlib.contextmanager
    def session(self, **body: Any) -> "Iterator[RemoteSession]":
        """A ready session that is deleted afterwards."""
        session = self.create(**body)
        try:
            session.wait_idle()
            yield session
        finally:
            session.delete()


@dataclass
class RemoteSession:
    """One session, seen from outside."""

    client: Client
    id: str

    @property
    def path(self) -> str:
        return f"/sessions/{self.id}"

    @property
    def portal_path(self) -> str:
        """Its page, below the portal."""
        workspace = self.client.gateway.connection["workspace_id"]
        return f"/workspaces/{workspace}/activities/{self.id}"

    @property
    def portal_page(self) -> str:
        return f"{self.client.gateway.connection['http']}/portal{self.portal_path}"

    def get(self, *, prefer: str = "wait=0") -> dict[str, Any]:
        """The session's present state; a long poll if ``prefer`` has a time to wait."""
        answer = self.client.call("GET", self.path, headers={"Prefer": prefer})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def wait_idle(self, seconds: float = 120) -> dict[str, Any]:
        def idle() -> dict[str, Any] | None:
            body = self.get(prefer="wait=5")
            assert body["state"] not in ("dead", "killed", "error"), body
            return body if body["state"] == "idle" else None

        return wait_for(idle, seconds=seconds, what=f"session {self.id} is idle", every=0.05)

    def submit(self, code: str, kind: str = "pyspark") -> int:
        answer = self.client.call(
            "POST", f"{self.path}/statements", json={"code": code, "kind": kind}
        )
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["id"]
        return number

    def statement(self, number: int, *, prefer: str = "wait=0") -> dict[str, Any]:
        answer = self.client.call(
            "GET", f"{self.path}/statements/{number}", headers={"Prefer": prefer}
        )
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def events(self, number: int) -> Iterator[tuple[str, Any]]:
        """The events of a statement, each with its name and data."""
        name, url = "", f"{self.client.base}{self.path}/statements/{number}/events"
        with self.client.http.get(url, stream=True, timeout=60) as answer:
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)

    def printed(self, number: int) -> str:
        """The text of a running statement so far."""
        answer = self.client.call(
            "GET",
            f"{self.path}/statements/{number}",
            params={"from": 0},
            headers={"Prefer": "wait=0"},
        )
        assert answer.status_code == 200, answer.text
        text: str = answer.json().get("output", {}).get("data", {}).get("text/plain", "")
        return text

    def wait(self, number: int, seconds: float = 120) -> dict[str, Any]:
        """The statement once it has ended."""

        def ended() -> dict[str, Any] | None:
            body = self.statement(number, prefer="wait=5")
            return body if body["state"] in ("available", "cancelled") else None

        return wait_for(ended, seconds=seconds, what=f"statement {number} ends")

    def run(self, code: str, kind: str = "pyspark", seconds: float = 120) -> dict[str, Any]:
        """The output of a statement."""
        output: dict[str, Any] = self.wait(self.submit(code, kind), seconds)["output"]
        return output

    def text(self, code: str, kind: str = "pyspark") -> str:
        """The text of a statement that must succeed."""
        output = self.run(code, kind)
        assert output["status"] == "ok", output
        text: str = output["data"]["text/plain"]
        return text

    def rows(self, query: str) -> list[list[Any]]:
        """The rows of an SQL statement that must succeed."""
        output = self.run(query, "sql")
        assert output["status"] == "ok", output
        rows: list[list[Any]] = output["data"]["application/json"]["data"]
        return rows

    def cancel(self, number: int) -> None:
        answer = self.client.call("POST", f"{self.path}/statements/{number}/cancel", json={})
        assert answer.status_code == 200, answer.text

    def delete(self) -> int:
        return self.client.call("DELETE", self.path).status_code


def driver_folder(session: RemoteSession) -> Path:
    """The folder of a session's driver."""
    code = f"import json, os; print(json.dumps(os.environ[{MARKER!r}]))"
    return Path(json.loads(session.text(code).splitlines()[-1]))
