"""Metrics for Prometheus. Labels have few values: none is an id, a name or an address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from livius.domain.pool import PoolState
from livius.domain.statement import Kind

_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LONG_SECONDS: Final = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
_STORE_SECONDS: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1, 5)
_LAG_EVERY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as the reference page shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    what: str


class Metrics:
    """All metrics of one gateway; implements `livius.ports.meter.Meter`."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(namespace="livius", registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)
        long = partial(histogram, buckets=_LONG_SECONDS)
        short = partial(histogram, buckets=_STORE_SECONDS)
        self.requests = histogram(
            "livius_request_seconds",
            "Duration of requests by path template, long polls included.",
            ("method", "route", "status"),
            buckets=_SECONDS,
        )
        self.sessions = gauge("livius_sessions", "Live sessions by phase.", ("phase",))
        self.queued = gauge("livius_sessions_queued", "Sessions that wait for room.")
        self.sessions_ended = counter(
            "livius_sessions_ended", "Ended sessions by final state.", ("state",)
        )
        self.driver_start = long(
            "livius_session_start_seconds",
            "Time from the request for a session until it takes statements, by where its driver "
            "came from: `pool`, or `cold` if it was started for the session.",
            ("driver",),
        )
        self.statements_open = gauge("livius_statements_open", "Waiting and running statements.")
        self.statement_wait = long(
            "livius_statement_wait_seconds",
            "Time from a statement's arrival until it runs, by kind.",
            ("kind",),
        )
        self.statement_run = long(
            "livius_statement_run_seconds",
            "Time from a statement's start until its end, by kind and outcome.",
            ("kind", "outcome"),
        )
        self.pool = gauge(
            "livius_pool_drivers",
            "Drivers of the `starter` pool, and those that wait for sessions with `environments`: "
            "how many are `wanted`, `warm`, and `starting`.",
            ("pool", "state"),
        )
        self._add_own(counter, gauge, short)

    def _add_own(
        self,
        counter: Callable[..., Counter],
        gauge: Callable[..., Gauge],
        short: Callable[..., Histogram],
    ) -> None:
        """Add the metrics of the gateway itself."""
        self.held = gauge("livius_long_polls", "Long polls that are waiting.")
        self.streams = gauge(
            "livius_event_streams",
            "Open streams of events: of the API (`session`, `statement`), of the portal (`page`).",
            ("kind",),
        )
        self.connections = gauge("livius_connections", "Open connections to both ports.")
        self.connections_dropped = counter(
            "livius_connections_dropped",
            "Connections that were ended (`late`, `displaced`) or not accepted (`refused`).",
            ("reason",),
        )
        self.service_failures = counter(
            "livius_service_failures",
            "Errors of the gateway's own services, which then start again.",
            ("service",),
        )
        self.links = gauge("livius_links", "Open links to drivers.")
        self.store_wait = short(
            "livius_store_wait_seconds", "Time that transactions wait for the store."
        )
        self.store_work = short("livius_store_transaction_seconds", "Duration of transactions.")
        self.lag = short(
            "livius_event_loop_lag_seconds",
            "Delay of the event loop, measured twice a second.",
        )

    def described(self) -> Sequence[Described]:
        """Return all metrics for the reference page, without those of the process."""
        found = []
        for metric in vars(self).values():
            if isinstance(metric, Counter | Gauge | Histogram):
                [family] = metric.describe()
                name = f"{family.name}_total" if family.type == "counter" else family.name
                labels = tuple(metric._labelnames)  # noqa: SLF001 - told nowhere else
                found.append(Described(name, family.type, labels, family.documentation))
        return found

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def request_handled(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record a request. ``route`` is a template, never a path."""
        self.requests.labels(method, route, str(status)).observe(seconds)

    def connection_dropped(self, reason: str) -> None:
        """Count a connection that was ended or not accepted."""
        self.connections_dropped.labels(reason).inc()

    def service_failed(self, name: str) -> None:
        """Count an error of a service."""
        self.service_failures.labels(name).inc()

    def transaction(self, waited: float, worked: float) -> None:
        """Record a transaction of the store."""
        self.store_wait.observe(waited)
        self.store_work.observe(worked)

    def statement_ended(
        self, kind: Kind, outcome: str, *, waited: timedelta, ran: timedelta
    ) -> None:
        """See the port."""
        self.statement_wait.labels(kind.value).observe(max(0.0, waited.total_seconds()))
        self.statement_run.labels(kind.value, outcome).observe(max(0.0, ran.total_seconds()))

    def session_ready(self, took: timedelta, *, pooled: bool) -> None:
        """See the port."""
        self.driver_start.labels("pool" if pooled else "cold").observe(
            max(0.0, took.total_seconds())
        )

    def session_ended(self, state: str) -> None:
        """See the port."""
        self.sessions_ended.labels(state).inc()

    def set_present(
        self,
        *,
        sessions: Mapping[str, int],
        statements: int,
        held: int,
        links: int,
        connections: int,
        pool: PoolState,
        environment_drivers: PoolState,
        streams: Mapping[str, int],
        queued: int,
    ) -> None:
        """Set the gauges."""
        self.queued.set(queued)
        for of, found in (("starter", pool), ("environments", environment_drivers)):
            self.pool.labels(of, "wanted").set(found.size)
            self.pool.labels(of, "warm").set(found.warm)
            self.pool.labels(of, "starting").set(found.starting)
        self.sessions.clear()
        for phase, number in sessions.items():
            self.sessions.labels(phase).set(number)
        self.statements_open.set(statements)
        self.held.set(held)
        self.links.set(links)
        self.connections.set(connections)
        for kind, number in streams.items():
            self.streams.labels(kind).set(number)

    async def watch_loop(self) -> None:
        """Measure the delay of the event loop until cancelled."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_LAG_EVERY)
            self.lag.observe(max(0.0, time.perf_counter() - before - _LAG_EVERY))
