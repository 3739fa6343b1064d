"""``livius kernel``: the commands. What they do is in `livius.cli.intercept.kernel`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="kernel",
    help="""A Jupyter kernel in which Fabric's host names lead here, as under `livius exec`.

    For notebooks in VS Code, Jupyter or nbclient, which start their kernel themselves:
    `livius kernel install`, then choose *Python (Livius)*.""",
)


@app.command
def install(
    *,
    python: Path | None = None,
    user: bool = False,
    prefix: Path | None = None,
) -> int:
    """Add the kernel *Python (Livius)* to Jupyter.

    The kernel's first output says where Fabric's host names lead. The kernel starts without a
    gateway too, and finds one that starts later.

    Examples:
    * `livius kernel install`, for the virtual environment that is active
    * `livius kernel install --python ~/project/.venv/bin/python`
    * `livius kernel install --prefix ~/project/.venv`, seen by the Jupyter of that environment only

    Parameters
    ----------
    python
        The Python that runs cells; it needs ipykernel. If left out, the Python of the active
        virtual environment, or else the one that runs this command.
    user
        Install for you, in every Jupyter. This is the default.
    prefix
        Install for the Jupyter of this environment only.
    """
    from livius.cli.console import fail
    from livius.cli.intercept.kernel import install as run

    if user and prefix is not None:
        return fail("Choose one of --user and --prefix.")
    return run(python, prefix)


@app.command
def remove(*, prefix: Path | None = None) -> int:
    """Remove the kernel from Jupyter.

    Parameters
    ----------
    prefix
        The environment that the kernel was installed for; your own folder if left out.
    """
    from livius.cli.intercept.kernel import remove as run

    return run(prefix)


@app.command(name="run", show=False)
def start(*command: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Become a kernel. Jupyter calls this."""
    from livius.cli.intercept.kernel import start as run

    return run(list(command))
