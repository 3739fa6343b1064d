"""``python -m bench``: start-up and latency of Livius beside plain PySpark, interleaved in one run.

Starts a gateway of its own in a temporary folder. Prints a table and writes the raw samples, with
the machine and its load, to ``bench/results/``. Refuses to run on a busy machine.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.gateway import Gateway, RemoteSession, runtimes_folder  # noqa: E402

BUSY = 1.0
"""The one-minute load above which figures would say more about the machine than about Livius."""
WARM_UP = 20
TABLE = "bench_table"


@dataclass
class Sample:
    """One quantity, as measured again and again. Milliseconds."""

    values: list[float] = field(default_factory=list)

    def row(self) -> str:
        """The table's cells: n, median, p95, min-max."""
        ordered = sorted(self.values)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        return (
            f"{len(ordered)} | {statistics.median(ordered):.1f} | {p95:.1f} | "
            f"{ordered[0]:.1f}-{ordered[-1]:.1f}"
        )


class Floor:
    """Plain PySpark in a process of its own."""

    def __init__(self, conf: dict[str, str], java: str, table: str = "") -> None:
        began = time.monotonic()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [runtimes_folder() / "2.0" / "venv" / "bin" / "python", ROOT / "bench" / "floor.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "JAVA_HOME": java},
        )
        self._ask(json.dumps({"conf": conf, "table": table}))
        self.start_seconds = time.monotonic() - began

    def _ask(self, line: str) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"plain PySpark ended:\n{self._log.read().decode()[-2000:]}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def run(self, name: str) -> float:
        """Do this work once; the seconds that it took there."""
        return self._ask(name)["seconds"]

    def end(self) -> None:
        """Close its input, which ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def timed(work: Callable[[], object]) -> float:
    """The milliseconds that this took."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def driver_conf(gateway: Gateway) -> tuple[dict[str, str], str]:
    """The conf of the driver that runs, so that the floor has the same."""
    spec = json.loads(next((gateway.home / "drivers").glob("*/driver.json")).read_text())
    conf = {**spec["conf"], "spark.driver.extraClassPath": ":".join(spec["jars"][-7:])}
    conf.pop("spark.local.dir")
    conf["spark.driver.memory"] = "1g"
    return conf, str(Path(spec["java"]).parent.parent)


def measure_starts(gateway: Gateway, rounds: int, results: dict[str, Sample]) -> None:
    """Sessions and plain PySpark, started in turn."""
    client = gateway.client()
    for _ in range(rounds):
        began = time.monotonic()
        session = client.create()
        session.wait_idle()
        results["cold create to idle"].values.append((time.monotonic() - began) * 1000)
        conf, java = driver_conf(gateway)
        first = timed(partial(session.rows, "select 1"))
        results["first select 1 after idle"].values.append(first)
        session.delete()
        floor = Floor(conf, java)
        results["floor: start to session"].values.append(floor.start_seconds * 1000)
        results["floor: first select 1"].values.append(floor.run("select 1") * 1000)
        floor.end()


LIVIUS: dict[str, Callable[[RemoteSession], object]] = {
    "pyspark 1+1": lambda s: s.run("1 + 1"),
    "pyspark select 1": lambda s: s.run("spark.sql('select 1').collect()"),
    "sql select 1": lambda s: s.run("select 1", "sql"),
    "spark 1+1": lambda s: s.run("1 + 1", "spark"),
    "spark select 1": lambda s: s.run('spark.sql("select 1").collect()', "spark"),
    "sql first row of a Delta table": lambda s: s.run(f"select * from {TABLE} limit 1", "sql"),
}
FLOOR = {"floor: 1+1": "1+1", "floor: select 1": "select 1", "floor: Delta table": "table"}


def measure_latency(gateway: Gateway, n: int, results: dict[str, Sample]) -> None:
    """Each small piece of work in turn, by Livius and by plain PySpark; then cancelling."""
    with gateway.client().session() as session:
        session.text(f"spark.range(1000).write.saveAsTable('{TABLE}')")
        location = session.rows(f"select input_file_name() from {TABLE} limit 1")[0][0].rsplit(
            "/", 1
        )[0]
        floor = Floor(*driver_conf(gateway), table=location)
        for round_ in range(n + WARM_UP):
            for name, work in LIVIUS.items():
                took = timed(partial(work, session))
                if round_ >= WARM_UP:
                    results[name].values.append(took)
            for name, asked in FLOOR.items():
                took = floor.run(asked) * 1000
                if round_ >= WARM_UP:
                    results[name].values.append(took)
        floor.end()
        loops = (
            ("cancel a Python loop", "while True: pass", "pyspark"),
            ("cancel a Scala loop", "while (true) {}", "spark"),
            (
                "cancel a Spark job",
                "spark.range(10**13).selectExpr('sum(id % 7)').collect()",
                "pyspark",
            ),
        )
        for name, code, kind in loops:
            for _ in range(10):
                number = session.submit(code, kind)
                time.sleep(0.5)
                began = time.perf_counter()
                session.cancel(number)
                ended = session.wait(number)
                assert ended["state"] == "cancelled", (name, ended)
                results[name].values.append((time.perf_counter() - began) * 1000)


def memory(gateway: Gateway) -> dict[str, float]:
    """Resident megabytes by part."""
    assert gateway.process is not None
    found = {"gateway": psutil.Process(gateway.process.pid).memory_info().rss / 2**20}
    for process in gateway.processes():
        command = " ".join(process.cmdline())
        name = next(
            (name for sign, name in (("Metastore", "metastore"), ("bin/java ", "driver JVM"),
             ("keeper", "keeper"), ("zygote", "zygote and repls"), ("livius_agent", "agent"))
             if sign in command),
            "other",
        )  # fmt: skip
        found[name] = found.get(name, 0.0) + process.memory_info().rss / 2**20
    return {name: round(value) for name, value in found.items()}


def main() -> int:
    """Run everything; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="samples of each latency")
    parser.add_argument("--starts", type=int, default=5, help="samples of each start")
    parser.add_argument("--busy", action="store_true", help="run on a busy machine all the same")
    asked = parser.parse_args()
    load = os.getloadavg()
    if load[0] > BUSY and not asked.busy:
        print(f"The machine is busy (load {load[0]:.1f}). Wait, or say --busy.", file=sys.stderr)
        return 1
    names = [
        "cold create to idle", "floor: start to session", "first select 1 after idle",
        "floor: first select 1", *LIVIUS, *FLOOR, "cancel a Python loop", "cancel a Scala loop",
        "cancel a Spark job",
    ]  # fmt: skip
    results = {name: Sample() for name in names}
    with tempfile.TemporaryDirectory(prefix="livius-bench-") as folder:
        gateway = Gateway(Path(folder) / "home").start()
        try:
            measure_starts(gateway, asked.starts, results)
            measure_latency(gateway, asked.n, results)
            with gateway.client().session() as session:
                session.run("1 + 1")
                session.run("1 + 1", "spark")
                megabytes = memory(gateway)
        finally:
            gateway.stop()
            gateway.clean()
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load_before": load,
        "load_after": os.getloadavg(),
        "python": platform.python_version(),
    }
    print("| ms | n | median | p95 | min-max |\n|---|---|---|---|---|")
    for name, sample in results.items():
        print(f"| {name} | {sample.row()} |")
    print("\nResident MB:", ", ".join(f"{name} {value}" for name, value in megabytes.items()))
    file = ROOT / "bench" / "results" / f"{time.strftime('%Y-%m-%d')}.json"
    raw = {name: [round(value, 2) for value in sample.values] for name, sample in results.items()}
    file.parent.mkdir(exist_ok=True)
    file.write_text(
        json.dumps({"machine": machine, "memory_mb": megabytes, "milliseconds": raw}, indent=1)
    )
    print(f"Raw samples: {file.relative_to(ROOT)}")
    return 0


sys.exit(main())
