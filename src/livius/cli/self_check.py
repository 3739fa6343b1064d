"""The self-check of a first run: one session through the public API, like any client's.

The gateway runs it as a child process, so that nothing of it is left when the gateway ends. The
result is written to a file, which `livius up` and `livius doctor` report.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import structlog

from livius.installation.home import Home, write_private

_ALL_WITHIN: Final = 600.0
_ENDS_WITHIN: Final = 20.0
_LONGEST_REASON: Final = 500
_TABLE: Final = "green_tripdata_2022"
# In a data folder where sessions ran before, the metastore takes some seconds to see the table.
_COUNT: Final = f"""
import time
began = time.monotonic()
while not spark.catalog.tableExists("{_TABLE}") and time.monotonic() - began < 60:
    time.sleep(0.5)
print(spark.table("{_TABLE}").count())
"""
_COUNT_IN_SCALA: Final = f'println(spark.table("{_TABLE}").count())'


class State(StrEnum):
    """The progress of the check."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """The recorded result: by the gateway with process id ``pid``, at ``at`` in ISO 8601."""

    state: State
    at: str
    pid: int
    text: str

    @property
    def day(self) -> str:
        """Return the day of it."""
        return self.at[:10]


def read(home: Home) -> SelfCheck | None:
    """Return the result or progress of a data folder's self-check; None without one."""
    try:
        found = json.loads(home.self_check_file.read_text(encoding="utf-8"))
        return SelfCheck(**{**found, "state": State(found["state"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


async def run_beside(home: Home, pid: int) -> None:
    """Run the check as a child and write its result to a file. Cancelled, it leaves nothing.

    On a full disk, or where no process can be started, it only logs that: the gateway goes on.
    """
    try:
        _write(home, State.RUNNING, pid, "a first session is being started")
        state, text = await _ask_child()
        _write(home, state, pid, text)
    except asyncio.CancelledError:
        home.self_check_file.unlink(missing_ok=True)
        raise
    except OSError as error:
        home.self_check_file.unlink(missing_ok=True)
        structlog.get_logger(__name__).warning("self_check_impossible", error=str(error))


async def _ask_child() -> tuple[State, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "livius.cli.self_check"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_ALL_WITHIN):
            said, _ = await child.communicate()
    except TimeoutError:
        child.terminate()  # so that it deletes its session
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDS_WITHIN):
                await child.wait()
        return State.FAILED, f"it did not end within {_ALL_WITHIN:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    lines = said.decode("utf-8", errors="replace").splitlines()
    text = lines[-1][:_LONGEST_REASON] if lines else "it said nothing"
    return (State.PASSED if child.returncode == 0 else State.FAILED), text


def _write(home: Home, state: State, pid: int, text: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = SelfCheck(state=state, at=now, pid=pid, text=text)
    write_private(home.self_check_file, asdict(made))


def main() -> int:
    """Check, and say in the last line how it went."""
    from livius.cli.answers import Failed
    from livius.cli.api import Api
    from livius.cli.work.interrupts import Interrupted, Interrupts
    from livius.cli.work.opening import Command, opened
    from livius.cli.work.options import SessionOptions
    from livius.cli.work.progress import Progress
    from livius.cli.work.statements import Code, StatementFailed, run

    began = time.monotonic()
    counted = []
    with Interrupts() as interrupts:
        try:
            here = Command(api=Api(), interrupts=interrupts, progress=Progress())
            with opened(here, SessionOptions(name="self-check")) as session:
                ready = time.monotonic() - began
                for text, kind in ((_COUNT, "pyspark"), (_COUNT_IN_SCALA, "spark")):
                    printed: list[str] = []
                    run(here, session, Code(text=text, kind=kind), printed.append)
                    counted.append("".join(printed).strip())
        except StatementFailed as error:
            print(" ".join(f"{error.name}: {error.value}".split()))
            return 1
        except Failed as error:
            print(" ".join(str(error).split()))
            return 1
        except Interrupted:
            return interrupts.exit_status
    seconds = time.monotonic() - began
    rows = f"{int(counted[0]):,}" if counted[0].isdecimal() else counted[0]
    if counted[0] != counted[1]:
        print(f"Python counted {rows} rows of the sample table, and Scala {counted[1]}")
        return 1
    print(
        f"a session was ready after {ready:.0f} s; Python and Scala counted {rows} rows of the "
        f"sample table; {seconds:.0f} s in all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
