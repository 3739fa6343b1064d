"""The end of processes that have started others."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress


async def end_group(process: asyncio.subprocess.Process, *, within: float) -> None:
    """End a process and the group that it leads, by force if the process doesn't end in time.

    Nothing is sent once the process has ended: its number may be another group's by then.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await process.wait()
