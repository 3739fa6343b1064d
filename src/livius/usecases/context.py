"""The context of all use cases."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import timedelta

from livius.domain.ids import DriverId
from livius.ports.capacity import Capacity
from livius.ports.clock import Clock
from livius.ports.identity import Directory, SessionTokens
from livius.ports.lakehouse_browser import LakehouseBrowser
from livius.ports.lakehouses import LakehouseFiles
from livius.ports.links import Links
from livius.ports.logs import DriverLogs, SparkUi
from livius.ports.meter import Meter
from livius.ports.notifications import Notifications
from livius.ports.outputs import Outputs
from livius.ports.store import Store
from livius.ports.vaults import Vaults
from livius.ports.wake import Wake
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.livy_log import LivyLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The operator's settings for use cases.

    ``local`` means that Spark runs inside the driver, which then has ``driver_memory`` and
    ``driver_cores``. ``runtimes`` are the available runtimes. A statement's data, and its text, are
    in its record up to ``inline_bytes`` each; ``output_limit`` limits its stored text. ``hold`` is
    the default duration of a long poll. ``trusted`` are the object ids of the principals that may
    run code; None: all with the right. ``owners`` are the object ids of users who may change the
    embedded authority's directory.
    """

    default_runtime: str
    runtimes: frozenset[str]
    idle_timeout: timedelta
    local: bool
    driver_memory: str
    driver_cores: int | None
    beat: timedelta
    inline_bytes: int
    output_limit: int
    long_poll: timedelta
    trusted: frozenset[str] | None = None
    owners: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The ports, and the rules.

    ``conf_secrets`` has the secrets in the conf of sessions whose drivers are not launched yet: in
    memory only, for the reconciler. ``directory`` is None with another authority.
    """

    store: Store
    lakehouses: LakehouseFiles
    browser: LakehouseBrowser
    outputs: Outputs
    links: Links
    logs: DriverLogs
    pages: SparkUi
    meter: Meter
    clock: Clock
    capacity: Capacity
    notifications: Notifications
    wake: Wake
    tokens: SessionTokens
    vaults: Vaults
    throttle: AuditThrottle
    livy_logs: LivyLogs
    rules: Rules
    conf_secrets: MutableMapping[DriverId, Mapping[str, str]]
    directory: Directory | None = None
