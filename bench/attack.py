"""``python -m bench.attack``: attacks on a gateway, and what a bystander has of them.

Each attack runs against a gateway of its own in a temporary folder, on loopback alone, bounded in
number and time. Meanwhile a bystander asks over https, with a connection of its own each time: for
`/healthz` every 50 ms or, where the attack is on what tokens and drivers do, in turn for a token
with the application's right secret and for the list of sessions, every 200 ms. Afterwards the table
says how long the bystander waited at most, how often it was not answered with 200, how much the
gateway's memory grew, and whether it lives. No Java runs (see `bench.attacked`).

To attack another checkout, run the script with the Python of that one's environment, or name its
source folder with ``--source``. An attack is a function from a `Target` to a sentence: add yours
to `ATTACKS`.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
from websockets.exceptions import WebSocketException

from bench import guards, hostile, strangers
from bench.attacked import Target, attacked
from bench.bystander import Bystander, watching
from support.waiting import wait_for

FILES = 1024
QUIET = 30.0
"""The percentage of a core below which a gateway counts as quiet."""

Attack = Callable[[Target], str]

BY_STRANGERS: list[Attack] = [
    strangers.nothing,
    strangers.idle_connections,
    strangers.idle_connections_over_tls,
    strangers.half_heads,
    strangers.half_bodies,
    strangers.endless_header,
    strangers.endless_headers,
    strangers.endless_trailer,
    strangers.strangers_json,
    strangers.deaf_readers,
    strangers.websocket_frames,
    strangers.foreign_host,
]
ATTACKS: list[Attack] = [
    *BY_STRANGERS,
    guards.no_guess,
    guards.made_up_names,
    guards.wrong_secrets,
    guards.sixteen_creates,
    guards.code_by_a_link,
    guards.assertion_spelled_anew,
    guards.token_of_a_removed_user,
    hostile.large_frame,
    hostile.huge_texts,
    hostile.odd_data,
    hostile.output_of_others,
    hostile.output_without_end,
    hostile.small_frames,
]
_HEALTH = ["GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"]


def attack(one: Attack, source: Path | None, files: int) -> dict[str, Any]:
    """Run one attack against a gateway of its own."""
    with attacked(source, files) as target:
        assert target.gateway.process is not None
        process = psutil.Process(target.gateway.process.pid)
        pause, requests = (0.05, _HEALTH) if one in BY_STRANGERS else (0.2, _signed_in(target))
        wait_for(lambda: _is_quiet(process), seconds=60, what="the gateway is quiet")
        before, most = process.memory_info().rss, [0]
        over = threading.Event()

        def measure() -> None:
            with contextlib.suppress(psutil.Error):
                while not over.wait(0.02):
                    most[0] = max(most[0], process.memory_info().rss)

        measuring = threading.Thread(target=measure)
        measuring.start()
        try:
            with watching(target.https, pause, requests) as seen:
                target.began = time.monotonic()
                try:
                    said = one(target)
                except (OSError, AssertionError, WebSocketException) as error:
                    said = f"broke off: {str(error)[:200] or type(error).__name__}"
                time.sleep(1)
        finally:
            over.set()
            measuring.join()
        for made in target.opened:
            made.close()
        return {
            "attack": one.__name__,
            "what": said,
            "stall_ms": seen["most"] * 1000,
            "unanswered": seen["failures"],
            "asked": seen["n"],
            "memory_mb": max(0, most[0] - before) / 2**20,
            "alive": _is_alive(target),
        }


def _signed_in(target: Target) -> Sequence[str]:
    """What somebody asks who has a right secret: for a token, and for the sessions."""
    facts = target.gateway.connection
    form = urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": facts["client_id"],
            "client_secret": facts["client_secret"],
            "scope": f"{guards.FABRIC}/.default",
        }
    )
    rest = "Host: localhost\r\nConnection: close\r\n"
    token = (
        f"POST {urlsplit(facts['authority']).path}/oauth2/v2.0/token HTTP/1.1\r\n{rest}"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\n\r\n{form}"
    )
    sessions = (
        f"GET {target.path}/sessions HTTP/1.1\r\n{rest}"
        f"Authorization: {target.client.http.headers['Authorization']!s}\r\n\r\n"
    )
    return [token, sessions]


def _is_quiet(process: psutil.Process) -> bool:
    return process.cpu_percent(0.3) < QUIET


def _is_alive(target: Target) -> bool:
    assert target.gateway.process is not None
    seen = Bystander(target.https, _HEALTH)
    asyncio.run(seen.ask(_HEALTH[0]))
    return target.gateway.process.poll() is None and seen.failures == 0


def main() -> int:
    """Run the attacks; print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.attack", description=__doc__)
    parser.add_argument("--source", type=Path, help="the src folder of another checkout")
    parser.add_argument("--only", action="append", metavar="ATTACK")
    parser.add_argument("--files", type=int, default=FILES, help="how many files it may open")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaves no gateway behind
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"load {os.getloadavg()[0]:.1f}, {asked.files} files, soft limit was {soft}")
    print("| attack | what | bystander's longest wait | unanswered | memory | alive |")
    print("|---|---|---|---|---|---|", flush=True)
    failed = False
    for one in ATTACKS:
        if asked.only and one.__name__ not in asked.only:
            continue
        found = attack(one, asked.source, asked.files)
        failed |= not found["alive"]
        print(
            f"| {found['attack'].replace('_', ' ')} | {found['what']} "
            f"| {found['stall_ms']:.0f} ms | {found['unanswered']} of {found['asked']} "
            f"| +{found['memory_mb']:.0f} MB | {'yes' if found['alive'] else '**no**'} |",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
