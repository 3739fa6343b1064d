"""Environments: what a publish takes, and a session's start with one and without, cold and warm."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import requests

from bench.sample import Results
from support.environments import RemoteEnvironment
from support.gateway import Client, Gateway, RemoteSession
from support.waiting import wait_for

PACKAGE = "cowsay==6.1\n"
WARM = {"sparkProperties": {"spark.livius.environment.warm": "true"}}
FIXED = {"spark.task.maxFailures": "1"}
"""What a running Spark can't take: the session starts a driver of its own."""


def environments(rounds: int, results: Results) -> None:
    """Publish one small package, and start sessions of each kind, in turn."""
    with serving() as gateway:
        client = gateway.client()
        plain, warm = (made(client, name) for name in ("plain", "warm"))
        plain.published()
        publishes(plain, rounds, results)
        for _ in range(rounds):
            start(client, "without, cold", FIXED, results)
            start(client, "with, cold", plain.conf, results)
        warm.must("PATCH", "/staging/sparkcompute?beta=true", json=WARM)
        warm.published()
        for _ in range(rounds):
            for name, how, conf in (
                ("pool", "without, from the starter pool", {}),
                ("environmentPool", "with, from its pool", warm.conf),
            ):
                wait_for(partial(is_warm, gateway, name), seconds=600, what="one is warm")
                start(client, how, conf, results)


@contextmanager
def serving() -> Iterator[Gateway]:
    """Serve with both pools."""
    with tempfile.TemporaryDirectory(prefix="livius-bench-environments-") as folder:
        settings = {"LIVIUS_POOL_SIZE": "1", "LIVIUS_ENVIRONMENT_POOL_SIZE": "1"}
        with Gateway(Path(folder) / "home", settings).serving() as gateway:
            yield gateway


def made(client: Client, name: str) -> RemoteEnvironment:
    """Make an environment with one small package staged."""
    environment = RemoteEnvironment.create(client, name)
    environment.import_list(PACKAGE)
    return environment


def publishes(environment: RemoteEnvironment, rounds: int, results: Results) -> None:
    """Publish again and again; uv's cache has the package."""
    for _ in range(rounds):
        results.time("environment: publish of one small package", environment.published)


def is_warm(gateway: Gateway, pool: str) -> bool:
    """Tell whether a driver of a pool is warm."""
    found = requests.get(f"{gateway.connection['http']}/readyz", timeout=10).json()
    return bool(found[pool]["warm"])


def start(client: Client, how: str, conf: dict[str, str], results: Results) -> None:
    """Start a session, and end it."""
    began: list[RemoteSession] = []

    def idle() -> None:
        began.append(client.create(conf=conf))
        began[0].wait_idle()

    results.time(f"environment: create to idle {how}", idle)
    [session] = began
    is_pooled = "FallbackReasons" not in (session.get().get("tags") or {})
    assert is_pooled == ("pool" in how), session.get()
    if "with," in how:
        imported = "environment: its first import " + how.removeprefix("with, ")
        code = "import cowsay; print(cowsay.__name__)"
        results.time(imported, lambda: session.text(code))
    session.delete()
