"""The output of commands: progress, facts to paste, errors."""

from __future__ import annotations

import json
import os
import sys
import time
from functools import cache

from pydantic import ValidationError
from rich.console import Console

from livius.settings import Settings, unknown_variables

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class ConsoleProgress:
    """Prints each step with its time; on a terminal, the present detail too."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._status = out.status("")
        self._shown = False

    def step(self, text: str) -> None:
        """Print the step."""
        elapsed = time.monotonic() - self._began
        out.print(f"[dim]{elapsed:6.1f} s[/]  {text}", markup=True)
        self._show(text)

    def detail(self, text: str) -> None:
        """Show the detail: in place on a terminal, as a line elsewhere."""
        if out.is_terminal:
            self._show(text)
        else:
            out.print(f"            {text[:160]}", markup=False)

    def _show(self, text: str) -> None:
        if not out.is_terminal:
            return
        if not self._shown:
            self._status.start()
            self._shown = True
        self._status.update(f"[dim]{text[:100].replace('[', '(')}[/]")

    def close(self) -> None:
        """End the live line."""
        if self._shown:
            self._status.stop()
            self._shown = False


def fail(message: str) -> int:
    """Print an error; return the exit code."""
    err.print(f"[red]livius:[/] {message.replace('[', chr(92) + '[')}")
    return 1


def print_json(documents: object) -> None:
    """Print JSON."""
    print(json.dumps(documents, indent=2, ensure_ascii=False))


def settings() -> Settings:
    """Return the settings, or end with their errors."""
    _warn_of_unknown()
    try:
        return Settings()
    except ValidationError as error:
        for one in error.errors():
            name = "LIVIUS_" + "_".join(str(part) for part in one["loc"]).upper()
            said = one["msg"].removeprefix("Value error, ")
            # An error about several settings has no location; its message names them.
            if one["loc"]:
                what = Settings.model_fields[str(one["loc"][0])].description
                fail(f"{name}: {said} (it is {one['input']!r}). {what}")
            else:
                fail(f"{said}.")
        err.print("Correct it, or unset the variable: docs/reference/settings.md has them all.")
        sys.exit(2)


@cache
def _warn_of_unknown() -> None:
    """Name, once, the variables that look like settings but have no effect."""
    for name, meant in unknown_variables(os.environ).items():
        hint = f" Did you mean {meant}?" if meant else ""
        err.print(f"[yellow]livius:[/] {name} is no setting and is ignored.{hint}", soft_wrap=True)
