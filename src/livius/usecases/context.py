"""What every use case works with."""

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
    """What the operator decided, as far as use cases need it.

    ``local`` tells that Spark runs inside the driver alone; ``driver_memory`` and
    ``driver_cores`` are what a driver then has. ``runtimes`` are those that drivers can be
    started with. ``inline_bytes`` is the most that an ending's data, and its text, may take in
    its record; ``output_limit`` is the most of its text that is kept.
    ``hold`` is how long the question for something unfinished is held by default.
    ``trusted`` are the object ids of those who may run code; None: whoever has the right.
    ``owners`` are those of the people who may change the embedded authority's directory.
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

    ``conf_secrets`` holds the secrets of the conf of sessions whose drivers are still to be
    launched: in memory alone, for the reconciler.
    ``directory`` is None where another authority than ours says who there is.
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
