"""Ends the session."""

from typing import NoReturn

from livius_agent import notebook as _notebook
from notebookutils._missing import missing as _missing


def stop(detach: bool = True) -> NoReturn:
    """End the session after this statement; nothing behind it runs.

    ``detach`` has no effect: a session that shares its driver with others is not offered yet.
    """
    del detach
    _notebook.ask("stop")
    raise _notebook.SessionStopped


restartPython = _missing("session.restartPython", "%pip install needs no restart here")

help = _notebook.helper(globals(), ("stop",))
