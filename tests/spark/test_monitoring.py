"""Watching a real session, with Fabric's own client for Python and without."""

import io
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError

from livius.domain.ids import new_id
from support.audit import audit_log
from support.cancels import prepare
from support.gateway import Client, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


class Bearer:
    """The credential that the client is given: a token that is there already."""

    def __init__(self, client: Client) -> None:
        self._token = str(client.http.headers["Authorization"]).removeprefix("Bearer ")

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def fabric(client: Client) -> Iterator[Any]:
    with warnings.catch_warnings(action="ignore"):  # its docstrings have odd escapes
        from microsoft_fabric_api import FabricClient
    facts = client.gateway.connection
    made = FabricClient(
        Bearer(client), base_url=f"{facts['api']}/", connection_verify=facts["ca_file"]
    )
    yield made
    for part in (made.spark, made.lakehouse):
        part.close()


def page(client: Client, session: RemoteSession, path: str) -> Any:
    """The response of Spark's own REST API."""
    answer = get(client, session, path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(client: Client, session: RemoteSession, path: str, **query: Any) -> Any:
    """A path below the monitoring API's path of a session."""
    facts = client.gateway.connection
    return client.http.get(
        f"{facts['api']}/v1/workspaces/{facts['workspace_id']}/lakehouses/"
        f"{facts['lakehouse_id']}/livySessions/{session.id}/applications/{path}",
        params=query,
        timeout=40,
    )


@pytest.mark.timeout(400)  # a driver, and a History Server
def test_a_session_is_watched_from_its_start_to_long_after_its_end(
    client: Client, fabric: Any
) -> None:
    facts = client.gateway.connection
    workspace, lakehouse = facts["workspace_id"], facts["lakehouse_id"]

    def seen(session: RemoteSession) -> Any:
        return fabric.lakehouse.livy_sessions.get_livy_session(workspace, lakehouse, session.id)

    with client.session(name="watched") as session:
        assert session.text("print('to be found'); spark.range(10).count()") == "to be found\n10"
        assert session.id in [
            one.livy_id for one in fabric.spark.livy_sessions.list_livy_sessions(workspace)
        ]
        assert session.id in [
            one.livy_id
            for one in fabric.lakehouse.livy_sessions.list_livy_sessions(workspace, lakehouse)
        ]
        found = seen(session)
        assert (found.state, found.livy_name, found.item_type) == (
            *("InProgress", "watched", "Lakehouse"),
        )
        assert found.submitter.type == "ServicePrincipal"
        assert found.running_duration.time_unit == "Seconds"
        app = found.spark_application_id
        job, *_ = page(client, session, f"{app}/jobs")
        assert (job["status"], job["jobGroup"][:7]) == ("SUCCEEDED", "livius-")
        assert page(client, session, f"{app}/1/stages")[0]["status"] == "COMPLETE"
        session.text("spark.range(3).count() // in Scala", "spark")
        first, *_ = page(client, session, f"{app}/jobs")  # the newest
        assert first["description"] == "spark.range(3).count() // in Scala"
        assert job["description"].startswith("print('to be found'); spark.range(10)")
        assert page(client, session, app)["name"] == "watched"
        assert page(client, session, f"{app}/executors")[0]["id"] == "driver"
        assert get(client, session, f"{app}/jobs/99").status_code == 404
        before = page(client, session, f"{app}/jobs"), page(client, session, f"{app}/sql")
    wait_for(lambda: seen(session).state == "Succeeded", seconds=20, what="it has ended")
    assert seen(session).end_date_time is not None
    assert_history(client, session, app, *before)
    meta = get(client, session, f"{app}/logs", type="rollingdriver", meta="true").json()
    assert [one["fileName"] for one in meta["containerLogMeta"]] == ["stderr", "stdout"]
    log = get(client, session, f"{app}/logs", type="driver", fileName="stderr", size=16)
    assert len(log.content) <= 16
    livy = get(client, session, "none/logs", type="livy").text
    assert "statement 0 (pyspark) available" in livy
    with pytest.raises(HttpResponseError) as refused:
        fabric.lakehouse.livy_sessions.get_livy_session(workspace, lakehouse, new_id())
    assert refused.value.status_code == 404


def assert_history(client: Client, session: RemoteSession, app: str, jobs: Any, sql: Any) -> None:
    """Spark's REST of the ended session has what it had before, and nobody else gets at it."""
    ready(lambda: get(client, session, f"{app}/jobs"))
    assert page(client, session, f"{app}/jobs") == jobs
    # Not their texts: a plan in the log is older than the last metrics.
    assert outcomes(page(client, session, f"{app}/1/sql")) == outcomes(sql)
    assert page(client, session, app)["name"] == "watched"
    assert (
        page(client, session, app)["id"],
        page(client, session, app)["attempts"][0]["completed"],
    ) == (app, True)
    assert page(client, session, f"{app}/executors")[0]["id"] == "driver"
    assert page(client, session, f"{app}/stages")[0]["status"] == "COMPLETE"
    assert get(client, session, f"{app}/jobs/99").status_code == 404
    archive = zipfile.ZipFile(io.BytesIO(get(client, session, f"{app}/logs").content))
    assert archive.namelist() == [f"{app}.zstd"]
    home = client.gateway.home
    conf = dict(line.split() for line in (home / "history" / "spark.conf").read_text().splitlines())
    for path in ("/", "/api/v1/applications", "/static/utils.js"):
        url = f"http://127.0.0.1:{conf['spark.history.ui.port']}{path}"
        assert requests.get(url, timeout=20).status_code == 403
    assert (home / "history" / "spark.conf").stat().st_mode & 0o077 == 0
    for log in (home / "drivers").glob("*/eventlog/events.zstd"):
        assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def outcomes(queries: Any) -> Any:
    parts = ("id", "status", "description", "successJobIds", "failedJobIds")
    return [[one[part] for part in parts] for one in queries]


def ready(ask: Callable[[], requests.Response]) -> None:
    """Wait until Spark's History Server is ready: on a busy machine it says when to ask again."""
    wait_for(lambda: ask().status_code == 200, seconds=120, what="the History Server is ready")


def jobs(client: Client, session: RemoteSession, number: int) -> dict[str, Any]:
    answer = client.call("GET", f"{session.path}/statements/{number}/jobs")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ended_jobs(client: Client, session: RemoteSession, number: int) -> list[dict[str, Any]]:
    """The jobs of a statement that has ended, once they have ended too."""

    def ended() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = jobs(client, session, number)["jobs"]
        return None if any(one["status"] == "RUNNING" for one in found) else found

    return wait_for(ended, seconds=10, what="the end of the jobs is reported")


SLOW = """
import json
import subprocess
import time
def slowly(n):
    time.sleep(1.5)
    return n
sc.parallelize(range(8), 8).map(slowly).count()
"""


def test_a_running_statements_progress_and_jobs_are_true_and_kept(
    client: Client, session: RemoteSession
) -> None:
    number = session.submit("1 + 1")
    session.wait(number)
    assert jobs(client, session, number) == {"jobs": [], "total_jobs": 0}
    number = session.submit(SLOW)
    seen: list[float] = []

    def in_the_middle() -> dict[str, Any] | None:
        seen.append(session.statement(number)["progress"])
        found = jobs(client, session, number)
        running = [one for one in found["jobs"] if 0 < one["numCompletedTasks"] < 8]
        return running[0] if running and 0 < seen[-1] < 1 else None

    job = wait_for(in_the_middle, seconds=60, what="the statement is seen in its middle")
    assert (job["status"], job["numTasks"]) == ("RUNNING", 8)
    [stage] = job["stages"]
    assert stage["status"] == "ACTIVE"
    assert stage["numActiveTasks"] > 0
    ended = session.wait(number)
    assert seen == sorted(seen)
    assert (ended["output"]["data"]["text/plain"], ended["progress"]) == ("8", 1.0)

    [job] = ended_jobs(client, session, number)
    assert (job["status"], job["numCompletedTasks"]) == ("SUCCEEDED", 8)
    assert job["completionTime"] > job["submissionTime"]
    for kind, code in (("sql", "select count(*) from range(1000)"),
                       ("spark", "spark.range(1000).count()")):  # fmt: skip
        number = session.submit(code, kind)
        session.wait(number)
        quick = ended_jobs(client, session, number)
        assert {one["status"] for one in quick} == {"SUCCEEDED"}
    number = session.submit("spark.range(10).rdd.map(lambda n: 1 // 0).count()")
    assert session.wait(number)["output"]["status"] == "error"
    failed = ended_jobs(client, session, number)
    assert failed[-1]["status"] == "FAILED"


IN_THREADS = {
    "a thread": ("pyspark", "join(threading.Thread(target=few, args=(0,)))"),
    "a pool of an earlier statement": ("pyspark", "list(futures.map(few, range(2)))"),
    "another pool of an earlier statement": ("pyspark", "workers.map(few, range(2))"),
    "asyncio's threads": ("pyspark", "await asyncio.to_thread(few, 0)"),
    "Scala's future": ("spark", "Await.result(Future(few()), Duration.Inf)"),
    "Scala's pool of an earlier statement": ("spark", "handed(few()).get"),
    "Scala's thread": ("spark", "val t = new Thread(() => few()); t.start(); t.join()"),
    "Scala's parallel collection": ("spark", "(1 to 2).par.foreach(_ => few())"),
}


@pytest.mark.parametrize(("kind", "code"), IN_THREADS.values(), ids=IN_THREADS)
def test_jobs_of_threads_are_their_statements(
    client: Client, session: RemoteSession, kind: str, code: str
) -> None:
    prepare(session, scala=kind == "spark")
    number = session.submit(code, kind)
    assert session.wait(number)["output"]["status"] == "ok"
    found = wait_for(
        lambda: ended_jobs(client, session, number),
        seconds=10,
        what="jobs of the statement are listed",
    )
    assert {one["status"] for one in found} == {"SUCCEEDED"}
    after = session.submit("1 + 1")
    session.wait(after)
    assert jobs(client, session, after) == {"jobs": [], "total_jobs": 0}


def test_the_jobs_of_a_cancelled_statement_are_cancelled(
    client: Client, session: RemoteSession
) -> None:
    def end_as(number: int, status: str) -> None:
        wait_for(
            lambda: {one["status"] for one in ended_jobs(client, session, number)} == {status},
            seconds=10,
            what=f"the jobs are {status}",
        )

    number = session.submit("spark.range(10**12).selectExpr('sum(hash(id))').collect()")
    wait_for(lambda: jobs(client, session, number)["jobs"], seconds=60, what="the job is known")
    session.cancel(number)
    assert session.wait(number)["state"] == "cancelled"
    # The libraries below say nothing of the interrupt.
    assert client.call("GET", f"{session.path}/statements/{number}/output").text == ""
    end_as(number, "CANCELLED")
    failing = session.submit("spark.sql('select assert_true(id = 1) from range(1)').collect()")
    session.wait(failing)
    end_as(failing, "FAILED")


def test_what_was_done_is_counted_and_written_down(client: Client) -> None:
    facts = client.gateway.connection
    with client.session(name="audited") as session:
        session.text("print('the code')")
    metrics = client.http.get(f"{facts['http']}/metrics", timeout=30)
    assert metrics.status_code == 200
    assert 'livius_statement_run_seconds_count{kind="pyspark",outcome="ok"}' in metrics.text
    assert 'route="/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livyapi/' in metrics.text
    assert session.id not in metrics.text
    assert client.http.get(f"{facts['api']}/metrics", timeout=30).status_code == 404
    records = audit_log(client, "--session", session.id)
    assert [one["action"] for one in records][:4] == [
        *("session.create", "statement.submit", "statement.end", "session.delete"),
    ]
    assert records[1]["codeHead"] == "print('the code')"
    assert (records[1]["actorKind"], records[1]["address"]) == ("app", "127.0.0.1")
    assert records[2]["result"] == "ok"
