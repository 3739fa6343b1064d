"""A burst: fifty creates at once where three sessions may live, without the queue and with it.

Prints a row of the table in the README for each: `python -m bench.burst`.
"""

import multiprocessing
import statistics
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import requests

from support.gateway import Client, Gateway
from support.waiting import wait_for

AT_ONCE = 50
ROOM = 3
QUEUE = 50
_PROBE_EVERY = 0.02
_SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    """Measure both."""
    print("| queue | answers | create: median | max | `/readyz`: median | max | asked |")
    print("|---|---|---|---|---|---|---|")
    for queue in (0, 5, QUEUE):
        with tempfile.TemporaryDirectory(prefix="livius-bench-burst-") as folder:
            settings = {"LIVIUS_MAX_DRIVERS": str(ROOM), "LIVIUS_QUEUE_SIZE": str(queue)}
            gateway = Gateway(Path(folder) / "home", settings)
            with gateway.serving():
                print(_burst(gateway, queue), flush=True)


def _burst(gateway: Gateway, queue: int) -> str:
    client, probe = gateway.client(), _Probe(f"{gateway.connection['http']}/readyz")
    barrier, answers = threading.Barrier(AT_ONCE), Counter[int]()

    def create(_number: int) -> float:
        own = _own(client)
        barrier.wait(60)
        began = time.perf_counter()
        answer = own.post(f"{client.base}/sessions", json={}, timeout=60)
        answers[answer.status_code] += 1
        return 1000 * (time.perf_counter() - began)

    with probe, ThreadPoolExecutor(AT_ONCE) as threads:
        times = list(threads.map(create, range(AT_ONCE)))
        time.sleep(3)  # three drivers are starting now
    expected = min(AT_ONCE, ROOM + queue)
    wanted = {202: expected, 430: AT_ONCE - expected}
    assert answers == Counter({code: count for code, count in wanted.items() if count}), answers
    client.delete_all()
    wait_for(lambda: not gateway.driver_processes(), seconds=60, what="the drivers end")
    return (
        f"| {queue or 'off'} | {', '.join(f'{n} x {code}' for code, n in sorted(answers.items()))} "
        f"| {statistics.median(times):.0f} ms | {max(times):.0f} ms "
        f"| {statistics.median(probe.times):.1f} ms | {max(probe.times):.0f} ms "
        f"| {len(probe.times)} times |"
    )


def _own(client: Client) -> requests.Session:
    """Return a connection of its own, opened before the burst."""
    own = requests.Session()
    own.headers.update(client.http.headers)
    own.verify, own.trust_env = client.http.verify, False
    own.get(f"{client.base}/sessions", timeout=60)
    return own


class _Probe:
    """Asks for an address again and again, and notes how long each answer took.

    In a process of its own: in this one it would wait for the other threads.
    """

    def __init__(self, url: str) -> None:
        self.times: list[float] = []
        self._ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_ask, args=(url, theirs))

    def __enter__(self) -> None:
        self._process.start()
        self._ours.recv()  # it has begun

    def __exit__(self, *_: object) -> None:
        self._ours.send(None)
        self.times = self._ours.recv()
        self._process.join()


def _ask(url: str, channel: Connection) -> None:
    times = []
    with requests.Session() as own:
        own.trust_env = False
        own.get(url, timeout=60).raise_for_status()
        channel.send(None)
        while not channel.poll(_PROBE_EVERY):
            began = time.perf_counter()
            own.get(url, timeout=60).raise_for_status()
            times.append(1000 * (time.perf_counter() - began))
    channel.send(times)


if __name__ == "__main__":
    main()
