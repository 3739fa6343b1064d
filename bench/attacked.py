"""The gateway that the attacks of `bench.attack` are made on, and what they know of it.

Nothing of Spark takes part, or takes time: its place is taken by a runtime whose programs only
wait. The supervisors are real, so that a session has a driver's folder, with its secret, and a
process.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.bystander import stranger
from support.gateway import Client, Gateway

LONGEST = 25.0
"""Seconds after which an attack ends, whatever it has reached."""
OUTPUT_LIMIT = 8 * 2**20
"""Bytes of a statement's text that the gateway is to keep."""
MOST_DRIVERS = 8


class Attacked(Gateway):
    """A gateway of another checkout, by its source folder."""

    source: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with that checkout's source before everything else."""
        more = {"PYTHONPATH": str(self.source)} if self.source else {}
        return {**super().environment, **more}

    def say(self, program: str) -> list[str]:
        """What a Python program prints that runs with the checkout's own code."""
        command = [sys.executable, "-c", program]
        return subprocess.check_output(command, env=self.environment, text=True).splitlines()


@dataclass
class Target:
    """The gateway under attack: where it serves, and what it speaks with drivers."""

    gateway: Attacked
    protocol: int
    https: int
    http: int
    tenant: str
    path: str
    opened: list[socket.socket] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @cached_property
    def client(self) -> Client:
        """Somebody who has the sample application's secret."""
        return self.gateway.client()

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
            made = stranger().wrap_socket(made)
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


_JAVA = """#!/bin/sh
[ "$1" = -version ] && echo 'openjdk version "17.0.1"' >&2 && exit
for part; do
    [ "$before" = --ready ] && echo '{"port": 9}' > "$part.new" && mv "$part.new" "$part"
    before=$part
done
exec sleep 600
"""
"""As the metastore it says that it is ready; as a driver's Java it says nothing."""

_PYTHON = """#!/bin/sh
case "$*" in *livius_agent.supervisor*) exec {python} "$@" ;; esac
exec sleep 600
"""
"""It runs supervisors alone: a driver's agent is the client that has its secret."""

_OF_CHECKOUT = """
from livius.installation.recipes import recipe
from livius_agent.wire import PROTOCOL
print(PROTOCOL, recipe("2.0").lock_digest(), sep="\\n")
"""


@contextlib.contextmanager
def attacked(source: Path | None, files: int) -> Iterator[Target]:
    """A gateway that serves until the block ends, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="livius-attack-") as folder:
        gateway = Attacked(
            Path(folder) / "home",
            {
                "LIVIUS_JAVA_HOME": folder,
                "LIVIUS_RUNTIMES": f"{folder}/runtimes",
                "LIVIUS_SHOW_LAKEHOUSE": "false",
                "LIVIUS_DRIVER_MEMORY": "64m",
                "LIVIUS_MAX_DRIVERS": str(MOST_DRIVERS),
                "LIVIUS_OUTPUT_LIMIT": str(OUTPUT_LIMIT),
            },
            prefix=("prlimit", f"--nofile={files}:{files}"),
        )
        gateway.source = source
        protocol, lock = gateway.say(_OF_CHECKOUT)
        runtime = Path(folder) / "runtimes" / "2.0"
        _program(Path(folder) / "bin" / "java", _JAVA)
        _program(runtime / "venv" / "bin" / "python", _PYTHON.format(python=sys.executable))
        manifest = {"name": "2.0", "lock": lock, "versions": {}, "jars": {}}
        (runtime / "manifest.json").write_text(json.dumps(manifest))
        try:
            gateway.start()
            facts = gateway.connection
            yield Target(
                gateway=gateway,
                protocol=int(protocol),
                https=int(facts["api"].rpartition(":")[2]),
                http=int(facts["http"].rpartition(":")[2]),
                tenant=facts["tenant_id"],
                path=f"/v1/workspaces/{facts['workspace_id']}/lakehouses/{facts['lakehouse_id']}"
                "/livyapi/versions/2023-12-01",
            )
        finally:
            gateway.clean()


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o755)
