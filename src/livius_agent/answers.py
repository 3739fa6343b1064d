"""How a statement ended, in the words of the wire. What is too large is cut, and says so."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from livius_agent import java_errors
from livius_agent.text import cut, json_bytes
from livius_agent.values import to_json

ANSWER_LIMIT: Final = 48 * 1024 * 1024
"""The most bytes of an answer; a frame of the link has room for it."""

TEXT_LIMIT: Final = 60_000
"""Bytes of an error's text and of each item of its traceback as JSON, at most."""

_LINES_LIMIT: Final = 1000
_OURS: Final = f"{Path(__file__).parent}/"
_ENGINE: Final = "/IPython/core/interactiveshell.py"
_IPYTHON: Final = "/IPython/"
_NO_EXIT: Final = "exit() does nothing here. Delete the session to end it."
_NO_DEBUGGER: Final = "The debugger needs somebody who types; it is not available in a session."

Answer = dict[str, Any]


class ExitRefused(Exception):
    """What ``exit()`` and ``sys.exit()`` become."""

    __module__ = "builtins"  # as a traceback shows it

    @classmethod
    def of(cls, code: object) -> ExitRefused:
        """Return the error of a given exit code, which may be a text for people."""
        said = [] if code is None or isinstance(code, int) else [str(code)]
        return cls("\n".join((*said, _NO_EXIT)))


class Exit:
    """What ``exit`` and ``quit`` are."""

    def __repr__(self) -> str:
        return _NO_EXIT

    def __call__(self, code: object = None) -> None:
        """Raise instead of leaving."""
        raise ExitRefused.of(code)


def failed(error: BaseException) -> Answer:
    """Return the answer of a statement that raised.

    An interrupt is no exception: only the caller of a cancel knows whether it was one.
    """
    if isinstance(error, SystemExit):
        error = ExitRefused.of(error.code).with_traceback(error.__traceback__)
    return {
        "outcome": "error",
        "ename": type(error).__name__,
        "evalue": message_of(error),
        "traceback": [cut(line, TEXT_LIMIT) for line in (*_lines(error), *java_stack(error))],
    }


def message_of(error: BaseException) -> str:
    """Return an error's text; of Spark's own errors, the text with the bracketed class."""
    if type(error).__name__ == "BdbQuit":
        return _NO_DEBUGGER
    if (java := java_errors.describe(error)) is not None:
        return cut(java.text, TEXT_LIMIT)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own __str__
        return "(the error has no text: its __str__ fails)"
    return cut(text.strip(), TEXT_LIMIT)


def java_stack(error: BaseException) -> list[str]:
    """Return the lines of the Java stack behind an error, or the first one that led to it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if (java := java_errors.describe(cause)) is not None:
            lines = ["Java stack:", *java.stack.splitlines()] if java.stack else []
            return [f"{line}\n" for line in lines]
        seen.add(id(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return []


def _lines(error: BaseException) -> Iterator[str]:
    """Format a traceback that begins at the user's own line."""
    try:
        formatted = traceback.TracebackException(
            type(error), error, _from_cell(error.__traceback__), limit=-_LINES_LIMIT
        )
        _clean(formatted, error)
        yield from formatted.format()
    except Exception:  # noqa: BLE001 - the user's own __str__, or what it is made of
        yield f"{type(error).__name__}\n"


def _from_cell(frames: TracebackType | None) -> TracebackType | None:
    """Return the frames from the cell's own on; without any, those behind IPython's and ours."""
    behind, frame = frames, frames
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if name.startswith("<cell"):
            return frame
        frame = frame.tb_next
        if name.startswith(_OURS) or _IPYTHON in name:
            behind = frame
    return behind


def _clean(formatted: traceback.TracebackException, error: BaseException) -> None:
    """Leave out our frames, and give the JVM's errors their text, in a whole chain of errors."""
    chain: list[tuple[traceback.TracebackException | None, BaseException | None]]
    chain = [(formatted, error)]
    for node, source in chain:
        if node is None or source is None:
            continue
        node.stack[:] = [frame for frame in node.stack if not _is_ours(frame.filename)]
        if (java := java_errors.describe(source)) is not None:
            node._str = java.text  # type: ignore[attr-defined] # noqa: SLF001 - no other way in
        chain.append((node.__cause__, source.__cause__))
        if not source.__suppress_context__:
            chain.append((node.__context__, source.__context__))
        parts = getattr(source, "exceptions", ())
        chain += zip(node.exceptions or (), parts, strict=False)  # the longest groups are cut


def _is_ours(file: str) -> bool:
    return file.startswith(_OURS) or file.endswith(_ENGINE)


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


def rows_body(schema: dict[str, Any], rows: list[msgspec.Raw]) -> dict[str, Any]:
    """Return what SQL gives. It goes out without being parsed: `encode` knows it by its schema."""
    return {"schema": msgspec.Raw(strict_json(schema)), "data": rows}


def strict_json(value: Any) -> bytes:
    """Return any value as JSON that every program reads."""
    try:
        return json_bytes(value)
    except (TypeError, ValueError):
        return json_bytes(to_json(value))


def _encode(answer: Answer) -> bytes:
    body: Any = (answer.get("data") or {}).get("application/json")
    is_raw = isinstance(body, dict) and isinstance(body.get("schema"), msgspec.Raw)
    return (msgspec.json.encode(answer) if is_raw else strict_json(answer)) + b"\n"
