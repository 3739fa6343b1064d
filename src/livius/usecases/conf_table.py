"""The conf of a session as one table: what was requested, what is in effect, and where from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from livius.domain.conf import (
    ENVIRONMENT_DETAILS,
    ENVIRONMENT_ID,
    IDLE_TIMEOUT,
    POOL_NAME,
    RUNTIME,
    why_without_effect,
)
from livius.domain.environment import Compute
from livius.domain.session import Session
from livius.ports.runtimes import ConfDefaults
from livius.usecases.context import Context
from livius.usecases.monitoring import SIZES, ConfView, conf_of

_OURS: Final = frozenset(
    key.lower() for key in (IDLE_TIMEOUT, RUNTIME, POOL_NAME, ENVIRONMENT_ID, ENVIRONMENT_DETAILS)
)
"""Keys that Livius takes, and Spark never sees."""


class Source(StrEnum):
    """The origin of a value, the nearest to the session first."""

    SESSION = "session"
    ENVIRONMENT = "environment"
    WORKSPACE = "workspace"
    GATEWAY = "gateway"
    SPARK = "spark"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfRow:
    """A key with its values; None: it has none, or Spark does not run yet.

    ``source`` is the effective value's; ``why`` is the reason why the requested one does nothing.
    """

    key: str
    requested: str | None = None
    effective: str | None = None
    default: str | None = None
    source: Source | None
    why: str | None = None


async def conf_table(context: Context, session: Session) -> Sequence[ConfRow]:
    """Return all conf of a session that the caller may read; the requested part first."""
    view = await conf_of(context, session)
    publish = await context.store.publish(session.environment) if session.environment else None
    compute = publish.version.compute if publish is not None else None
    table = _Table(
        session=session,
        view=view,
        compute=compute,
        pool_source=await _pool_source(context, session, view, compute),
        environment=None if publish is None else publish.version.environment,
        defaults=context.runtimes.defaults(session.runtime),
        context=context,
    )
    rows = [*table.sizes(), *table.ours(), *table.spark()]
    order = [*Source, None]
    return sorted(rows, key=lambda row: (row.requested is None, order.index(row.source), row.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    session: Session
    view: ConfView
    compute: Compute | None
    pool_source: Source
    environment: str | None
    defaults: ConfDefaults
    context: Context

    def sizes(self) -> Sequence[ConfRow]:
        """Return the rows of sizes that a request or an environment has, or that a pool bounds."""
        view, rules = self.view, self.context.rules
        known: Mapping[str, Any] = {
            "driverMemory": rules.driver_memory,
            "driverCores": rules.driver_cores,
        }
        rows = []
        for name in SIZES:
            asked, effective = view.sizes_asked.get(name), view.sizes_in_effect.get(name)
            if asked is None and effective is None:
                continue
            is_other = asked is not None and rules.local and asked != effective
            rows.append(
                ConfRow(
                    key=name,
                    requested=asked,
                    effective=effective,
                    default=None if known.get(name) is None else str(known[name]),
                    source=self._source_of_size(asked, effective),
                    why=why_without_effect("spark.driver.memory", "") if is_other else None,
                )
            )
        return rows

    def _source_of_size(self, asked: str | None, effective: str | None) -> Source:
        if "pool" in self.view.sizes_in_effect:
            return self.pool_source
        return Source.SESSION if asked is not None and asked == effective else Source.GATEWAY

    def ours(self) -> Sequence[ConfRow]:
        """Return the rows of keys that Livius takes."""
        session, rules = self.session, self.context.rules
        idle, usual = _seconds(session.idle_timeout), _seconds(rules.idle_timeout)
        rows = [
            self._our_row(IDLE_TIMEOUT, idle, default=usual),
            self._our_row(RUNTIME, session.runtime, default=rules.default_runtime),
        ]
        pool = self.view.sizes_in_effect.get("pool")
        if pool is not None or self._asked(POOL_NAME) is not None:
            rows.append(self._our_row(POOL_NAME, pool))
        named = ENVIRONMENT_ID if self._asked(ENVIRONMENT_DETAILS) is None else ENVIRONMENT_DETAILS
        if self.environment is not None or self._asked(named) is not None:
            rows.append(self._our_row(named, self.environment))
        return rows

    def _our_row(self, key: str, effective: str | None, *, default: str | None = None) -> ConfRow:
        asked = self._asked(key)
        is_ignored = asked is not None and key in self.view.without_effect
        source: Source | None = Source.WORKSPACE
        if effective is None:
            source = None
        elif asked is not None and not is_ignored:
            source = Source.SESSION
        elif key == POOL_NAME:
            source = self.pool_source
        elif self._is_of_environment(key):
            source = Source.ENVIRONMENT
        elif effective == default:
            source = Source.GATEWAY
        return ConfRow(
            key=key,
            requested=asked,
            effective=effective,
            default=default,
            source=source,
            why=why_without_effect(key, asked) if is_ignored and asked is not None else None,
        )

    def _is_of_environment(self, key: str) -> bool:
        if self.compute is None:
            return False
        return key == RUNTIME or key.lower() in (one.lower() for one in self.compute.conf)

    def _asked(self, key: str) -> str | None:
        return _asked(self.view, key)

    def spark(self) -> Sequence[ConfRow]:
        """Return the rows of all other keys."""
        view = self.view
        effective = view.effective or self.session.conf
        keys = {*view.asked, *effective, *self.session.conf}
        return [self._row(key, effective.get(key)) for key in keys if key.lower() not in _OURS]

    def _row(self, key: str, effective: str | None) -> ConfRow:
        asked = self.view.asked.get(key)
        is_ignored = asked is not None and key in self.view.without_effect
        gateway = self.defaults.gateway.get(key)
        return ConfRow(
            key=key,
            requested=asked,
            effective=effective,
            default=gateway or self.defaults.spark.get(key),
            source=self._source(key, asked, effective),
            why=why_without_effect(key, asked) if is_ignored and asked is not None else None,
        )

    def _source(self, key: str, asked: str | None, effective: str | None) -> Source | None:
        if effective is None:
            return None
        if asked == effective:
            return Source.SESSION
        if asked is None and key in self.session.conf:
            return Source.ENVIRONMENT if self.compute is not None else Source.SESSION
        return Source.GATEWAY if key in self.defaults.gateway else Source.SPARK


async def _pool_source(
    context: Context, session: Session, view: ConfView, compute: Compute | None
) -> Source:
    """Return the origin of the pool that bounds a session, unless the session chose it.

    The records have the pool's name at the session's start. It may have changed since.
    """
    if compute is None or compute.pool is None or _asked(view, POOL_NAME) is not None:
        return Source.WORKSPACE
    name = view.sizes_in_effect.get("pool")
    found = await context.store.spark_configuration(session.workspace)
    is_other = any(one.name == name and one.id != compute.pool for one in found.pools)
    return Source.WORKSPACE if is_other else Source.ENVIRONMENT


def _asked(view: ConfView, key: str) -> str | None:
    asked = view.asked.items()
    return next((value for name, value in asked if name.lower() == key.lower()), None)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g}s"
