"""Points of the Fabric contract that no other test shows; docs/reference/fidelity.md names them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from livius.adapters.capacity import MachineCapacity
from livius.domain.driver import DriverEnd
from livius.domain.ids import SessionId, new_id
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Event
from livius.usecases.drivers import report
from livius_agent.wire import Finished, Output
from support.records import move_session
from wire.conftest import Wire


async def states(wire: Wire, session: str) -> tuple[Any, ...]:
    """A session's state in the three places, and the two phases beside them."""
    body = (await wire.client.get(f"{wire.base}/sessions/{session}")).json()
    return (
        body["state"],
        body.get("livyInfo", {}).get("currentState"),
        body["fabricSessionStateInfo"]["state"],
        body["schedulerInfo"]["currentState"],
        body["pluginInfo"]["currentState"],
        body["result"],
    )


async def test_the_three_places_of_the_state_over_a_whole_life(wire: Wire) -> None:
    store, now = wire.world.store, wire.world.clock.now()
    created = (await wire.client.post(f"{wire.base}/sessions", json={})).json()
    session = SessionId(created["id"])
    before = "Uncertain"
    acquiring = "acquiringSession"
    assert await states(wire, session) == (
        *("not_started", None, acquiring, "Queued", "Preparation", before),
    )
    await wire.world.settle(session)
    starting = ("starting", "starting", acquiring, "Scheduled", "Submission", before)
    assert await states(wire, session) == starting
    await move_session(store, session, Event.DRIVER_ATTACHED, at=now)
    assert await states(wire, session) == starting
    await move_session(store, session, Event.DRIVER_READY, at=now)
    idle = ("idle", "idle", "unknown", "Scheduled", "Monitoring", before)
    assert await states(wire, session) == idle
    url = f"{wire.base}/sessions/{session}"
    await wire.client.post(f"{url}/statements", json={"code": "1"})
    assert (await states(wire, session))[:2] == ("busy", "busy")
    await store.request_stop(session, end_cause=EndCause.IDLE, end_reason="Idle for 20 minutes.")
    assert await states(wire, session) == (
        *("shutting_down", "shutting_down", "cancelling", "Scheduled", "Cleanup", before),
    )
    await wire.world.settle(session)
    assert await states(wire, session) == (
        *("dead", "dead", "cancelled", "Ended", "Ended", "Succeeded"),
    )
    body = (await wire.client.get(url)).json()
    assert body["cancellationReason"] == "Idle for 20 minutes."
    info = body["livyInfo"]
    assert {"notStartedAt", "startingAt", "idleAt", "deadAt"} <= set(info)
    assert not {"busyAt", "recoveringAt"} & set(info)
    [item] = (await wire.client.get(f"{wire.base}/sessions")).json()["items"]
    assert (item["livyState"], item["isJobTimedOut"]) == ("dead", True)


async def test_a_driver_that_died_is_dead_in_both_places_with_a_reason(wire: Wire) -> None:
    session = await wire.ready_session()
    wire.world.launcher.die(session.driver, DriverEnd(signal=9))
    wire.world.links.open.clear()
    wire.world.clock.advance(timedelta(minutes=2))
    await wire.world.settle(session.id)
    body = (await wire.client.get(f"{wire.base}/sessions/{session.id}")).json()
    assert (body["state"], body["livyInfo"]["currentState"]) == ("dead", "dead")
    assert body["fabricSessionStateInfo"]["state"] == "error"
    assert body["fabricSessionStateInfo"]["errorMessage"]
    assert body["result"] == "Failed"
    [error] = body["errorInfo"]
    assert set(error) == {"message", "errorCode", "source"}


async def test_an_ended_session_takes_nothing_more(wire: Wire) -> None:
    session = await wire.ready_session()
    await wire.world.store.request_stop(session.id, end_cause=EndCause.IDLE, end_reason="idle")
    await wire.world.settle(session.id)
    url = f"{wire.base}/sessions/{session.id}"
    assert (await wire.client.get(url)).status_code == 200
    kept = await wire.client.post(f"{url}/reset-timeout")
    assert (kept.status_code, kept.json()["errorCode"]) == (409, "SessionNotActive")
    late = await wire.client.post(f"{url}/statements", json={"code": "1"})
    assert (late.status_code, late.json()["errorCode"]) == (404, "SessionNotFound")
    assert (await wire.client.delete(url)).status_code == 200
    assert (await wire.client.get(url)).status_code == 404


async def test_the_list_is_empty_whole_and_in_pages(wire: Wire) -> None:
    url = f"{wire.base}/sessions"
    assert (await wire.client.get(url)).json() == {
        "items": [],
        "sessions": [],
        "totalCountOfMatchedItems": 0,
        "pageSize": 0,
    }
    made = []
    for _ in range(5):
        made.append((await wire.client.post(url, json={})).json()["id"])
        wire.world.clock.advance(timedelta(seconds=1))
    pages = [
        (await wire.client.get(f"{url}?$top=2&$skip={skip}")).json()["items"] for skip in (0, 2, 4)
    ]
    assert [item["id"] for page in pages for item in page] == list(reversed(made))
    beyond = (await wire.client.get(f"{url}?$skip=9")).json()
    assert (beyond["items"], beyond["totalCountOfMatchedItems"]) == ([], 5)
    assert (await wire.client.get(f"{url}?$top=0")).json()["totalCountOfMatchedItems"] == 5


@pytest.mark.parametrize("count", ["true", "false", "True"])
async def test_count_never_costs_the_items(wire: Wire, count: str) -> None:
    await wire.client.post(f"{wire.base}/sessions", json={})
    body = (await wire.client.get(f"{wire.base}/sessions?$count={count}")).json()
    assert (len(body["items"]), body["totalCountOfMatchedItems"]) == (1, 1)


async def test_an_item_has_the_fields_of_fabrics_activity(wire: Wire) -> None:
    await wire.ready_session()
    [item] = (await wire.client.get(f"{wire.base}/sessions")).json()["items"]
    assert {
        *("id", "appId", "name", "workspaceId", "artifactId", "submitterId", "submitterName"),
        *("submittedAt", "startedAt", "schedulerState", "pluginState", "livyState", "result"),
        "isJobTimedOut",
    } <= set(item)
    assert item["submittedAt"].endswith("Z")
    assert not {"conf", "tags", "log"} & set(item)


@pytest.mark.parametrize("version", ["2023-12-01", "2024-07-30", "2099-01-01"])
async def test_every_date_is_the_same_version(wire: Wire, version: str) -> None:
    url = wire.base.replace("2023-12-01", version)
    assert (await wire.client.get(f"{url}/sessions")).status_code == 200


@pytest.mark.parametrize("version", ["latest", "v1", "2023-12-1", "20231201"])
async def test_what_is_no_date_is_no_version(wire: Wire, version: str) -> None:
    url = wire.base.replace("2023-12-01", version)
    answer = await wire.client.get(f"{url}/sessions")
    assert answer.status_code == 400
    assert "version" in answer.json()["message"]


async def test_doubled_and_trailing_slashes_are_one(wire: Wire) -> None:
    doubled = wire.base.replace("/v1/", "/v1//").replace("/livyapi/", "//livyapi///")
    made = await wire.client.post(f"{doubled}//sessions/", json={})
    assert made.status_code == 202
    one = await wire.client.get(f"{doubled}/sessions//{made.json()['id']}/")
    assert one.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/sessions"), ("PATCH", "/sessions"), ("DELETE", "/sessions"),
     ("POST", "/sessions/{id}"), ("PUT", "/sessions/{id}"), ("GET", "/sessions/{id}/reset-timeout"),
     ("DELETE", "/sessions/{id}/statements"), ("PUT", "/sessions/{id}/statements/0"),
     ("GET", "/sessions/{id}/statements/0/cancel")],
)  # fmt: skip
async def test_other_methods_are_not_allowed(wire: Wire, method: str, path: str) -> None:
    answer = await wire.client.request(method, wire.base + path.format(id=new_id()))
    assert answer.status_code == 405
    assert answer.json()["errorCode"] == "MethodNotAllowed"
    assert answer.headers["allow"]


async def test_head_is_not_offered(wire: Wire) -> None:
    answer = await wire.client.head(f"{wire.base}/sessions")
    assert answer.status_code == 405


async def test_an_error_is_json_in_the_envelope_whatever_went_wrong(wire: Wire) -> None:
    url = f"{wire.base}/sessions"
    for answer in (
        await wire.client.get(url, headers={"Authorization": "Bearer no"}),
        await wire.client.get(url, headers=wire.as_caller("eve")),
        await wire.client.get(f"{url}/{new_id()}"),
        await wire.client.post(url, json={"driverCores": "x"}),
        await wire.client.post(url, content=b"{"),
        await wire.client.put(url),
        await wire.client.get(f"{wire.base}/nowhere"),
    ):
        body = answer.json()
        assert answer.headers["content-type"] == "application/json"
        assert set(body) <= {"requestId", "errorCode", "message", "moreDetails", "isRetriable"}
        assert body["requestId"] == answer.headers["x-ms-request-id"]
        assert body["isRetriable"] is False
        assert body["message"].endswith(".")


async def test_a_workspace_that_is_not_there_and_one_of_others_are_told_apart(wire: Wire) -> None:
    missing = wire.base.replace(wire.world.workspace.id, new_id())
    answer = await wire.client.get(f"{missing}/sessions")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "WorkspaceNotFound")
    missing = wire.base.replace(wire.world.lakehouse.id, new_id())
    answer = await wire.client.get(f"{missing}/sessions")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "ItemNotFound")
    refused = await wire.client.get(f"{wire.base}/sessions", headers=wire.as_caller("eve"))
    assert (refused.status_code, refused.json()["errorCode"]) == (403, "InsufficientPrivileges")


async def test_another_members_session_is_listed_and_not_found(wire: Wire) -> None:
    bob = await wire.world.member(Role.CONTRIBUTOR)
    wire.tokens.known["bob"] = bob
    headers = {"Authorization": "Bearer bob"}
    session = await wire.ready_session()
    listed = (await wire.client.get(f"{wire.base}/sessions", headers=headers)).json()
    assert [item["id"] for item in listed["items"]] == [session.id]
    url = f"{wire.base}/sessions/{session.id}"
    for method, path in (
        ("GET", url),
        ("DELETE", url),
        ("POST", f"{url}/reset-timeout"),
        ("GET", f"{url}/statements"),
        ("GET", f"{url}/statements/0"),
        ("POST", f"{url}/statements/0/cancel"),
    ):
        answer = await wire.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "SessionNotFound"), path


async def test_a_viewer_lists_and_does_not_run(wire: Wire) -> None:
    wire.tokens.known["vera"] = await wire.world.member(Role.VIEWER)
    headers = {"Authorization": "Bearer vera"}
    assert (await wire.client.get(f"{wire.base}/sessions", headers=headers)).status_code == 200
    answer = await wire.client.post(f"{wire.base}/sessions", json={}, headers=headers)
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "InsufficientWorkspaceRole")


async def test_unicode_comes_back_as_it_went_in(wire: Wire) -> None:
    name = "测试 Ünïcode 🚀"
    tags = {"projekt": "größe", "🚀": "✓"}
    made = await wire.client.post(f"{wire.base}/sessions", json={"name": name, "tags": tags})
    assert (made.json()["name"], made.json()["tags"]) == (name, tags)
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    code = "print('日本語 \U0001f680 \u202e')"
    assert (await wire.client.post(url, json={"code": code})).json()["code"] == code


async def test_from_and_size_cut_text_by_bytes_and_never_a_character(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    text = "aé日b"
    size = len(text.encode())
    piece = Output(repl=session.first_repl, number=0, seq=1, offset=0, text=text)
    await report(wire.world.context, session, piece)
    done = Finished(repl=session.first_repl, number=0, seq=2, size=size, outcome="ok")
    await report(wire.world.context, session, done)

    async def cut(query: str) -> str:
        body = (await wire.client.get(f"{url}/0?{query}")).json()
        return str(body["output"]["data"].get("text/plain", ""))

    assert await cut("from=0&size=100") == text
    assert await cut("from=1") == "é日b"
    assert await cut("size=2") == "a"
    assert await cut("from=2&size=4") == "日"
    assert await cut("from=100") == ""
    assert await cut("size=0") == ""
    for query in ("from=-1", "size=x"):
        assert (await wire.client.get(f"{url}/0?{query}")).status_code == 400


async def test_a_cancel_of_something_finished_changes_nothing(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    done = Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="ok")
    await report(wire.world.context, session, done)
    answer = await wire.client.post(f"{url}/0/cancel")
    assert (answer.status_code, answer.json()) == (200, {"msg": "canceled"})
    assert (await wire.client.get(f"{url}/0")).json()["state"] == "available"
    missing = await wire.client.post(f"{url}/7/cancel")
    assert (missing.status_code, missing.json()["errorCode"]) == (404, "StatementNotFound")


@pytest.mark.parametrize("number", ["1", "-1", "x", "1.0", "99999999999999", "%00", "\u0661"])
async def test_a_statement_that_is_not_there_is_a_404(wire: Wire, number: str) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    answer = await wire.client.get(f"{url}/{number}")
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "StatementNotFound")


async def test_a_statement_has_classic_livys_times_and_progress_too(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    made = (await wire.client.post(url, json={"code": "1"})).json()
    assert made["progress"] == 0
    assert isinstance(made["id"], int)
    assert made["kind"] == "pyspark", "what a statement without a kind is"
    done = Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="ok")
    await report(wire.world.context, session, done)
    body = (await wire.client.get(f"{url}/0")).json()
    assert body["progress"] == 1.0
    assert body["started"] <= body["completed"]


async def test_a_full_machine_is_a_430_that_says_when_to_come_back(
    wire: Wire, tmp_path: Path
) -> None:
    wire.world.room.real = MachineCapacity(
        max_drivers=0, per_driver=1, reserve=0, disk=tmp_path, disk_reserve=0
    )
    answer = await wire.client.post(f"{wire.base}/sessions", json={})
    body = answer.json()
    assert (answer.status_code, body["errorCode"]) == (430, "TooManyRequestsForCapacity")
    assert body["isRetriable"] is True
    assert int(answer.headers["retry-after"]) > 0
    assert "0 of 0" in body["message"]
    assert await wire.world.store.live_sessions() == []


async def test_a_server_that_shuts_down_starts_nothing_and_says_so(
    wire: Wire, tmp_path: Path
) -> None:
    wire.world.room.real = capacity = MachineCapacity(
        max_drivers=9, per_driver=1, reserve=0, disk=tmp_path, disk_reserve=0
    )
    capacity.close()
    answer = await wire.client.post(f"{wire.base}/sessions", json={})
    body = answer.json()
    assert (answer.status_code, body["errorCode"]) == (503, "ServerStopping")
    assert body["isRetriable"] is True
    assert int(answer.headers["retry-after"]) > 0
    assert await wire.world.store.live_sessions() == []


async def test_any_content_type_is_read_as_json(wire: Wire) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        answer = await wire.client.post(
            f"{wire.base}/sessions", content=b'{"name":"n"}', headers={"Content-Type": kind}
        )
        assert (answer.status_code, answer.json()["name"]) == (202, "n")


@pytest.mark.parametrize("count", ["AAA", "2", "", "null"])
async def test_a_count_that_is_no_truth_value_is_a_400(wire: Wire, count: str) -> None:
    answer = await wire.client.get(f"{wire.base}/sessions?$count={count}")
    assert answer.status_code == 400
    assert "$count" in answer.json()["message"]


async def test_null_means_left_out(wire: Wire) -> None:
    """For a field, a member of a map, and a whole body that may be left out."""
    body = {
        "name": None,
        "conf": {"spark.sql.shuffle.partitions": "2", "spark.x": None},
        "tags": {"a": None, "b": "c"},
        "driverMemory": None,
        "numExecutors": None,
        "jars": None,
        "kind": None,
    }
    made = (await wire.client.post(f"{wire.base}/sessions", json=body)).json()
    assert made["tags"]["b"] == "c"
    assert "a" not in made["tags"]
    for content in (b"null", b" null ", b"", b"{}"):
        answer = await wire.client.post(f"{wire.base}/sessions", content=content)
        assert answer.status_code == 202, content
    session = await wire.ready_session()
    statements = f"{wire.base}/sessions/{session.id}/statements"
    answer = await wire.client.post(statements, json={"code": "1", "kind": None, "sourceId": None})
    assert answer.status_code == 200
    workspace, _ = wire.world.place
    answer = await wire.client.post(
        f"/v1/workspaces/{workspace}/lakehouses",
        json={"displayName": "nulls", "description": None, "creationPayload": None},
    )
    assert answer.status_code == 201


async def test_null_where_something_is_needed_is_a_400_that_names_it(wire: Wire) -> None:
    session = await wire.ready_session()
    workspace, _ = wire.world.place
    for path, content, named in (
        (f"{wire.base}/sessions/{session.id}/statements", b'{"code": null}', "code"),
        (f"{wire.base}/sessions/{session.id}/statements", b"null", "The body"),
        ("/v1/workspaces", b'{"displayName": null}', "displayName"),
        ("/v1/workspaces", b"null", "The body"),
        (f"/v1/workspaces/{workspace}/lakehouses", b"null", "The body"),
    ):
        answer = await wire.client.post(path, content=content)
        assert answer.status_code == 400, path
        assert named in answer.json()["message"], answer.text


async def test_numbers_may_come_as_text(wire: Wire) -> None:
    body = {"numExecutors": "2", "driverCores": " 4 ", "executorCores": 8.0}
    made = await wire.client.post(f"{wire.base}/sessions", json=body)
    assert made.status_code == 202
    session = await wire.world.store.session(made.json()["id"])
    assert session is not None
    assert session.request == {"numExecutors": 2, "driverCores": 4, "executorCores": 8}


@pytest.mark.parametrize(
    "value", ["two", "2.5", "", "0x2", "1e3", "\uff19", 2.5, True, [2], "9" * 30]
)
async def test_what_is_no_number_is_a_400_that_names_it(wire: Wire, value: object) -> None:
    answer = await wire.client.post(f"{wire.base}/sessions", json={"numExecutors": value})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("numExecutors: ")


async def test_the_list_of_statements_has_an_order(wire: Wire) -> None:
    session = await wire.ready_session()
    statements = f"{wire.base}/sessions/{session.id}/statements"
    for code in "abcd":
        await wire.client.post(statements, json={"code": code})

    async def listed(query: str) -> list[int]:
        body = (await wire.client.get(f"{statements}?{query}")).json()
        assert body["total_statements"] == 4
        return [one["id"] for one in body["statements"]]

    assert await listed("") == await listed("order=asc") == [0, 1, 2, 3]
    assert await listed("order=desc") == await listed("order=DESC") == [3, 2, 1, 0]
    assert await listed("order=desc&from=1&size=2") == [2, 1]
    answer = await wire.client.get(f"{statements}?order=down")
    assert answer.status_code == 400
    assert "order" in answer.json()["message"]
