"""Conf that the policy passes reaches Spark, and its assumptions are true."""

import contextlib
import hashlib
import json
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


def test_a_session_with_the_conf_of_a_fabric_notebook_runs_with_it(client: Client) -> None:
    conf = {**PASSED, **FABRICS, **SET_HERE, "spark.livy.session.idle.timeout": "60m"}
    with client.session(conf=conf, driverMemory="56g", driverCores=8) as session:
        tags = session.get()["tags"]
        assert set(tags["ConfWithoutEffect"].split(",")) == set(FABRICS)
        assert tags["SizesInEffect"].startswith("driverMemory=1g,driverCores=")
        wanted = {**PASSED, **SET_HERE}
        lacking = f"[k for k, v in {wanted!r}.items() if v not in spark.conf.get(k).split(',')]"
        assert session.text(lacking) == "[]"
        absent = session.text(f"[spark.conf.get(k, None) for k in {list(FABRICS)!r}]")
        assert absent == "[None, None, None, None]"
        cores = session.text("sc.defaultParallelism")
        assert f"driverCores={cores}," in tags["SizesInEffect"]
        heap = session.text("sc._jvm.java.lang.Runtime.getRuntime().maxMemory() // 2**20")
        assert 900 < int(heap) <= 1024
        assert session.rows("select count(*) from range(10)") == [[10]]


def test_the_operators_java_options_are_the_drivers(
    gateway: Gateway, session: RemoteSession
) -> None:
    java = "sc._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()"
    options = gateway.environment["LIVIUS_DRIVER_JAVA_OPTIONS"].split()
    assert options
    found = f"list({java}.getInputArguments())"
    assert session.text(f"[one for one in {options} if one not in {found}]") == "[]"


def test_a_secret_of_the_conf_is_the_sessions_alone(client: Client) -> None:
    secret = "s3cr3t-0f-th3-conf"
    conf = {
        "spark.hadoop.fs.azure.account.key.mine.dfs.core.windows.net": secret,
        "spark.mine.options": f"-Dpassword={secret}",
    }
    with client.session(conf=conf) as session:
        found = session.text(
            "import hashlib\n"
            "hadoop = sc._jsc.hadoopConfiguration()\n"
            "key = hadoop.get('fs.azure.account.key.mine.dfs.core.windows.net')\n"
            "option = spark.conf.get('spark.mine.options').removeprefix('-Dpassword=')\n"
            "print(*(hashlib.sha256(value.encode()).hexdigest() for value in (key, option)))"
        )
        digest = hashlib.sha256(secret.encode()).hexdigest()
        assert found.split() == [digest, digest]
        assert secret not in json.dumps(session.get())
        home = client.gateway.home
        holding = files_with(home, secret)
        assert holding, "the driver has it in its folder"
        for path in holding:
            assert path.is_relative_to(home / "drivers"), path
            assert path.stat().st_mode & 0o007 == 0
    wait_for(lambda: not files_with(home, secret), seconds=30, what="the driver's folder is empty")


def files_with(folder: Path, text: str) -> set[Path]:
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a driver's files come and go
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.add(path)
    return found
