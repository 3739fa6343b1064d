"""Conf that the policy passes reaches Spark, and its assumptions are true."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from livius.domain.conf_rules import SET_HERE
from support.gateway import Client, Gateway, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

PASSED = {
    "spark.sql.shuffle.partitions": "3",
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.io.compression.codec": "zstd",
    "spark.sql.streaming.checkpointLocation": "Files/checkpoints",
    "spark.hadoop.hive.exec.dynamic.partition.mode": "nonstrict",
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    "spark.driver.maxResultSize": "0",
    "spark.targetLakehouse": "bronze",
}
FABRICS = {
    "spark.native.enabled": "true",
    "spark.shuffle.manager": "org.apache.spark.shuffle.sort.ColumnarShuffleManager",
    "spark.fabric.resourceProfile": "writeHeavy",
    "spark.executor.memory": "28g",
}


SECRET = "s3cr3t-0f-th3-conf"
WITH_SECRETS = {
    "spark.hadoop.fs.azure.account.key.mine.dfs.core.windows.net": SECRET,
    "spark.mine.options": f"-Dpassword={SECRET}",
}


@pytest.fixture(scope="module")
def configured(client: Client) -> Iterator[RemoteSession]:
    """A session with the conf of a Fabric notebook, and secrets in it that end with it."""
    conf = {**PASSED, **FABRICS, **SET_HERE, "spark.livy.session.idle.timeout": "60m"}
    asked = {"conf": {**conf, **WITH_SECRETS}, "driverMemory": "56g", "driverCores": 8}
    home = client.gateway.home
    with client.session(**asked) as session:
        yield session
    wait_for(lambda: not files_with(home, SECRET), seconds=30, what="the driver's folder is empty")


def test_a_session_with_the_conf_of_a_fabric_notebook_runs_with_it(
    configured: RemoteSession,
) -> None:
    tags = configured.get()["tags"]
    assert set(tags["ConfWithoutEffect"].split(",")) == set(FABRICS)
    assert tags["SizesInEffect"].startswith("driverMemory=1g,driverCores=")
    wanted = {**PASSED, **SET_HERE}
    lacking = f"[k for k, v in {wanted!r}.items() if v not in spark.conf.get(k).split(',')]"
    assert configured.text(lacking) == "[]"
    absent = configured.text(f"[spark.conf.get(k, None) for k in {list(FABRICS)!r}]")
    assert absent == "[None, None, None, None]"
    cores = configured.text("sc.defaultParallelism")
    assert f"driverCores={cores}," in tags["SizesInEffect"]
    heap = configured.text("sc._jvm.java.lang.Runtime.getRuntime().maxMemory() // 2**20")
    assert 900 < int(heap) <= 1024
    assert configured.rows("select count(*) from range(10)") == [[10]]


def test_the_operators_java_options_are_the_drivers(
    gateway: Gateway, session: RemoteSession
) -> None:
    java = "sc._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()"
    options = gateway.environment["LIVIUS_DRIVER_JAVA_OPTIONS"].split()
    assert options
    found = f"list({java}.getInputArguments())"
    assert session.text(f"[one for one in {options} if one not in {found}]") == "[]"


def test_a_secret_of_the_conf_is_the_sessions_alone(
    gateway: Gateway, configured: RemoteSession
) -> None:
    found = configured.text(
        "import hashlib\n"
        "hadoop = sc._jsc.hadoopConfiguration()\n"
        "key = hadoop.get('fs.azure.account.key.mine.dfs.core.windows.net')\n"
        "option = spark.conf.get('spark.mine.options').removeprefix('-Dpassword=')\n"
        "print(*(hashlib.sha256(value.encode()).hexdigest() for value in (key, option)))"
    )
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    assert found.split() == [digest, digest]
    assert SECRET not in json.dumps(configured.get())
    holding = files_with(gateway.home, SECRET)
    assert holding, "the driver has it in its folder"
    for path in holding:
        assert path.is_relative_to(gateway.home / "drivers"), path
        assert path.stat().st_mode & 0o007 == 0


def files_with(folder: Path, text: str) -> set[Path]:
    found = set()
    for parent, _, names in os.walk(folder):  # which passes over a folder that has just gone
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):  # a driver's files come and go
                if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                    found.add(path)
    return found
