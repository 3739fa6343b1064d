"""The gateway's public API over HTTP, called as any Fabric client calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import urllib3

from livius.cli.answers import Failed, error_text, token_form, token_url
from livius.data_folder import data_folder
from livius.installation.home import Connection, Home

_TIMEOUT: Final = urllib3.Timeout(connect=10, read=90)
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_FIRST_ERROR: Final = 400
# A restarted gateway has the same port and sessions: wait half a minute for it.
_RETRIES: Final = urllib3.Retry(
    total=None,
    connect=20,
    read=2,
    status=0,
    other=0,
    redirect=0,
    backoff_factor=0.1,
    backoff_max=2.0,
)


class NotFound(Failed):
    """The API answered 404."""


class Api:
    """Calls the API of the gateway that serves the data folder, as its sample application.

    Raises:
        Failed: no gateway serves, or it issues no token.
    """

    def __init__(self) -> None:
        self.home = Home(data_folder())
        connection = self.home.read_connection()
        if connection is None:
            raise Failed(f"No gateway serves {self.home.root}. Start one with: livius up")
        self.connection: Connection = connection
        self._http = urllib3.PoolManager(
            ca_certs=connection.ca_file, timeout=_TIMEOUT, retries=_RETRIES
        )
        self._token = self._fetch_token()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, object] | None = None,
        wait: int | None = None,
    ) -> Any:
        """Return the JSON of an answer. ``wait``: the seconds a long poll may take.

        Raises:
            Failed: the API answered with an error, or not at all.
        """
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        sent = None
        if body is not None:
            sent = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return json.loads(self._send(method, path, sent, query, headers))

    def read(self, path: str, query: Mapping[str, object]) -> bytes:
        """Return the bytes of an answer.

        Raises:
            Failed: the API answered with an error, or not at all.
        """
        return self._send("GET", path, None, query, {})

    def send(self, method: str, path: str, content: bytes) -> None:
        """Send bytes; the answer has none.

        Raises:
            Failed: the API answered with an error, or not at all.
        """
        kind = {"Content-Type": "application/octet-stream"}
        self._send(method, path, content, None, kind)

    def pages(
        self, path: str, query: Mapping[str, object] | None = None, *, field: str = "value"
    ) -> Iterator[Any]:
        """Return the items of a list, which are in the named field, from all of its pages."""
        asked = dict(query or {})
        while True:
            page = self.call("GET", path, query=asked)
            yield from page[field]
            if not page.get("continuationToken"):
                return
            asked["continuationToken"] = page["continuationToken"]

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        query: Mapping[str, object] | None,
        headers: Mapping[str, str],
    ) -> bytes:
        url = f"{self.connection.api}/v1{path}" + (f"?{urlencode(query)}" if query else "")
        answer = self._request(method, url, body, headers)
        if answer.status == _UNAUTHORIZED:  # a token is valid for an hour; a statement runs longer
            self._token = self._fetch_token()
            answer = self._request(method, url, body, headers)
        if answer.status >= _FIRST_ERROR:
            kind = NotFound if answer.status == _NOT_FOUND else Failed
            raise kind(error_text(answer.status, answer.data))
        return answer.data

    def _request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(
                method,
                url,
                body=body,
                headers={**headers, "Authorization": f"Bearer {self._token}"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error

    def _fetch_token(self) -> str:
        known = self.connection
        if known.client_id is None:
            from livius.cli.command_token import command_token

            return command_token(self.home)
        try:
            answer = self._http.request(
                "POST",
                token_url(known),
                fields={name: value or "" for name, value in token_form(known).items()},
                encode_multipart=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status >= _FIRST_ERROR:
            raise Failed(f"The authority issues no token: {error_text(answer.status, answer.data)}")
        return str(answer.json()["access_token"])

    def _unreachable(self, error: Exception) -> Failed:
        reason = getattr(error, "reason", None) or error
        return Failed(
            f"The gateway at {self.connection.api} does not answer ({reason}). See: livius status, "
            "livius logs"
        )
