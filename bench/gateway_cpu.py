"""What a trivial statement costs the gateway: ``python -m bench.gateway_cpu [statements]``.

Processor time of the gateway's own process, so that other load on the machine counts little. One
session, one client that submits ``1 + 1`` and asks for its end, one after the other.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil


def main(count: int) -> None:
    """Measure in three rounds, because the first is never like the others."""
    from support.gateway import Gateway

    with tempfile.TemporaryDirectory(prefix="livius-bench-") as folder:
        gateway = Gateway(Path(folder) / "home")
        try:
            gateway.start()
            if gateway.process is None:
                raise AssertionError("it was started")
            process = psutil.Process(gateway.process.pid)
            with gateway.client().session(name="bench") as session:
                for _ in range(20):
                    session.wait(session.submit("1 + 1"))
                for _ in range(3):
                    before, began = process.cpu_times(), time.perf_counter()
                    for _ in range(count):
                        session.wait(session.submit("1 + 1"))
                    after, took = process.cpu_times(), time.perf_counter() - began
                    spent = after.user + after.system - before.user - before.system
                    print(
                        f"{count} statements: {spent / count * 1000:.2f} ms of processor time "
                        f"each, {took / count * 1000:.1f} ms by the clock",
                        flush=True,
                    )
        finally:
            gateway.stop()
            gateway.clean()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
