"""The zygote: imports what Python repls need, once, and forks one for each request.

One thread, no connection to anything, so that a fork is a clean copy. It is asked over a socket
(its standard input): one JSON line with two descriptors, the repl's control socket and its output
pipe. It answers with lines: ``{"pid": n}`` or ``{"failed": why}``, and
``{"ended": n, "status": wait status}`` when a repl has ended. It ends with the agent.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from livius_agent.answers import message_of
from livius_agent.process import die_with_parent

_LINE: Final = 64 * 1024


def main() -> int:
    """Serve until the agent is gone."""
    die_with_parent()
    warm_up()
    agent = socket.socket(fileno=os.dup(0))
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)  # noqa: FBT003 - its only argument
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    selector.register(agent, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    gc.collect()
    gc.freeze()  # what is shared now stays shared: the collector won't touch these pages
    _say(agent, {"warm": os.getpid()})
    while True:
        for key, _ in selector.select():
            if key.fileobj is woken:
                with suppress(BlockingIOError):
                    woken.recv(_LINE)
                _reap(agent)
            else:
                request = _receive(agent)
                if request is None:
                    return 0
                _fork(agent, *request)


def warm_up() -> None:
    """Import what takes time; a repl then starts in some fifty milliseconds."""
    for name in (
        "pyspark.sql",
        "pyspark.sql.functions",
        "pyspark.sql.types",
        "pyspark.streaming",
        "delta",
        "IPython.core.interactiveshell",
        "pandas",
        "pyarrow",
        "livius_agent.magics",
        "livius_agent.predefined",
        "livius_agent.repl",
        "livius_agent.shell",
        "notebookutils",
    ):
        __import__(name)


def _receive(agent: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, descriptors, _, _ = socket.recv_fds(agent, _LINE, 2)
    return (json.loads(data), descriptors) if data else None


def _fork(agent: socket.socket, request: dict[str, Any], descriptors: list[int]) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        pid = -1
        _say(agent, {"failed": str(error)})
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            _say(agent, {"pid": pid})
        return
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with_parent()
        agent.close()
        gc.unfreeze()
        from livius_agent.repl import serve

        serve(request, *descriptors)
        status = 0
    except Exception as error:  # noqa: BLE001 - it ends this process, and the reason must be seen
        # Into the statement that waits for it, once its streams are there; else into our log.
        reason = f"{type(error).__name__}: {message_of(error)}"
        sys.stderr.write(f"The Python process of this session failed: {reason}\n")
    finally:
        # Never back into the loop of the parent, whatever happened.
        sys.stderr.flush()
        os._exit(status)


def _reap(agent: socket.socket) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(agent, {"ended": pid, "status": status})


def _say(agent: socket.socket, message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        agent.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
