"""The context of all use cases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta

from livius.domain.ids import SessionId
from livius.domain.pool import PoolState
from livius.domain.spark_pool import Compute, mebibytes
from livius.ports.capacity import Capacity
from livius.ports.clock import Clock
from livius.ports.environments import EnvironmentFiles
from livius.ports.history import EventLogs, SparkHistory
from livius.ports.identity import Directory, SessionTokens
from livius.ports.lakehouse_browser import LakehouseBrowser
from livius.ports.lakehouse_edits import LakehouseEdits
from livius.ports.lakehouse_uploads import LakehouseUploads
from livius.ports.lakehouses import LakehouseFiles
from livius.ports.links import Links
from livius.ports.logs import DriverLogs, SparkUi
from livius.ports.metastore import Metastore
from livius.ports.meter import Meter
from livius.ports.notifications import Notifications
from livius.ports.outputs import Outputs
from livius.ports.runtimes import Runtimes
from livius.ports.store import Store
from livius.ports.vaults import Vaults
from livius.ports.wake import Wake
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.completion import Completions
from livius.usecases.livy_log import LivyLogs


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The operator's settings for use cases.

    ``local`` means that Spark runs inside the driver, which then has ``driver_memory`` and
    ``driver_cores``. A statement's data, and its text, are in its record up to ``inline_bytes``
    each; ``output_limit`` limits its stored text. ``hold`` is the default duration of a long poll.
    ``pool`` is the fingerprint of the starter pool's drivers; None: there is no pool.
    ``environment_drivers`` is the fingerprint of the settings that drivers share, where those of
    environments are kept warm. ``queue`` is how many sessions may wait for room. ``trusted`` are
    the object ids of the principals that may run code; None: all with the right. ``owners`` are the
    object ids of users who may change the embedded authority's directory. ``apart`` means that
    drivers run as users of their own, whose tables the gateway neither loads nor deletes.
    """

    default_runtime: str
    idle_timeout: timedelta
    local: bool
    driver_memory: str
    driver_cores: int | None
    beat: timedelta
    inline_bytes: int
    output_limit: int
    long_poll: timedelta
    pool: str | None = None
    environment_drivers: str | None = None
    queue: int = 0
    trusted: frozenset[str] | None = None
    owners: frozenset[str] = frozenset()
    apart: bool = False

    @property
    def driver_compute(self) -> Compute | None:
        """What a driver has that no pool bounds; None where Spark runs elsewhere."""
        if self.driver_cores is None:
            return None
        return Compute(self.driver_cores, mebibytes(self.driver_memory))


async def no_pool() -> PoolState:
    """Return the state of a gateway without a starter pool."""
    return PoolState.off()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The ports, and the rules.

    ``conf_secrets`` has the secrets in the conf of sessions whose drivers don't have them yet: in
    memory only, for the reconciler. ``pool`` returns the starter pool's state,
    ``environment_drivers`` that of the warm drivers of environments. ``directory`` is None with
    another authority. ``wake_operations`` is called when an operation was added or cancelled.
    """

    store: Store
    lakehouses: LakehouseFiles
    environments: EnvironmentFiles
    browser: LakehouseBrowser
    uploads: LakehouseUploads
    edits: LakehouseEdits
    metastore: Metastore
    outputs: Outputs
    links: Links
    logs: DriverLogs
    pages: SparkUi
    event_logs: EventLogs
    history: SparkHistory
    meter: Meter
    clock: Clock
    capacity: Capacity
    notifications: Notifications
    wake: Wake
    tokens: SessionTokens
    vaults: Vaults
    runtimes: Runtimes
    throttle: AuditThrottle
    livy_logs: LivyLogs
    rules: Rules
    conf_secrets: MutableMapping[SessionId, Mapping[str, str]]
    completions: Completions = field(default_factory=Completions)
    pool: Callable[[], Awaitable[PoolState]] = no_pool
    environment_drivers: Callable[[], Awaitable[PoolState]] = no_pool
    directory: Directory | None = None
    wake_operations: Callable[[], None] = lambda: None
