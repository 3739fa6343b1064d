"""The monitoring API, called as its clients call it."""

import io
import zipfile
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from livius.domain.driver import DriverEnd
from livius.domain.ids import SessionId, new_id
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Session
from livius.ports.history import EventLog, Opening
from livius.usecases.drivers import report
from livius_agent.wire import Finished
from wire.conftest import Wire


def urls(wire: Wire) -> tuple[str, str]:
    """The lists of the workspace and of the lakehouse."""
    workspace, lakehouse = wire.world.place
    base = f"/v1/workspaces/{workspace}"
    return f"{base}/spark/livySessions", f"{base}/lakehouses/{lakehouse}/livySessions"


async def created(wire: Wire, **body: Any) -> SessionId:
    answer = await wire.client.post(f"{wire.base}/sessions", json=body)
    assert answer.status_code == 202, answer.text
    return SessionId(answer.json()["id"])


async def listed(wire: Wire, url: str = "", **query: Any) -> list[dict[str, Any]]:
    answer = await wire.client.get(url or urls(wire)[0], params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


async def record(wire: Wire, session: SessionId) -> dict[str, Any]:
    answer = await wire.client.get(f"{urls(wire)[1]}/{session}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_livy_session_has_fabrics_fields(wire: Wire) -> None:
    session = await created(wire, name="nightly", driverMemory="56g", driverCores=8)
    body = await record(wire, session)
    workspace, lakehouse = wire.world.place
    item = {"workspaceId": workspace, "itemId": lakehouse, "referenceType": "ById"}
    submitter = {"id": wire.world.admin.oid, "type": "User"}
    assert body == {
        "state": "NotStarted",
        "livyId": session,
        "origin": "PendingJob",
        "attemptNumber": 1,
        "maxNumberOfAttempts": 1,
        "livyName": "nightly",
        "submitter": submitter,
        "consumerId": submitter,
        "item": item,
        "creatorItem": item,
        "itemName": "Bronze",
        "itemType": "Lakehouse",
        "jobType": "SparkSession",
        "submittedDateTime": "2026-01-01T00:00:00Z",
        "queuedDuration": {"value": 0, "timeUnit": "Seconds"},
        "runningDuration": {"value": 0, "timeUnit": "Seconds"},
        "totalDuration": {"value": 0, "timeUnit": "Seconds"},
        "jobInstanceId": session,
        "isHighConcurrency": False,
        "operationName": "Session Livy Run",
        "runtimeVersion": "2.0",
        "livySessionItemResourceUri": "",
        "driverMemory": 56,
        "driverCores": 8,
        "executorMemory": 0,
        "executorCores": 0,
        "numExecutors": 0,
        "isDynamicAllocationEnabled": False,
    }
    assert await listed(wire) == await listed(wire, urls(wire)[1]) == [body]


async def test_the_record_outlives_the_session_and_has_its_times(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.world.clock.advance(timedelta(seconds=90))
    assert (await record(wire, session.id))["state"] == "InProgress"
    await wire.client.delete(f"{wire.base}/sessions/{session.id}")
    assert (await record(wire, session.id))["state"] == "InProgress"
    await wire.world.settle(session.id)
    wire.world.clock.advance(timedelta(seconds=10))
    body = await record(wire, session.id)
    assert body["state"] == "Succeeded"
    assert body["cancellationReason"] == "Ada deleted the session."
    assert body["sparkApplicationId"] == "local-1"
    assert body["origin"] == "SubmittedJob"
    assert body["endDateTime"] == "2026-01-01T00:01:30Z"
    assert [body[f"{name}Duration"]["value"] for name in ("queued", "running", "total")] == [
        *(0, 90, 90)
    ]


async def test_each_end_has_its_word(wire: Wire) -> None:
    cancelled = await created(wire)
    await wire.client.delete(f"{wire.base}/sessions/{cancelled}")
    await wire.world.settle(cancelled)
    idle = await wire.ready_session()
    await wire.world.store.request_stop(idle.id, end_cause=EndCause.IDLE, end_reason="Idle.")
    await wire.world.settle(idle.id)
    died = await wire.ready_session()
    wire.world.launcher.die(died.driver, DriverEnd(signal=9))
    wire.world.links.open.clear()
    wire.world.clock.advance(timedelta(minutes=2))
    await wire.world.settle(died.id)
    late = await created(wire)
    await wire.world.settle(late)
    wire.world.clock.advance(timedelta(minutes=6))
    await wire.world.settle(late)
    words = {key: (await record(wire, key))["state"] for key in (cancelled, idle.id, died.id, late)}
    assert list(words.values()) == ["Cancelled", "Failed", "Failed", "Failed"]
    assert {one["livyId"] for one in await listed(wire, state="Failed", beta="true")} == {
        *(idle.id, died.id, late)
    }


async def test_filters_keep_what_they_name(wire: Wire) -> None:
    first = await created(wire)
    wire.world.clock.advance(timedelta(minutes=1))
    other = await wire.world.member(Role.CONTRIBUTOR)
    wire.tokens.known["other"] = other
    answer = await wire.client.post(
        f"{wire.base}/sessions", json={}, headers=wire.as_caller("other")
    )
    second = answer.json()["id"]
    await wire.client.delete(f"{wire.base}/sessions/{first}")
    await wire.world.settle(first)

    async def ids(**query: Any) -> list[str]:
        return [one["livyId"] for one in await listed(wire, beta="true", **query)]

    assert await ids() == [second, first]
    assert await ids(**{"submitter.Id": other.oid.upper()}) == [second]
    assert await ids(state="notstarted") == [second]
    assert await ids(state="Unknown") == []
    assert await ids(submittedDateTime="2026-01-01T00:00:30Z") == [second]
    assert await ids(submittedDateTime="2026-01-01T00:00:00Z") == [second, first]
    assert await ids(endDateTime="2026-01-01T00:01:00Z") == [first]
    assert await ids(endDateTime="2026-01-01T00:00:59Z") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("state", "Working"), ("submitter.Id", "ada"), ("submittedDateTime", "yesterday"),
     ("endDateTime", "2026-13-01T00:00:00Z"), ("maxResults", "0"), ("maxResults", "1001"),
     ("continuationToken", "x"), ("continuationToken", "YWJj" * 20), ("continuationToken", "é")],
)  # fmt: skip
async def test_a_wrong_parameter_is_a_400_that_names_it(wire: Wire, name: str, value: str) -> None:
    answer = await wire.client.get(urls(wire)[0], params={name: value})
    assert answer.status_code == 400
    assert name in answer.text


async def test_pages_fit_together_while_others_are_added(wire: Wire) -> None:
    made = [await created(wire) for _ in range(5)]
    for _ in range(2):  # some share a moment, some do not
        wire.world.clock.advance(timedelta(seconds=1))
        made.append(await created(wire))
    seen: list[str] = []
    url: str | None = f"{urls(wire)[0]}?maxResults=2"
    while url is not None:
        body = (await wire.client.get(url)).json()
        seen += [one["livyId"] for one in body["value"]]
        url = body["continuationUri"]
        assert (url is None) == (body["continuationToken"] is None)
        await created(wire)  # newer than the page: it changes nothing of what follows
    assert sorted(seen) == sorted(made)
    assert seen[:2] == list(reversed(made[-2:]))


async def test_a_token_is_good_for_its_own_list_only(wire: Wire) -> None:
    for _ in range(3):
        await created(wire)
    every, of_lakehouse = urls(wire)
    token = (await wire.client.get(f"{every}?maxResults=1")).json()["continuationToken"]
    assert (await wire.client.get(f"{every}?continuationToken={token}")).status_code == 200
    for url in (
        f"{of_lakehouse}?continuationToken={token}",
        f"{every}?continuationToken={token}&state=Failed",
        f"{every}?continuationToken={token[:-2]}",
        f"{every}?continuationToken={token[:30]}{'B' if token[30] == 'A' else 'A'}{token[31:]}",
    ):
        answer = await wire.client.get(url)
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "InvalidInput")


async def test_a_viewer_sees_the_record_and_not_the_logs(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.tokens.known["viewer"] = await wire.world.member(Role.VIEWER)
    every, of_lakehouse = urls(wire)
    viewer, stranger = wire.as_caller("viewer"), wire.as_caller("stranger")
    for url in (every, of_lakehouse, f"{of_lakehouse}/{session.id}"):
        assert (await wire.client.get(url, headers=viewer)).status_code == 200
        answer = await wire.client.get(url, headers=stranger)
        assert (answer.status_code, answer.json()["errorCode"]) == (403, "InsufficientPrivileges")
    application = f"{of_lakehouse}/{session.id}/applications/local-1"
    for path in ("", "/jobs", "/logs?type=driver&fileName=stdout", "/logs?type=livy"):
        for caller in (viewer, stranger):
            answer = await wire.client.get(f"{application}{path}", headers=caller)
            assert (answer.status_code, answer.json()["errorCode"]) == (
                *(403, "InsufficientPrivileges"),
            )


async def test_what_is_not_there_has_fabrics_codes(wire: Wire) -> None:
    session = await created(wire)
    workspace, _ = wire.world.place
    base = f"/v1/workspaces/{workspace}"
    for path, code in (
        (f"/lakehouses/{new_id()}/livySessions", "SparkCoreItemNotFound"),
        ("/lakehouses/x/livySessions", "SparkCoreItemNotFound"),
        (f"/lakehouses/{new_id()}/livySessions/{session}", "SparkCoreItemNotFound"),
        (f"/notebooks/{new_id()}/livySessions", "SparkCoreItemNotFound"),
        (f"/sparkJobDefinitions/{new_id()}/livySessions/{session}", "SparkCoreItemNotFound"),
        (f"/lakehouses/{wire.world.place[1]}/livySessions/{new_id()}", "SparkCoreSessionNotFound"),
        (f"/lakehouses/{wire.world.place[1]}/livySessions/0", "SparkCoreSessionNotFound"),
    ):
        answer = await wire.client.get(base + path)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, code)
    answer = await wire.client.get(f"/v1/workspaces/{new_id()}/spark/livySessions")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "WorkspaceNotFound")


def application(wire: Wire, session: Session, name: str = "local-1") -> str:
    return f"{urls(wire)[1]}/{session.id}/applications/{name}"


async def test_a_drivers_log_is_read_in_pieces_and_whole(wire: Wire) -> None:
    session = await wire.ready_session()
    text = bytes(range(256)) * 8192  # 2 MiB
    wire.world.logs.printed[session.driver, "stdout"] = text
    url = f"{application(wire, session)}/logs?type=driver&fileName=stdout"
    meta = (await wire.client.get(f"{url}&meta=true")).json()
    assert meta["containerLogMeta"]["length"] == len(text)
    first = await wire.client.get(url)
    assert first.content == text[: 2**20]
    assert first.headers["content-type"] == "application/octet-stream"
    piece = await wire.client.get(f"{url}&isPartial=true&offset=100&size=7")
    assert piece.content == text[100:107]
    assert (await wire.client.get(f"{url}&offset=9999999")).content == b""
    whole = await wire.client.get(f"{url}&isDownload=true")
    assert whole.content == text
    assert whole.headers["content-disposition"] == 'attachment; filename="stdout"'
    # The attempt may be named; there is one.
    again = await wire.client.get(url.replace("/logs?", "/1/logs?") + "&size=3")
    assert again.content == text[:3]
    assert (await wire.client.get(url.replace("/logs?", "/2/logs?"))).status_code == 404


async def test_rolling_logs_are_listed(wire: Wire) -> None:
    session = await wire.ready_session()
    for name in ("stdout", "stderr"):
        wire.world.logs.printed[session.driver, name] = b"text"
    url = f"{application(wire, session)}/logs?type=rollingdriver&meta=true"

    async def names(more: str = "") -> list[str]:
        body = (await wire.client.get(url + more)).json()
        return [one["fileName"] for one in body["containerLogMeta"]]

    assert await names() == ["stderr", "stdout"]
    assert await names("&filenamePrefix=stdout") == ["stdout"]
    assert await names("&maxResults=1&offset=1") == ["stdout"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 404), ("type=driver", 400), ("type=driver&fileName=syslog", 404),
     ("type=driver&fileName=../secret", 404), ("type=driver&fileName=stdout&meta=true", 404),
     ("type=rollingdriver", 400), ("type=executor", 404), ("type=audit", 400),
     ("type=driver&fileName=stdout&offset=-1", 400), ("type=livy&size=99999999", 400)],
)  # fmt: skip
async def test_wrong_questions_for_logs(wire: Wire, query: str, status: int) -> None:
    session = await wire.ready_session()
    answer = await wire.client.get(f"{application(wire, session)}/logs?{query}")
    assert answer.status_code == status
    assert answer.json()["errorCode"]


async def test_the_livy_log_tells_what_the_gateway_did_and_no_code(wire: Wire) -> None:
    session = await wire.ready_session()
    await wire.client.post(
        f"{wire.base}/sessions/{session.id}/statements", json={"code": "secret_code()"}
    )
    url = f"{application(wire, session, 'none')}/logs?type=livy"
    before = (await wire.client.get(url)).text
    assert "session accepted" in before
    assert "statement 0 (pyspark) running" in before
    done = Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="error", ename="E")
    await report(wire.world.context, session, done)
    wire.world.clock.advance(timedelta(seconds=1))
    await wire.client.delete(f"{wire.base}/sessions/{session.id}")
    await wire.world.settle(session.id)
    after = (await wire.client.get(url)).text
    assert after.startswith(before)
    assert after.splitlines()[-1].endswith("session stopped: Ada deleted the session.")
    assert "secret_code" not in after
    assert (await wire.client.get(f"{url}&offset={len(before)}")).text == after[len(before) :]
    meta = (await wire.client.get(f"{url}&meta=true")).json()
    assert (meta["fileName"], meta["length"]) == ("livy.log", len(after))


@pytest.mark.timeout(120)  # 1203 requests on a busy machine
async def test_the_livy_log_has_every_statement_and_is_read_piece_by_piece(wire: Wire) -> None:
    session = await wire.ready_session()
    statements = f"{wire.base}/sessions/{session.id}/statements"
    for _ in range(1203):
        await wire.client.post(statements, json={"code": "1"})
    url = f"{application(wire, session, 'none')}/logs?type=livy"
    whole = (await wire.client.get(url)).text
    for number in (0, 499, 500, 1202):
        assert f"statement {number} (pyspark) accepted\n" in whole
    assert whole.count(" accepted\n") == 1204  # the session's own is one
    read = ""
    while piece := (await wire.client.get(f"{url}&offset={len(read)}&size=10000")).text:
        read += piece
    assert read == whole


async def test_sparks_own_rest_is_passed_on_while_the_driver_runs(wire: Wire) -> None:
    session = await wire.ready_session()
    url, pages = application(wire, session), wire.world.pages
    answer = await wire.client.get(f"{url}/jobs")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "SparkCoreItemNotFound")
    await wire.world.store.annotate_session(session.id, ui_url="http://127.0.0.1:4040")
    pages.said = {"local-1/jobs": b"[]", "local-1": b"{}", "local-1/sql/3": b'{"id":3}'}
    assert (await wire.client.get(f"{url}/jobs?status=running")).json() == []
    assert pages.asked[-1] == ("http://127.0.0.1:4040", "local-1/jobs", {"status": "running"})
    assert (await wire.client.get(url)).json() == {}
    assert (await wire.client.get(f"{url}/1/sql/3?details=true")).json() == {"id": 3}
    for path in ("/version", "/%2e%2e/%2e%2e/x", "/jobs/%2e%2e", "/2/jobs", "/jobs/%00", "/jobs/7"):
        assert (await wire.client.get(url + path)).status_code in (400, 404)
    other = application(wire, session, "local-2")
    assert (await wire.client.get(f"{other}/jobs")).status_code == 404
    assert (await wire.client.get(f"{url}/resourceUsage")).status_code == 501
    asked = len(pages.asked)
    await wire.client.delete(f"{wire.base}/sessions/{session.id}")
    await wire.world.settle(session.id)
    ended = await wire.client.get(f"{url}/jobs")
    assert (ended.status_code, ended.json()["errorCode"]) == (404, "SparkCoreItemNotFound")
    assert "has ended" in ended.json()["message"]
    assert len(pages.asked) == asked


async def test_sparks_rest_of_an_ended_session_is_that_of_its_event_log(wire: Wire) -> None:
    session = await wire.ready_session()
    world, url = wire.world, application(wire, session)
    await wire.client.delete(f"{wire.base}/sessions/{session.id}")
    await world.settle(session.id)
    assert (await wire.client.get(f"{url}/logs")).status_code == 404
    world.history.logs[session.driver] = EventLog(size=7, is_full=False)
    world.pages.said = {f"{session.driver}/jobs": b"[]", session.driver: b"{}"}
    for path, body in (("/jobs", []), ("/1/jobs", []), ("", {})):
        assert (await wire.client.get(url + path)).json() == body
    assert world.pages.asked[-1] == (world.history.url, session.driver, {})
    for path in ("/stages", "/version", f"/{session.driver}/jobs"):
        assert (await wire.client.get(url + path)).status_code == 404
    other = application(wire, session, session.driver)
    assert (await wire.client.get(f"{other}/jobs")).status_code == 404
    archive = await wire.client.get(f"{url}/logs")
    assert archive.headers["content-type"] == "application/zip"
    assert archive.headers["content-disposition"] == 'attachment; filename="eventLogs-local-1.zip"'
    assert zipfile.ZipFile(io.BytesIO(archive.content)).read("local-1.zstd") == b"events"
    world.history.state = Opening.STARTING
    waits = await wire.client.get(f"{url}/jobs")
    assert (waits.status_code, waits.json()["errorCode"]) == (503, "SparkHistoryUnavailable")


async def test_an_applications_id_that_a_driver_made_up_names_no_file(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.world.history.logs[session.driver] = EventLog(size=7, is_full=False)
    for name in ('a"b', "..", "a\nb"):
        await wire.world.store.annotate_session(session.id, spark_app_id=name)
        url = application(wire, session, quote(name, safe=""))
        assert (await wire.client.get(f"{url}/logs")).status_code in (404, 405), name
