"""The conf policy's tables; `livius.domain.conf` applies them, and the reference is made from them.

A pattern is compared with the whole key in lower case; ``*`` stands for any text. Two rules for
changes: judge a key by its effect before any code of the session runs, and name another way for the
caller to reach the same end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from livius.domain.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Keys that a session can't set: the reason, and the way to do it instead."""

    why: str
    instead: str
    patterns: tuple[str, ...]


REFUSALS: Final[tuple[Refusal, ...]] = (
    Refusal(
        why="the server's settings decide where Spark runs and who it is",
        instead="Leave it out",
        patterns=(
            "spark.master",
            "spark.master.*",
            "spark.submit.*",
            "spark.launcher.*",
            "spark.app.id",
            "spark.app.attempt.id",
            "spark.app.initial.*",
            "spark.home",
            "spark.test.*",
            "spark.executor.id",
            "spark.executor.uri",
            "spark.standalone.*",
            "spark.hadoop.yarn.*",
            "spark.yarn.*",
            "spark.kubernetes.*",
            "spark.mesos.*",
            "spark.deploy.*",
            "spark.worker.*",
            "spark.remote",
            "spark.api.mode",
            "spark.local.connect",
        ),
    ),
    Refusal(
        why="it would load code into the driver, or run a program, before the session's own code",
        instead="Do it in the session's first statement",
        patterns=(
            "*extrajavaoptions*",
            "*defaultjavaoptions*",
            "*extraclasspath*",
            "*librarypath*",
            "*userclasspathfirst*",
            "spark.plugins*",
            "spark.executor.plugins*",
            "*extralisteners",
            "*querylisteners",
            "*executionlisteners",
            "spark.sql.extensions*",
            "spark.sql.catalog.*",
            "spark.sql.defaultcatalog",
            "spark.sql.hive.metastore.*",
            "spark.sql.maven.*",
            "spark.delta.logstore.*",
            "spark.databricks.delta.coordinatedcommits.*",
            "spark.databricks.delta.properties.defaults.coordinatedcommits*",
            "spark.connect.*",
            "spark.metrics.*",
            "spark.testing*",
            "*pyspark.python*",
            "*pyspark.driver.python*",
            "spark.pyspark.*",
            "spark.python.*module",
            "spark.python.profile.dump",
            "spark.r.*",
            "spark.sparkr.*",
            "*script",
            "spark.resources.discoveryplugin",
            "spark.executorenv.*",
            "spark.driverenv.*",
            "spark.hadoop.fs.*.impl",
            "spark.hadoop.javax.jdo.*",
            "spark.hadoop.datanucleus.*",
            "spark.hadoop.net.topology.*",
            "spark.hadoop.hadoop.*",
            "spark.hadoop.io.serializations",
            "spark.hadoop.hive.*",
            "spark.hive.*",
        ),
    ),
    Refusal(
        why="the server loads no files or packages for a session by its conf",
        instead="Put files into Files and load them with sc.addPyFile or spark.read",
        patterns=("spark.jars*", "spark.files", "spark.archives", "spark.driver.resourcesfile"),
    ),
    Refusal(
        why="paths on the server's machine can't be named from outside",
        instead="Leave it out",
        patterns=(
            "spark.local.dir",
            "spark.sql.warehouse.dir",
            "spark.driver.log.*",
            "spark.executor.logs.*",
            "spark.eventlog.*",
            "spark.history.*",
            "spark.python.unix.*",
            "spark.storage.replication.topology*",
            "spark.storage.decommission.*path",
        ),
    ),
    Refusal(
        why="credentials and access rules of the server are not the caller's to set",
        instead="Leave it out",
        patterns=(
            "spark.authenticate*",
            "spark.ssl.*",
            "spark.kerberos.*",
            "spark.security.*",
            "spark.acls.*",
            "spark.admin.*",
            "spark.modify.*",
            "spark.user.groups.*",
            "spark.io.encryption.*",
            "spark.io.crypto.*",
            "spark.network.crypto.*",
            "spark.network.sasl.*",
            "spark.network.ssl.*",
            "spark.hadoop.ssl.*",
            "spark.hadoop.*.credentials.binary",
            "*keytab*",
        ),
    ),
    Refusal(
        why="the driver listens on loopback only, where the server tells it to",
        instead="Leave it out",
        patterns=(
            "spark.driver.host",
            "spark.driver.bindaddress",
            "spark.driver.appuiaddress",
            "spark.driver.port",
            "spark.executor.port",
            "*blockmanager.port",
            "spark.shuffle.service.*",
            "spark.ui.*",
        ),
    ),
    Refusal(
        why="Livius sets it, and a session could not work with another value",
        instead="Leave it out",
        patterns=(
            "spark.sql.catalogimplementation",
            "spark.sql.artifact.*",
            "spark.repl.*",
            "spark.hadoop.fs.defaultfs",
            "spark.hadoop.fs.livius.*",
            "spark.fs.defaultfs",
            "spark.log.structuredlogging.*",
        ),
    ),
)

EXCEPTIONS: Final = (
    "spark.hadoop.hive.exec.dynamic.partition*",
    "spark.hadoop.hive.exec.max.dynamic.partitions*",
    "spark.ui.retained*",
)
"""Harmless keys that a refusal's pattern matches."""

SET_HERE: Final[Mapping[str, str]] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "hive",
}
"""Values that every session has.

Delta's own guide tells people to send them, so they are accepted.
"""

WITHOUT_EFFECT: Final[Mapping[str, Message]] = {
    "spark.fabric.*": Message("Fabric's resource profiles and default items"),
    "spark.livy.*": Message("Fabric's own Livy server"),
    "spark.highconcurrency.*": Message("Fabric's high-concurrency mode"),
    "spark.sql.parquet.vorder.*": Message("V-Order (files are plain Parquet)"),
    "spark.microsoft.*": Message("Microsoft's additions to Delta"),
    "spark.native.*": Message("the native execution engine"),
    "spark.gluten.*": Message("the native execution engine"),
    "spark.ms.*": Message("autotune"),
    "spark.synapse.*": Message("the intelligent cache and other parts of Fabric's Spark"),
    "spark.trident.*": Message("Fabric's own plumbing"),
    "spark.onelake.*": Message("Fabric's own plumbing"),
    "spark.advise.*": Message("Fabric's advisor"),
    "spark.autoscale.*": Message("Fabric's pools"),
    "spark.livius.environment.*": Message("properties of environments, not of sessions"),
    "spark.app.name": Message("the application's name, which is the session's"),
}
"""Keys, most of them Fabric's, that are accepted and have no effect here, with their subjects."""

SIZED_ON_CLUSTERS: Final = (
    "spark.driver.memory",
    "spark.driver.memoryoverhead*",
    "spark.driver.cores",
    "spark.executor.memory",
    "spark.executor.memoryoverhead*",
    "spark.executor.cores",
    "spark.executor.instances",
    "spark.cores.max",
    "spark.dynamicallocation.*",
)
"""On a local master there is one JVM, which a setting sizes."""

CLASSES: Final = (
    "*class",
    "*classes",
    "*classname",
    "*class.name",
    "*classnames",
    "*codec",
    "*codecs",
    "*serializer",
    "*registrator",
    "*provider",
    "*providers",
    "*provider.*",
    "*providername",
    "*topologymapper",
    "*replication.policy",
    "*committer.factory.*",
    "spark.kryo.classestoregister",
    "spark.shuffle.manager",
    "spark.sql.sources.default",
    "spark.streaming.clock",
    "*managerimpl",
    "*interceptors",
    "*signers",
    "*.binding",
    "spark.hadoop.*.impl",
    "spark.hadoop.*factory*",
    "spark.sql.orc.impl",
)
"""Keys whose value may name a class: Spark's, Hadoop's and Delta's own pass, and short names."""

OWN_PACKAGES: Final = (
    "org.apache.spark.",
    "org.apache.hadoop.",
    "org.apache.parquet.",
    "io.delta.",
)

FABRIC_CLASSES: Final = ("org.apache.spark.shuffle.sort.ColumnarShuffleManager",)
"""Classes that only Fabric has: a key with such a value is without effect."""

PATHS: Final = (
    "*.dir",
    "*.path",
    "*.file",
    "*.location",
    "*directory",
    "*checkpointlocation",
)
"""Keys whose value is a path: it must be in a lakehouse."""


class Form(StrEnum):
    """The form of a value."""

    COUNT = "a whole number above zero"
    NUMBER = "a whole number"
    SWITCH = "true or false"
    DURATION = "a duration such as 30s, 5m or 1h"
    BYTES = "a size such as 64m or 1g"
    MEMORY = "a whole number with a unit, such as 512m, 28g or 56g"


FORMS: Final[Mapping[str, Form]] = {
    "spark.sql.shuffle.partitions": Form.COUNT,
    "spark.default.parallelism": Form.COUNT,
    "spark.task.cpus": Form.COUNT,
    "spark.task.maxfailures": Form.COUNT,
    "spark.driver.cores": Form.COUNT,
    "spark.executor.cores": Form.COUNT,
    "spark.cores.max": Form.COUNT,
    "spark.executor.instances": Form.NUMBER,
    "spark.dynamicallocation.minexecutors": Form.NUMBER,
    "spark.dynamicallocation.maxexecutors": Form.NUMBER,
    "spark.dynamicallocation.initialexecutors": Form.NUMBER,
    "spark.highconcurrency.max": Form.COUNT,
    "spark.livius.environment.warm": Form.SWITCH,
    "spark.dynamicallocation.enabled": Form.SWITCH,
    "spark.sql.adaptive.enabled": Form.SWITCH,
    "spark.sql.ansi.enabled": Form.SWITCH,
    "spark.sql.casesensitive": Form.SWITCH,
    "spark.speculation": Form.SWITCH,
    "spark.network.timeout": Form.DURATION,
    "spark.executor.heartbeatinterval": Form.DURATION,
    "spark.sql.broadcasttimeout": Form.DURATION,
    "spark.sql.files.maxpartitionbytes": Form.BYTES,
    "spark.sql.autobroadcastjointhreshold": Form.BYTES,
    "spark.driver.maxresultsize": Form.BYTES,
    "spark.kryoserializer.buffer.max": Form.BYTES,
    "spark.driver.memory": Form.MEMORY,
    "spark.executor.memory": Form.MEMORY,
    "spark.driver.memoryoverhead": Form.BYTES,
    "spark.executor.memoryoverhead": Form.BYTES,
}
"""Well-known keys whose wrong value would only be found once the driver runs, or never."""
