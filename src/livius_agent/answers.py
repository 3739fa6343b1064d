"""How a statement ended, in the words of the wire. What is too large is cut, and says so."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from livius_agent.values import to_json

ANSWER_LIMIT: Final = 48 * 1024 * 1024
"""The most bytes of an answer; a frame of the link has room for it."""

_TEXT_LIMIT: Final = 100_000
_LINES_LIMIT: Final = 1000
_NO_EXIT: Final = "exit() does nothing here. Delete the session to end it."
_NO_DEBUGGER: Final = "The debugger needs somebody who types; it is not available in a session."

Answer = dict[str, Any]


class ExitRefused(Exception):
    """What ``exit()`` and ``sys.exit()`` become."""


class Exit:
    """What ``exit`` and ``quit`` are."""

    def __repr__(self) -> str:
        return _NO_EXIT

    def __call__(self, code: object = None) -> None:
        """Raise instead of leaving."""
        del code
        raise ExitRefused(_NO_EXIT)


def cancelled() -> Answer:
    """Return the answer of a statement whose code was interrupted."""
    return {
        "outcome": "cancelled",
        "ename": "Cancelled",
        "evalue": "The statement was cancelled: its code was interrupted.",
    }


def failed(error: BaseException) -> Answer:
    """Return the answer of a statement that raised."""
    if isinstance(error, SystemExit):
        error = ExitRefused(_NO_EXIT)
    return {
        "outcome": "error",
        "ename": type(error).__name__,
        "evalue": message_of(error),
        "traceback": [_cut(line) for line in _lines(error)],
    }


def message_of(error: BaseException) -> str:
    """Return an error's text; of Spark's own errors, the text with the bracketed class."""
    if type(error).__name__ == "BdbQuit":
        return _NO_DEBUGGER
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__
        return "(the error has no text: its __str__ fails)"
    # PySpark's errors carry the plan or the Java stack after the message's first part.
    return _cut(text.partition("\n\nJVM stacktrace:")[0].strip())


def _cut(text: str) -> str:
    more = len(text) - _TEXT_LIMIT
    return text if more <= 0 else f"{text[:_TEXT_LIMIT]}\n[{more} more characters]\n"


def _lines(error: BaseException) -> Iterator[str]:
    """Format a traceback that begins at the user's own line."""
    try:
        formatted = traceback.TracebackException(
            type(error), error, _from_cell(error.__traceback__), limit=-_LINES_LIMIT
        )
        yield from formatted.format()
    except Exception:  # noqa: BLE001 - the user's own __str__, or what it is made of
        yield f"{type(error).__name__}\n"


def _from_cell(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and not frames.tb_frame.f_code.co_filename.startswith("<cell"):
        frames = frames.tb_next
    return frames


def encode(answer: Answer, say: Callable[[str], None]) -> bytes:
    """Return the answer as one line. Rows that make it too long are left out, and it is said."""
    line = _encode(answer)
    while len(line) > ANSWER_LIMIT:
        body: Any = (answer.get("data") or {}).get("application/json")
        rows = body.get("data") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not rows:
            sentence = f"The output has {len(line)} bytes; {ANSWER_LIMIT} can be given. Show less."
            return _encode(
                {
                    "number": answer["number"],
                    "outcome": "error",
                    "ename": "OutputTooLarge",
                    "evalue": sentence,
                }
            )
        kept = len(rows) * ANSWER_LIMIT * 9 // (len(line) * 10)
        body.update(data=rows[:kept], truncated=True, byte_limit=ANSWER_LIMIT)
        say(f"The first {kept} rows are given: more would have over {ANSWER_LIMIT} bytes.\n")
        line = _encode(answer)
    return line


def _encode(answer: Answer) -> bytes:
    try:
        text = json.dumps(answer, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(to_json(answer), ensure_ascii=False)
    # A lone half of a character is text for Python, but for no other program.
    return text.encode("utf-8", errors="replace") + b"\n"
