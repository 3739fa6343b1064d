"""Programs of other people, each set in an environment of its own, made from a lock once."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from support.gateway import ROOT

UV = Path(sys.executable).with_name("uv")
SETS = ROOT / "requirements" / "clients"


def client_python(name: str) -> Path:
    """The Python of a set of clients: ``current``, ``msal-1.34`` or ``dbt``."""
    lock = SETS / f"{name}.txt"
    places = Path(os.environ.get("LIVIUS_CLIENTS", ROOT / ".venv" / "clients"))
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = places / f"{name}-{digest}"
    python = folder / "bin" / "python"
    places.mkdir(parents=True, exist_ok=True)
    with (places / "lock").open("a") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            _run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
            install = ("pip", "install", "--quiet", "--require-hashes", "--no-deps")
            _run(UV, *install, "--python", python, "-r", lock)
            (folder / "whole").touch()
    return python


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
