"""Errors of the JVM, as a Python statement raises and shows them.

Which class an error has is for PySpark and Delta to say. Delta's part is always on here, as it is
elsewhere only after `import delta.exceptions.captured`; code that catches Delta's classes needs
that import there. What is mended is what keeps PySpark from saying the class. The text comes from
`livius.Failure`, as that of Scala's errors does.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

_MOST_FRAMES: Final = 12
"""Of each Java exception of a chain, which has ten at most."""

_KEPT: Final = "_livius_described"
"""The attribute of an error with its text."""

_TRACE: Final = " Trace:\n"
_repl: Any = None


@dataclass(frozen=True, slots=True)
class JavaError:
    """The text of an error, which begins with its bracketed class, and its Java stack, cut."""

    text: str
    stack: str


def attach(repl: Any) -> None:
    """Mend what PySpark makes of errors. ``repl`` is our object in the JVM."""
    global _repl  # noqa: PLW0603 - one process, one JVM
    import delta.exceptions  # it adds Delta's own errors to those converted
    from py4j.protocol import Py4JJavaError
    from pyspark.errors.exceptions import captured

    with suppress(ImportError):  # where that package of Delta 4 has it
        import delta.exceptions.captured  # noqa: F401 - as above
    convert = captured.convert_exception

    def convert_any(origin: Any) -> Any:
        if origin is None:  # the cause of an error that has none: PySpark asks without looking
            return captured.UnknownException(desc="", stackTrace="")
        error = convert(origin)
        error._java_exception = origin  # noqa: SLF001 - ours; some don't keep it
        return error

    captured.convert_exception = convert_any
    if (get_message := getattr(captured.CapturedException, "getMessage", None)) is not None:

        def message_of_any(self: Any) -> str:
            try:
                return str(get_message(self))
            except Py4JJavaError:
                # Spark looks the text up among its own, where Delta's errors are not.
                return str(self._desc)

        captured.CapturedException.getMessage = message_of_any
    _repl = repl


def describe(error: BaseException) -> JavaError | None:
    """Return what to say of an error that comes from the JVM; None for any other.

    It is asked for several times for each error, and to ask the JVM takes round trips.
    """
    if _repl is None:
        return None
    if (known := getattr(error, _KEPT, None)) is not None:
        return known  # type: ignore[no-any-return] # ours
    if (found := _describe(error)) is not None:
        setattr(error, _KEPT, found)
    return found


def _describe(error: BaseException) -> JavaError | None:
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark.errors.exceptions.captured import CapturedException

    if isinstance(error, Py4JJavaError):
        origin, fallback = error.java_exception, str(error.errmsg).strip()
    elif isinstance(error, CapturedException):
        origin = getattr(error, "_java_exception", error._origin)  # noqa: SLF001
        fallback = str(getattr(error, "_desc", None) or getattr(error, "desc", ""))
    elif isinstance(error, Py4JError):
        return _of_py4j(error)
    else:
        return None
    if origin is None:
        return JavaError(fallback.strip(), "")
    try:
        failure = _repl.failure(origin)
        is_named = isinstance(error, CapturedException)  # by its Python class
        text = failure.message() if is_named else failure.named()
        return JavaError(str(text).strip(), str(failure.stack(_MOST_FRAMES)))
    except (Py4JError, OSError):  # the JVM has ended
        return JavaError(fallback, "")


def _of_py4j(error: BaseException) -> JavaError:
    """Part what py4j itself says of a call that can't be made from the Java stack behind it."""
    call, _, trace = str(error).partition(_TRACE)
    what, *stack = trace.strip().splitlines() or [""]
    frames = [f"  {line.strip()}" for line in stack[:_MOST_FRAMES]]
    if len(stack) > _MOST_FRAMES:
        frames.append(f"  ... ({len(stack) - _MOST_FRAMES} more lines)")
    return JavaError(what or call.strip(), "\n".join(frames))
