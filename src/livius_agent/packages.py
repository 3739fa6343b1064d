"""Where ``%pip install`` puts packages: a virtual environment of the repl, above the runtime's.

The runtime serves every session and is never written to, and so do the libraries of an environment,
which stand between the two. So each repl has an environment in the driver's folder of temporary
files that sees the runtime's packages as its own. Its Python is the one that the repl names as
``sys.executable``, that shell commands find, and that Spark's workers on this machine run: what is
installed is there for all of them, and gone with the session.
"""

from __future__ import annotations

import importlib
import os
import site
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from livius_agent.spec import LIBRARIES

_PIP: Final = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'
_PIP_CONF: Final = "[global]\ndisable-pip-version-check = true\nno-input = true\n"
_ELSEWHERE: Final = ("--target", "-t", "--prefix", "--root", "--user", "--python")
_NOT_HERE: Final = "%pip installs for this session only: leave {option} out."


class PipFailed(Exception):
    """pip ended badly; what it printed says why."""

    __module__ = "builtins"  # as a traceback shows it


def _of_environment() -> list[str]:
    """Return the folders of the libraries that the session's environment has."""
    return [one for one in os.environ.get(LIBRARIES, "").split(os.pathsep) if one]


@dataclass(frozen=True, slots=True)
class Packages:
    """The environment of one repl."""

    folder: Path

    @property
    def python(self) -> Path:
        """Return its Python."""
        return self.folder / "bin" / "python"

    @property
    def _site(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.folder / "lib" / version / "site-packages"

    def make(self) -> None:
        """Lay the environment out; one that is there stays: it has what was installed."""
        if (self.folder / "pyvenv.cfg").exists():
            return
        binary = Path(sys._base_executable)  # type: ignore[attr-defined] # noqa: SLF001 - as venv does
        self._site.mkdir(mode=0o700, parents=True)
        self.python.parent.mkdir(mode=0o700)
        for name in ("python", "python3"):
            (self.python.parent / name).symlink_to(binary)
        for name in ("pip", "pip3"):
            script = self.python.parent / name
            script.write_text(_PIP, encoding="utf-8")
            script.chmod(0o700)
        folders = (*_of_environment(), sysconfig.get_path("purelib"))
        (self._site / "runtime.pth").write_text(
            "".join(f"import site; site.addsitedir({one!r})\n" for one in folders),
            encoding="utf-8",
        )
        (self.folder / "pip.conf").write_text(_PIP_CONF, encoding="utf-8")
        (self.folder / "pyvenv.cfg").write_text(
            f"home = {binary.parent}\ninclude-system-site-packages = false\n", encoding="utf-8"
        )

    def enter(self) -> None:
        """Make this process and its children use it."""
        self.make()
        runtime = sysconfig.get_path("purelib")
        at = sys.path.index(runtime)
        sys.path.insert(at, str(self._site))
        before = sys.path[at + 1 :]
        del sys.path[at + 1 :]
        for folder in _of_environment():
            site.addsitedir(folder)
        sys.path.extend(before)
        sys.executable = str(self.python)
        if "multiprocessing.spawn" in sys.modules:
            sys.modules["multiprocessing.spawn"].set_executable(sys.executable)
        os.environ["PATH"] = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        os.environ["VIRTUAL_ENV"] = str(self.folder)

    def pip(self, arguments: list[str]) -> None:
        """Run pip.

        Raises:
            PipFailed: it failed, or was to install elsewhere.
        """
        for option in (argument.partition("=")[0] for argument in arguments):
            if option in _ELSEWHERE:
                raise PipFailed(_NOT_HERE.format(option=option))
        code = subprocess.run([self.python, "-m", "pip", *arguments], check=False).returncode
        importlib.invalidate_caches()
        if code:
            raise PipFailed(f"pip ended with exit code {code}.")
        site.addsitedir(str(self._site))  # what was installed may have brought .pth files
