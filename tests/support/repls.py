"""High-concurrency sessions, seen from outside."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.gateway import Client, RemoteSession
from support.waiting import wait_for


@dataclass
class RemoteRepl(RemoteSession):
    """A high-concurrency session that is idle; its statements are those of its repl."""

    repl: str
    handle: str

    @property
    def path(self) -> str:
        return f"/highConcurrencySessions/{self.id}/repls/{self.repl}"

    @property
    def handle_path(self) -> str:
        return f"/highConcurrencySessions/{self.handle}"

    def get(self, *, prefer: str = "wait=0") -> dict[str, Any]:
        answer = self.client.call("GET", self.handle_path, headers={"Prefer": prefer})
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def delete(self) -> int:
        return self.client.call("DELETE", self.handle_path).status_code


def ask(client: Client, **body: Any) -> str:
    """Acquire one; return its id at once."""
    answer = client.call("POST", "/highConcurrencySessions", json=body)
    assert answer.status_code == 202, answer.text
    handle: str = answer.json()["id"]
    return handle


def idle(client: Client, handle: str) -> RemoteRepl:
    """The high-concurrency session once it is idle."""

    def found() -> dict[str, Any] | None:
        answer = client.call(
            "GET", f"/highConcurrencySessions/{handle}", headers={"Prefer": "wait=5"}
        )
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        assert body["state"] not in ("Dead", "Killed", "Failed", "Deleting"), body
        return body if body["state"] == "Idle" else None

    body = wait_for(found, seconds=120, what=f"{handle} is idle")
    return RemoteRepl(client, body["sessionId"], body["replId"], handle)


@contextlib.contextmanager
def shared(client: Client, number: int) -> Iterator[list[RemoteRepl]]:
    """So many repls, acquired at once and released afterwards, of the session that tests share.

    Each is new, with variables, views and settings of its own, and needs no driver of its own.
    """
    # Those that were just released may still count: there is room for more than any test wants.
    body = {"sessionTag": "shared by tests", "conf": {"spark.highConcurrency.max": "20"}}
    handles = [ask(client, **body) for _ in range(number)]
    repls = [idle(client, handle) for handle in handles]
    try:
        yield repls
    finally:
        for one in repls:
            assert one.delete() in (200, 404)


@contextlib.contextmanager
def acquired(client: Client, number: int, **body: Any) -> Iterator[list[RemoteRepl]]:
    """So many of them, acquired at once; their session is ended afterwards."""
    repls = [idle(client, handle) for handle in [ask(client, **body) for _ in range(number)]]
    try:
        yield repls
    finally:
        for session in {one.id for one in repls}:
            client.call("DELETE", f"/sessions/{session}")
