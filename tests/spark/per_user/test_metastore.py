"""Per-user launch: the metastore enforces the roles against SQL and against raw clients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from livius.domain.lakehouse import Role
from support.gateway import Client, RemoteSession
from support.team import Team, printed_json
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


SECRET_ROWS = [["ada", 1], ["eve", 2]]


@pytest.fixture(scope="module")
def secrets(team: Team) -> Path:
    """A table in a lakehouse where the first one has no role; its folder."""
    team.inside.rows(
        "create table salaries as select 'ada' as who, 1 as much union select 'eve', 2"
    )
    team.inside.rows("create table plain (id int, day string) using parquet partitioned by (day)")
    team.inside.rows("insert into plain values (1, 'monday')")
    return team.private / "Tables" / "salaries"


def assert_whole(team: Team) -> None:
    """The strangers' tables are as they were."""
    assert team.inside.rows("select who, much from salaries order by who") == SECRET_ROWS
    assert team.inside.rows("select * from plain") == [[1, "monday"]]
    tables = sorted(row[1] for row in team.inside.rows("show tables"))
    assert tables == ["plain", "salaries"]
    folders = sorted(path.name for path in (team.private / "Tables").iterdir())
    assert folders == ["plain", "salaries"]


def databases(rows: list[list[str]]) -> list[str]:
    """Those in the rows, without those of the test of schemas, which are both users'."""
    return [row[0] for row in rows if not row[0].startswith("crew__")]


def test_sql_finds_only_tables_of_ones_own_lakehouses(team: Team, secrets: Path) -> None:
    shared = team.one.rows("select current_database()")[0][0]
    assert set(databases(team.one.rows("show databases"))) == {"default", shared}
    assert set(databases(team.other.rows("show databases"))) == {"default", "secrets", shared}
    # A principal with roles in both reads both, from either side.
    team.other.rows("create table mine as select 'ada' as who")
    joined = f"select s.much from secrets.salaries s join {shared}.mine m on s.who = m.who"
    assert team.other.rows(joined) == team.inside.rows(joined) == [[1]]
    team.other.rows(f"create table secrets.crossed as select * from {shared}.mine")
    team.other.rows("drop table secrets.crossed")
    place = secrets.as_uri()
    for statement in (
        "use secrets",
        "show tables in secrets",
        "describe database secrets",
        "select * from secrets.salaries",
        "describe extended secrets.salaries",
        "show create table secrets.salaries",
        "insert into secrets.salaries values ('x', 3)",
        "alter table secrets.salaries rename to secrets.taken",
        f"alter table secrets.salaries rename to {shared}.taken",
        f"alter table {shared}.mine rename to secrets.mine",
        "alter table secrets.plain add columns (more int)",
        "alter table secrets.plain drop partition (day = 'monday')",
        "drop table secrets.salaries",
        "truncate table secrets.plain",
        "drop database secrets cascade",
        "create table secrets.x (id int)",
        "create table secrets.x (id int) using parquet",
        "create view secrets.v as select 1 as one",
        "create database other",
        f"create database other location '{place}'",
        f"alter table mine set location '{place}'",
        f"create table x (id int) stored as parquet location '{place}'",
        f"create external table x (id int) stored as parquet location '{place}/new'",
        "create table default.x (id int)",
    ):
        output = team.one.run(statement, "sql")
        assert output["status"] == "error", statement
    assert team.one.rows("show tables in default") == []
    assert "x" not in [row[1] for row in team.one.rows("show tables")]
    # The requests of clients for an existing database.
    team.one.rows(f"create database if not exists {shared}")
    team.one.rows("drop table mine")
    assert_whole(team)


def test_members_make_rename_and_drop_each_others_tables(team: Team) -> None:
    for using in ("delta", "parquet"):
        team.one.rows(f"create table first (id int) using {using}")
        team.one.rows("insert into first values (1)")
        team.other.rows("alter table first rename to second")
        team.other.rows("insert into second values (2)")
        assert sorted(team.one.rows("select id from second")) == [[1], [2]]
        assert (team.shared / "Tables" / "second").is_dir()
        assert not (team.shared / "Tables" / "first").exists()
        team.one.rows("alter table second set tblproperties ('told' = 'x')")
        team.other.rows("drop table second")
        assert not (team.shared / "Tables" / "second").exists()
    team.one.rows("create table parts (id int, day string) using parquet partitioned by (day)")
    team.one.rows("insert into parts values (1, 'monday'), (2, 'tuesday')")
    team.other.rows("alter table parts partition (day = 'monday') rename to partition (day = 'd')")
    team.other.rows("alter table parts add partition (day = 'none')")
    team.other.rows("alter table parts drop partition (day = 'tuesday')")
    assert team.one.rows("select id, day from parts") == [[1, "d"]]
    assert not (team.shared / "Tables" / "parts" / "day=tuesday").exists()
    team.one.rows("analyze table parts compute statistics")
    place = team.shared / "Files" / "a" / "b"
    team.one.rows(f"create external table files (id int) stored as parquet location '{place}'")
    team.other.rows("insert into files values (5)")
    assert team.one.rows("select * from files") == [[5]]
    team.one.rows("create view seen as select * from parts")
    assert team.other.rows("select id from seen") == [[1]]
    for what in ("view seen", "table files", "table parts"):
        team.other.rows(f"drop {what}")
    assert place.is_dir()


CLIENT = """
import json
jvm = spark._jvm
conf = jvm.org.apache.hadoop.hive.conf.HiveConf()
conf.set("hive.metastore.uris", spark._jsc.hadoopConfiguration().get("hive.metastore.uris"))
Database = jvm.org.apache.hadoop.hive.metastore.api.Database
hive = jvm.org.apache.hadoop.hive.metastore.HiveMetaStoreClient(conf)

def tried(what):
    from py4j.protocol import Py4JJavaError
    try:
        return what()
    except Py4JJavaError as error:
        return error.java_exception.getClass().getSimpleName()

def table(database, name, place, kind="MANAGED_TABLE"):
    made = hive.getTable(OWN, "template").deepCopy()
    made.setDbName(database)
    made.setTableName(name)
    made.setTableType(kind)
    made.putToParameters("EXTERNAL", "TRUE" if kind == "EXTERNAL_TABLE" else "FALSE")
    made.getSd().setLocation(place)
    return made
"""


@pytest.fixture
def hostile(team: Team, secrets: Path) -> Iterator[RemoteSession]:
    """The first one's session, with a metastore client of its own that asks for anything."""
    team.one.rows("create table template (x int, id int) using parquet partitioned by (id)")
    own = team.one.rows("select current_database()")[0][0]
    team.one.text(f"OWN, SECRET = {own!r}, {str(secrets)!r}\n{CLIENT}")
    yield team.one
    team.one.rows("drop table template")


def test_a_client_of_its_own_gets_a_session_no_further(team: Team, hostile: RemoteSession) -> None:
    known = printed_json(hostile, "print(json.dumps([[one] for one in hive.getAllDatabases()]))")
    assert databases(known) == ["default", team.one.rows("select current_database()")[0][0]]
    tries = [
        "hive.getDatabase('secrets')",
        "hive.getDatabase(' Secrets ')",
        "hive.getAllTables('secrets')",
        "hive.getTables('secrets', '*')",
        "hive.getTable('secrets', 'salaries')",
        "hive.getTable('SECRETS', 'salaries')",
        "hive.getTableObjectsByName('secrets', ['salaries'])",
        "hive.tableExists('secrets', 'salaries')",
        "hive.getTableMeta('*', '*', None)",
        "hive.listTableNamesByFilter('secrets', '', 10)",
        "hive.getFields('secrets', 'salaries')",
        "hive.getSchema('secrets', 'salaries')",
        "hive.getFields(OWN, 'template')",  # loads a class that the table names
        "hive.listPartitionNames('secrets', 'plain', 10)",
        "hive.listPartitions('secrets', 'plain', 10)",
        "hive.getTableColumnStatistics('secrets', 'salaries', ['who'])",
        "hive.getFunctions('secrets', '*')",
        "hive.dropTable('secrets', 'salaries', True, False)",
        "hive.dropTable('secrets', 'salaries', True, False, True)",
        "hive.dropPartition('secrets', 'plain', ['monday'], True)",
        "hive.appendPartition('secrets', 'plain', ['tuesday'])",
        "hive.dropDatabase('secrets', True, False, True)",
        "hive.createDatabase(Database('other', '', SECRET, {}))",
        "hive.createDatabase(Database('secrets', '', SECRET, {}))",
        "hive.createTable(table('secrets', 'x', None))",
        "hive.createTable(table('default', 'x', None))",
        "hive.alter_table('secrets', 'salaries', table(OWN, 'salaries', None))",
        "hive.alter_table(OWN, 'template', table('secrets', 'template', None))",
        "hive.alter_table(OWN, 'template', table(OWN, 'template', SECRET))",
        "hive.getDelegationToken('a', 'b')",
        "hive.setMetaConf('hive.metastore.try.direct.sql', 'false')",
        "hive.getNextNotification(0, 100, None)",
        "hive.showLocks()",
        "hive.list_privileges('x', None, None)",
    ]
    code = "print(json.dumps([(one, tried(lambda: eval(one))) for one in TRIES], default=str))"
    refusals = {"MetaException", "NoSuchObjectException", "TApplicationException"}
    refusals |= {"UnknownDBException", "InvalidObjectException", "InvalidOperationException"}
    said = printed_json(hostile, f"TRIES = {tries!r}\n{code}")
    assert [one for one in said if one[1] not in refusals and one[1] is not False] == []
    assert_whole(team)


def test_no_spelling_of_a_place_leads_out(team: Team, hostile: RemoteSession) -> None:
    private, shared = team.private, team.shared
    places = [
        str(private / "Tables" / "salaries"),
        (private / "Tables" / "new").as_uri(),
        f"file://{private}/Tables/new",
        f"file:{shared}/Tables/../../../{private.parent.name}/{private.name}/Tables/salaries",
        f"{shared}/Tables/./a/../../../{private.name}/Tables",
        f"file://localhost{private}/Tables/new",
        f"file:///proc/self/root{private}/Tables/new",
        f"abfss://private@onelake.dfs.fabric.microsoft.com/{private.name}/Tables/new",
        f"abfss://{private.parent.name}@onelake.dfs.fabric.microsoft.com/{private.name}/Tables/x",
        str(shared),
        str(shared / "Tables"),
        str(team.gateway.home / "metastore" / "derby" / "db"),
        "/tmp/livius-made-by-the-metastore",
        "hdfs://somewhere/x",
        "",
    ]
    code = (
        "def both(place):\n"
        "    made = [tried(lambda: hive.createTable(table(OWN, 'placed', place, kind)))\n"
        "            for kind in ('MANAGED_TABLE', 'EXTERNAL_TABLE')]\n"
        "    part = hive.getTable(OWN, 'template')\n"
        "    Partition = jvm.org.apache.hadoop.hive.metastore.api.Partition\n"
        "    sd = part.getSd().deepCopy()\n"
        "    sd.setLocation(place)\n"
        "    new = Partition(['7'], OWN, 'template', 0, 0, sd, {})\n"
        "    return [*made, tried(lambda: str(hive.add_partition(new)))]\n"
        f"print(json.dumps([both(place) for place in {places!r}], default=str))"
    )
    *refused, plain = printed_json(hostile, code)
    assert [set(one) for one in refused] == [{"MetaException"}] * len(refused)
    assert plain[:2] == [None, "AlreadyExistsException"]  # Hive's own place for it
    hostile.text(
        "hive.dropTable(OWN, 'placed', True, False)\n"
        "hive.dropPartition(OWN, 'template', ['7'], True)"
    )
    assert not Path("/tmp/livius-made-by-the-metastore").exists()
    assert_whole(team)


def test_links_lead_the_metastore_to_no_folder_of_others(
    team: Team, hostile: RemoteSession
) -> None:
    """It may write to all workspaces, so what it deletes and renames is looked at step by step."""
    code = (
        "import os\n"
        "TABLES = os.path.dirname(SECRET)\n"
        "here = os.getcwd() + '/Tables'\n"
        "near = here + '/near'\n"
        "os.makedirs(here + '/way/salaries')\n"
        "hive.createTable(table(OWN, 'far', here + '/way/salaries'))\n"
        "hive.createTable(table(OWN, 'near', here + '/near'))\n"
        "os.rename(here + '/way', here + '/gone')\n"
        "os.symlink(TABLES, here + '/way')\n"
        "os.rmdir(here + '/near')\n"
        "os.symlink(SECRET, here + '/near')\n"
        "os.makedirs(here + '/inner')\n"
        "os.symlink(TABLES, here + '/inner/link')\n"
        "hive.createTable(table(OWN, 'inner', here + '/inner'))\n"
        "said = [tried(lambda: hive.createTable(table(OWN, 'new', here + '/way/salaries'))),\n"
        "        tried(lambda: hive.createTable(table(OWN, 'new', here + '/way/made'))),\n"
        "        tried(lambda: hive.alter_table(OWN, 'near', table(OWN, 'moved', near)))]\n"
        "for name in ('far', 'inner', 'near', 'moved'):\n"
        "    tried(lambda: hive.dropTable(OWN, name, True, False))\n"
        "print(json.dumps([said, sorted(os.listdir(here))]))"
    )
    said, left = printed_json(hostile, code)
    assert said[:2] == ["MetaException", "MetaException"]
    assert "inner" not in left
    assert "near" not in left
    hostile.text("os.unlink(here + '/way')\nimport shutil\nshutil.rmtree(here + '/gone')")
    assert_whole(team)


BYTES = """
import socket, struct
RESET = socket.SOL_SOCKET, socket.SO_LINGER
at = spark._jsc.hadoopConfiguration().get("hive.metastore.uris").rpartition(":")[2]

def text(value):
    return struct.pack(">i", len(value)) + value.encode()

def call(name, fields=b""):
    return struct.pack(">I", 0x80010001) + text(name) + struct.pack(">i", 1) + fields + b"\\0"

def connected(port=0):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.connect(("127.0.0.1", int(at)))
    return made

def drop(database, table):
    names = b"\\x0b\\0\\1" + text(database) + b"\\x0b\\0\\2" + text(table)
    return call("drop_table", names + b"\\2\\0\\3\\1")
"""


def test_who_closes_at_once_is_nobody(team: Team, hostile: RemoteSession) -> None:
    """The kernel says root of a socket that has been closed, and what was sent is still read."""
    hostile.text(BYTES)
    team.one.rows("create table own_one (id int) using parquet")
    code = (
        "for linger in (0, 1) * 100:\n"
        "    with connected() as made:\n"
        "        made.setsockopt(*RESET, struct.pack('ii', linger, 0))\n"
        "        made.sendall(drop('secrets', 'salaries'))\n"
        "with connected() as made:\n"
        "    made.sendall(drop(OWN, 'own_one'))\n"
        "    answer = made.recv(1000)\n"
    )
    hostile.text(code)
    assert "own_one" not in [row[1] for row in team.one.rows("show tables")]
    assert_whole(team)


def test_a_port_that_another_used_before_gives_nothing_of_theirs(
    team: Team, hostile: RemoteSession
) -> None:
    hostile.text(BYTES)
    team.other.text(BYTES)
    port = printed_json(hostile, "with connected() as made: print(made.getsockname()[1])")
    look = (
        f"with connected({port}) as made:\n"
        "    made.setsockopt(*RESET, struct.pack('ii', 1, 0))\n"
        "    made.sendall(call('get_all_databases'))\n"
        "    print('secrets' in made.recv(1000).decode(errors='replace'))"
    )
    saw = [session.text(look) for session in (team.other, hostile, team.other, hostile)]
    assert saw == ["True", "False", "True", "False"]


@pytest.mark.usefixtures("secrets")
def test_a_role_that_is_taken_away_or_given_counts_for_sessions_that_run(team: Team) -> None:
    def knows() -> bool:
        return "secrets" in [row[0] for row in team.one.rows("show databases")]

    who, where = team.one.get()["submitterId"], "private"
    team.gateway.livius("workspace", "assign", who, Role.CONTRIBUTOR, "--workspace", where)
    wait_for(knows, seconds=30, what="the new role counts")
    assert team.one.rows("show tables in secrets") != []
    team.gateway.livius("workspace", "remove", who, "--workspace", where)
    wait_for(lambda: not knows(), seconds=30, what="the role is gone")
    assert team.one.run("drop table secrets.salaries", "sql")["status"] == "error"
    assert_whole(team)


def test_a_metastore_and_a_gateway_that_start_again_keep_to_it(
    team: Team, hostile: RemoteSession
) -> None:
    [metastore] = [
        process for process in team.gateway.processes() if "livius.Metastore" in process.cmdline()
    ]
    team.gateway.kill()
    metastore.kill()
    team.gateway.start()
    team.one.client.reconnect()
    sessions = (team.one, team.other, team.inside)
    wait_for(
        lambda: {session.run("show tables", "sql")["status"] for session in sessions} == {"ok"},
        seconds=60,
        what="the metastore answers again",
    )
    code = (
        "hive.reconnect()\n"
        "print(json.dumps([list(hive.getAllDatabases()),"
        " tried(lambda: hive.dropTable('secrets', 'salaries', True, False))]))"
    )
    databases, dropped = printed_json(hostile, code)
    assert "secrets" not in databases
    assert dropped == "NoSuchObjectException"
    assert_whole(team)


@pytest.mark.timeout(600)  # it starts a driver of its own
def test_schemas_are_those_of_ones_own_lakehouses(team: Team) -> None:
    workspaces = [folder.parent.name for folder in (team.shared, team.private)]
    crew, vault = (
        with_schemas(client, workspace, name)
        for client, workspace, name in zip(
            (team.one.client, team.inside.client), workspaces, ("crew", "vault"), strict=True
        )
    )
    crew_tables = team.shared.parent / crew / "Tables"
    vault_tables = team.private.parent / vault / "Tables"
    for session, database, place in (
        (team.inside, "vault__pay", vault_tables / "pay"),
        (team.one, "crew__sales", crew_tables / "sales"),
    ):
        create = f"create database if not exists {database} location '{place}'"
        # A running session finds a new lakehouse within seconds.
        ran = partial(succeeds, session, create)
        wait_for(ran, seconds=60, what=f"{database} is made", every=1)
    team.inside.rows("create table vault__pay.salaries as select 1 as much")
    team.one.rows("create table crew__sales.t as select 1 as id")
    assert team.other.rows("select id from crew__sales.t") == [[1]]
    assert (crew_tables / "sales" / "t").is_dir()
    listed = {row[0] for row in team.one.rows("show databases")}
    assert "crew__sales" in listed
    assert "vault__pay" not in listed
    for statement in (
        "select * from vault__pay.salaries",
        "use vault__pay",
        "drop database vault__pay cascade",
        "create table vault__pay.x (id int)",
        f"create database vault__more location '{vault_tables}/more'",
        f"create database crew__more location '{vault_tables}/pay'",
        f"create database crew__more location '{crew_tables}/sales'",
        f"create database crew__more location '{crew_tables}'",
        f"create database crew location '{crew_tables}'",
        f"create database `crew__../sales` location '{crew_tables}/sales'",
        f"create database sample__x location '{team.shared}/Tables/x'",
        "create database crew__more",
    ):
        assert team.one.run(statement, "sql")["status"] == "error", statement
    with session_in(team, crew) as session:
        assert session.rows("select id from crew.sales.t") == [[1]]
        session.rows("create schema marts")
        session.rows("create table marts.t as select 2 as id")
        assert team.other.rows("select id from crew__marts.t") == [[2]]
        for name in ("vault.pay.salaries", "private.vault.pay.salaries"):
            assert session.run(f"select * from {name}", "sql")["status"] == "error", name
    team.other.rows("drop database crew__marts cascade")
    assert not (crew_tables / "marts").exists()
    assert team.inside.rows("select much from vault__pay.salaries") == [[1]]
    for session, schema in ((team.one, "crew__sales"), (team.inside, "vault__pay")):
        session.rows(f"drop database {schema} cascade")


def succeeds(session: RemoteSession, statement: str) -> bool:
    return bool(session.run(statement, "sql")["status"] == "ok")


def with_schemas(client: Client, workspace: str, name: str) -> str:
    """The id of a new lakehouse with schemas."""
    body = {"displayName": name, "creationPayload": {"enableSchemas": True}}
    url = f"{client.gateway.connection['api']}/v1/workspaces/{workspace}/lakehouses"
    answer = client.http.post(url, json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity


def session_in(team: Team, lakehouse: str) -> AbstractContextManager[RemoteSession]:
    """A session of the first one's in another lakehouse of the shared workspace."""
    client = team.gateway.client()
    client.base = client.base.replace(team.shared.name, lakehouse)
    return client.session(name="schemas")
