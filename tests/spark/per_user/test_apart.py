"""Per-user launch: what the operating system keeps apart, and what members of a workspace share.

The gateway runs as root. A session's code is that of its principal's own user, and tries all that a
hostile one would.
"""

import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from support.gateway import Gateway, RemoteSession, driver_folder
from support.others import can_become_others, opened
from support.team import FIRST, LAST, Team, printed_json
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


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
        settings = {"HOME": str(home), "LIVIUS_LAUNCH": "per-user"}
        gateway = Gateway(home, settings, prefix=(*opened(stash), *ordinary))
        printed = " ".join(gateway.livius("serve", code=1).split())
        assert "Start it as root, or unset LIVIUS_LAUNCH" in printed


def test_each_principal_has_a_user_of_its_own_that_gains_nothing_more(team: Team) -> None:
    look = (
        "import json, os\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
        "print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(),"
        " status['NoNewPrivs'].strip(), status['CapPrm'].strip(), status['CapBnd'].strip()]))"
    )
    one, other = printed_json(team.one, look), printed_json(team.other, look)
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
        assert printed_json(again, look)[:3] == one[:3]
        folder = driver_folder(again)
    assert_history_apart(team, again, folder, {one[0][0], other[0][0]})


def assert_history_apart(
    team: Team, ended: RemoteSession, folder: Path, principals: set[int]
) -> None:
    """The History Server shows the ended session, as a user of its own that others don't reach."""
    client, facts = team.one.client, team.gateway.connection
    url = (
        f"{facts['api']}/v1/workspaces/{facts['workspace_id']}/lakehouses/"
        f"{facts['lakehouse_id']}/livySessions/{ended.id}"
    )
    app = client.http.get(url, timeout=20).json()["sparkApplicationId"]

    def executors() -> bool:
        answer = client.http.get(f"{url}/applications/{app}/executors", timeout=60)
        return answer.status_code == 200 and answer.json()[0]["id"] == "driver"

    wait_for(executors, seconds=150, what="the History Server shows the session")
    history = team.gateway.home / "history"
    [server] = [
        process
        for process in psutil.process_iter()
        if process.uids().real in range(FIRST, LAST)
        and any(part.startswith(str(history)) for part in process.cmdline())
    ]
    assert server.uids().real not in principals
    paths = [
        history / "spark.conf",
        history / "logs",
        folder / "eventlog",
        folder / "eventlog/events.zstd",
    ]
    tried = TRIED.format(paths=list(map(str, paths)), pids=[server.pid])
    assert printed_json(team.other, tried) == [[], [], [], []]
    assert (folder / "eventlog").stat().st_uid in principals


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
killed, ended = [], []
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
    except ProcessLookupError:
        ended.append(pid)
print(json.dumps([read, written, killed, ended]))
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
    # Members of the workspace read its environments, which other tests have published here.
    own |= {version for version in (home / "environments").glob("*/*") if version.stat().st_gid}
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
    read, written, killed, ended = printed_json(team.one, TRIED.format(paths=closed, pids=pids))
    assert [read, written, killed] == [[], [], []]
    assert len(set(pids).difference(ended)) > 5  # a repl's workers may have ended meanwhile
    # Of what is its own and was laid by the gateway, the session can change nothing.
    laid = [
        str(mine / name) for name in ("supervisor.json", "driver.json", "supervisor.pid", "lock")
    ]
    _, written, _, _ = printed_json(team.one, TRIED.format(paths=laid, pids=[]))
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
    # One member may drop the other's tables, with their files.
    team.one.rows("drop table plain")
    team.other.rows("drop table both")
    assert not (team.shared / "Tables" / "plain").exists()
    assert not (team.shared / "Tables" / "both").exists()


def test_the_lakehouse_is_where_fabric_has_it(team: Team) -> None:
    team.one.text("open('/lakehouse/default/Files/mounted.txt', 'w').write('here')")
    assert (team.shared / "Files" / "mounted.txt").read_text() == "here"
    assert (
        printed_json(team.other, "print(len(open('/lakehouse/default/Files/mounted.txt').read()))")
        == 4
    )


def test_links_lead_neither_gateway_nor_supervisor_astray(team: Team) -> None:
    """Reads and deletions by root in folders that sessions write to."""
    target = team.gateway.home / "connection.json"
    client = team.one.client
    with client.session() as session:
        mine = driver_folder(session)
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
        assert printed_json(session, refused) == 5
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
        user = printed_json(another, "import os; print(os.getuid())")
        ended = driver_folder(another)
    assert user == (folder / "work").stat().st_uid
    wait_for(lambda: not (ended / "work").exists(), seconds=20, what="its work folder is gone")
    wait_for((ended / "exit.json").exists, seconds=20, what="its end is recorded")
