"""``python -m bench.cancels``: thousands of cancels at random moments.

The statements begin endless Spark jobs in every way that people do (`support.cancels`). After each
cancel nothing of the statement may run. Several sessions work at once, if asked.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from support.cancels import CASES, Tally, one_round, prepare
from support.gateway import Gateway, RemoteSession


def work(
    gateway: Gateway, session: str, seed: int, cases: list[str], until: float, tally: Tally
) -> None:
    """Cancel until it is time, with a connection that signs in again before its token ends."""
    chance = random.Random(seed)
    try:
        while time.monotonic() < until:
            mine = RemoteSession(gateway.client(), session)
            soon = min(until, time.monotonic() + 1500)
            while time.monotonic() < soon:
                case = chance.choice(cases)
                for fault in one_round(mine, case, chance):
                    tally.faults.append(fault)
                    print(f"{time.strftime('%T')} {fault}", flush=True)
                tally.count(case)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        tally.faults.append(f"session {seed}: {type(error).__name__}: {error}")


def main() -> int:
    """Run the rounds and print how many there were of each case; fail if one failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.cancels", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", default="", help="only those whose name has this in it")
    asked = parser.parse_args()
    cases = [name for name in CASES if asked.cases in name]
    tallies = [Tally() for _ in range(asked.sessions)]
    with tempfile.TemporaryDirectory(prefix="livius-cancels-") as folder:
        gateway = Gateway(Path(folder) / "home", {"LIVIUS_CANCEL_GRACE": "PT10S"})
        with gateway.serving():
            client = gateway.client()
            sessions = [client.create(name=f"cancels {i}") for i in range(asked.sessions)]
            for session in sessions:
                session.wait_idle(300)
                prepare(session)
            until = time.monotonic() + asked.minutes * 60
            threads = [
                threading.Thread(
                    target=work,
                    args=(gateway, session.id, asked.seed + i, cases, until, tallies[i]),
                )
                for i, session in enumerate(sessions)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    for case in cases:
        print(f"{sum(one.rounds.get(case, 0) for one in tallies):6d}  {case}")
    faults = [fault for one in tallies for fault in one.faults]
    print(f"{sum(sum(one.rounds.values()) for one in tallies):6d}  in all, {len(faults)} faults")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
