"""The conf policy: what is refused says why, what passes passes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.domain.conf import check_sizes, parse_duration, police
from livius.domain.errors import Invalid
from livius.domain.session import Sizes


@pytest.mark.parametrize(
    "key",
    [
        "spark.master",
        "SPARK.MASTER",
        "spark.submit.deployMode",
        "spark.driver.extraJavaOptions",
        "driver.extraJavaOptions",
        "spark.executor.defaultJavaOptions",
        "spark.driver.extraClassPath",
        "spark.plugins",
        "spark.sql.extensions",
        "spark.sql.catalog.mine",
        "spark.jars",
        "spark.jars.packages",
        "spark.jars.ivySettings",
        "spark.files",
        "spark.archives",
        "spark.submit.pyFiles",
        "spark.yarn.keytab",
        "spark.kubernetes.driver.podTemplateFile",
        "spark.pyspark.python",
        "spark.hadoop.fs.file.impl",
        "spark.hadoop.hive.metastore.uris",
        "spark.authenticate.secret",
        "spark.driver.bindAddress",
        "spark.ui.proxyBase",
    ],
)
def test_a_dangerous_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(Invalid) as caught:
        police({key: "x"}, local=True)
    assert key in caught.value.message
    assert caught.value.field == f"conf.{key}"


@pytest.mark.parametrize(
    "key", ["spark.sql.shuffle.partitions\n", " spark.x", "spark.mäster", "spark.x=1", "a b"]
)
def test_a_key_that_hides_something_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        police({key: "x"}, local=True)


def test_plain_spark_conf_passes() -> None:
    conf = {"spark.sql.shuffle.partitions": "7", "spark.dynamicAllocation.enabled": "true"}
    assert police(conf, local=True).conf == conf


def test_fabric_only_keys_are_accepted_and_told_to_do_nothing() -> None:
    policed = police({"spark.fabric.pool.name": "Starter Pool", "mine": "1"}, local=True)
    assert policed.conf == {}
    assert policed.without_effect == ("spark.fabric.pool.name", "mine")


def test_sizes_do_nothing_on_a_local_master_and_pass_on_a_cluster() -> None:
    conf = {"spark.executor.memory": "4g"}
    assert police(conf, local=True).without_effect == ("spark.executor.memory",)
    assert police(conf, local=False).conf == conf


def test_the_idle_timeout_is_taken() -> None:
    policed = police({"spark.livy.session.idle.timeout": "60m"}, local=True)
    assert policed.idle_timeout == timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20m", 1200), ("90s", 90), ("1h", 3600), ("1200", 1200), (" 2 H ", 7200)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text, field="f") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "soon", "-1m", "15d", "1w", "9" * 30])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_duration(text, field="f")


@pytest.mark.parametrize(
    "value",
    [
        '{"id":"0f0e0d0c-0b0a-4900-8807-060504030201"}',
        '{"id" : ""0f0e0d0c-0b0a-4900-8807-060504030201""}',
        "0f0e0d0c-0b0a-4900-8807-060504030201",
    ],
)
def test_an_environment_is_found_however_it_is_quoted(value: str) -> None:
    policed = police({"spark.fabric.environmentDetails": value}, local=True)
    assert policed.environment == "0f0e0d0c-0b0a-4900-8807-060504030201"


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=5))
def test_any_conf_is_sorted_or_refused_and_never_breaks(conf: dict[str, str]) -> None:
    try:
        policed = police(conf, local=True)
    except Invalid:
        return
    assert set(policed.conf) | set(policed.without_effect) <= set(conf)
    assert all(key.lower().startswith("spark.") for key in policed.conf)


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(driver_memory="lots"),
        Sizes(driver_memory="0g"),
        Sizes(executor_memory="-4g"),
        Sizes(driver_cores=0),
        Sizes(executor_cores=10_000),
        Sizes(num_executors=-1),
    ],
)
def test_impossible_sizes_are_refused(sizes: Sizes) -> None:
    with pytest.raises(Invalid):
        check_sizes(sizes)


def test_fabric_sizes_pass() -> None:
    check_sizes(Sizes(driver_memory="56g", driver_cores=8, executor_memory="28g"))
