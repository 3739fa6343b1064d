"""``python -m bench.attack``: attacks on a gateway, and what a bystander has of them.

Each attack runs against a gateway of its own in a temporary folder, on loopback alone, bounded in
number and time. Meanwhile a bystander asks for `/healthz` over https every 50 ms, with a connection
of its own each time. Afterwards the table says how long the bystander waited at most, how often it
was not answered, how much the gateway's memory grew, and whether it lives. In place of Java
stands a program that only waits: nothing of Spark takes part, or takes time.

``--source`` names another checkout's source folder, to compare. An attack is a function from a
`Target` to a sentence, or None, in `ATTACKS`: add yours there.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.gateway import ROOT, Gateway
from support.waiting import wait_for

LONGEST = 25.0
"""Seconds after which an attack ends, whatever it has reached."""
_PATIENCE = 15.0
FILES = 1024
QUIET = 30.0
"""The percentage of a core below which a gateway counts as quiet."""


@dataclass
class Target:
    """The gateway under attack, as a stranger on this machine knows it."""

    gateway: Gateway
    https: int
    http: int
    workspace: str
    tenant: str
    path: str
    opened: list[socket.socket] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether the time of the attack is over, or the gateway has ended."""
        process = self.gateway.process
        ended = process is None or process.poll() is not None
        return ended or time.monotonic() - self.began > LONGEST

    def connect(self, *, tls: bool = False) -> socket.socket:
        """A connection that stays open until the attack is over."""
        made = socket.create_connection(("127.0.0.1", self.https if tls else self.http), timeout=5)
        if tls:
            made = _stranger().wrap_socket(made)
        self.opened.append(made)
        return made

    def send(self, head: str, pieces: int = 0, piece: bytes = b"a" * 65536, **how: bool) -> None:
        """Send a head, and then a piece again and again, until it is refused."""
        with contextlib.suppress(OSError):
            made = self.connect(**how)
            made.sendall(head.encode())
            for _ in range(pieces):
                if self.is_over:
                    return
                made.sendall(piece)
            made.settimeout(LONGEST)
            made.recv(65536)


def _stranger() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# The attacks. None has a token.


def nothing(target: Target) -> str:
    """No attack: what the bystander has of the machine itself."""
    del target
    time.sleep(3)
    return "no attack"


def idle_connections(target: Target) -> str:
    """1,200 connections that say nothing."""
    return _many(target, 1200, b"")


def idle_connections_over_tls(target: Target) -> str:
    """1,200 connections to the https port that begin no handshake."""
    return _many(target, 1200, b"", tls_port=True)


def half_heads(target: Target) -> str:
    """700 heads that are never ended."""
    said = _many(target, 700, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    while not target.is_over:
        time.sleep(0.5)
    still = sum(not _is_closed(one) for one in target.opened)
    return f"{said}; {still} are open after {LONGEST:.0f} s"


def half_bodies(target: Target) -> str:
    """700 forms for the token endpoint that never come."""
    head = (
        f"POST /{target.tenant}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\na="
    )
    return _many(target, 700, head.encode())


def endless_header(target: Target) -> str:
    """One header of 100 MB."""
    target.send("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", 1600)
    return "100 MB in one header"


def endless_headers(target: Target) -> str:
    """100 MB of small headers."""
    piece = b"X-One: 1\r\n" * 6000
    target.send("GET / HTTP/1.1\r\nHost: localhost\r\n", 1700, piece)
    return "10 million headers"


def endless_trailer(target: Target) -> str:
    """A trailer of 100 MB."""
    target.send(
        "POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        1600,
    )
    return "100 MB in one trailer"


def strangers_json(target: Target) -> str:
    """16 MB of JSON without a token, to a route that takes a body; four at once."""
    body = b'{"x":[' + b"1," * 8_000_000 + b"1]}"
    head = (
        f"POST {target.path}/sessions HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    _at_once(4, lambda: target.send(head, 1, body))
    return "4 bodies of 16 MB"


def deaf_readers(target: Target) -> str:
    """300 requests for the API's document, whose answers nobody reads."""
    with contextlib.suppress(OSError):
        for _ in range(300):
            if target.is_over:
                break
            made = target.connect(tls=True)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            made.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return f"{len(target.opened)} answers that nobody reads"


def websocket_frames(target: Target) -> str:
    """A WebSocket without a secret, and 60 MB of a frame behind its handshake."""
    head = (
        "GET /driver/v1/attach HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    _at_once(8, lambda: target.send(head, 900))
    return "8 handshakes with 60 MB behind each"


def foreign_host(target: Target) -> str:
    """A page of another name that leads here (DNS rebinding) asks for what needs no token."""
    with target.connect() as made:
        made.sendall(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        return f"answered {made.recv(100).split(b' ')[1].decode()}"


ATTACKS: list[Callable[[Target], str]] = [
    nothing,
    idle_connections,
    idle_connections_over_tls,
    half_heads,
    half_bodies,
    endless_header,
    endless_headers,
    endless_trailer,
    strangers_json,
    deaf_readers,
    websocket_frames,
    foreign_host,
]


def _many(target: Target, count: int, sent: bytes, *, tls_port: bool = False) -> str:
    port = target.https if tls_port else target.http
    for _ in range(count):
        if target.is_over:
            break
        with contextlib.suppress(OSError):
            made = socket.create_connection(("127.0.0.1", port), timeout=2)
            target.opened.append(made)
            made.sendall(sent)
    return f"{len(target.opened)} connections"


def _at_once(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _is_closed(made: socket.socket) -> bool:
    made.settimeout(0)
    try:
        return made.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


# The bystander, and the measuring


@dataclass
class Bystander:
    """Asks every 50 ms, in a process of its own, so that the attack takes no time of it."""

    port: int
    waits: list[float] = field(default_factory=list)
    failures: int = 0

    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port, ssl=_stranger()
                )
                writer.write(
                    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                if b" 200 " not in await reader.read(100):
                    raise ConnectionError
                writer.close()
        except (OSError, TimeoutError):
            self.failures += 1
        self.waits.append(time.monotonic() - began)

    async def watch(self, until: Callable[[], bool]) -> None:
        """Ask until it is over, then wait for the answers."""
        async with asyncio.TaskGroup() as group:
            while not until():
                group.create_task(self._ask())
                await asyncio.sleep(0.05)


def bystander(port: int) -> None:
    """What the bystander's process does until its standard input ends."""
    seen = Bystander(port)
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    asyncio.run(seen.watch(over.is_set))
    print(json.dumps({"most": max(seen.waits), "failures": seen.failures, "n": len(seen.waits)}))


@contextlib.contextmanager
def watching(port: int) -> Iterator[dict[str, Any]]:
    """A bystander for the time of the block; what it saw stands in the dictionary afterwards."""
    seen: dict[str, Any] = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.attack", "--bystander", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'src'}"},
    )
    try:
        time.sleep(1.5)  # It has begun, and knows the gateway at rest.
        yield seen
    finally:
        answer, _ = process.communicate("", timeout=60)
        seen.update(json.loads(answer))


_WAITS = """#!/bin/sh
[ "$1" = -version ] && echo 'openjdk version "17.0.1"' >&2 && exit
exec sleep 600
"""


class Attacked(Gateway):
    """A gateway of another checkout, by its source folder."""

    source: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with that checkout's source before everything else."""
        more = {"PYTHONPATH": str(self.source)} if self.source else {}
        return {**super().environment, **more}


def attack(one: Callable[[Target], str], source: Path | None, files: int) -> dict[str, Any]:
    """Run one attack against a gateway of its own."""
    with tempfile.TemporaryDirectory(prefix="livius-attack-") as folder:
        gateway = Attacked(
            Path(folder) / "home",
            {"LIVIUS_JAVA_HOME": folder},
            prefix=("prlimit", f"--nofile={files}:{files}"),
        )
        gateway.source = source
        java = Path(folder) / "bin" / "java"
        java.parent.mkdir()
        java.write_text(_WAITS)
        java.chmod(0o755)
        try:
            gateway.start()
            facts = gateway.connection
            target = Target(
                gateway=gateway,
                https=int(facts["api"].rpartition(":")[2]),
                http=int(facts["http"].rpartition(":")[2]),
                workspace=facts["workspace_id"],
                tenant=facts["tenant_id"],
                path=f"/v1/workspaces/{facts['workspace_id']}/lakehouses/{facts['lakehouse_id']}"
                "/livyapi/versions/2023-12-01",
            )
            assert gateway.process is not None
            process = psutil.Process(gateway.process.pid)
            wait_for(lambda: _is_quiet(process), seconds=60, what="the gateway is quiet")
            before, most = process.memory_info().rss, [0]
            over = threading.Event()

            def measure() -> None:
                with contextlib.suppress(psutil.Error):
                    while not over.wait(0.02):
                        most[0] = max(most[0], process.memory_info().rss)

            measuring = threading.Thread(target=measure)
            measuring.start()
            with watching(target.https) as seen:
                target.began = time.monotonic()
                said = one(target)
                time.sleep(1)
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
                "alive": _is_alive(gateway, target),
            }
        finally:
            gateway.clean()


def _is_quiet(process: psutil.Process) -> bool:
    return process.cpu_percent(0.3) < QUIET


def _is_alive(gateway: Gateway, target: Target) -> bool:
    assert gateway.process is not None
    seen = Bystander(target.https)
    with contextlib.suppress(Exception):
        asyncio.run(seen._ask())  # noqa: SLF001 - the same question, once
    return gateway.process.poll() is None and seen.failures == 0


def main() -> int:
    """Run the attacks; print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.attack", description=__doc__)
    parser.add_argument("--source", type=Path, help="the src folder of another checkout")
    parser.add_argument("--only", action="append", metavar="ATTACK")
    parser.add_argument("--files", type=int, default=FILES, help="how many files it may open")
    parser.add_argument("--bystander", type=int, metavar="PORT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.bystander:
        bystander(asked.bystander)
        return 0
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
