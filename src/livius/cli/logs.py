"""``livius logs``: the gateway's log, for people on a terminal and for programs in a pipe."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from livius.cli.console import fail
from livius.cli.place import find_home

_LOOK_EVERY: Final = 0.1

Render = Callable[[str], str]


def logs(*, follow: bool, lines: int) -> int:
    """Show the last lines, and new ones."""
    path = find_home().log_file
    if not path.exists():
        return fail(f"There is no log yet in {path}.")
    show = _for_people() if sys.stdout.isatty() else str
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=max(lines, 0)):
            print(show(line.rstrip("\n")))
        with suppress(KeyboardInterrupt):
            while follow:
                line = file.readline()
                if line:
                    print(show(line.rstrip("\n")), flush=True)
                else:
                    time.sleep(_LOOK_EVERY)
    return 0


def _for_people() -> Render:
    """Return what makes a line for people of one of JSON, as with LIVIUS_LOG_FORMAT=console."""
    from structlog.dev import ConsoleRenderer

    render = ConsoleRenderer(colors=True)

    def show(line: str) -> str:
        try:
            found: dict[str, Any] = json.loads(line)
            event = {str(name): _harmless(value) for name, value in found.items()}
        except (ValueError, AttributeError):
            return str(_harmless(line))
        if "timestamp" in event:
            event["timestamp"] = str(event["timestamp"])[:19].replace("T", " ")
        return str(render(None, "", {"event": "", **event}))

    return show


def _harmless(value: object) -> object:
    """Return a text that can't control the terminal. A traceback keeps its lines."""
    if not isinstance(value, str):
        return value
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in value)
