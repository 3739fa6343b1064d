"""Running one statement: its text as it grows, its progress, its cancel, its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from livius.cli.work.interrupts import Interrupted
from livius.cli.work.opening import Command
from livius.cli.work.places import Session

_WAIT: Final = 1
_PIECE: Final = 1024 * 1024
_LONGEST_CHARACTER: Final = 4
"""A piece of text may be this much shorter than asked for, as characters are not split."""
_FINAL: Final = ("available", "cancelled")
PLAIN: Final = "text/plain"


class StatementFailed(Exception):
    """A statement ended with an error; the message is the error's, with its traceback."""

    def __init__(self, name: str, value: str, traceback: Sequence[str] = ()) -> None:
        super().__init__(_error_text(name, value, traceback))
        self.name = name
        self.value = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A piece of code. ``label`` names it in the progress."""

    text: str
    kind: str
    label: str = "The statement"


def run(
    command: Command, session: Session, code: Code, write: Callable[[str], None]
) -> dict[str, Any]:
    """Run a statement, write its text while it runs, and return its other output by MIME type.

    Ctrl-C cancels it and waits for its end; once more, or SIGTERM, leaves it to be cancelled.

    Raises:
        StatementFailed: it ended with an error.
        Interrupted: a signal ended it.
        Failed: the API answered with an error.
        OSError: the text can't be written; the statement is cancelled.
    """
    api, progress = command.api, command.progress
    base = f"{session.path}/statements"
    number = api.call("POST", base, body={"code": code.text, "kind": code.kind})["id"]
    path = f"{base}/{number}"
    progress.begin(f"{code.label} runs")
    offset = 0
    while True:
        try:
            with command.interrupts.allowed():
                statement = api.call(
                    "GET", path, query={"from": offset, "size": _PIECE}, wait=_WAIT
                )
        except Interrupted:
            _cancel(command, path)
            continue
        output = statement.get("output", {})
        text = output.get("data", {}).get(PLAIN) or output.get("stdout") or ""
        progress.show(_share_done(statement))
        if text:
            progress.clear()
            try:
                write(text)
            except OSError:
                api.call("POST", f"{path}/cancel", body={})
                raise
        read = len(text.encode())
        offset += read
        if statement["state"] in _FINAL and read < _PIECE - _LONGEST_CHARACTER:
            break
    progress.clear()
    if statement["state"] == "cancelled" and command.interrupts.signal is not None:
        raise Interrupted
    if output["status"] != "ok":
        raise StatementFailed(output["ename"], output["evalue"], output["traceback"])
    return {kind: value for kind, value in output["data"].items() if kind != PLAIN}


def _cancel(command: Command, path: str) -> None:
    command.api.call("POST", f"{path}/cancel", body={})
    if command.interrupts.leave:
        raise Interrupted
    command.progress.say("The statement is being cancelled. Ctrl-C again leaves it.")


def _share_done(statement: dict[str, Any]) -> str:
    if statement["state"] == "waiting":
        return " after those before it"
    share = statement.get("progress", 0)
    return f", {share:.0%} of its Spark tasks are done" if share else ""


def _error_text(name: str, value: str, traceback: Sequence[str]) -> str:
    """Return an error as the API gives it, without saying the same twice."""
    lines = "".join(line if line.endswith("\n") else f"{line}\n" for line in traceback).rstrip()
    return lines if value and value in lines else f"{name}: {value}\n{lines}".rstrip()
