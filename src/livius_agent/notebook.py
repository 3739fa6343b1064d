"""What the importable `notebookutils` stands on: this repl's way to the driver and the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

_ELSEWHERE: Final = (
    "notebookutils works in a session's own code, not in functions that Spark runs in tasks. "
    "Call it before, and give the result to the function."
)
_OS_ERRORS: Final = {
    "java.io.FileNotFoundException": FileNotFoundError,
    "org.apache.hadoop.fs.FileAlreadyExistsException": FileExistsError,
    "org.apache.hadoop.fs.ParentNotDirectoryException": NotADirectoryError,
    "org.apache.hadoop.security.AccessControlException": PermissionError,
    "java.lang.IllegalArgumentException": ValueError,
}


class NotebookUtilsError(RuntimeError):
    """The gateway refused a request, or could not fulfil it. ``code`` is for programs."""

    __module__ = "builtins"  # as a traceback shows it

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NotAvailable(NotImplementedError):
    """Fabric has it, Livius has not."""

    __module__ = "builtins"  # as a traceback shows it


class SessionStopped(BaseException):
    """Ends a statement whose session is to end after it."""


_handle: Any = None


def attach(handle: Any) -> None:
    """Use this repl of the JVM from now on."""
    global _handle  # noqa: PLW0603 - one process is one repl
    _handle = handle


def repl() -> Any:
    """Return this repl of the JVM.

    Raises:
        NotebookUtilsError: this is no session, but a task of Spark's.
    """
    if _handle is None:
        raise NotebookUtilsError(_ELSEWHERE, "NotInASession")
    return _handle


def ask(what: str, **arguments: str) -> dict[str, Any]:
    """Return the gateway's answer to a question of this session.

    Raises:
        NotebookUtilsError: it was refused, or nobody answered in time.
    """
    answer = json.loads(repl().ask(what, json.dumps(arguments)))
    if "error" in answer:
        raise NotebookUtilsError(answer["error"], answer.get("code", ""))
    value: dict[str, Any] = answer["value"]
    return value


def files(method: str, *arguments: Any) -> Any:
    """Call a method of the driver's `NotebookFiles`. Java's errors become Python's own."""
    from py4j.protocol import Py4JJavaError

    driver = repl()
    try:
        return getattr(driver.files(), method)(*arguments)
    except Py4JJavaError as error:
        java = error.java_exception
        kind = _OS_ERRORS.get(java.getClass().getName(), OSError)
        failure = kind(java.getMessage() or java.toString())
    raise failure


def helper(namespace: dict[str, Any], names: tuple[str, ...]) -> Callable[..., None]:
    """Return the ``help`` of a module: it tells what its functions' docstrings tell."""

    def help(method: str = "") -> None:  # noqa: A001 - Fabric's name
        """List the methods, or describe one."""
        import inspect

        if method and method not in names:
            print(f"There is no {method} here. There is {', '.join(names)}.")  # noqa: T201
            return
        for name in (method,) if method else names:
            text = inspect.getdoc(namespace[name]) or ""
            shown = text if method else text.partition("\n")[0]
            signature = str(inspect.signature(namespace[name])).replace(
                "str | os.PathLike[str]", "str"
            )
            print(f"{name}{signature}\n    {shown}")  # noqa: T201

    return help
