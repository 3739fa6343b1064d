"""Pools of warm drivers: their state, and the conf that a running driver can still take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from livius.domain.digests import hash_drawn
from livius.domain.environment import KEEPS_WARM, EnvironmentVersion
from livius.domain.ids import EnvironmentVersionId
from livius.domain.spark_pool import Compute

REASONS_TAG: Final = "FallbackReasons"
MESSAGES_TAG: Final = "FallbackMessages"
"""Fabric's tags of a session that did not get a driver of the pool (Fabric contract 3.4)."""

_TAKEN: Final = ("spark.sql.*", "spark.databricks.delta.*")
_FIXED: Final = (
    "*threadpool.size",
    "*threadpoolsize",
    "*maxthreadthreshold",
    "spark.databricks.delta.clusteredtable.numclusteringcolumnslimit",
    "spark.databricks.delta.command.filematerializationlimit.softmax",
    "spark.databricks.delta.merge.materializesource.maxattempts",
    "spark.databricks.delta.testonly.*",
    "spark.sql.cache.serializer",
    "spark.sql.catalog.*",
    "spark.sql.catalogimplementation",
    "spark.sql.codegen.cache.maxentries",
    "spark.sql.codegen.comments",
    "spark.sql.connect.*",
    "spark.sql.debug",
    "spark.sql.defaulturlstreamhandlerfactory.enabled",
    "spark.sql.event.truncate.length",
    "spark.sql.extensions*",
    "spark.sql.filesourcetablerelationcachesize",
    "spark.sql.globaltempdatabase",
    "spark.sql.hive.metastore.*",
    "spark.sql.hive.thriftserver.*",
    "spark.sql.hive.version",
    "spark.sql.legacy.sessioninitwithconfigdefaults",
    "spark.sql.metadatacachettlseconds",
    "spark.sql.queryexecutionlisteners",
    "spark.sql.sources.disabledjdbcconnproviderlist",
    "spark.sql.sources.schemastringlengththreshold",
    "spark.sql.streaming.streamingquerylisteners",
    "spark.sql.streaming.ui.*",
    "spark.sql.ui.*",
    "spark.sql.warehouse.dir",
)
"""Of the keys that Spark's sessions read, those that it reads once. A test asks Spark for them."""


class Condition(StrEnum):
    """Why the pool is as it is."""

    OFF = "off"
    """None are wanted, or drivers can't be shared by all users of this server."""
    FILLED = "filled"
    FILLING = "filling"
    """A driver is starting, or about to."""
    WAITING = "waiting"
    """It waits for a quiet moment."""
    NO_MEMORY = "no_memory"
    FAILING = "failing"
    """Its drivers ended by themselves; it tries again after a pause."""
    GIVEN_UP = "given_up"
    """They did again and again: it tries no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """How many drivers are wanted, wait for a session, and are starting."""

    size: int
    warm: int
    starting: int
    condition: Condition

    @classmethod
    def off(cls) -> PoolState:
        """Return the state where there is no pool."""
        return cls(size=0, warm=0, starting=0, condition=Condition.OFF)


class WarmDriver(StrEnum):
    """How the warm driver of an environment's published version is."""

    UNWANTED = "unwanted"
    """The version does not ask for one."""
    NEVER = "never"
    """It does, and the operator lets none wait."""
    ABSENT = "absent"
    """It waits for a quiet moment, for memory, or for room among others."""
    STARTING = "starting"
    WARM = "warm"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolKind:
    """What a driver of the pool has and can't change.

    ``fingerprint`` stands for all of it. ``environment`` is the version whose libraries and
    properties it has; None for the starter pool's.
    """

    fingerprint: str
    runtime: str
    environment: EnvironmentVersionId | None = None
    bounds: Compute | None = None

    @classmethod
    def of_environment(
        cls, common: str, version: EnvironmentVersion, bounds: Compute | None
    ) -> PoolKind:
        """Return the kind that sessions with a version can claim.

        ``common`` is the fingerprint of the settings that all drivers share.
        """
        sizes = None if bounds is None else [bounds.cores, bounds.memory_mb]
        return cls(
            fingerprint=hash_drawn(json.dumps([common, version.id, sizes])),
            runtime=version.compute.runtime,
            environment=version.id,
            bounds=bounds,
        )


def settable(conf: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a conf that a running driver can take."""
    return {key: value for key, value in conf.items() if _can_be_set(key)}


def fixed_keys(conf: Mapping[str, str]) -> Sequence[str]:
    """Return the keys of a conf that only a driver of the session's own can have."""
    return [key for key in conf if not _can_be_set(key)]


def _can_be_set(key: str) -> bool:
    if not any(fnmatchcase(key, pattern) for pattern in _TAKEN):
        return False
    return not any(fnmatchcase(key.lower(), pattern) for pattern in _FIXED)


def fallback(reason: str, message: str) -> dict[str, str]:
    """Return the tags of a session that starts a driver of its own."""
    return {REASONS_TAG: reason, MESSAGES_TAG: message}


def conf_fallback(keys: Sequence[str]) -> dict[str, str]:
    """Return the tags of a session whose conf has fixed keys."""
    return fallback(
        "UserSparkConfigMismatch",
        f"A running Spark can't take {', '.join(keys)}, so the session starts a driver of its own. "
        "Without it, the session gets one that is warm.",
    )


ENVIRONMENT_FALLBACK: Final = fallback(
    "EnvironmentMismatch",
    "The environment has libraries or a runtime that the drivers of the starter pool don't have, "
    f"so the session starts a driver of its own. With the Spark property {KEEPS_WARM}=true of the "
    "environment, one of its drivers waits warm.",
)


def runtime_fallback(runtime: str) -> dict[str, str]:
    """Return the tags of a session with another runtime than the starter pool's."""
    return fallback(
        "RuntimeMismatch",
        f"The drivers of the starter pool have another runtime than {runtime}, so the session "
        "starts a driver of its own.",
    )


def pool_fallback(pool: str) -> dict[str, str]:
    """Return the tags of a session of a custom pool that is smaller than the starter pool's."""
    return fallback(
        "CustomPool",
        f"The drivers of the starter pool are larger than the pool {pool} allows, so the session "
        "starts a driver of its own.",
    )


NONE_WARM_OF_ENVIRONMENT: Final = fallback(
    "EnvironmentPoolEmpty",
    "No driver with the libraries of the environment and the sizes of the session's pool was warm, "
    "so the session starts one of its own. The operator can raise LIVIUS_ENVIRONMENT_POOL_SIZE.",
)
NONE_WARM: Final = fallback(
    "StarterPoolEmpty",
    "No driver of the starter pool was warm, so the session starts one of its own. The operator "
    "can raise LIVIUS_POOL_SIZE.",
)
