"""A statement that prints very much, or without end, costs some disk and hardly any memory."""

import re
import time
from pathlib import Path

import psutil
import pytest

from support.gateway import Gateway, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]

MEBIBYTE = 1024 * 1024
SIZE = 80 * MEBIBYTE
LINE = 64


def peak(process: psutil.Process, *, reset: bool = False) -> int:
    """The most memory that a process has had resident since the last reset, in bytes."""
    if reset:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) * 1024


def test_eighty_megabytes_are_kept_whole_and_cost_little_memory(
    gateway: Gateway, session: RemoteSession
) -> None:
    assert gateway.process is not None
    repl = int(session.text("import os; os.getpid()"))
    _, agent = psutil.Process(repl).parents()[:2]  # the zygote is between them
    watched = {
        "gateway": psutil.Process(gateway.process.pid),
        "agent": agent,
        "repl": psutil.Process(repl),
    }
    before = {name: peak(process, reset=True) for name, process in watched.items()}
    code = f"for i in range({SIZE // LINE}): print(f'{{i:0{LINE - 1}d}}')"
    number = session.submit(code)
    assert session.client.call("GET", f"{session.path}/statements").status_code == 200
    path = f"{session.path}/statements/{number}"

    def has_ended() -> bool:
        assert session.get()["state"] in ("busy", "idle")  # idle: it has ended just now
        state = session.client.call("GET", path, params={"size": 1}).json()["state"]
        return bool(state == "available")

    wait_for(has_ended, seconds=200, what="the statement ends")
    read, piece = 0, 4 * MEBIBYTE
    while read < SIZE:
        answer = session.client.call("GET", path, params={"from": read, "size": piece})
        text = answer.json()["output"]["data"]["text/plain"]
        assert text.startswith(f"{read // LINE:0{LINE - 1}d}\n")
        assert len(text.splitlines()) == min(piece, SIZE - read) // LINE
        read += piece
    grown = {name: peak(process) - before[name] for name, process in watched.items()}
    assert max(grown.values()) < 64 * MEBIBYTE, grown
    assert session.text("1 + 1") == "2"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("pyspark", "while True: print('x' * 1000)"), ("spark", 'while (true) println("x" * 1000)')],
)
def test_an_endless_print_is_cancelled_at_once_and_does_not_fill_the_disk(
    gateway: Gateway, session: RemoteSession, kind: str, code: str
) -> None:
    number = session.submit(code, kind)
    wait_for(
        lambda: session.statement(number)["state"] != "waiting", seconds=60, what="it is running"
    )
    until = time.monotonic() + 2

    def two_seconds_have_passed() -> bool:
        assert session.get()["state"] == "busy"
        return time.monotonic() > until

    wait_for(two_seconds_have_passed, seconds=20, what="two seconds of an endless print")
    session.cancel(number)
    assert session.wait(number, 60)["state"] == "cancelled"
    kept = sum(file.stat().st_size for file in (gateway.home / "outputs").rglob("*.out"))
    assert kept < 400 * MEBIBYTE
    assert session.text("1 + 1") == "2"
