"""One gateway for all processes of a test run. The first starts its guard, all hold a connection.

The guard ends the gateway when the last connection is gone. The system closes those of processes
that are killed, too, so nothing has to be counted or cleaned up by hand.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from livius.installation.home import Home
from livius.testing.endpoint import Gateway

SOCKET: Final = "guard.socket"
HOME: Final = "home"
LAST: Final = b"last\n"
_STARTS_WITHIN: Final = 150.0
_ENDS_WITHIN: Final = 90.0


class GatewayFailed(Exception):
    """The gateway of a test run does not start; the message says why."""


@contextmanager
def joined(shared: Path) -> Iterator[Gateway]:
    """Yield the gateway that the processes of a test run share by a folder.

    At the end, the last of them waits until the gateway has ended.

    Raises:
        GatewayFailed: it does not start.
    """
    with _greeted(shared) as (connection, lines, greeting):
        if "failed" in greeting:
            raise GatewayFailed(greeting["failed"])
        root = Path(greeting["home"])
        serving = Home(root).read_connection()
        if serving is None:
            raise GatewayFailed(f"It has ended. See {root}/gateway.log")
        yield Gateway(root, serving)
        connection.settimeout(_ENDS_WITHIN)
        connection.shutdown(socket.SHUT_WR)
        if lines.readline() == LAST:
            lines.read()  # until the guard has ended


@contextmanager
def _greeted(shared: Path) -> Iterator[tuple[socket.socket, IO[bytes], dict[str, str]]]:
    """Yield a connection to the guard, with what it says first: once its gateway serves."""
    for _ in range(2):
        with _connect(shared) as connection, connection.makefile("rb") as lines:
            connection.settimeout(_STARTS_WITHIN)
            try:
                line = lines.readline()
            except TimeoutError:
                raise GatewayFailed(f"It did not start within {_STARTS_WITHIN:.0f} s.") from None
            if line:
                yield connection, lines, json.loads(line)
                return
        # That guard's last user has left in this moment: the next one is ours.
    raise GatewayFailed("Its guard has ended.")


def _connect(shared: Path) -> socket.socket:
    """Return a connection to the guard; start one if none listens."""
    with (shared / "livius-testing.lock").open("a+") as pointer:
        fcntl.flock(pointer, fcntl.LOCK_EX)
        pointer.seek(0)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(f"{pointer.read()}/{SOCKET}")
        except OSError:
            pointer.truncate(0)
            pointer.write(folder := _start_guard())
            connection.connect(f"{folder}/{SOCKET}")
        return connection


def _start_guard() -> str:
    """Start a guard in a session of its own, which listens already, and return its folder."""
    folder = tempfile.mkdtemp(prefix="livius-testing-")  # short: a socket's path has 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/{SOCKET}")
            listener.listen(128)
            subprocess.Popen(
                [sys.executable, "-m", "livius.testing.guard", folder, str(listener.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
