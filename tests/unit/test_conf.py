"""The conf policy: what is refused says why, what passes passes."""

import re
import time
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.adapters.local.runtimes import _BASE_CONF
from livius.cli.reference import conf_page
from livius.domain.conf import (
    apply_conf_policy,
    check_sizes,
    parse_duration,
    refusal_of,
    sizes_as_conf,
)
from livius.domain.conf_rules import (
    CLASSES,
    EXCEPTIONS,
    FORMS,
    PATHS,
    REFUSALS,
    SET_HERE,
    SIZED_ON_CLUSTERS,
    WITHOUT_EFFECT,
)
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
        "spark.ui.filters",
        "spark.hive.metastore.uris",
        "spark.hadoop.hive.exec.pre.hooks",
        "spark.hadoop.hadoop.security.group.mapping",
        "spark.hadoop.spark.master",
        "spark.hadoop.fs.AbstractFileSystem.file.impl",
        "spark.delta.logStore.class",
        "spark.delta.logStore.s3a.impl",
        "spark.executor.plugins",
        "spark.executor.resource.gpu.discoveryScript",
        "spark.sql.execution.pyspark.python",
        "spark.python.daemon.module",
        "spark.executorEnv.PYTHONPATH",
        "spark.r.command",
        "spark.hadoop.fs.azure.shellkeyprovider.script",
        "spark.sql.maven.additionalRemoteRepositories",
        "spark.connect.extensions.command.classes",
        "spark.sql.streaming.streamingQueryListeners",
        "spark.sql.queryExecutionListeners",
        "spark.scheduler.x.extraJavaOptionsFile",
        "spark.history.fs.logDirectory",
    ],
)
def test_a_dangerous_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(Invalid) as caught:
        apply_conf_policy({key: "x"}, local=True)
    assert key in caught.value.message
    assert caught.value.field == f"conf.{key}"


@pytest.mark.parametrize(
    "key", ["spark.sql.shuffle.partitions\n", " spark.x", "spark.mäster", "spark.x=1", "a b"]
)
def test_a_key_that_hides_something_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        apply_conf_policy({key: "x"}, local=True)


def test_plain_spark_conf_passes() -> None:
    conf = {"spark.sql.shuffle.partitions": "7", "spark.sql.adaptive.enabled": "true"}
    assert apply_conf_policy(conf, local=True).conf == conf


def test_fabric_only_keys_are_accepted_and_told_to_do_nothing() -> None:
    policed = apply_conf_policy(
        {"spark.fabric.resourceProfile": "Starter Pool", "mine": "1"}, local=True
    )
    assert policed.conf == {}
    assert policed.without_effect == ("spark.fabric.resourceProfile", "mine")


def test_sizes_do_nothing_on_a_local_master_and_pass_on_a_cluster() -> None:
    conf = {"spark.executor.memory": "4g"}
    assert apply_conf_policy(conf, local=True).without_effect == ("spark.executor.memory",)
    assert apply_conf_policy(conf, local=False).conf == conf


def test_the_idle_timeout_is_taken() -> None:
    policed = apply_conf_policy({"spark.livy.session.idle.timeout": "60m"}, local=True)
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


@pytest.mark.parametrize("text", ["1" + " " * 200_000 + "x", " " * 200_000 + "x", "1" * 200_000])
def test_a_long_duration_is_refused_at_once(text: str) -> None:
    """Blanks that two parts of a pattern could take were tried in each way: minutes."""
    begun = time.process_time()
    with pytest.raises(Invalid):
        parse_duration(text, field="f")
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "value",
    [
        '{"id":"0f0e0d0c-0b0a-4900-8807-060504030201"}',
        '{"id" : ""0f0e0d0c-0b0a-4900-8807-060504030201""}',
        "0f0e0d0c-0b0a-4900-8807-060504030201",
    ],
)
def test_an_environment_is_found_however_it_is_quoted(value: str) -> None:
    policed = apply_conf_policy({"spark.fabric.environmentDetails": value}, local=True)
    assert policed.environment == "0f0e0d0c-0b0a-4900-8807-060504030201"


HARMLESS = {
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.io.compression.codec": "zstd",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.X",
    "spark.hadoop.fs.azure.account.oauth.provider.type": "org.apache.hadoop.fs.azurebfs.oauth2.A",
    "spark.hadoop.fs.s3a.impl.disable.cache": "true",
    "spark.hadoop.hive.exec.dynamic.partition.mode": "nonstrict",
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    "spark.sql.hive.metastorePartitionPruning": "true",
    "spark.sql.streaming.checkpointLocation": "Files/checkpoints",
    "spark.sql.streaming.forceDeleteTempCheckpointLocation": "true",
    "spark.checkpoint.dir": "abfss://w@onelake.dfs.fabric.microsoft.com/l/Files/c",
    "spark.databricks.delta.optimizeWrite.binSize": "128",
    "spark.sql.sources.v2.bucketing.partition.filter.enabled": "true",
    "spark.driver.maxResultSize": "0",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.broadcastTimeout": "300",
    "spark.ui.retainedJobs": "100",
    "spark.targetLakehouse": "bronze",
}


@pytest.mark.parametrize(("key", "value"), HARMLESS.items())
def test_what_does_no_harm_passes(key: str, value: str) -> None:
    assert apply_conf_policy({key: value}, local=True).conf == {key: value}


@pytest.mark.parametrize(
    "key",
    [
        "spark.native.enabled",
        "spark.gluten.enabled",
        "spark.ms.autotune.queryTuning.enabled",
        "spark.microsoft.delta.optimizeWrite.enabled",
        "spark.sql.parquet.vorder.default",
        "spark.synapse.vegas.useCache",
        "spark.fabric.resourceProfile",
        "spark.fabric.lakehouse.default.id",
        "spark.app.name",
        "Spark.sql.shuffle.partitions",
    ],
)
def test_keys_that_only_fabric_knows_do_nothing(key: str) -> None:
    assert apply_conf_policy({key: "1"}, local=False).without_effect == (key,)


def test_fabrics_shuffle_manager_does_nothing_and_a_strangers_is_refused() -> None:
    columnar = {"spark.shuffle.manager": "org.apache.spark.shuffle.sort.ColumnarShuffleManager"}
    assert apply_conf_policy(columnar, local=True).without_effect == ("spark.shuffle.manager",)
    with pytest.raises(Invalid):
        apply_conf_policy({"spark.shuffle.manager": "com.evil.Manager"}, local=True)


def test_what_every_session_has_anyway_is_what_the_launcher_sets() -> None:
    for key, value in SET_HERE.items():
        assert value in _BASE_CONF[key].split(",")


def test_deltas_own_settings_may_be_sent_as_its_guide_says() -> None:
    assert apply_conf_policy(SET_HERE, local=True).conf == {}
    with pytest.raises(Invalid, match=r"spark\.sql\.extensions"):
        apply_conf_policy({"spark.sql.extensions": "com.evil.Extension"}, local=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.serializer", "com.evil.Serializer"),
        ("spark.closure.serializer", "evil.S"),
        ("spark.io.compression.codec", "com.evil.Codec"),
        ("spark.kryo.registrator", "a.b"),
        ("spark.kryo.classesToRegister", "org.apache.spark.A,com.evil.B"),
        ("spark.sql.streaming.stateStore.providerClass", "com.evil.Store"),
        ("spark.sql.extendedExplainProviders", "com.evil.P"),
        ("spark.sql.adaptive.customCostEvaluatorClass", "com.evil.E"),
        ("spark.hadoop.io.compression.codecs", "com.evil.C"),
        ("spark.hadoop.hadoop.security.credential.provider.path", "jceks://file/x"),
        ("spark.hadoop.fs.s3a.aws.credentials.provider", "com.evil.P"),
        ("spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a", "com.evil.F"),
    ],
)
def test_a_value_that_names_a_foreign_class_is_refused(key: str, value: str) -> None:
    with pytest.raises(Invalid, match=re.escape(key)):
        apply_conf_policy({key: value}, local=True)


@pytest.mark.parametrize(
    "path",
    ["/etc", "file:///etc", "FILE:/etc", "local:///etc", "Files/../../x", "Files/%2e%2E/x",
     "http://example.org/x", "hdfs://a/b", "../x", "Filesystem/x", "//host/x", "Files/a\nb", "~"],
)  # fmt: skip
def test_a_path_outside_the_lakehouse_is_refused(path: str) -> None:
    for key in ("spark.sql.streaming.checkpointLocation", "spark.checkpoint.dir"):
        with pytest.raises(Invalid, match=re.escape(key)):
            apply_conf_policy({key: path}, local=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.sql.shuffle.partitions", "many"),
        ("spark.sql.shuffle.partitions", "0"),
        ("spark.sql.shuffle.partitions", "1.5"),
        ("spark.sql.shuffle.partitions", "\u0664"),
        ("spark.network.timeout", "soon"),
        ("spark.driver.maxResultSize", "1 gigabyte"),
        ("spark.sql.adaptive.enabled", "yes"),
        ("spark.executor.memory", "lots"),
        ("spark.executor.instances", "-1"),
        ("spark.highConcurrency.max", "five"),
        ("spark.livy.session.idle.timeout", "1ms"),
    ],
)
def test_a_value_that_can_not_work_is_refused(key: str, value: str) -> None:
    with pytest.raises(Invalid, match=re.escape(key)):
        apply_conf_policy({key: value}, local=True)


@given(data=st.data())
def test_no_spelling_of_a_refused_key_passes(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from([one for refusal in REFUSALS for one in refusal.patterns]))
    part = st.text(alphabet="abcXYZ019._-", max_size=8)
    key = "".join(data.draw(part) if letter == "*" else letter for letter in pattern)
    key = "".join(data.draw(st.sampled_from((letter.lower(), letter.upper()))) for letter in key)
    if fnmatch(key.lower(), EXCEPTIONS):
        return
    # Spark reads some keys without their prefix, and gives Hadoop others without its.
    prefix = data.draw(st.sampled_from(("", "", "spark.hadoop.", " ", "\ufeff")))
    if not prefix and data.draw(st.booleans()):
        key = re.sub("^spark[.]", "", key, flags=re.IGNORECASE)
    suffix = data.draw(st.sampled_from(("", "", " ", "\n", "\0", "=", "\u200b", "\xa0")))
    if data.draw(st.booleans()):
        # Look-alikes, and letters that turn into ASCII ones in lower case.
        key = key.replace("a", "\u0430").replace("k", "\u212a").replace("i", "\u0130")
    spelled = prefix + key + suffix
    try:
        policed = apply_conf_policy({spelled: "x"}, local=False)
    except Invalid:
        return
    assert policed.conf == {}


def fnmatch(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def test_every_rule_is_in_lower_case_and_reachable() -> None:
    patterns = [one for refusal in REFUSALS for one in refusal.patterns]
    tables = (*patterns, *EXCEPTIONS, *WITHOUT_EFFECT, *SIZED_ON_CLUSTERS, *CLASSES, *PATHS, *FORMS)
    assert all(pattern == pattern.lower() for pattern in tables)
    assert len(set(patterns)) == len(patterns)
    assert all(refusal_of(pattern.replace("*", "x")) for pattern in patterns)


def test_the_reference_is_what_the_code_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "conf.md"
    assert page.read_text(encoding="utf-8") == conf_page()


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=5))
def test_any_conf_is_sorted_or_refused_and_never_breaks(conf: dict[str, str]) -> None:
    try:
        policed = apply_conf_policy(conf, local=True)
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
    # And those that Fabric has no node for: nothing depends on nodes here.
    check_sizes(Sizes(driver_memory="2g", driver_cores=3))


def test_the_sizes_of_a_request_are_conf_on_a_cluster() -> None:
    asked = sizes_as_conf(Sizes(driver_memory="56g", executor_memory="28g", num_executors=2))
    assert asked == {"spark.executor.memory": "28g", "spark.executor.instances": "2"}
    assert apply_conf_policy(asked, local=False).conf == asked
