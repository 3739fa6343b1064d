"""Python packages of an environment, resolved and installed by uv.

The runtime's own packages are constraints, so a conflict with one of them is reported as the
resolver says it, and the runtime is never written to. Only wheels are installed: to build a package
would run its code as the gateway's user. What a wheel needs it may only name: uv would follow an
address with the gateway's rights, to a file or a host that the caller can't reach.

uv has the gateway's own variables, as for the build of a runtime: index, proxy and certificates are
the operator's.
"""

from __future__ import annotations

import asyncio
import lzma
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from uv import find_uv_bin

from livius.adapters.local.processes import end_group
from livius.domain.environment import EnvironmentVersion, Library
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.ports.environments import Log, Progress

_WITH_US: Final = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)
"""Replaces itself by a program that the kernel ends with us, however we end."""
_INVALID: Final = "EnvironmentValidationFailed"
_ADDED: Final = " + "
"""What stands before each package in uv's plan."""
_ENDS_WITHIN: Final = 3.0
_MOST_LINES: Final = 2000
_LONGEST_LINE: Final = 500
_LONGEST_REASON: Final = 3500
_MOST_METADATA_BYTES: Final = 4 * 1024**2
_METADATA: Final = ".dist-info/metadata"
_ADDRESSED: Final = re.compile(rb"^requires-dist[^;\n]*?(@|=\?)", re.IGNORECASE | re.MULTILINE)
"""A need with an address, or with an encoded word, which might hide one.

Searched as text, since parsers differ on lines that are not well formed.
"""
_BROKEN_ZIP: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(RuntimeError, EOFError, OSError, ValueError),
)
"""What `zipfile` raises for a file that it can't read."""
_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonPackages:
    """Installs packages for the Python of a runtime, which ``python_of`` returns."""

    python_of: Callable[[str], Path]

    async def install(
        self,
        version: EnvironmentVersion,
        wheels: Sequence[Path],
        target: Path,
        *,
        log: Log,
        progress: Progress,
    ) -> Sequence[Library]:
        """Install a version's packages and wheels, with what they need, into a folder.

        Return what was installed.

        Raises:
            Invalid: there is no such package, or they don't go together; as the resolver says it.
        """
        if not version.libraries and not wheels:
            return ()
        work = target.parent
        run = _Uv(python=self.python_of(version.compute.runtime), work=work, log=log)
        constraints, wanted, missing = (
            work / f".{name}.txt" for name in ("constraints", "wanted", "missing")
        )
        try:
            present = await run.uv("pip", "freeze", "--quiet", shown=False)
            _write(constraints, (line for line in present if "==" in line))
            _write(wanted, (*map(str, version.libraries), *map(_as_requirement, wheels)))
            for wheel in wheels:
                await asyncio.to_thread(_check_needs, wheel)
            await progress(10)
            log(f"Resolving {len(version.libraries)} packages and {len(wheels)} wheels.")
            # Not compiled to a lock: so the runtime's packages need no index.
            plan = await run.uv(
                *("pip", "install", "--dry-run", "--requirement", wanted),
                *("--constraint", constraints, "--no-build"),
            )
            lacking = [line.removeprefix(_ADDED) for line in plan if line.startswith(_ADDED)]
            await progress(40)
            if not lacking:
                return ()
            _check_plan(lacking, wheels)
            _write(missing, lacking)
            await run.uv(
                *("pip", "install", "--target", target, "--requirement", missing),
                *("--no-deps", "--no-build", "--link-mode", "copy", "--compile-bytecode"),
            )
        finally:
            for file in (constraints, wanted, missing):
                file.unlink(missing_ok=True)
        await progress(90)
        return [_installed(line) for line in lacking]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Uv:
    """Runs uv for one Python. Nothing that it prints is logged with a password or our paths."""

    python: Path
    work: Path
    log: Log

    async def uv(self, *arguments: str | Path, shown: bool = True) -> Sequence[str]:
        """Run uv; return what it printed.

        Raises:
            Invalid: it failed; the message is the end of what it printed.
        """
        env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _WITH_US, str(os.getpid()), find_uv_bin()),
            *(*map(str, arguments), "--python", str(self.python), "--color", "never"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**env, "UV_NO_PROGRESS": "1"},
            cwd=self.work,
            start_new_session=True,  # to be ended as a whole
            limit=1024 * 1024,
        )
        lines: list[str] = []
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            async for raw in process.stdout:
                line = raw.decode("utf-8", "replace").rstrip()
                if len(lines) < _MOST_LINES and line:
                    lines.append(line)
                    if shown:
                        self.log(self._clean(line))
            code = await process.wait()
        finally:
            await end_group(process, within=_ENDS_WITHIN)
        if code:
            reason = _reason([self._clean(line) for line in lines])
            raise Invalid(_INVALID, Message("%(reason)s", reason=reason))
        return lines

    def _clean(self, line: str) -> str:
        for place in (f"file://{self.work}/", f"{self.work}/"):
            line = line.replace(place, "")
        line = line.replace(str(self.python), "the runtime's Python")
        line = line.replace(str(self.python.parent.parent), "the runtime")
        return _PASSWORD.sub("", line)[:_LONGEST_LINE]


def _reason(lines: Sequence[str]) -> str:
    return "\n".join(lines)[-_LONGEST_REASON:] or "uv failed and printed nothing."


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _as_requirement(wheel: Path) -> str:
    """Return a requirement that names a wheel by its file.

    Raises:
        Invalid: the file's name is no wheel's.
    """
    try:
        name, *_ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename:
        raise Invalid(
            _INVALID,
            Message(
                "%(name)s is not named as a wheel is: name-version-python-abi-platform.whl.",
                name=wheel.name,
            ),
        ) from None
    return f"{name} @ {wheel.absolute().as_uri()}"


def _check_needs(wheel: Path) -> None:
    """Refuse a wheel that needs a package by its address.

    Raises:
        Invalid: it does, or it is no zip file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            texts = [
                archive.open(entry).read(_MOST_METADATA_BYTES + 1)
                for entry in archive.infolist()
                if entry.filename.lower().endswith(_METADATA)
            ]
    except _BROKEN_ZIP as error:
        reason = str(error)[:_LONGEST_LINE]
        raise Invalid(
            _INVALID,
            Message("%(name)s can't be read: %(reason)s.", name=wheel.name, reason=reason),
        ) from None
    if any(len(text) > _MOST_METADATA_BYTES or _addresses(text) for text in texts):
        raise _addressed(wheel.name)


def _addresses(metadata: bytes) -> bool:
    lines = metadata.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    fields = re.sub(rb"\n[ \t]+", b" ", lines.partition(b"\n\n")[0])
    return _ADDRESSED.search(fields) is not None


def _check_plan(lacking: Sequence[str], wheels: Sequence[Path]) -> None:
    """Refuse a plan that would install from an address other than those of the wheels."""
    ours = {unquote(wheel.absolute().as_uri()) for wheel in wheels}
    for found in map(Requirement, lacking):
        if found.url is not None and unquote(found.url) not in ours:
            raise _addressed(found.name)


def _addressed(name: str) -> Invalid:
    return Invalid(
        _INVALID,
        Message(
            "%(name)s is needed from an address, or needs a package from one (Requires-Dist). "
            "Have wheels need packages by name and version, and upload those that no index has.",
            name=name,
        ),
    )


def _installed(line: str) -> Library:
    """Return the library that a line of the plan names; a wheel's version is in its name."""
    found = Requirement(line)
    wanted = str(found.specifier)
    if found.url is not None:
        _name, version, *_ = parse_wheel_filename(found.url.rpartition("/")[2])
        wanted = f"=={version}"
    return Library(name=canonicalize_name(found.name), wanted=wanted)
