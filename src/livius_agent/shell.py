"""IPython as the engine of Python statements: its magics and rich display, our output.

A value's text goes into the stream, where the printed lines are, in order; its other MIME types
are collected and come with the statement's answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from livius_agent.repl import cancelled, failed, was_interrupted


class _Hook(DisplayHook):  # type: ignore[misc] # IPython is not typed here
    """Shows the value of a statement's last expression."""

    def start_displayhook(self) -> None:
        """Print nothing: there is no prompt."""

    def write_output_prompt(self) -> None:
        """Print nothing."""

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Take the value's forms."""
        del md_dict
        self.shell.show(format_dict)

    def finish_displayhook(self) -> None:
        """Print nothing."""


class _Publisher(DisplayPublisher):  # type: ignore[misc]
    """Takes what ``display()`` publishes."""

    def publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        """Take one bundle."""
        self.shell.show(data)

    def clear_output(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002 - IPython's signature
        """Do nothing: a stream can't be taken back."""


class _Compiler(CachingCompiler):  # type: ignore[misc]
    """Names a statement's code so that tracebacks can be cut to it."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """Return ``<cell N>``."""
        del raw_code, transformed_code
        return f"<cell {number}>"


class Shell(InteractiveShell):  # type: ignore[misc]
    """One repl's shell."""

    @classmethod
    def make(cls, namespace: dict[str, Any]) -> Shell:
        """Return the shell of this process, with the namespace as the user's."""
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.IPCompleter.use_jedi = False
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.autoindent = False
        shell: Shell = cls.instance(
            config=config,
            user_ns=namespace,
            displayhook_class=_Hook,
            display_pub_class=_Publisher,
            compiler_class=_Compiler,
        )
        return shell

    def init_traceback_handlers(self, custom_exceptions: Any) -> None:
        """Install none of IPython's: errors are answered, not printed."""
        super().init_traceback_handlers(custom_exceptions)
        self.InteractiveTB.set_mode(mode="Minimal")

    def _tee(self, channel: str) -> AbstractContextManager[None]:
        """Keep no copy of what is printed: IPython would, for as long as the session lives."""
        del channel
        return nullcontext()

    def init_io(self) -> None:
        """Leave the streams alone."""

    def show(self, bundle: dict[str, Any]) -> None:
        """Print a bundle's text and keep the rest."""
        rest = dict(bundle)
        text = rest.pop("text/plain", None)
        if text is not None:
            sys.stdout.write(f"{text}\n")
        self._rich.update(rest)

    def run_statement(self, code: str) -> dict[str, Any]:
        """Run code and return its answer."""
        self._rich: dict[str, Any] = {}
        if "\0" in code:
            return failed(ValueError("The code contains a NUL character. Remove it."))
        result = self.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if error is None:
            return {"outcome": "ok", "data": self._rich}
        if isinstance(error, KeyboardInterrupt):
            return cancelled()
        return failed(error)

    def system(self, cmd: str) -> None:
        """Run a command line. IPython ends it at an interrupt, and goes on with the statement."""
        self.system_piped(cmd)
        if was_interrupted():
            raise KeyboardInterrupt

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Print nothing: the answer has it."""

    showtraceback: Callable[..., None] = _nothing
    showsyntaxerror: Callable[..., None] = _nothing
    showindentationerror: Callable[..., None] = _nothing
