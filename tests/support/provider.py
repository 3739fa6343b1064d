"""An OpenID provider that is not ours, as a process of its own (NanoIDP)."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from support.waiting import wait_for

SCOPES = (
    "openid",
    "profile",
    "Lakehouse.Execute.All",
    "Lakehouse.Read.All",
    "Code.AccessFabric.All",
    "Code.AccessStorage.All",
)
AUDIENCE = "livius"


@dataclass
class Provider:
    """A user ada, an application pipeline, and an audience livius with our scopes."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, folder: Path) -> "Provider":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        made = cls(folder, port)
        folder.mkdir()
        settings = {
            "config_version": 1,
            "server": {"host": "127.0.0.1", "port": port},
            "oauth": {
                "issuer": made.issuer,
                "audience": AUDIENCE,
                "token_expiry_minutes": 60,
                "scopes_supported": SCOPES,
                "clients": [
                    {"client_id": "notebook", "client_secret": "s", "allowed_scopes": SCOPES},
                    {"client_id": "pipeline", "client_secret": "s"},
                ],
            },
        }
        users = {"config_version": 1, "users": {"ada": {"password": "a", "email": "a@example.org"}}}
        # JSON is YAML.
        (folder / "settings.yaml").write_text(json.dumps(settings))
        (folder / "users.yaml").write_text(json.dumps(users))
        return made

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @contextmanager
    def serving(cls, folder: Path) -> "Iterator[Provider]":
        """One that answers until the block ends; its files are below the folder."""
        made = cls.make(folder / "config")
        try:
            yield made.start()
        finally:
            made.stop()

    def start(self) -> "Provider":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nanoidp", "--config", self.folder],
                env={**os.environ, "no_proxy": "*"},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, seconds=30, what="the provider answers", every=0.1)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return self._call("GET", "/.well-known/openid-configuration").ok
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        with requests.Session() as http:
            http.trust_env = False
            return http.request(method, self.issuer + path, timeout=10, **arguments)

    def tokens(self, *scopes: str) -> dict[str, str]:
        """The tokens that ada gets through the notebook."""
        form = {"grant_type": "password", "username": "ada", "password": "a"}
        return self._token("notebook", {**form, "scope": " ".join(("openid", *scopes))})

    def application_token(self) -> str:
        return self._token("pipeline", {"grant_type": "client_credentials"})["access_token"]

    def _token(self, client: str, form: dict[str, str]) -> dict[str, str]:
        answer = self._call("POST", "/token", auth=(client, "s"), data=form)
        assert answer.ok, answer.text
        found: dict[str, str] = answer.json()
        return found

    def rotate(self) -> None:
        assert self._call("POST", "/api/keys/rotate").ok
