"""Per-user launch: what the operating system keeps apart, and what members of a workspace share.

The gateway runs as root. A session's code is that of its principal's own user, and tries all that a
hostile one would.
"""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from livius.domain.ids import PrincipalId
from livius.domain.lakehouse import Role
from support.gateway import LIVIUS, Client, Gateway, RemoteSession
from support.others import can_become_others, opened
from support.places import add_user
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

FIRST, LAST = 2_100_000, 2_199_999


def command(gateway: Gateway, *arguments: str) -> str:
    done = subprocess.run(
        [*gateway.prefix, LIVIUS, *arguments],
        env=gateway.environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Team:
    """Two principals who share a workspace, and a workspace that only the second one is in.

    ``inside`` is a session of the second one's there: its lakehouse is ``secrets``.
    """

    gateway: Gateway
    one: RemoteSession
    other: RemoteSession
    inside: RemoteSession
    shared: Path
    private: Path
    person: PrincipalId

    def driver(self, session: RemoteSession) -> Path:
        """The folder of a session's driver."""
        return Path(told(session, DRIVER_FOLDER))


DRIVER_FOLDER = "import json, os; print(json.dumps(os.environ['LIVIUS_DRIVER']))"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    # Not below pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="livius-apart-") as made:
        folder = Path(made)
        stash = folder / "stash"
        stash.mkdir()
        if not can_become_others(stash):
            pytest.skip("only root can become another user")
        folder.chmod(0o711)
        started = Gateway(folder / "home", prefix=opened(stash))
        started.settings = {
            "LIVIUS_LAUNCH": "per-user",
            "LIVIUS_LAUNCH_UIDS": f"{FIRST}-{LAST}",
            "LIVIUS_CANCEL_GRACE": "3s",
        }
        with started.serving():
            yield started


@pytest.fixture(scope="module")
def team(gateway: Gateway) -> Iterator[Team]:
    facts = gateway.connection
    person = add_user(gateway, "second")
    command(gateway, "workspace", "assign", person, Role.CONTRIBUTOR)
    token = command(gateway, "token", "create", "--for", person)
    first, second, third = gateway.client(), Client(gateway, token), Client(gateway, token)
    workspace = made(second, "workspaces", {"displayName": "private"})
    lakehouse = made(second, f"workspaces/{workspace}/lakehouses", {"displayName": "secrets"})
    onelake = gateway.home / "onelake"
    third.base = (
        f"{facts['api']}/v1/workspaces/{workspace}/lakehouses/{lakehouse}"
        f"/livyapi/versions/2023-12-01"
    )
    with ExitStack() as stack:
        yield Team(
            gateway=gateway,
            one=stack.enter_context(first.session()),
            other=stack.enter_context(second.session()),
            inside=stack.enter_context(third.session()),
            shared=onelake / facts["workspace_id"] / facts["lakehouse_id"],
            private=onelake / workspace / lakehouse,
            person=person,
        )


def made(client: Client, path: str, body: dict[str, str]) -> str:
    """The id of a thing that is created."""
    url = f"{client.gateway.connection['api']}/v1/{path}"
    answer = client.http.post(url, json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity


def told(session: RemoteSession, code: str) -> Any:
    """What the code prints last, as JSON."""
    return json.loads(session.text(code).splitlines()[-1])


def test_without_root_it_does_not_start_and_says_what_to_do() -> None:
    with tempfile.TemporaryDirectory(prefix="livius-apart-") as made:
        folder, stash = Path(made), Path(made) / "stash"
        stash.mkdir()
        if not can_become_others(stash):
            pytest.skip("only root can become another user")
        folder.chmod(0o711)
        home = folder / "home"
        home.mkdir(mode=0o700)
        os.chown(home, 54321, 54321)
        ordinary = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
        done = subprocess.run(
            [*opened(stash), *ordinary, LIVIUS, "serve"],
            env={**Gateway(home).environment, "HOME": str(home), "LIVIUS_LAUNCH": "per-user"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "Start it as root, or unset LIVIUS_LAUNCH" in " ".join(done.stderr.split())


def test_each_principal_has_a_user_of_its_own_that_gains_nothing_more(team: Team) -> None:
    look = (
        "import json, os\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
        "print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(),"
        " status['NoNewPrivs'].strip(), status['CapPrm'].strip(), status['CapBnd'].strip()]))"
    )
    one, other = told(team.one, look), told(team.other, look)
    workspace = team.shared.stat().st_gid
    for uids, gids, groups, no_new_privileges, capabilities, _ in (one, other):
        assert len({*uids, *gids}) == 1
        assert FIRST < uids[0] < LAST
        assert {uids[0], workspace} <= set(groups)
        assert (no_new_privileges, int(capabilities, 16)) == ("1", 0)
    assert one[0] != other[0]
    assert set(one[2]) & set(other[2]) == {workspace}
    # A session that comes later, and after a restart, runs as the same user.
    with team.one.client.session() as again:
        assert told(again, look)[:3] == one[:3]


def processes(team: Team, folder: Path | None = None) -> list[int]:
    """The processes of a driver's folder, or all that belong to the installation."""
    found = []
    for process in team.gateway.processes():
        with suppress(psutil.Error, OSError):  # repls and workers come and go
            if folder is None or process.environ().get("LIVIUS_DRIVER") == str(folder):
                found.append(process.pid)
    return found


TRIED = """
import json, os, pathlib
read, written = [], []
for path in {paths!r}:
    try:
        with open(path, 'rb') as file:
            file.read(1)
        read.append(path)
    except OSError:
        pass
    try:
        os.listdir(path)
        read.append(path)
    except OSError:
        pass
    try:
        with open(path, 'ab'):
            written.append(path)
    except OSError:
        pass
killed = []
for pid in {pids!r}:
    for place in ('environ', 'mem', 'maps', 'fd', 'root/etc'):
        try:
            os.listdir(f'/proc/{{pid}}/{{place}}') if place in ('fd', 'root/etc') else (
                open(f'/proc/{{pid}}/{{place}}', 'rb').read(1))
            read.append(f'/proc/{{pid}}/{{place}}')
        except OSError:
            pass
    try:
        os.kill(pid, 0)
        killed.append(pid)
    except PermissionError:
        pass
print(json.dumps([read, written, killed]))
"""


def test_nothing_of_the_installation_and_of_others_is_read_written_or_killed(team: Team) -> None:
    home = team.gateway.home
    theirs = team.driver(team.other)
    (team.private / "Files" / "salaries.csv").write_text("a,1\n")
    files = [
        *(path for path in home.rglob("*") if "onelake" not in path.parts),
        *team.private.rglob("*"),
        team.private,
        home / "onelake",
        home / "drivers",
    ]
    mine = team.driver(team.one)
    open_to_all = {home / "address.json", home / "test.log", home / "last_shutdown.json"}
    # Its principal's other drivers are no others.
    drivers = (home / "drivers").iterdir()
    own = {folder for folder in drivers if folder.stat().st_gid == mine.stat().st_gid}
    own.add(home / "names" / f"{team.one.get()['submitterId']}.tsv")
    closed = [
        str(path)
        for path in files
        if not {path, *path.parents} & own
        and path not in open_to_all
        and not {home / "agent"} & {path, *path.parents}
    ]
    for wanted in (
        home / "connection.json",
        home / "livius.db",
        home / "livius.db-wal",
        home / "tls" / "ca.key",
        home / "gateway.lock",
        theirs / "driver.json",
        theirs / "supervisor.json",
        theirs / "stdout.log",
        theirs / "work",
        team.private / "Files" / "salaries.csv",
    ):
        assert str(wanted) in closed
    assert team.gateway.process is not None
    pids = [team.gateway.process.pid, *processes(team)]
    pids = sorted(set(pids).difference(*(processes(team, folder) for folder in own)))
    assert len(pids) > 5
    assert told(team.one, TRIED.format(paths=closed, pids=pids)) == [[], [], []]
    # Of what is its own and was laid by the gateway, the session can change nothing.
    laid = [
        str(mine / name) for name in ("supervisor.json", "driver.json", "supervisor.pid", "lock")
    ]
    _, written, _ = told(team.one, TRIED.format(paths=laid, pids=[]))
    assert written == []


def test_ports_of_another_driver_and_its_pages_give_nothing(team: Team) -> None:
    ports = {
        connection.laddr.port
        for pid in processes(team, team.driver(team.other))
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports
    told_something = []
    for port in ports:
        for said in (b"r\nu\njava.lang.System\nrj\ne\n", b"GET / HTTP/1.0\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                stranger.settimeout(1)
                stranger.sendall(said)
                try:
                    answer = stranger.recv(4096)
                except (TimeoutError, ConnectionResetError):
                    continue
                if answer.startswith((b"!yc", b"HTTP/1.1 200", b"HTTP/1.1 302")):
                    told_something.append((port, answer))
    assert told_something == []


def test_members_of_a_workspace_share_its_tables_in_both_directions(team: Team) -> None:
    team.one.rows("create table both (id bigint, who string)")
    team.one.rows("insert into both values (1, 'one')")
    team.other.rows("insert into both values (2, 'other')")
    team.one.rows("update both set who = 'one again' where id = 2")
    team.other.rows("optimize both")
    team.one.text("spark.range(3).write.mode('overwrite').parquet('Files/numbers')")
    team.other.text("spark.range(5).write.mode('overwrite').parquet('Files/numbers')")
    team.one.text("spark.range(7).write.mode('append').parquet('Files/numbers')")
    assert team.other.text("spark.read.parquet('Files/numbers').count()") == "12"
    for session in (team.other, team.one):
        text = "spark.range(2).write.mode('overwrite').format('delta').saveAsTable('whole')"
        session.text(text)
        session.text("open('Files/note.txt', 'a').write('x')")
        session.text("notebookutils.fs.put('Files/put.txt', 'y', True)")
        session.text('notebookutils.fs.put("Files/put.txt", "z", true)', "spark")
    team.other.rows("create table plain (id bigint) using parquet")
    team.one.rows("insert into plain values (1)")
    team.other.rows("insert into plain values (2)")
    assert sorted(team.one.rows("select id, who from both")) == [[1, "one"], [2, "one again"]]
    assert team.other.rows("select count(*) from plain") == [[2]]
    # What one made, the other may drop, and the files go.
    team.one.rows("drop table plain")
    team.other.rows("drop table both")
    assert not (team.shared / "Tables" / "plain").exists()
    assert not (team.shared / "Tables" / "both").exists()


def test_the_lakehouse_is_where_fabric_has_it(team: Team) -> None:
    team.one.text("open('/lakehouse/default/Files/mounted.txt', 'w').write('here')")
    assert (team.shared / "Files" / "mounted.txt").read_text() == "here"
    assert told(team.other, "print(len(open('/lakehouse/default/Files/mounted.txt').read()))") == 4


def test_links_lead_neither_gateway_nor_supervisor_astray(team: Team) -> None:
    """What root reads and deletes in folders that sessions write to."""
    target = team.gateway.home / "connection.json"
    client = team.one.client
    with client.session() as session:
        mine = Path(told(session, DRIVER_FOLDER))
        session.text(
            "import os\n"
            "work = os.environ['LIVIUS_DRIVER'] + '/work'\n"
            f"os.symlink({str(team.gateway.home)!r}, work + '/all')\n"
            f"os.symlink({str(target)!r}, work + '/handed-out')\n"
            f"os.symlink({str(target)!r}, 'Files/link.json')\n"
            f"os.symlink({str(team.private / 'Files')!r}, 'Files/folder')\n"
            f"os.symlink({str(team.private / 'Tables')!r}, 'Tables/table')\n"
            "os.rename(work + '/tmp', work + '/gone')\n"
            f"os.symlink({str(team.gateway.home / 'tls')!r}, work + '/tmp')"
        )
        refused = (
            "import os, json\n"
            "failed = []\n"
            "work = os.environ['LIVIUS_DRIVER'] + '/work'\n"
            "for what in (lambda: os.rename(work, work + '2'),\n"
            "             lambda: os.unlink(work + '/../stdout.log'),\n"
            f"             lambda: os.rename({str(team.shared / 'Files')!r}, 'Elsewhere'),\n"
            f"             lambda: os.rename({str(team.shared)!r}, {str(team.shared) + 'x'!r}),\n"
            f"             lambda: os.link({str(target)!r}, 'Files/hard.json')):\n"
            "    try:\n"
            "        what()\n"
            "    except OSError as error:\n"
            "        failed.append(error.errno)\n"
            "print(json.dumps(len(failed)))"
        )
        assert told(session, refused) == 5
    wait_for(lambda: not (mine / "work").exists(), seconds=20, what="the work folder is gone")
    assert (team.gateway.home / "tls" / "ca.key").exists()
    assert target.exists()
    tables = client.http.get(client.base.partition("/livyapi")[0] + "/tables", timeout=60).json()[
        "data"
    ]
    assert "table" not in [table["name"] for table in tables]
    for name in ("link.json", "folder"):
        (team.shared / "Files" / name).unlink()
    (team.shared / "Tables" / "table").unlink()


def test_cancel_a_killed_gateway_and_the_end_work_as_ever(team: Team) -> None:
    number = team.one.submit("import time\nwhile True: time.sleep(0.1)")
    wait_for(lambda: team.one.statement(number)["state"] == "running", seconds=30, what="it runs")
    team.one.cancel(number)
    assert team.one.wait(number)["state"] == "cancelled"
    team.one.text("kept = 41")
    team.gateway.kill()
    team.gateway.start()
    team.one.client.reconnect()
    assert team.one.text("kept + 1") == "42"
    folder = team.driver(team.one)
    assert folder.stat().st_uid == 0
    with team.one.client.session() as another:
        user = told(another, "import os; print(os.getuid())")
        ended = Path(told(another, DRIVER_FOLDER))
    assert user == (folder / "work").stat().st_uid
    wait_for(lambda: not (ended / "work").exists(), seconds=20, what="its work folder is gone")
    wait_for((ended / "exit.json").exists, seconds=20, what="its end is recorded")


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


def test_sql_finds_only_tables_of_ones_own_lakehouses(team: Team, secrets: Path) -> None:
    shared = team.one.rows("select current_database()")[0][0]
    assert {row[0] for row in team.one.rows("show databases")} == {"default", shared}
    assert {row[0] for row in team.other.rows("show databases")} == {"default", "secrets", shared}
    # Who has roles in both reads both, from either side.
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
    # What clients send for a database that is there already.
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
    assert told(hostile, "print(json.dumps(list(hive.getAllDatabases())))") == [
        "default",
        team.one.rows("select current_database()")[0][0],
    ]
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
    said = told(hostile, f"TRIES = {tries!r}\n{code}")
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
    *refused, plain = told(hostile, code)
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
    said, left = told(hostile, code)
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
    port = told(hostile, "with connected() as made: print(made.getsockname()[1])")
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
    command(team.gateway, "workspace", "assign", who, Role.CONTRIBUTOR, "--workspace", where)
    wait_for(knows, seconds=30, what="the new role counts")
    assert team.one.rows("show tables in secrets") != []
    command(team.gateway, "workspace", "remove", who, "--workspace", where)
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
    databases, dropped = told(hostile, code)
    assert "secrets" not in databases
    assert dropped == "NoSuchObjectException"
    assert_whole(team)
