"""Single-user launch: one trust domain, which no second person gets into.

Run as root and as an ordinary user. Code of a session runs as the gateway's user and can read
what that user can: that is said, and asserted here, so that nobody takes it for isolation. What
must hold all the same: who is not trusted runs nothing; what a driver was given to prove itself
lies nowhere; strangers on loopback get no answer from the driver's ports.
"""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from livius.domain.lakehouse import Role
from support.gateway import Gateway, RemoteSession
from support.others import can_become_others, opened
from support.places import add_user
from support.shared import SharedSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]

# One without a name, as containers have them: Hadoop's own login does not take such a user.
UID = 54321
ORDINARY = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs")


@pytest.fixture(scope="module", params=["as it is", "ordinary"])
def shared(request: pytest.FixtureRequest, shared: SharedSession) -> Iterator[SharedSession]:
    """The session of the gateway that other tests use too, or one of an ordinary user's gateway."""
    if request.param == "as it is":
        yield shared
        return
    # Not below pytest's own folder, which is closed to other users, again with each run of it.
    with tempfile.TemporaryDirectory(prefix="livius-trust-") as made:
        folder, stash = Path(made), Path(made) / "stash"
        stash.mkdir()
        if not can_become_others(stash):
            pytest.skip("only root can become another user")
        folder.chmod(0o711)
        home = folder / "home"
        home.mkdir(mode=0o700)
        os.chown(home, UID, UID)
        ordinary = Gateway(home, {"HOME": str(home)}, prefix=(*opened(stash), *ORDINARY))
        with ordinary.serving():
            sessions = SharedSession(ordinary.client())
            yield sessions
            sessions.end()


@pytest.fixture
def trusted(session: RemoteSession) -> Gateway:
    """The gateway of the session."""
    return session.client.gateway


def test_a_second_person_runs_no_code(trusted: Gateway, session: RemoteSession) -> None:
    """With every role and scope: as a Contributor, and as an Admin in somebody's session."""
    second = add_user(trusted, "second")
    client = trusted.client()
    token = trusted.livius("token", "create", "--for", second).splitlines()[0]
    client.http.headers["Authorization"] = f"Bearer {token}"
    for role in (Role.CONTRIBUTOR, Role.ADMIN):
        trusted.livius("workspace", "assign", second, role)
        assert client.call("GET", "/sessions").status_code == 200
        refused = client.call("POST", "/sessions", json={})
        assert (refused.status_code, refused.json()["errorCode"]) == (403, "SecondPersonNotTrusted")
        assert second in refused.json()["message"]
    body = {"code": "print(open('/etc/passwd').read())"}
    refused = client.call("POST", f"{session.path}/statements", json=body)
    assert refused.json()["errorCode"] == "SecondPersonNotTrusted"


PRIVATE = ("connection.json", "tls/ca.key", "livius.db", "livius.db-wal", "drivers")
LOOK = """
import json, os, pathlib
home = pathlib.Path({home!r})
seen = {{"uid": os.getuid(), "files": [], "processes": 0, "told": []}}
for name in ("connection.json", "tls/ca.key", "livius.db"):
    try:
        (home / name).read_bytes()
        seen["files"].append(name)
    except OSError:
        pass
secrets = {secrets!r}
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        environ = (process / "environ").read_text(errors="replace")
        if process.stat().st_uid != os.getuid() or "LIVIUS_" not in environ:
            continue
        seen["processes"] += 1
        for place in ("environ", "cmdline"):
            text = (process / place).read_text(errors="replace")
            seen["told"] += [f"{{process.name}} {{place}}" for one in secrets if one in text]
    except OSError:
        pass
found = [str(path) for depth in ("*", "*/*") for path in (home / "drivers").glob(depth)]
found = [path for path in found if "secret" in path.rsplit("/", 1)[1]]
print(json.dumps({{**seen, "secrets": found}}))
"""


def test_a_session_sees_what_its_user_can_and_no_secret_lies_about(
    trusted: Gateway, session: RemoteSession
) -> None:
    facts = trusted.connection
    secrets = [facts["client_secret"], facts["password"]]
    assert all(secrets)
    look = LOOK.format(home=str(trusted.home), secrets=secrets)
    said = session.text(look).splitlines()  # beside what Spark says of a stranger
    seen = json.loads(next(line for line in said if line.startswith('{"uid"')))
    assert trusted.process is not None
    assert seen["uid"] == (UID if trusted.prefix else os.geteuid())
    # One trust domain, and no word of isolation: SECURITY.md says so.
    assert seen["files"] == ["connection.json", "tls/ca.key", "livius.db"]
    assert seen["processes"] > 0
    # No argv and no variable of any process has what opens the installation to others.
    assert seen["told"] == []
    # The agent removed the driver's link secret once it was read.
    assert seen["secrets"] == []


def test_others_on_loopback_get_nothing_from_a_drivers_ports(
    trusted: Gateway, session: RemoteSession
) -> None:
    """The ports of py4j require a token first; a peer without one is cut off."""
    ports = {
        connection.laddr.port
        for process in trusted.driver_processes()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports
    answered = 0
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.settimeout(2)
            stranger.sendall(b"r\nu\njava.lang.System\nrj\ne\n")
            try:
                answer = stranger.recv(4096)
            except (TimeoutError, ConnectionResetError):
                continue
            # py4j answers a class with "!yc…"; asked without its token it says an error or nothing.
            answered += answer.startswith(b"!yc")
    assert answered == 0
    # Nor does a stranger get a word into what people see.
    assert session.text("print('works')") == "works"


STRANGERS = """
import socket
port = spark.sparkContext._accumulatorServer.server_address
with socket.create_connection(port, timeout=20), socket.create_connection(port, timeout=20) as one:
    one.sendall(b"x" * 1000)  # while another says nothing
    try:
        one.recv(1)  # it is cut off, after whatever was said of it
    except ConnectionResetError:
        pass
    total = spark.sparkContext.accumulator(0)
    spark.sparkContext.parallelize(range(10), 2).foreach(lambda n: total.add(n))
print(total.value)
"""


def test_strangers_at_the_accumulators_keep_nobody_out_and_are_not_seen(
    session: RemoteSession,
) -> None:
    """The JVM sends the updates of accumulators to a port of the repl's Python."""
    assert session.text(STRANGERS) == "45"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_reads_nothing(
    trusted: Gateway, session: RemoteSession
) -> None:
    del session
    nobody = ("setpriv", "--reuid=54322", "--regid=54322", "--clear-groups")
    assert trusted.process is not None
    pids = [trusted.process.pid, *(process.pid for process in trusted.driver_processes())]
    for path in (
        *(trusted.home / name for name in PRIVATE),
        *(Path(f"/proc/{pid}/environ") for pid in pids),
        *(Path(f"/proc/{pid}/mem") for pid in pids),
    ):
        done = subprocess.run(
            [*nobody, "head", "-c", "1", path], capture_output=True, check=False, cwd="/"
        )
        assert (done.returncode, done.stdout) == (1, b""), path
