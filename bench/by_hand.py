"""A Livius driver without Livius: its own Java command, started and joined by hand.

    python by_hand.py FOLDER REPLS

Run by the runtime's Python. FOLDER holds the ``driver.json`` of a driver. Prints, as one JSON
object, the seconds until Spark is up and, for each further repl with both of its interpreters, the
megabytes that it added to Java and that its own process takes.
"""

import asyncio
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psutil

from livius_agent import jvm as java
from livius_agent.ledger import Entry
from livius_agent.redact import Secrets
from livius_agent.spec import DRIVER_SPEC, DriverSpec, read
from livius_agent.wire import Run
from livius_agent.worker import ReplWorker
from livius_agent.zygote_client import Zygote

MIB = 2**20
INTERPRETED: tuple[Literal["pyspark", "spark"], ...] = ("pyspark", "spark")


async def main(folder: Path, *, repls: int) -> None:
    """Start, and open repls."""
    spec = read(folder / DRIVER_SPEC, DriverSpec)
    assert spec is not None
    work = folder / "by-hand"
    work.mkdir()
    conf = {**spec.conf, "spark.local.dir": str(work)}
    began = time.perf_counter()
    process = java.launch(replace(spec, conf=conf), work)
    zygote = Zygote(work)
    listening = asyncio.create_task(zygote.run())
    try:
        jvm = await java.connect(process, spec, work)
        seconds = time.perf_counter() - began
        in_java, in_python = list[float](), list[float]()
        for number in range(repls):
            before = psutil.Process(process.pid).memory_info().rss
            worker = await ReplWorker.open(
                name=f"repl-{number}",
                jvm=jvm,
                zygote=zygote,
                work=work,
                lakehouse=spec.lakehouse_root,
                row_limit=100,
                patience=10,
                secrets=Secrets(),
                changed=lambda: None,
                progressed=lambda *_: None,
                has_jobs=lambda *_: None,
            )
            working = asyncio.create_task(worker.run(warm=True))
            for index, kind in enumerate(INTERPRETED):
                run = Run(repl=f"repl-{number}", number=index, kind=kind, code="1 + 1")
                entry = Entry(run, 10**6, 0, work)
                worker.submit(entry)
                while entry.finished is None:
                    await asyncio.sleep(0.01)
            working.cancel()
            after = psutil.Process(process.pid).memory_info().rss
            python = max(psutil.Process().children(recursive=True), key=lambda p: p.create_time())
            in_java.append(round((after - before) / MIB, 1))
            in_python.append(round(python.memory_full_info().uss / MIB, 1))
        answer = {"seconds": seconds, "java": in_java, "python": in_python}
        print(json.dumps(answer), flush=True)
    finally:
        listening.cancel()
        zygote.kill()
        java.kill(process)


asyncio.run(main(Path(sys.argv[1]), repls=int(sys.argv[2])))
