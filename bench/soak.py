"""``python -m bench.soak``: half an hour of four sessions with everything that people do to them.

Statements of all kinds, odd cells and cancels, at random but by a seed. Every half minute the
gateway's, the metastore's and the drivers' memory, descriptors and threads are noted, and the disk
that the data folder takes. Growth is reported as the difference between the medians of the second
and the last quarter, so that warming up does not count.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from bench.measures import part_of
from bench.peers import ROOT
from support.gateway import Gateway, RemoteSession

SAMPLE_EVERY = 30.0

CELLS: list[tuple[str, str]] = [
    ("pyspark", "1 + 1"),
    ("pyspark", "sum(range(100000))"),
    ("pyspark", "spark.range(1000).selectExpr('sum(id)').collect()"),
    ("pyspark", "spark.range(100).toPandas()"),
    ("pyspark", "for i in range(2000): print('line', i)"),
    ("pyspark", "print('x' * 1_000_000)"),
    ("pyspark", "1 / 0"),
    ("pyspark", "def broken(:"),
    ("pyspark", ""),
    ("pyspark", "exit()"),
    ("pyspark", "input()"),
    ("pyspark", "spark.stop()"),
    ("pyspark", "spark.sql('select * from nowhere')"),
    ("pyspark", "import os; os.system('echo from a child')"),
    ("pyspark", "kept = [i for i in range(100000)]"),
    ("sql", "select 1"),
    ("sql", "show tables"),
    ("sql", "select id, id * 2 as twice, cast(id as string) as text from range(2000)"),
    ("sql", "insert into soak values (1, 'a')"),
    ("sql", "select count(*) from soak"),
    ("sql", "select from where"),
    ("spark", "1 + 1"),
    ("spark", "val kept = (1 to 1000).map(_ * 2)"),
    ("spark", 'case class Pair(a: Int, b: String); Seq(Pair(1, "x")).toDS().count()'),
    ("spark", 'spark.sql("select count(*) from soak").show()'),
    ("spark", "nonsense +"),
    ("spark", 'throw new RuntimeException("on purpose")'),
]
ENDLESS: list[tuple[str, str]] = [
    ("pyspark", "while True: pass"),
    ("pyspark", "import time\nwhile True: print('tick'); time.sleep(0.001)"),
    ("pyspark", "spark.range(10**13).selectExpr('sum(id % 7)').collect()"),
    ("sql", "select sum(id % 7) from range(10000000000000)"),
    ("spark", "while (true) {}"),
]
RARE: list[tuple[str, str]] = [("pyspark", "import os; os._exit(1)")]


def use(
    session: RemoteSession,
    seed: int,
    until: float,
    think: float,
    seen: Counter[str],
    wrong: list[str],
) -> None:
    """One session's user, until it is time, who thinks for up to so many seconds each time."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        [cells] = chance.choices([CELLS, ENDLESS, RARE], weights=[94, 5, 1])
        kind, code = chance.choice(cells)
        number = session.submit(code, kind)
        if (kind, code) in ENDLESS:
            time.sleep(chance.uniform(0.1, 1.0))
            session.cancel(number)
        ended = session.wait(number, 120)
        seen[f"{kind} {ended['state']} {ended['output']['status']}"] += 1
        if (kind, code) in ENDLESS and ended["state"] != "cancelled":
            wrong.append(f"{code!r} was not cancelled: {ended['output']}")
        time.sleep(chance.uniform(0, think))


def look(gateway: Gateway) -> dict[str, float]:
    """Memory, descriptors and threads by part, and the disk."""
    assert gateway.process is not None
    found: Counter[str] = Counter()
    parts = [("gateway", psutil.Process(gateway.process.pid))]
    for process in gateway.processes():
        try:
            parts.append((part_of(process.cmdline()), process))
        except (psutil.Error, IndexError):
            continue  # It ended while we looked.
    for part, process in parts:
        try:
            found[f"{part}: MB"] += round(process.memory_info().rss / 2**20)
            found[f"{part}: descriptors"] += process.num_fds()
            found[f"{part}: threads"] += process.num_threads()
        except psutil.Error:
            continue
    sizes = [file.stat().st_size for file in gateway.home.rglob("*") if file.is_file()]
    found["disk: MB"] = round(sum(sizes) / 2**20)
    found["disk: files"] = len(sizes)
    return dict(found)


def growth(samples: list[dict[str, float]], name: str) -> tuple[float, float]:
    """The medians of the second and the last quarter."""
    values = [sample.get(name, 0.0) for sample in samples]
    quarter = max(1, len(values) // 4)
    return statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])


def main() -> int:
    """Run the soak; fail if a cancel did not cancel."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--think", type=float, default=0.5, help="seconds, at most, between cells")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    samples: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="livius-soak-") as folder:
        gateway = Gateway(Path(folder) / "home", {"LIVIUS_OUTPUT_LIMIT": str(8 * 2**20)}).start()
        try:
            client = gateway.client()
            sessions = [client.create(name=f"soak {i}") for i in range(asked.sessions)]
            for session in sessions:
                session.wait_idle(300)
            sessions[0].rows("create table soak (id bigint, name string)")
            until = time.monotonic() + asked.minutes * 60
            users = [_user(gateway, one.id, asked.seed + i, until, asked.think, seen, wrong)
                     for i, one in enumerate(sessions)]  # fmt: skip
            while time.monotonic() < until and any(user.is_alive() for user in users):
                samples.append({"second": round(time.monotonic()), **look(gateway)})
                time.sleep(min(SAMPLE_EVERY, max(0.0, until - time.monotonic())))
            for user in users:
                user.join(180)
            alive = sum(1 for user in users if user.is_alive())
            states = [session.get()["state"] for session in sessions]
        finally:
            gateway.stop()
            gateway.clean()
    print(f"{sum(seen.values())} statements; sessions at the end: {states}; stuck users: {alive}")
    for name, count in sorted(seen.items()):
        print(f"  {count:6d}  {name}")
    print("| | second quarter | last quarter |\n|---|---|---|")
    for name in sorted(samples[-1]):
        if name != "second":
            print("| {} | {:.0f} | {:.0f} |".format(name, *growth(samples, name)))
    file = ROOT / "bench" / "results" / f"soak-{time.strftime('%Y-%m-%d')}.json"
    body = {"cores": os.cpu_count(), "seen": dict(seen), "wrong": wrong, "samples": samples}
    file.write_text(json.dumps(body) + "\n")
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong or alive else 0


def _user(
    gateway: Gateway,
    session: str,
    seed: int,
    until: float,
    think: float,
    seen: Counter[str],
    wrong: list[str],
) -> threading.Thread:
    """A user with a connection of its own, which signs in again before its token ends."""

    def work() -> None:
        while time.monotonic() < until:
            mine = RemoteSession(gateway.client(), session)
            try:
                use(mine, seed, min(until, time.monotonic() + 1500), think, seen, wrong)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                wrong.append(f"user {seed}: {type(error).__name__}: {error}")
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    sys.exit(main())
