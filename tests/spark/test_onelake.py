"""OneLake URLs: what they mean in every kind, and what they can't reach."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from livius.domain.ids import PrincipalId, WorkspaceId, new_id
from support import repls
from support.gateway import Client, Gateway, RemoteSession
from support.places import add_lakehouse, add_workspace, sample_principal
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

HOST = "onelake.dfs.fabric.microsoft.com"
SAMPLE = f"abfss://sample@{HOST}/sample.Lakehouse"


class Places(NamedTuple):
    """Folders of the sample lakehouse, of another the caller may use, and of a stranger's."""

    sample: Path
    other: Path
    closed: Path


@pytest.fixture(scope="module")
def places(gateway: Gateway) -> Places:
    facts = gateway.connection
    root = gateway.home / "onelake"
    own = add_workspace(gateway, "Second Place", sample_principal(gateway))
    strangers = add_workspace(gateway, "Closed", PrincipalId(new_id()))
    made = Places(
        sample=root / facts["workspace_id"] / facts["lakehouse_id"],
        other=root / own / add_lakehouse(gateway, own, "Silver"),
        closed=root / strangers / add_lakehouse(gateway, strangers, "Secret"),
    )
    names = gateway.home / "names" / "all.tsv"
    wait_for(
        lambda: made.closed.name in names.read_text(), seconds=30, what="the new names are told"
    )
    return made


def url(folder: Path, path: str, scheme: str = "abfss") -> str:
    """The URL of a lakehouse's folder, by ids."""
    return f"{scheme}://{folder.parent.name}@{HOST}/{folder.name}/{path}"


def refused(session: RemoteSession, address: str) -> str:
    """Why each kind refuses to read and to write there; they must agree that they do."""
    said = [
        session.run(f"spark.read.text({address!r}).collect()"),
        session.run(f"spark.range(1).write.mode('overwrite').csv({address!r})"),
        session.run(f"spark.read.text({json.dumps(address)}).collect()", "spark"),
        session.run(f"select * from text.`{address}`", "sql"),
    ]
    assert [output["status"] for output in said] == ["error"] * len(said), said
    return "\n".join(output["evalue"] for output in said)


def test_the_same_file_by_names_by_ids_in_any_case_and_by_relative_path(
    session: RemoteSession, places: Places
) -> None:
    session.text("spark.range(3).coalesce(1).write.mode('overwrite').csv('Files/spelled')")
    for address in (
        f"{SAMPLE}/Files/spelled",
        f"abfs://sample@{HOST}/sample.Lakehouse/Files/spelled",
        f"abfss://Sample@{HOST.upper()}/SAMPLE.lakehouse/Files/spelled",
        f"abfss://sample@westeurope-{HOST}/sample.Lakehouse/Files/spelled",
        url(places.sample, "Files/spelled"),
        url(places.sample, "Files/spelled", "abfs"),
    ):
        assert session.text(f"spark.read.csv({address!r}).count()") == "3", address
    counted = session.text(f'println(spark.read.csv("{SAMPLE}/Files/spelled").count())', "spark")
    assert counted == "3"
    assert session.rows(f"select count(*) from csv.`{SAMPLE}/Files/spelled`") == [[3]]


def test_a_workspace_whose_name_has_a_space(session: RemoteSession, places: Places) -> None:
    address = f"abfss://Second Place@{HOST}/Silver.Lakehouse/Files/spaced"
    session.text(f"spark.range(4).write.mode('overwrite').parquet({address!r})")
    assert list((places.other / "Files" / "spaced").glob("*.parquet"))
    assert session.text(f"spark.read.parquet({address!r}).count()") == "4"
    quoted = address.replace(" ", "%20")
    assert session.rows(f"select count(*) from parquet.`{quoted}`") == [[4]]


def test_a_lakehouse_made_after_the_session_began(
    session: RemoteSession, gateway: Gateway, places: Places
) -> None:
    made = add_lakehouse(gateway, WorkspaceId(places.other.parent.name), "Late")
    address = f"abfss://Second Place@{HOST}/Late.Lakehouse/Files/x"

    def written() -> bool:
        return bool(session.run(f"spark.range(1).write.csv({address!r})")["status"] == "ok")

    wait_for(written, seconds=60, what="the new name is known", every=0.5)
    assert (places.other.parent / made / "Files" / "x").is_dir()


def test_what_is_unknown_is_refused_with_what_is_known(
    session: RemoteSession, places: Places
) -> None:
    storage = refused(session, "abfss://container@account.dfs.core.windows.net/Files/x")
    assert f"abfss://<workspace>@{HOST}/<lakehouse>.Lakehouse" in storage
    workspace = refused(session, f"abfss://nowhere@{HOST}/sample.Lakehouse/Files/x")
    assert "There is no workspace nowhere" in workspace
    assert "Second Place, sample" in workspace
    lakehouse = refused(session, f"abfss://sample@{HOST}/nothing.Lakehouse/Files/x")
    assert "There is no lakehouse nothing.Lakehouse" in lakehouse
    assert "It may use: sample" in lakehouse


def test_a_lakehouse_without_a_role_is_refused_by_name_and_by_id(
    session: RemoteSession, places: Places
) -> None:
    (places.closed / "Files").mkdir(parents=True, exist_ok=True)
    (places.closed / "Files" / "x").write_text("secret")
    by_id = refused(session, url(places.closed, "Files/x"))
    by_name = refused(session, f"abfss://Closed@{HOST}/Secret.Lakehouse/Files/x")
    across = refused(session, f"abfss://sample@{HOST}/{places.closed.name}/Files/x")
    for said in (by_id, by_name, across):
        assert "that this session may use" in said
        assert "Secret," not in said
    assert (places.closed / "Files" / "x").read_text() == "secret"


@pytest.mark.parametrize(
    "steps",
    [
        "Files/../../../escaped",
        "../../escaped",
        "Files/%2e%2e/%2e%2e/%2e%2e/escaped",
        "Files/%252e%252e/%252E%252E/%252e%252e/escaped",
        "Files/..%2f..%2f..%2fescaped",
        "Files/x\\..\\..\\escaped",
        "/../../etc/passwd",
        "Files/a%00b",
        "Files/a%2500b",
    ],
)
def test_steps_out_of_a_lakehouse_are_refused(
    session: RemoteSession, places: Places, steps: str
) -> None:
    refused(session, f"{SAMPLE}/{steps}")
    encoded = f'new org.apache.hadoop.fs.Path(new java.net.URI("{SAMPLE}/" + raw))'
    raw = json.dumps(steps.replace("\\", "%5C"))
    output = session.run(
        f"val raw = {raw}; val at = {encoded}\n"
        "at.getFileSystem(sc.hadoopConfiguration).create(at).close()",
        "spark",
    )
    assert output["status"] == "error", output
    assert not list(places.sample.parent.parent.rglob("*escaped*"))


def test_links_out_of_a_lakehouse_are_refused(session: RemoteSession, places: Places) -> None:
    outside = places.sample.parent.parent / "outside"
    (outside / "deep").mkdir(parents=True, exist_ok=True)
    (outside / "deep" / "x.txt").write_text("secret\n")
    files = places.sample / "Files"
    for name, target in (
        ("to-folder", outside),
        ("to-file", outside / "deep" / "x.txt"),
        ("to-nothing", outside / "not-there"),
        ("to-itself", files / "to-itself"),
        ("inside", files),
    ):
        (files / name).unlink(missing_ok=True)
        (files / name).symlink_to(target)
    (files / "plain.txt").write_text("plain\n")
    for path in (
        "to-folder/deep/x.txt",
        "to-folder/deep/new",
        "to-folder/new/deeper",
        "to-file",
        "to-nothing",
        "to-nothing/new",
        "to-itself/x",
    ):
        said = refused(session, f"{SAMPLE}/Files/{path}")
        assert "leads out of its lakehouse" in said or "Too many levels" in said, said
    assert sorted(path.name for path in outside.rglob("*")) == ["deep", "x.txt"]
    assert (outside / "deep" / "x.txt").read_text() == "secret\n"
    read = f"[row.value for row in spark.read.text('{SAMPLE}/Files/inside/plain.txt').collect()]"
    assert session.text(read) == "['plain']"
    for name in ("to-folder", "to-file", "to-nothing", "to-itself", "inside"):
        (files / name).unlink()


def test_plain_hadoop_calls_list_make_rename_and_delete(session: RemoteSession) -> None:
    said = session.text(
        f"""
import org.apache.hadoop.fs.Path
val base = new Path("{SAMPLE}/Files/hadoop")
val fs = base.getFileSystem(sc.hadoopConfiguration)
fs.delete(base, true)
def write(name: String, text: String, overwrite: Boolean = true) = {{
  val out = fs.create(new Path(base, name), overwrite); out.write(text.getBytes); out.close()
}}
def text(name: String) = scala.io.Source.fromInputStream(fs.open(new Path(base, name))).mkString
def names(path: String) = fs.listStatus(new Path(path)).map(_.getPath.getName).mkString(" ")
println(fs.mkdirs(new Path(base, "a/b")))
write("a/one", "1"); write("a/two", "22")
println(scala.util.Try(write("a/two", "3", overwrite = false)).isFailure)
println(names(s"$base/a"))
println(fs.rename(new Path(base, "a/one"), new Path(base, "a/two")) + " " + text("a/two"))
println(fs.rename(new Path(base, "a/one"), new Path(base, "a/b")) + " " + names(s"$base/a/b"))
println(fs.rename(new Path(base, "a"), new Path(base, "c")) + " " + names(s"$base"))
println(fs.getFileStatus(new Path(base, "c/two")).getLen)
println(fs.delete(new Path(base, "c"), true) + " " + fs.exists(new Path(base, "c")))
println(names("abfss://sample@{HOST}/").split(" ").contains("sample.Lakehouse"))
println(names("{SAMPLE}"))
def fails(body: => Any) = println(scala.util.Try(body).isFailure)
for (path <- Seq("", "/Files", "/Tables")) fails(fs.delete(new Path(s"{SAMPLE}$path"), true))
fails(fs.mkdirs(new Path("{SAMPLE}/Elsewhere/x")))
""",
        "spark",
    )
    printed = [line for line in said.splitlines() if ": " not in line and "import" not in line]
    assert printed[:1] == ["true"], said
    assert printed == [
        "true",
        "true",
        "b one two",
        "false 22",
        "true one",
        "true c",
        "2",
        "true false",
        "true",
        "Files Tables",
        *["true"] * 4,
    ], said


def test_delta_tables_are_made_changed_and_read_back_in_time(
    session: RemoteSession, client: Client, places: Places
) -> None:
    address = f"{SAMPLE}/Tables/by_url"
    session.run("drop table if exists by_url", "sql")
    session.text(f"spark.range(3).write.format('delta').mode('overwrite').save({address!r})")
    session.text(f"spark.range(3, 5).write.format('delta').mode('append').save({address!r})")
    session.text(
        "from delta.tables import DeltaTable\n"
        f"table = DeltaTable.forPath(spark, {address!r})\n"
        "(table.alias('t').merge(spark.range(4, 7).toDF('id').alias('s'), 't.id = s.id')"
        ".whenMatchedDelete().whenNotMatchedInsertAll().execute())"
    )
    assert session.rows(f"select sum(id), count(*) from delta.`{address}`") == [[17, 6]]
    old = f"select count(*) from delta.`{address}` version as of 0"
    assert session.rows(old) == [[3]]
    assert (
        session.text(
            f"spark.read.format('delta').load({url(places.sample, 'Tables/by_url')!r}).count()"
        )
        == "6"
    )
    assert not list((places.sample / "Tables" / "by_url").rglob("*.crc.crc"))


@pytest.fixture(scope="module")
def another(client: Client) -> Iterator[RemoteSession]:
    """A repl of a second session, beside the one that tests share."""
    with repls.shared(client, 1) as [repl]:
        yield repl


def test_a_table_at_a_url_is_there_for_other_sessions_by_name(
    session: RemoteSession, another: RemoteSession, places: Places
) -> None:
    session.run("drop table if exists located", "sql")
    address = f"abfss://Second Place@{HOST}/Silver.Lakehouse/Tables/located"
    made = session.run(f"create table located (a int) using delta location '{address}'", "sql")
    assert made["status"] == "ok", made
    session.run("insert into located values (1), (2)", "sql")
    assert (places.other / "Tables" / "located" / "_delta_log").is_dir()
    assert another.rows("select sum(a) from located") == [[3]]
    assert another.text('println(spark.table("located").count())', "spark") == "2"
    assert another.rows(f"select count(*) from delta.`{address}`") == [[2]]
    assert session.run("drop table located", "sql")["status"] == "ok"


COPY_TWICE = """
base = {base!r}
delta = lambda: spark.range(5).write.format('delta')
delta().mode('overwrite').save(base + '/Tables/streamed')
def copy():
    stream = spark.readStream.format('delta').load(base + '/Tables/streamed')
    query = stream.writeStream.format('delta').option('checkpointLocation', base + '/Files/check')
    query.trigger(availableNow=True).start(base + '/Tables/copied').awaitTermination()
copy()
delta().mode('append').save(base + '/Tables/streamed')
copy()
"""


def test_a_stream_keeps_its_checkpoint_at_a_url(session: RemoteSession, places: Places) -> None:
    for base in (SAMPLE, f"abfss://Second Place@{HOST}/Silver.Lakehouse"):
        session.text(COPY_TWICE.format(base=base))
        counted = "spark.read.format('delta').load(base + '/Tables/copied').count()"
        assert session.text(counted) == "10"
    assert (places.sample / "Files" / "check" / "commits" / "1").is_file()


def test_a_udf_reads_a_url_in_its_worker(session: RemoteSession) -> None:
    session.text(
        f"spark.range(6).repartition(2).write.mode('overwrite').parquet('{SAMPLE}/Files/in')"
    )
    total = session.text(
        "from pyspark.sql.functions import udf\n"
        f"twice = udf(lambda n: n * 2, 'long')\n"
        f"spark.read.parquet('{SAMPLE}/Files/in').select(twice('id').alias('n'))"
        f".write.mode('overwrite').parquet('{SAMPLE}/Files/out')\n"
        f"spark.read.parquet('{SAMPLE}/Files/out').groupBy().sum('n').first()[0]"
    )
    assert total == "30"


def test_files_have_no_checksums_beside_them_so_anybody_may_write_them(
    session: RemoteSession, places: Places
) -> None:
    session.text(
        "frame = spark.createDataFrame([('old',)])\n"
        "frame.coalesce(1).write.mode('overwrite').text('Files/rewritten')"
    )
    [part] = (places.sample / "Files" / "rewritten").glob("part-*")
    assert not list(part.parent.glob(".*crc"))
    session.text(f"open({'Files/rewritten/' + part.name!r}, 'w').write('new and longer\\n')")
    assert session.text("spark.read.text('Files/rewritten').first()[0]") == "'new and longer'"


APPEND = """
import time
path, count = {path!r}, {count}
errors = []
for n in range(count):
    try:
        spark.range(10).write.format('delta').mode('append').save(path)
    except Exception as error:
        errors.append(str(error))
print(len(errors), errors[:1])
"""


@pytest.mark.parametrize("how", ["url", "file"])
def test_two_sessions_that_append_at_once_lose_no_commit(
    session: RemoteSession, another: RemoteSession, how: str, places: Places
) -> None:
    base = SAMPLE if how == "url" else str(places.sample)
    path, count = f"{base}/Tables/contended_{how}", 12
    session.text(f"spark.range(0).write.format('delta').mode('overwrite').save({path!r})")
    before = len(session.rows(f"describe history delta.`{path}`"))
    rows = session.rows(f"select count(*) from delta.`{path}`")[0][0]
    another.text(f"spark.read.format('delta').load({path!r}).count()")
    numbers = [
        (one, one.submit(APPEND.format(path=path, count=count))) for one in (session, another)
    ]
    for one, number in numbers:
        assert one.wait(number, 240)["output"]["data"]["text/plain"] == "0 []"
    assert len(session.rows(f"describe history delta.`{path}`")) == before + 2 * count
    assert session.rows(f"select count(*) from delta.`{path}`") == [[rows + 2 * count * 10]]
