"""Somebody who only wants an answer while others attack: a process, so that it has its own time.

On standard input come the https port, the pause between two requests and the requests, as one line
of JSON. It asks, each time with a new connection, until its standard input ends, and then prints
what it has seen.
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

PATIENCE = 15.0
ROOT = Path(__file__).parents[1]


@dataclass
class Bystander:
    """Sends the requests in turn, and counts what is not answered with 200."""

    port: int
    requests: Sequence[str]
    pause: float = 0.05
    waits: list[float] = field(default_factory=list)
    failures: int = 0

    async def ask(self, request: str) -> None:
        """Send one request, and wait for its answer for a while."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port, ssl=stranger()
                )
                writer.write(request.encode())
                if b" 200 " not in await reader.read(100):
                    raise ConnectionError
                writer.close()
        except (OSError, TimeoutError):
            self.failures += 1
        self.waits.append(time.monotonic() - began)

    async def watch(self, until: Callable[[], bool]) -> None:
        """Ask until it is over, then wait for the answers."""
        requests = cycle(self.requests)
        async with asyncio.TaskGroup() as group:
            while not until():
                group.create_task(self.ask(next(requests)))
                await asyncio.sleep(self.pause)


def stranger() -> ssl.SSLContext:
    """The TLS of somebody who believes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def watching(port: int, pause: float, requests: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A bystander for the time of the block; afterwards the dictionary has its results."""
    seen: dict[str, Any] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.bystander"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    process.stdin.write(f"{json.dumps([port, pause, requests])}\n")
    process.stdin.flush()
    try:
        time.sleep(1.5)  # It has begun, and knows the gateway at rest.
        yield seen
    finally:
        answer, _ = process.communicate("", timeout=60)
        seen.update(json.loads(answer))


def main() -> None:
    """Watch until standard input ends."""
    port, pause, requests = json.loads(sys.stdin.readline())
    seen, over = Bystander(port, requests, pause), threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    asyncio.run(seen.watch(over.is_set))
    print(json.dumps({"most": max(seen.waits), "failures": seen.failures, "n": len(seen.waits)}))


if __name__ == "__main__":
    main()
