"""A test's endpoint: the gateway's facts as attributes."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

import requests

from livius.cli.answers import token_form, token_url
from livius.installation.home import Connection

_TIMEOUT: Final = 60.0
_NOT_FOUND: Final = 404
_LONGEST_NAME: Final = 60


class Gateway:
    """A gateway that serves for this test run, and its sample application."""

    def __init__(self, home: Path, connection: Connection) -> None:
        self.home = home
        """The data folder, which is removed with the gateway."""
        self.connection = connection

    @property
    def api_url(self) -> str:
        """The base URL of the API, which ends in ``/v1`` as Fabric's does."""
        return f"{self.connection.api}/v1"

    @property
    def authority(self) -> str:
        """The authority's URL with its tenant, as MSAL takes it.

        The last part keeps MSAL from asking the public cloud whether it knows this authority.
        """
        return f"{self.connection.authority}/b2c_livius"

    @property
    def tenant_id(self) -> str:
        """The tenant's GUID."""
        return self.connection.tenant_id

    @property
    def client_id(self) -> str:
        """The sample application's id. It is Admin of the workspace."""
        return self.connection.client_id or ""

    @property
    def client_secret(self) -> str:
        """The sample application's secret."""
        return self.connection.client_secret or ""

    @property
    def workspace_id(self) -> str:
        """The workspace's GUID."""
        return self.connection.workspace_id

    @property
    def ca_file(self) -> str:
        """The certificate authority that programs have to trust, a PEM file."""
        return self.connection.ca_file

    @property
    def token(self) -> str:
        """A new access token for the API, valid for an hour."""
        answer = requests.post(
            token_url(self.connection),
            data=token_form(self.connection),
            verify=self.ca_file,
            timeout=_TIMEOUT,
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    @property
    def http(self) -> requests.Session:
        """A `requests` session that trusts the gateway and sends a token."""
        return self._http

    @cached_property
    def _http(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # REQUESTS_CA_BUNDLE would win over what is set here
        session.verify = self.ca_file
        session.headers["Authorization"] = f"Bearer {self.token}"
        return session

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables for a child process that was written for Fabric, as ``livius exec`` sets them.

        Fabric's and Entra's host names lead to this gateway there, until the test process ends.
        """
        return self._environment

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        command = [sys.executable, "-m", "livius.cli", "env", "--pid", str(os.getpid())]
        variables = {**os.environ, "LIVIUS_HOME": str(self.home)}
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"No program can be intercepted: {done.stderr.strip()}")
        # Lines of the form: export NAME='value'
        words = shlex.split(done.stdout)
        return variables | dict(word.split("=", 1) for word in words if word != "export")

    def create_lakehouse(self, label: str) -> Endpoint:
        """Create a lakehouse with a name made of the label, and return its endpoint."""
        readable = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")[:_LONGEST_NAME]
        name = "_".join(filter(None, ("t", readable, secrets.token_hex(4))))
        answer = self.http.post(
            f"{self.api_url}/workspaces/{self.workspace_id}/lakehouses",
            json={"displayName": name},
            timeout=_TIMEOUT,
        )
        answer.raise_for_status()
        return Endpoint(self, lakehouse_id=answer.json()["id"], lakehouse_name=name)


class Endpoint(Gateway):
    """A gateway with a lakehouse of one test's own."""

    def __init__(self, gateway: Gateway, *, lakehouse_id: str, lakehouse_name: str) -> None:
        super().__init__(gateway.home, gateway.connection)
        self.gateway = gateway
        self.lakehouse_id = lakehouse_id
        """The lakehouse's GUID."""
        self.lakehouse_name = lakehouse_name
        """The lakehouse's name, which is the current database of its sessions."""

    @property
    def http(self) -> requests.Session:
        """The gateway's `requests` session, which trusts it and sends a token."""
        return self.gateway.http

    @property
    def environment(self) -> Mapping[str, str]:
        """The gateway's variables for a child process that was written for Fabric."""
        return self.gateway.environment

    @property
    def livy_url(self) -> str:
        """The URL of the lakehouse's Livy endpoint; ``/sessions`` follows."""
        return (
            f"{self.api_url}/workspaces/{self.workspace_id}/lakehouses/{self.lakehouse_id}"
            "/livyapi/versions/2023-12-01"
        )

    def end_sessions(self) -> None:
        """Delete the sessions of the lakehouse that are still there."""
        answer = self.http.get(f"{self.livy_url}/sessions", timeout=_TIMEOUT)
        answer.raise_for_status()
        for session in answer.json()["items"]:
            ended = self.http.delete(f"{self.livy_url}/sessions/{session['id']}", timeout=_TIMEOUT)
            if ended.status_code != _NOT_FOUND:
                ended.raise_for_status()
