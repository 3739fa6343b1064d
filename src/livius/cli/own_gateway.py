"""The gateway that ``livius up`` starts: a process of its own, and its log."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from livius.cli.answers import Failed, ask
from livius.cli.console import out
from livius.cli.running import count_ended
from livius.cli.serving import ALREADY_SERVING
from livius.installation.home import Connection, Home
from livius.installation.progress import SetupFailed

SERVES_WITHIN: Final = 60.0
_ENDS_WITHIN: Final = 15.0
_LOOK_EVERY: Final = 0.05
_LOG_KEPT: Final = 10 * 1024 * 1024


class OwnGateway:
    """The gateway that this command starts, if it starts one. Another one is left alone."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def start(self, *, first_run: bool) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches us and not it."""
        path = self._home.log_file
        if path.exists() and path.stat().st_size > _LOG_KEPT:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log, interrupts_deferred():
            path.chmod(0o600)
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "livius.cli", "serve"),
                    *(["--first-run"] if first_run else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_serving(self) -> Connection:
        """Return where it serves.

        Raises:
            SetupFailed: it ended, or does not answer.
        """
        process = self._started()
        deadline = time.monotonic() + SERVES_WITHIN
        while time.monotonic() < deadline:
            if process.poll() == ALREADY_SERVING:
                raise SetupFailed(
                    f"Another gateway was started for {self._home.root} in the same moment. See: "
                    "livius status"
                )
            if process.poll() is not None:
                raise SetupFailed(
                    f"The gateway ended at its start. Its last words:\n{self.last_words()}"
                )
            connection = self._home.read_connection()
            if connection is not None and connection.pid == process.pid:
                with suppress(Failed):
                    ask(connection, f"{connection.api}/healthz")
                    return connection
            time.sleep(_LOOK_EVERY)
        raise SetupFailed(f"The gateway does not answer. Its last words:\n{self.last_words()}")

    def wait(self, *, within: float | None = None) -> int | None:
        """Wait for its end and return how it ended; None if it goes on beyond so many seconds."""
        try:
            return self._started().wait(within)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self) -> str:
        """Return the last lines of its log; what stood there before is another one's."""
        with self._home.log_file.open("rb") as log:
            log.seek(self._log_from)
            lines = log.read().decode("utf-8", errors="replace").splitlines()[-10:]
        return "\n".join(f"  {line}" for line in lines)

    def stop(self) -> None:
        """End it with all that it runs, and count that. A second Ctrl-C ends it at once."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        out.print("Stopping …")
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
            out.print("The gateway was killed. What it ran goes on; livius down ends that.")
            return
        out.print(count_ended(self._home, process.pid))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("start comes first")
        return self._process


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM, so that no unrecorded process is started."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda caught, _: came.append(caught)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
