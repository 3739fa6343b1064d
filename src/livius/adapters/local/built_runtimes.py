"""The runtimes of this machine: built by a command of ours, in a process that can be ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from livius.adapters.local.processes import end_group
from livius.adapters.local.runtimes import Runtime, conf_defaults
from livius.domain.errors import Unavailable
from livius.ports.runtimes import ConfDefaults

_BUILT_WITHIN: Final = 3600.0
_ENDS_WITHIN: Final = 5.0
_KEPT_LINES: Final = 12
_STEP: Final = re.compile(r"\s*[\d.]+ s  (\S.*)")
"""A line of the command's output that begins a step."""

_log = structlog.get_logger(__name__)


class LocalRuntimes:
    """Implements `livius.ports.runtimes.Runtimes`.

    ``names`` are those that can be built. ``find`` returns a built one; ``command`` is the command
    that builds one. ``built`` is called with each runtime that is found built after the start.
    ``local``: Spark runs inside the driver.
    """

    def __init__(
        self,
        names: Sequence[str],
        find: Callable[[str], Runtime | None],
        command: Callable[[str], Sequence[str]],
        *,
        built: Callable[[Runtime], None] = lambda _: None,
        local: bool = True,
    ) -> None:
        self._local = local
        self._find = find
        self._command = command
        self._built = built
        self._known: dict[str, Runtime] = {}
        self._locks: Mapping[str, asyncio.Lock] = {name: asyncio.Lock() for name in names}
        self._steps: dict[str, str] = {}

    def add(self, runtime: Runtime) -> None:
        """Add a runtime that was built before."""
        self._known[runtime.name] = runtime

    def __getitem__(self, name: str) -> Runtime:
        """Return a built runtime.

        Raises:
            Unavailable: it is not built.
        """
        try:
            return self._known[name]
        except KeyError:
            raise Unavailable("RuntimeNotBuilt", f"The runtime {name} is not built.") from None

    def names(self) -> frozenset[str]:
        """See the port."""
        return frozenset(self._locks) | frozenset(self._known)

    def is_built(self, name: str) -> bool:
        """See the port."""
        return name in self._known

    def defaults(self, name: str) -> ConfDefaults:
        """See the port."""
        return conf_defaults(name, local=self._local)

    def step(self, name: str) -> str | None:
        """See the port."""
        return self._steps.get(name)

    async def build(self, name: str) -> None:
        """See the port."""
        if name in self._known:
            return
        if name not in self._locks:
            raise Unavailable("RuntimeNotFound", f"This version of Livius has no runtime {name}.")
        async with self._locks[name]:
            if name in self._known:
                return
            self._steps[name] = "Looking for its parts"
            try:
                found = await asyncio.to_thread(self._find, name)
                if found is None:
                    _log.info("runtime_build_begun", runtime=name)
                    await self._run(name)
                    _log.info("runtime_built", runtime=name)
                    found = await asyncio.to_thread(self._find, name)
            finally:
                del self._steps[name]
            if found is None:
                raise _failed(name, "its files are not complete")
            self._known[name] = found
            self._built(found)

    async def _run(self, name: str) -> None:
        """Run the command to its end; its steps are ours."""
        process = await asyncio.create_subprocess_exec(
            *self._command(name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1024 * 1024,
            start_new_session=True,  # it starts uv and Java, which have to end with it
            umask=0o022,  # drivers may run as other users; a runtime is no secret
        )
        said: list[str] = []
        try:
            async with asyncio.timeout(_BUILT_WITHIN):
                if process.stdout is None:
                    raise AssertionError("it is a pipe")
                async for line in process.stdout:
                    text = line.decode(errors="replace").rstrip()
                    said = [*said[1 - _KEPT_LINES :], text]
                    if step := _STEP.fullmatch(text):
                        self._steps[name] = step[1]
                code = await process.wait()
        except TimeoutError:
            raise _failed(name, f"it took over {_BUILT_WITHIN / 60:.0f} minutes") from None
        finally:
            await end_group(process, within=_ENDS_WITHIN)
        if code:
            _log.error("runtime_build_failed", runtime=name, code=code, said=said)
            raise _failed(name, " ".join(" ".join(said).split()))


def _failed(name: str, reason: str) -> Unavailable:
    return Unavailable(
        "RuntimeBuildFailed",
        f"The runtime {name} could not be built: {reason}. Let the operator see to it with: livius "
        f"runtime build {name}",
    )
