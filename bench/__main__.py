"""``python -m bench``: what Livius costs, beside plain PySpark and Spark Connect, in one run.

Starts a gateway of its own in a temporary folder, gives all of them the same work in turn, prints
a table and writes each sample, with the machine and its load, to ``bench/results/``. It refuses to
run on a machine that is busy, where figures would say more about the machine.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil

from bench import environments, measures, pooled, shared
from bench.peers import ROOT, install_connect
from bench.sample import Results
from support.gateway import Gateway

BUSY = 1.0
"""The one-minute load above which the machine counts as busy."""


def machine(load: tuple[float, float, float]) -> dict[str, object]:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1] for line in info if line.startswith("model name")), "")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": load,
        "load_after": os.getloadavg(),
    }


def main() -> int:
    """Run the sections; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("-n", type=int, default=100, help="samples of each latency")
    parser.add_argument("--starts", type=int, default=5, help="samples of each start")
    parser.add_argument("--held", type=int, default=1000, help="questions held at once")
    parser.add_argument("--only", action="append", metavar="SECTION", help="this section alone")
    parser.add_argument("--busy", action="store_true", help="run on a busy machine all the same")
    asked = parser.parse_args()
    load = os.getloadavg()
    if load[0] > BUSY and not asked.busy:
        print(f"The machine is busy (load {load[0]:.1f}). Wait, or say --busy.", file=sys.stderr)
        return 1
    install_connect()
    results = Results()
    with tempfile.TemporaryDirectory(prefix="livius-bench-") as folder:
        gateway = Gateway(
            Path(folder) / "home", settings={"LIVIUS_SQL_ROW_LIMIT": "100000"}
        ).start()
        sections: dict[str, Callable[[], None]] = {
            "starts": lambda: measures.starts(gateway, asked.starts, results),
            "latency": lambda: measures.latency(gateway, asked.n, results),
            "large results": lambda: measures.large_results(gateway, 10, results),
            "cancelling": lambda: measures.cancelling(gateway, 10, results),
            "first byte": lambda: measures.first_byte(gateway, 30, results),
            "streamed": lambda: measures.streamed(gateway, 30, results),
            "notebook": lambda: measures.notebook(gateway, asked.starts, results),
            "memory": lambda: measures.memory(gateway, results),
            "high concurrency": lambda: shared.high_concurrency(gateway, 10, results),
            "pool": lambda: pooled.pooled(asked.starts, results),
            "environments": lambda: environments.environments(asked.starts, results),
            "holding": lambda: measures.holding(gateway, asked.held, results),
        }
        failed = False
        try:
            for name, section in sections.items():
                if asked.only and name not in asked.only:
                    continue
                print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
                try:
                    section()
                except Exception:  # noqa: BLE001 - the other sections' figures cost minutes
                    traceback.print_exc()
                    failed = True
        finally:
            gateway.stop()
            gateway.clean()
    print("| | n | median | p95 | min-max |\n|---|---|---|---|---|")
    for name, sample in results.items():
        print(f"| {name} | {sample.row()} |")
    part = "".join(f"-{name.replace(' ', '-')}" for name in asked.only or ())
    file = ROOT / "bench" / "results" / f"{time.strftime('%Y-%m-%d')}{part}.json"
    file.parent.mkdir(exist_ok=True)
    samples = {
        name: {"unit": sample.unit, "values": [round(value, 2) for value in sample.values]}
        for name, sample in results.items()
    }
    file.write_text(json.dumps({"machine": machine(load), "samples": samples}, indent=1) + "\n")
    print(f"Raw samples: {file.relative_to(ROOT)}")
    return int(failed)


sys.exit(main())
