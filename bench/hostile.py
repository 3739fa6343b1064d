"""Attacks of drivers, each with its true secret: code of a session can take that from its agent.

Frames are written out: each speaks the protocol of the gateway under attack.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bench.attacked import Target
from support.gateway import RemoteSession
from support.waiting import wait_for

MB = 2**20
PIECE = 64 * 1024
_ENDED = {"dead", "killed", "error", "success"}
_AFTERWARDS = 10.0
_PATIENCE = 5.0

_SILENT = logging.getLogger(__name__)
_SILENT.disabled = True
"""That the gateway ends a link is what the attacks are about, and no news."""


@dataclass
class Hostile:
    """A driver's end of its link, with a statement that runs."""

    session: RemoteSession
    repl: str
    link: ClientConnection

    def say(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        self.send(json.dumps({"type": kind, **fields}))

    def send(self, frame: str) -> None:
        """Send a frame; a link that the gateway has closed takes none."""
        with contextlib.suppress(ConnectionClosed, OSError):
            self.link.send(frame)

    def of_statement(self, number: int = 0, seq: int = 1) -> dict[str, Any]:
        """The fields that say of which statement a message is."""
        return {"repl": self.repl, "number": number, "seq": seq}

    def finish(self, *, data: str = "null", **fields: Any) -> None:
        """Say that statement 0 has ended; the data as it is to be in the frame."""
        end = {"type": "finished", **self.of_statement(), "size": 0, "outcome": "ok", **fields}
        self.send(f'{json.dumps(end)[:-1]}, "data": {data}}}')


@contextlib.contextmanager
def drivers(target: Target, count: int, *, ready: bool = True) -> Iterator[list[Hostile]]:
    """Links of so many sessions; with ``ready``, each runs its statement 0."""
    with contextlib.ExitStack() as links:
        yield [links.enter_context(_driver(target, ready=ready)) for _ in range(count)]


@contextlib.contextmanager
def _driver(target: Target, *, ready: bool) -> Iterator[Hostile]:
    known = set((target.gateway.home / "drivers").glob("*"))
    session = target.client.create()

    def launched() -> Path | None:
        found = set((target.gateway.home / "drivers").glob("*/supervisor.pid"))
        return next((one.parent for one in found if one.parent not in known), None)

    folder = wait_for(launched, seconds=30, what="the driver is launched")
    secret = (folder / "work" / "secret").read_text()
    with connect(
        f"ws://127.0.0.1:{target.http}/driver/v1/attach",
        additional_headers={"Authorization": f"Bearer {folder.name}.{secret}"},
        compression=None,
        logger=_SILENT,
        ping_interval=None,
        close_timeout=1,
        proxy=None,
    ) as link:
        repl = json.loads((folder / "driver.json").read_text())["repl"]
        one = Hostile(session, repl, link)
        hello = {"protocol": target.protocol, "driver": folder.name, "agent": "1", "last": {}}
        one.say("hello", **hello)
        link.recv(10)
        if ready:
            one.say("ready", spark_app_id="local-1", versions={})
            session.wait_idle()
            session.submit("1")
            link.recv(10)
        yield one


def large_frame(target: Target) -> str:
    """A frame of 64 MB less a little."""
    said = Afterwards(target)
    with drivers(target, 1) as (one,):
        one.say("failing", reason="x" * (64 * MB - 1000))
        said(one)
    return said.sentence


def huge_texts(target: Target) -> str:
    """Texts of 2 MB wherever a driver may send one: as it comes up, fails, and ends a statement."""
    text = "x" * (2 * MB)
    said = Afterwards(target)
    with (
        drivers(target, 1, ready=False) as (coming,),
        drivers(target, 3) as (failing, erring, naming),
    ):
        coming.say("ready", spark_app_id=text, versions={"spark": text}, ui_url=text)
        failing.say("failing", reason=text, log=[text])
        erring.finish(outcome="error", ename=text, evalue=text, traceback=[text])
        naming.say("jobs", **naming.of_statement(), total=1, jobs=[_job(text)])
        said(coming, failing, erring, naming)
    return said.sentence


def _job(text: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("id", "tasks", "done", "active", "failed", "skipped"), 0)
    return {**numbers, "name": text, "status": text}


def odd_data(target: Target) -> str:
    """NaN, Infinity and halves of characters, in data and in texts."""
    said = Afterwards(target)
    with drivers(target, 5) as found:
        nan, infinity, half, text, reason = found
        nan.finish(data='{"application/json": {"a": NaN}}')
        infinity.finish(data='{"application/json": {"a": -Infinity}}')
        half.finish(data='{"text/html": "\\ud800"}')
        text.finish(outcome="error", ename="E", evalue="\ud800", traceback=["\udfff"])
        reason.say("failing", reason="\ud800", log=["\ud800"])
        said(*found)
    return said.sentence


def output_of_others(target: Target) -> str:
    """32 MB of output for a statement that has ended, and as much for those that never were."""
    said = Afterwards(target)
    with drivers(target, 2) as (late, early):
        late.finish()
        late.link.recv(10)
        for number in range(512):
            piece = {"offset": number * PIECE, "text": "x" * PIECE}
            late.say("output", **late.of_statement(), **piece)
            early.say("output", **early.of_statement(number + 1), **piece | {"offset": 0})
        said(late, early)
    return said.sentence


def output_without_end(target: Target) -> str:
    """256 MB of output of one statement; the gateway is set to keep 8 MB."""
    said = Afterwards(target)
    with drivers(target, 1) as (one,):
        for number in range(4096):
            if target.is_over:
                break
            one.say("output", **one.of_statement(), offset=number * PIECE, text="x" * PIECE)
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                one.link.recv(5)
        one.finish(size=(number + 1) * PIECE)
        said(one)
    return said.sentence


def small_frames(target: Target) -> str:
    """Frames of 64 letters as fast as they go, whose acknowledgements nobody reads."""
    said = Afterwards(target)
    with drivers(target, 1) as (one,):
        piece = {"type": "output", **one.of_statement(), "offset": 0, "text": "x" * 64}
        frames = _masked(json.dumps(piece).encode()) * 1000
        one.link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.link.socket.settimeout(5)
        sent = 0
        with contextlib.suppress(OSError):
            while not target.is_over:
                one.link.socket.sendall(frames)
                sent += 1000
        said(one)
    return f"{sent} frames; {said.sentence}"


def _masked(payload: bytes) -> bytes:
    """A text frame of 126 to 65,535 bytes; nothing changes under a mask of zeros."""
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


class Afterwards:
    """What the sessions of drivers look like once an attack was made."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before = _size(target.gateway.home)
        self.sentence = ""

    def __call__(self, *hostile: Hostile) -> None:
        """Look until the sessions have ended, or for a while."""
        deadline = time.monotonic() + _AFTERWARDS
        client = self._target.client

        def get(path: str) -> tuple[int, str]:
            try:
                answer = client.http.get(
                    client.base + path, headers={"Prefer": "wait=0"}, timeout=_PATIENCE
                )
            except OSError:
                return 0, ""
            return answer.status_code, answer.text

        while True:
            found = [get(one.session.path) for one in hostile]
            ended = [_is_ended(text) for _, text in found]
            if all(ended) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        statements = [get(f"{one.session.path}/statements") for one in hostile]
        listed, items = get("/sessions")
        disk = (_size(self._target.gateway.home) - self._before) / MB
        with_reason = sum("broke a rule" in text for _, text in found)
        self.sentence = (
            f"{sum(ended)} of {len(hostile)} sessions ended, {with_reason} with the rule as reason;"
            f" GET of a session {_statuses(found)}, of its statements {_statuses(statements)},"
            f" of the list {listed or 'unanswered'} ({len(items) / MB:.1f} MB); disk {disk:+.0f} MB"
        )


def _is_ended(text: str) -> bool:
    with contextlib.suppress(ValueError, KeyError):
        return json.loads(text)["state"] in _ENDED
    return False


def _statuses(answers: list[tuple[int, str]]) -> str:
    return "/".join(sorted({str(status or "unanswered") for status, _ in answers}))


def _size(folder: Path) -> int:
    """The bytes that a folder takes on the disk; files may go as they are counted."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += 512 * path.lstat().st_blocks
    return total
