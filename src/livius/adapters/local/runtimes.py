"""Java's options and the server's own conf for Spark of an installed runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from livius.domain.conf_secrets import REDACTION_PATTERN
from livius.ports.runtimes import ConfDefaults

_OPENED: Final = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
"""The packages that Spark needs open; its own launcher opens the same ones."""

PATIENT_COMPILER: Final = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
"""Java's optimizing compiler waits ten times longer than by default (docs/decisions/0022).

It took a third of a cold driver's processor time, for methods that no one calls again. Loops over
data get there within milliseconds. An operator's own options come after these.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An installed runtime and the Java that runs it. ``jars`` is the class path in its order."""

    name: str
    folder: Path
    python: Path
    spark_home: Path
    jars: tuple[Path, ...]
    java: Path


def module_options() -> tuple[str, ...]:
    """Return the options without which Spark does not run on Java 17 and 21.

    The incubating vector module, which Spark's launcher adds, is left out: small Java images do
    not have it, and it only serves a linear algebra library.
    """
    return (
        "-XX:+IgnoreUnrecognizedVMOptions",
        *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED),
        "-Djdk.reflect.useDirectMethodHandle=false",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "--enable-native-access=ALL-UNNAMED",
    )


def java_options(heap: str, temporary: Path) -> tuple[str, ...]:
    """Return the options of every driver's Java. ``heap`` is as Java writes it: 1g, 768m."""
    return (
        f"-Xmx{heap}",
        f"-Djava.io.tmpdir={temporary}",
        # An out-of-memory JVM limps on in unknown ways; its end can be explained.
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        *module_options(),
    )


_BASE_CONF: Final[Mapping[str, str]] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension,livius.Dialect",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "hive",
    "spark.sql.artifact.isolation.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.hadoop.fs.file.impl": "livius.PlainFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
    "spark.hadoop.fs.abfs.impl": "livius.OneLakeFileSystem",
    "spark.hadoop.fs.abfss.impl": "livius.OneLakeFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.abfs.impl": "livius.OneLakeAbfs",
    "spark.hadoop.fs.AbstractFileSystem.abfss.impl": "livius.OneLakeAbfss",
    # Of two simultaneous writers, Delta's own store for local files may lose one's commit.
    "spark.delta.logStore.file.impl": "livius.LocalLogStore",
    "spark.delta.logStore.abfs.impl": "livius.LocalLogStore",
    "spark.delta.logStore.abfss.impl": "livius.LocalLogStore",
}
"""The conf that a session can't change."""

_APART: Final[Mapping[str, str]] = {
    # Spark's own ports need a secret that is new for each driver; its pages can't authenticate.
    "spark.authenticate": "true",
    "spark.ui.enabled": "false",
    # Else Hadoop removes the group permissions that the process's mask gives.
    "spark.hadoop.fs.permissions.umask-mode": "007",
}
"""Further conf that a session can't change, where drivers run as users of their own."""

_DEFAULT_CONF: Final[Mapping[str, str]] = {
    "spark.sql.sources.default": "delta",
    # Else Spark 3.5 makes a Hive table of a CREATE TABLE that names no format.
    "spark.sql.legacy.createHiveTableByDefault": "false",
    # Between the repls of a session, which have pools of their own; first in, first out in each.
    "spark.scheduler.mode": "FAIR",
    # With Delta on its class path, Spark 4.1 refuses spark.sql(query, args) without this.
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
    # Fabric's table properties, such as delta.parquet.vorder.enabled, are unknown to Delta.
    "spark.databricks.delta.allowArbitraryProperties.enabled": "true",
    "spark.ui.enabled": "true",
    "spark.ui.port": "0",
    # Its pages then hide what the gateway's records hide.
    "spark.redaction.regex": REDACTION_PATTERN,
    # The portal shows these pages, without those that end jobs.
    "spark.ui.killEnabled": "false",
    # How long the Python worker of a cancelled task may run after Spark has seen the cancel.
    "spark.python.task.killTimeout": "100ms",
}
"""The conf that a session may change."""

_SMALL_MACHINE: Final[Mapping[str, str]] = {
    # Delta plans a table's state with 50 partitions and Spark its shuffles with 200: on one
    # machine most of that is overhead (measured: reads twice as fast with these).
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
}


def conf_defaults(runtime: str, *, local: bool) -> ConfDefaults:
    """Return the conf that drivers have without any request; with ``local``, in the driver."""
    return ConfDefaults(
        spark=_spark_defaults(runtime),
        gateway={
            **dict.fromkeys((*_OF_EACH_DRIVER, *_APART), ""),
            **_DEFAULT_CONF,
            **(_SMALL_MACHINE if local else {}),
            **_BASE_CONF,
        },
    )


@cache
def _spark_defaults(runtime: str) -> Mapping[str, str]:
    """Return the values of the keys that the runtime's Spark and Delta register, of a build."""
    try:
        text = (files("livius") / "runtimes" / runtime / "defaults.json").read_bytes()
    except OSError:  # a runtime of the operator's own
        return {}
    return msgspec.json.decode(text, type=dict[str, str])


_OF_EACH_DRIVER: Final = (
    *("spark.master", "spark.app.name", "spark.submit.deployMode", "spark.local.dir"),
    *("spark.sql.warehouse.dir", "spark.hadoop.hive.metastore.uris"),
    *("spark.hadoop.fs.livius.onelake.root", "spark.hadoop.fs.livius.onelake.names"),
    *("spark.eventLog.enabled", "spark.extraListeners", "spark.jars"),
    *("spark.livius.eventLog.folder", "spark.livius.eventLog.limit"),
)


def _event_log(folder: Path, limit: int) -> dict[str, str]:
    """Return the conf of `EventLog.scala`, which starts Spark's log when the driver is bound."""
    return {
        "spark.eventLog.enabled": "false",
        "spark.extraListeners": "org.apache.spark.sql.livius.EventLog",
        "spark.livius.eventLog.folder": str(folder),
        "spark.livius.eventLog.limit": str(limit),
    }


def spark_conf(
    *,
    master: str,
    name: str,
    metastore_uri: str,
    scratch: Path,
    lakehouses: Path,
    names: Path | None,
    asked: Mapping[str, str],
    event_log: Path | None = None,
    event_log_limit: int = 0,
    apart: bool = False,
    jars: Sequence[Path] = (),
) -> dict[str, str]:
    """Return a driver's complete Spark conf: our defaults, the caller's, then the fixed part.

    ``names`` is None for a driver whose user is not known yet. ``event_log`` is the folder of
    Spark's event log. ``apart``: the machine has drivers of other principals, which must not read
    from this one. ``jars`` are an environment's, for executors that are not in the driver.
    """
    local = master.startswith("local")
    return {
        **_DEFAULT_CONF,
        **(_SMALL_MACHINE if local else {}),
        **asked,
        **_BASE_CONF,
        **(_APART if apart else {}),
        **({} if local or not jars else {"spark.jars": ",".join(map(str, jars))}),
        "spark.master": master,
        "spark.app.name": name,
        "spark.submit.deployMode": "client",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.hadoop.hive.metastore.uris": metastore_uri,
        "spark.hadoop.fs.livius.onelake.root": str(lakehouses),
        **({} if names is None else {"spark.hadoop.fs.livius.onelake.names": str(names)}),
        **({} if event_log is None else _event_log(event_log, event_log_limit)),
    }
