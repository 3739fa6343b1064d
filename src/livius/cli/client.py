"""A small client of our own public API: what ``up`` and ``status`` see, users see too."""

from __future__ import annotations

import ssl
import time
from typing import Any, Final

import httpx

from livius.installation.home import Connection

_SCOPE: Final = "https://api.fabric.microsoft.com/.default"
_ANSWER_WITHIN: Final = 60.0
_LOOK_EVERY: Final = 0.2


class ApiFailed(Exception):
    """The gateway answered with an error, or not in time."""


def open_http(connection: Connection) -> httpx.Client:
    """Return an HTTP client that trusts the gateway's certificate, and no proxy."""
    return httpx.Client(
        verify=ssl.create_default_context(cafile=connection.ca_file),
        timeout=_ANSWER_WITHIN,
        trust_env=False,
    )


def fetch_token(connection: Connection, http: httpx.Client) -> str:
    """Return an access token for the sample application."""
    answer = http.post(
        f"{connection.authority}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": connection.client_id,
            "client_secret": connection.client_secret,
            "scope": _SCOPE,
        },
    )
    if answer.is_error:
        raise ApiFailed(f"No token: {answer.text[:300]}")
    return str(answer.json()["access_token"])


class SampleClient:
    """Calls the Livy API as the sample application."""

    def __init__(self, connection: Connection) -> None:
        self._http = open_http(connection)
        self._http.headers["Authorization"] = f"Bearer {fetch_token(connection, self._http)}"
        self._sessions = (
            f"{connection.api}/v1/workspaces/{connection.workspace_id}/lakehouses/"
            f"{connection.lakehouse_id}/livyapi/versions/2023-12-01/sessions"
        )

    def _call(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        answer = self._http.request(method, url, **arguments)
        if answer.is_error:
            raise ApiFailed(f"{method} answered {answer.status_code}: {answer.text[:300]}")
        body: dict[str, Any] = answer.json()
        return body

    def create(self, name: str, *, within: float) -> str:
        """Create a session and return its URL once it is idle."""
        session = self._call("POST", self._sessions, json={"name": name})
        url = f"{self._sessions}/{session['id']}"
        deadline = time.monotonic() + within
        while session["state"] != "idle":
            if session["state"] in ("dead", "killed") or time.monotonic() > deadline:
                reasons = " ".join(one["message"] for one in session.get("errorInfo", []))
                raise ApiFailed(f"The session is {session['state']}. {reasons}")
            time.sleep(_LOOK_EVERY)
            session = self._call("GET", url)
        return url

    def run(self, session: str, code: str, *, kind: str, within: float) -> str:
        """Run a statement and return its text."""
        url = f"{session}/statements"
        statement = self._call("POST", url, json={"code": code, "kind": kind})
        deadline = time.monotonic() + within
        while statement["state"] not in ("available", "cancelled"):
            if time.monotonic() > deadline:
                raise ApiFailed("A statement did not end in time.")
            statement = self._call("GET", f"{url}/{statement['id']}")
        output = statement["output"]
        if output["status"] != "ok":
            raise ApiFailed(f"{output['ename']}: {output['evalue'][:500]}")
        return str(output["data"].get("text/plain", ""))

    def delete(self, session: str) -> None:
        """Delete a session."""
        self._call("DELETE", session)
