"""IPython as the engine of Python statements: its magics and rich display, our output.

A value's text goes into the stream, where the printed lines are, in order; its other MIME types
are collected (`livius_agent.outputs`) and come with the statement's answer.
"""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell

from livius_agent import fonts, frames
from livius_agent.answers import Answer, failed
from livius_agent.notebook import SessionStopped
from livius_agent.outputs import LIMIT, Outputs

RESULTS_KEPT: Final = 20
"""``Out`` and ``_N`` hold the results of the last so many Python statements."""

CODE_KEPT: Final = 500
"""``In`` and tracebacks know the code of the last so many Python statements,"""

LONGEST_CODE: Final = 100_000
"""each of at most so many characters."""

_BACKENDS: Final = {
    # Figures come without asking; a backend that the user sets later wins.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PLOTLY_RENDERER": "plotly_mimetype+notebook_connected",
}
_LEFT_OUT: Final = f"[output cut: one statement shows at most {LIMIT} characters beside its text]\n"


class _Hook(DisplayHook):  # type: ignore[misc] # IPython is not typed here
    """Shows the value of a statement's last expression."""

    def start_displayhook(self) -> None:
        """Print nothing: there is no prompt."""

    def write_output_prompt(self) -> None:
        """Print nothing."""

    def compute_format_data(self, result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the value's forms; a Spark DataFrame is not run, as in PySpark's own shell."""
        forms: tuple[dict[str, Any], dict[str, Any]] = self.shell.display_formatter.bare(result)
        return forms

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        """Take the value's forms."""
        del md_dict
        self.shell.show(format_dict)

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """Keep nothing: IPython would for ever."""

    def finish_displayhook(self) -> None:
        """Print nothing."""


class _Publisher(DisplayPublisher):  # type: ignore[misc]
    """Takes what ``display()`` publishes."""

    def publish(
        self,
        data: dict[str, Any],
        *_: Any,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **__: Any,
    ) -> None:
        """Take one bundle."""
        self.shell.show(data, (transient or {}).get("display_id"), update=update)

    def clear_output(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002 - IPython's signature
        """Forget the rich outputs so far; a stream of text can't be taken back."""
        del wait
        self.shell.outputs.clear()


class _Formatter(DisplayFormatter):  # type: ignore[misc]
    """Runs a Spark DataFrame that is displayed by ``display()``."""

    def format(self, obj: Any, *arguments: Any, **options: Any) -> Any:
        """Return the forms of a displayed object."""
        if frames.is_frame(obj) and not obj.isStreaming:
            return frames.table_of(obj), {}
        return super().format(obj, *arguments, **options)

    def bare(self, obj: Any) -> Any:
        """Return the forms of the value of an expression."""
        return super().format(obj)


class _Compiler(CachingCompiler):  # type: ignore[misc]
    """Names a statement's code so that tracebacks can be cut to it."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """Return ``<cell N>``."""
        del raw_code, transformed_code
        return _name_of(number)


def _name_of(number: int) -> str:
    return f"<cell {number}>"


@dataclass(frozen=True, slots=True)
class Printer:
    """How text gets into the stream."""

    say: Callable[[str], None]
    flush: Callable[[], None]


class Shell(InteractiveShell):  # type: ignore[misc]
    """One repl's shell."""

    @classmethod
    def make(cls, given: dict[str, Any], printer: Printer) -> Shell:
        """Return the shell of this process. ``given`` is what every statement finds."""
        from traitlets.config import Config

        for name, backend in _BACKENDS.items():
            os.environ.setdefault(name, backend)
        fonts.watch()
        config = Config()
        config.HistoryManager.enabled = False
        config.IPCompleter.use_jedi = False
        config.InteractiveShell.colors = "nocolor"
        config.InteractiveShell.autoindent = False
        config.InteractiveShell.cache_size = 10 * RESULTS_KEPT  # we forget before it does, aloud
        shell: Shell = cls.instance(
            config=config,
            user_ns={"__name__": "__main__"},
            displayhook_class=_Hook,
            display_pub_class=_Publisher,
            compiler_class=_Compiler,
        )
        # IPython's advice on sys.exit(), which our error has already.
        warnings.filterwarnings("ignore", "To exit: use", UserWarning)
        shell._printer, shell._given = printer, given
        shell.user_ns.update(given)
        shell.user_ns_hidden.update(given)  # %who tells of the user's own
        return shell

    def init_instance_attrs(self) -> None:
        """Have ours too."""
        super().init_instance_attrs()
        self.outputs = Outputs()
        self._late: BaseException | None = None
        self._numbers: deque[int] = deque()
        self._is_cut = False

    def init_display_formatter(self) -> None:
        """Take ours."""
        self.display_formatter = _Formatter(parent=self)
        self.configurables.append(self.display_formatter)

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

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: ``%matplotlib inline`` asks for it, and there is no event loop to join."""

    def show(
        self, bundle: dict[str, Any], display_id: str | None = None, *, update: bool = False
    ) -> None:
        """Print a bundle's text and keep the rest."""
        text = bundle.get("text/plain")
        if text is not None:
            self.say(f"{text}\n")
        if update and display_id is not None:
            kept = self.outputs.update(bundle, display_id)
        else:
            kept = self.outputs.add(bundle, display_id)
        if not kept and not self._is_cut:
            self._is_cut = True
            self._printer.say(_LEFT_OUT)

    def say(self, text: str) -> None:
        """Put text into the stream, behind what was printed."""
        self.flush()
        self._printer.say(text)

    def flush(self) -> None:
        """Put into the stream what was printed: what comes next stands behind it."""
        self._printer.flush()

    def run_statement(self, code: str, number: int) -> Answer:
        """Run the code of a statement and return its answer."""
        self.outputs.clear()
        self._late, self._is_cut = None, False
        if "\0" in code:
            return failed(ValueError("The code contains a NUL character. Remove it."))
        for name, value in self._given.items():
            if name not in self.user_ns:  # deleted, or swept away by %reset
                self.user_ns[name] = self.user_ns_hidden[name] = value
        self._count_as(number)
        try:
            result = self.run_cell(code, store_history=True)
        finally:
            self._forget(number, len(code))
        error = result.error_before_exec or result.error_in_exec or self._late
        if error is None:
            return {"outcome": "ok", "data": self.outputs.merged()}
        if isinstance(error, SessionStopped):
            return {"outcome": "ok", "data": self.outputs.merged()}
        return failed(error)

    def should_run_async(self, raw_cell: str, **more: Any) -> bool:
        """Spare IPython a second compilation of code that can't hold an await."""
        if "async" not in raw_cell and "await" not in raw_cell:
            return False
        return bool(super().should_run_async(raw_cell, **more))

    def run_inner(self, code: str) -> None:
        """Run code within a statement; its error is the statement's."""
        self.run_cell(code, store_history=False).raise_error()

    def _count_as(self, number: int) -> None:
        """Count as statements are numbered: ``In[3]`` and ``<cell 3>`` are statement 3."""
        self.execution_count = number
        for history in self._codes():
            del history[number:]
            history.extend([""] * (number - len(history)))

    def _forget(self, number: int, length: int) -> None:
        """Keep the newest results and code only: a session may live for weeks."""
        history = self.history_manager
        history.output_hist_reprs.clear()
        history.db_input_cache.clear()
        for name in ("outputs", "exceptions"):  # IPython 8 has none
            getattr(history, name, {}).clear()
        self._numbers.append(number)
        if len(self._numbers) > RESULTS_KEPT:
            old = self._numbers[-RESULTS_KEPT - 1]
            self.user_ns["_oh"].pop(old, None)
            self._forget_name(f"_{old}")
        if len(self._numbers) > CODE_KEPT:
            self._forget_code(self._numbers.popleft())
        if length > LONGEST_CODE:
            self._forget_code(number)

    def _forget_code(self, number: int) -> None:
        for history in self._codes():
            if number < len(history):
                history[number] = ""
        self._forget_name(f"_i{number}")
        name = _name_of(number)
        linecache.cache.pop(name, None)
        self.compile._filename_map.pop(name, None)  # noqa: SLF001 - it has no other end

    def _forget_name(self, name: str) -> None:
        for names in (self.user_ns, self.user_ns_hidden):
            names.pop(name, None)

    def _codes(self) -> tuple[list[str], list[str]]:
        history = self.history_manager
        return history.input_hist_parsed, history.input_hist_raw

    def _format_exception_for_storage(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Keep nothing of an error: its answer has it."""
        return {}

    def system(self, cmd: str) -> None:
        """Run a shell command. It writes into the stream itself and finds nobody who types."""
        self.flush()
        expanded = self.var_expand(cmd, depth=1)
        done = subprocess.run(expanded, shell=True, executable="/bin/bash", check=False)  # noqa: S602 - that is what ! is
        self.user_ns["_exit_code"] = done.returncode

    def showtraceback(self, exc_tuple: Any = None, *_: Any, **__: Any) -> None:
        """Keep an error that IPython only prints: a figure that can't be drawn, for example."""
        self._late = exc_tuple[1] if exc_tuple else sys.exception()

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Print nothing: the answer has it."""

    showsyntaxerror: Callable[..., None] = _nothing
    showindentationerror: Callable[..., None] = _nothing
