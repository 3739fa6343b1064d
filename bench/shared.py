"""High-concurrency sessions: how soon a repl is there, how much it takes, whether repls overlap."""

import threading
from functools import partial

import psutil

from bench.sample import Results
from support.gateway import Gateway
from support.repls import RemoteRepl, acquired, ask, idle

REPLS = 5


def high_concurrency(gateway: Gateway, n: int, results: Results) -> None:
    """Acquire on a live driver, five repls that sleep for a second, and the memory of each."""
    client = gateway.client()
    with acquired(client, 1, sessionTag="bench") as [first]:
        first.text("print(1)")
        for _ in range(n):
            further: list[RemoteRepl] = []
            results.time(
                "high concurrency: acquire to idle on a live driver",
                lambda further=further: further.append(  # type: ignore[misc]
                    idle(client, ask(client, sessionTag="bench"))
                ),
            )
            [repl] = further
            results.time("high concurrency: its first 1 + 1", partial(repl.text, "1 + 1"))
            repl.delete()
    with acquired(client, REPLS, sessionTag="bench side by side") as repls:
        for repl in repls:
            repl.text("print(1)")
        for _ in range(n):
            results.time(f"high concurrency: {REPLS} repls x sleep(1)", partial(all_at_once, repls))
    with acquired(client, 1, sessionTag="bench memory") as [first]:
        heap = used_heap(first)
        for _ in range(REPLS - 1):
            repl = idle(client, ask(client, sessionTag="bench memory"))
            pid = int(repl.text("import os; spark.range(10).count(); print(os.getpid())"))
            python = psutil.Process(pid).memory_full_info().uss / 2**20
            now = used_heap(first)
            results.add("high concurrency: a further repl's Python, private", python, "MB")
            results.add("high concurrency: a further repl's objects in the JVM", now - heap, "MB")
            heap = now


def all_at_once(repls: list[RemoteRepl]) -> None:
    """Have each sleep, and wait until all have."""

    def run(repl: RemoteRepl) -> None:
        repl.text("import time; time.sleep(1); print(1)")

    threads = [threading.Thread(target=run, args=(repl,)) for repl in repls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def used_heap(repl: RemoteRepl) -> float:
    """What the JVM's objects take after a collection, in MB."""
    code = (
        "r = spark._jvm.java.lang.Runtime.getRuntime()\n"
        "for _ in range(3): r.gc()\n"
        "print((r.totalMemory() - r.freeMemory()) / 2**20)"
    )
    return float(repl.text(code))
