"""The conf policy knows every key of this runtime's Spark that could reach out of a session."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from livius.adapters.local.runtimes import conf_defaults
from livius.domain.conf import is_ruled
from livius.domain.pool import fixed_keys
from livius.installation.java import find_java
from livius.installation.recipes import recipe
from support.gateway import RUNTIME, runtime_folder
from support.marks import IS_SPARK_4

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

REACHES = frozenset(
    re.findall(
        r"\w+",
        "class classes plugin plugins listener listeners extension extensions jar jars "
        "path paths dir directory file files location locations script command python java host "
        "port address addresses url urls uri uris impl factory provider providers serializer codec "
        "codecs manager secret password token credential credentials keytab principal keystore "
        "truststore acl acls user users proxy hook hooks clock catalog mapping module executable "
        "signal binding signers interceptors opts options env home template archives repositories "
        "packages",
    )
)
"""Words of a key whose value could start a program, load code, or name a file or an address."""

HARMLESS = frozenset(
    {
        "spark.databricks.delta.allFilesInCrc.thresholdIndexedCols",
        "spark.databricks.delta.backfill.maxNumFiles",
        "spark.databricks.delta.changeDataFeed.defaultSchemaModeForColumnMappingTable",
        "spark.databricks.delta.checkpointV2.topLevelFileFormat",
        "spark.databricks.delta.commitInfo.userMetadata",
        "spark.databricks.delta.dummyFileManager.prefix",
        "spark.databricks.delta.testOnly.dataFileNamePrefix",
        "spark.databricks.delta.testOnly.dvFileNamePrefix",
        "spark.executor.decommission.signal",  # sent by Kubernetes alone
        "spark.executor.metrics.fileSystemSchemes",
        "spark.files.io.threads",
        "spark.files.overwrite",
        "spark.files.useFetchCache",
        "spark.port.maxRetries",
        "spark.shuffle.file.buffer.kb",
        "spark.shuffle.file.merge.buffer",
        "spark.shuffle.localDisk.file.output.buffer",
        "spark.shuffle.push.server.minChunkSizeInMergedShuffleFile",
        "spark.sql.codegen.factoryMode",
        "spark.sql.files.maxPartitionBytes",
        "spark.sql.files.maxPartitionNum",
        "spark.sql.files.minPartitionNum",
        "spark.sql.files.openCostInBytes",
        "spark.sql.hive.verifyPartitionPath",
        "spark.sql.legacy.allowCreatingManagedTableUsingNonemptyLocation",
        "spark.sql.optimizer.nestedPredicatePushdown.supportedFileSources",
        "spark.sql.planner.pythonExecution.memory",
        "spark.sql.redaction.options.regex",
        "spark.sql.sources.disabledJdbcConnProviderList",
        "spark.sql.sources.useListFilesFileSystemList",
        "spark.storage.blockManagerHeartbeatTimeoutMs",
        "spark.storage.blockManagerSlaveTimeoutMs",
        "spark.streaming.fileStream.minRememberDuration",
        # Not keys: a prefix, and names that Spark gives to other things.
        "spark.shuffle.plugin.__config__.",
        "spark.port.",
        "spark.sql.catalog",
    }
)
"""Keys that only look as if: a person has read what Spark does with each."""

UNDEFINED = "<undefined>"
MEASURES = frozenset({"enabled", "size", "timeout", "interval", "level"})
PLAIN = re.compile(r"(true|false|-?\d+(\.\d+)?([a-z]+|E\d+)?)")
"""Defaults of keys whose values are switches, numbers, sizes and durations."""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """The keys of the runtime's Spark: see `support.registered_conf`."""
    folder = runtime_folder()
    java = find_java(None, folder.parent, recipe(RUNTIME).java)
    assert java is not None
    script = Path(__file__).parents[1] / "support" / "registered_conf.py"
    done = subprocess.run(
        [folder / "venv" / "bin" / "python", script, folder / "jars"],
        env={"PATH": os.environ["PATH"], "JAVA_HOME": str(java.binary.parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    keys: dict[str, Any] = json.loads(done.stdout)
    assert len(keys["registered"]) > (1500 if IS_SPARK_4 else 1300), "all of them are found"
    return keys


def test_no_session_gets_a_warm_driver_with_conf_that_it_can_not_take(
    found: dict[str, Any],
) -> None:
    taken = set(found["registered"]) - set(fixed_keys(found["registered"]))
    assert taken <= set(found["settable"])
    cold = {key for key in set(found["settable"]) - taken if key.startswith("spark.sql.")}
    connect = {"connect"} if IS_SPARK_4 else set()
    assert {key.split(".")[2] for key in cold} == {"catalog", "hive", "ui"} | connect, cold


def test_no_key_that_could_reach_out_is_without_a_rule(found: dict[str, Any]) -> None:
    keys = {*found["registered"], *found["named"]}
    reaching = {key for key in keys if reaches_out(key, found["registered"].get(key, ""))}
    assert "spark.launcher.port" in reaching
    unruled = {key for key in reaching if not is_ruled(key)}
    assert sorted(unruled - HARMLESS) == []
    if IS_SPARK_4:  # some of them are plain to see in Spark 3.5
        assert sorted((HARMLESS & keys) - unruled) == []


def reaches_out(key: str, default: str) -> bool:
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", key.partition(".")[2])
    words = [part.lower() for part in parts]
    measures = words and words[-1] in MEASURES
    return bool(REACHES & {*words}) and not measures and not PLAIN.fullmatch(default)


def test_pages_have_the_defaults_of_this_spark(found: dict[str, Any]) -> None:
    registered = {key: value for key, value in found["registered"].items() if value != UNDEFINED}
    del registered["spark.sql.warehouse.dir"]  # a folder of this process
    assert conf_defaults(RUNTIME, local=True).spark == registered
