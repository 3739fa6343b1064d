"""``livius kernel``: an intercepted Jupyter kernel, for editors that start kernels themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from livius.cli.console import fail, out, settings
from livius.cli.intercept.tree import CannotIntercept, Wanted, become, plant, where_intercepted
from livius.installation.home import Home

DISPLAY_NAME: Final = "Python (Livius)"
_FOLDER: Final = "livius"
_RUN: Final = (sys.executable, "-I", "-m", "livius.cli", "kernel", "run", "--")
_LAUNCH: Final = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
_CHECKED_WITHIN: Final = 60.0
_FIRST_OUTPUT: Final = """\
def _livius(shell, text):
    def say(cell):
        # Editors run cells of their own first, which nobody sees.
        if cell.store_history:
            shell.events.unregister("pre_run_cell", say)
            print(text)

    shell.events.register("pre_run_cell", say)


_livius(get_ipython(), {text!r})
del _livius
"""


def install(python: Path | None, prefix: Path | None) -> int:
    """Write the kernel's description into Jupyter's folder."""
    from livius.installation.tls import ensure_certificates

    home = Home(settings().home)
    chosen = python.expanduser().absolute() if python else _present_python()
    if (wrong := _without_ipykernel(chosen)) is not None:
        return fail(wrong)
    home.create()
    ensure_certificates(home.tls)
    folder = _kernels(prefix) / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "argv": [*_RUN, str(chosen), *_LAUNCH],
        "display_name": DISPLAY_NAME,
        "language": "python",
        "interrupt_mode": "signal",
        "env": {"LIVIUS_HOME": str(home.root)},
        "metadata": {"debugger": True},
    }
    text = json.dumps(description, indent=2) + "\n"
    (folder / "kernel.json").write_text(text, encoding="utf-8")
    out.print(
        f"Installed {DISPLAY_NAME} in {folder}\n  Python      {chosen}\n  Data folder {home.root}\n"
        "Choose it in Jupyter, or in VS Code by Select Kernel > Jupyter Kernel. "
        "Remove it with: livius kernel remove",
        markup=False,
    )
    return 0


def remove(prefix: Path | None) -> int:
    """Remove the description again."""
    folder = _kernels(prefix) / _FOLDER
    if not folder.is_dir():
        return fail(f"There is no kernel in {folder}.")
    shutil.rmtree(folder)
    out.print(f"Removed {folder}", markup=False)
    return 0


def start(command: list[str]) -> int:
    """Become the kernel. It starts without a gateway too: its first output then says so."""
    home = Home(settings().home)
    try:
        tree = plant(Wanted(home=home))
        first = tree.folder / "first_output.py"
        first.write_text(_FIRST_OUTPUT.format(text=_where(home)), encoding="utf-8")
        become(tree, [*command, f"--IPKernelApp.exec_files={first}"])
    except CannotIntercept as error:
        return fail(str(error))


def _where(home: Home) -> str:
    connection = home.read_connection()
    if connection is None:
        return (
            f"Livius: no gateway serves {home.root}. Start one with: livius up. "
            "This kernel finds it then."
        )
    return (
        f"Livius: in this kernel {where_intercepted(connection)}\n"
        f"  workspace {connection.workspace_id}, "
        f"lakehouse {connection.lakehouse_id}, tenant {connection.tenant_id}"
    )


def _present_python() -> Path:
    """Return the Python of the virtual environment that is active, else the one that runs us."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        python = Path(os.environ.get(name, "")) / "bin" / "python"
        if os.environ.get(name) and python.exists():
            return python
    return Path(sys.executable)


def _without_ipykernel(python: Path) -> str | None:
    try:
        found = subprocess.run(
            [python, "-c", "import ipykernel"],
            capture_output=True,
            timeout=_CHECKED_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} does not run: {error}"
    if found.returncode == 0:
        return None
    return (
        f"{python} has no ipykernel. Install it there with: {python} -m pip install ipykernel; "
        "or name another Python with --python"
    )


def _kernels(prefix: Path | None) -> Path:
    """Return Jupyter's folder for kernels: the person's own, or a prefix's."""
    if prefix is not None:
        return prefix.expanduser().absolute() / "share" / "jupyter" / "kernels"
    named = os.environ.get("JUPYTER_DATA_DIR")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return (Path(named) if named else Path(data) / "jupyter") / "kernels"
