"""A small client of our own public API, so that ``up`` and ``status`` see the same as users."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import Any, Final

import httpx

from livius.cli.answers import ApiFailed, fetch_token
from livius.installation.home import Connection, Home

_ANSWER_WITHIN: Final = 60.0
_LOOK_EVERY: Final = 0.2


class StatementFailed(ApiFailed):
    """A statement ended with an error."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(f"{name}: {value[:500]}")
        self.name = name
        self.value = value


def _reason(answer: httpx.Response) -> str:
    """Return what an error says, which is a sentence for people where the gateway wrote it."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"The gateway answered {answer.status_code}: {answer.text[:300]}"


def open_http(connection: Connection) -> httpx.Client:
    """Return an HTTP client that trusts the gateway's certificate, and no proxy."""
    return httpx.Client(
        verify=ssl.create_default_context(cafile=connection.ca_file),
        timeout=_ANSWER_WITHIN,
        trust_env=False,
    )


class SampleClient:
    """Calls the API as the sample application.

    Sessions belong to one lakehouse: the sample, unless another is given. With an external
    authority, a personal access token is made in the data folder, valid for an hour.
    """

    def __init__(self, connection: Connection, home: Home) -> None:
        self._connection = connection
        self._home = home
        self._http = open_http(connection)
        self._sign_in()
        self._workspaces = f"{connection.api}/v1/workspaces"
        self.enter(connection.workspace_id, connection.lakehouse_id)

    def _sign_in(self) -> None:
        if self._connection.client_id is None:
            from livius.cli.command_token import command_token

            token = command_token(self._home)
        else:
            token = fetch_token(self._connection)
        self._http.headers["Authorization"] = f"Bearer {token}"

    def enter(self, workspace: str, lakehouse: str) -> None:
        """Make sessions in this lakehouse from now on."""
        self._sessions = (
            f"{self._workspaces}/{workspace}/lakehouses/{lakehouse}"
            "/livyapi/versions/2023-12-01/sessions"
        )

    def _call(self, method: str, url: str, **arguments: Any) -> dict[str, Any]:
        answer = self._http.request(method, url, **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # A token is valid for an hour; a load may take longer.
            self._sign_in()
            answer = self._http.request(method, url, **arguments)
        if answer.is_error:
            raise ApiFailed(_reason(answer))
        body: dict[str, Any] = answer.json()
        return body

    def workspaces(self) -> list[dict[str, Any]]:
        """Return the workspaces that the application sees."""
        found: list[dict[str, Any]] = self._call("GET", self._workspaces)["value"]
        return found

    def lakehouses(self) -> list[dict[str, Any]]:
        """Return the lakehouses that the application sees, each with its ``workspaceName``."""
        return [
            {**lakehouse, "workspaceName": workspace["displayName"]}
            for workspace in self.workspaces()
            for lakehouse in self._call("GET", f"{self._workspaces}/{workspace['id']}/lakehouses")[
                "value"
            ]
        ]

    def tables(self, lakehouse: dict[str, Any]) -> list[str]:
        """Return the names of a lakehouse's tables."""
        url = f"{self._workspaces}/{lakehouse['workspaceId']}/lakehouses/{lakehouse['id']}/tables"
        page = self._call("GET", url)
        names = [table["name"] for table in page["data"]]
        while "continuationUri" in page:
            page = self._call("GET", url, params={"continuationToken": page["continuationToken"]})
            names += [table["name"] for table in page["data"]]
        return names

    def create_lakehouse(self, workspace: str, name: str, description: str) -> dict[str, Any]:
        """Create a lakehouse and return it."""
        body = {"displayName": name, "description": description}
        return self._call("POST", f"{self._workspaces}/{workspace}/lakehouses", json=body)

    def create(self, name: str, *, within: float) -> str:
        """Create a session and return its URL once it is idle. If that fails, none is left."""
        session = self._call("POST", self._sessions, json={"name": name})
        url = f"{self._sessions}/{session['id']}"
        try:
            self._wait_until_idle(session, url, within)
        except BaseException:
            with suppress(ApiFailed, httpx.HTTPError):
                self.delete(url)
            raise
        return url

    def _wait_until_idle(self, session: dict[str, Any], url: str, within: float) -> None:
        deadline = time.monotonic() + within
        while session["state"] != "idle":
            if session["state"] in ("dead", "killed") or time.monotonic() > deadline:
                reasons = " ".join(one["message"] for one in session.get("errorInfo", []))
                raise ApiFailed(f"The session is {session['state']}. {reasons}")
            time.sleep(_LOOK_EVERY)
            session = self._call("GET", url)

    def run(self, session: str, code: str, *, kind: str, within: float) -> str:
        """Run a statement and return its text.

        Raises:
            StatementFailed: it ended with an error.
        """
        url = f"{session}/statements"
        statement = self._call("POST", url, json={"code": code, "kind": kind})
        deadline = time.monotonic() + within
        while statement["state"] not in ("available", "cancelled"):
            if time.monotonic() > deadline:
                raise ApiFailed("A statement did not end in time.")
            statement = self._call("GET", f"{url}/{statement['id']}")
        output = statement["output"]
        if output["status"] != "ok":
            raise StatementFailed(output["ename"], output["evalue"])
        return str(output["data"].get("text/plain", ""))

    def delete(self, session: str) -> None:
        """Delete a session."""
        self._call("DELETE", session)
