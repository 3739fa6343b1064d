"""The magics that notebooks for Livy and Fabric use, beside IPython's own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)

from livius_agent import tables
from livius_agent.packages import Packages

TABLE: Final = "application/vnd.livy.table.v1+json"


@magics_class
class LivyMagics(Magics):  # type: ignore[misc] # IPython is not typed here
    """Classic Livy's ``%json``, ``%table`` and ``%matplot``; Fabric's cell magics; ``%pip``."""

    def __init__(
        self, shell: Any, packages: Packages, run_sql: Callable[[str], dict[str, Any] | None]
    ) -> None:
        super().__init__(shell)
        self._packages = packages
        self._run_sql = run_sql

    def _value(self, line: str) -> Any:
        if not line.strip():
            raise UsageError("Name a variable.")
        return self.shell.ev(line)

    def _show(self, mime: str, value: Any, note: str | None) -> None:
        if note is not None:
            self.shell.say(note)
        self.shell.show({mime: value})

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic  # type: ignore[untyped-decorator]
    def json(self, line: str) -> None:
        """Give a value as JSON: ``%json name``."""
        self._show("application/json", *tables.json_of(self._value(line)))

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic  # type: ignore[untyped-decorator]
    def table(self, line: str) -> None:
        """Give rows as a table with types: ``%table name``."""
        self._show(TABLE, *tables.table_of(self._value(line)))

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_magic  # type: ignore[untyped-decorator]
    def matplot(self, line: str) -> None:
        """Give the current figure as an image, and close it: ``%matplot plt``."""
        pyplot = self._value(line)
        if not pyplot.get_fignums():
            raise UsageError("There is no open figure.")
        image = BytesIO()
        pyplot.gcf().savefig(image, format="png")
        pyplot.close()
        self.shell.show({"image/png": image.getvalue()})

    @no_var_expand  # type: ignore[untyped-decorator]
    @line_cell_magic  # type: ignore[untyped-decorator]
    def sql(self, line: str, cell: str = "") -> None:
        """Run Spark SQL and show the last result."""
        bundle = self._run_sql(f"{line}\n{cell}")
        if bundle is not None:
            self.shell.show(bundle)

    @cell_magic  # type: ignore[untyped-decorator]
    def pyspark(self, line: str, cell: str) -> None:
        """Run the cell as what it is."""
        del line
        self.shell.run_inner(cell)

    @cell_magic  # type: ignore[untyped-decorator]
    def spark(self, line: str, cell: str) -> None:
        """Say where Scala goes."""
        del line, cell
        raise UsageError("Scala goes into a statement of its own, of the kind spark.")

    @line_magic  # type: ignore[untyped-decorator]
    def pip(self, line: str) -> None:
        """Run pip; what it installs belongs to this session."""
        self.shell.flush()
        self._packages.pip(shlex.split(line))
