"""The Fabric dialect on the wire: status codes, bodies, words, errors."""

import json
from typing import Any

import pytest
from msgspec import Raw

from livius.domain.ids import new_id
from livius.usecases.drivers import report
from livius_agent.text import json_bytes
from livius_agent.wire import Finished, Output
from wire.conftest import Wire


def never_null(body: Any) -> bool:
    """An absent object is left out, never null: that is what Fabric's clients rely on."""
    if isinstance(body, dict):
        return all(value is not None and never_null(value) for value in body.values())
    if isinstance(body, list):
        return all(never_null(value) for value in body)
    return True


def is_envelope(body: dict[str, Any]) -> bool:
    return {"requestId", "errorCode", "message", "isRetriable"} <= set(body)


async def test_create_answers_202_with_the_whole_session(wire: Wire) -> None:
    answer = await wire.client.post(f"{wire.base}/sessions", json={"name": "demo"})
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"].endswith(f"/sessions/{body['id']}")
    assert body["name"] == "demo"
    assert body["state"] == "not_started"
    assert body["fabricSessionStateInfo"]["state"] == "acquiringSession"
    assert "livyInfo" not in body
    assert (body["jobType"], body["result"]) == ("SparkSession", "Uncertain")
    assert body["submitterName"] == "Ada"
    assert body["log"] == body["errorInfo"] == []
    assert never_null(body)


async def test_an_empty_body_and_no_body_are_the_minimal_session(wire: Wire) -> None:
    for content in (b"{}", b""):
        answer = await wire.client.post(f"{wire.base}/sessions", content=content)
        assert answer.status_code == 202


async def test_a_ready_session_says_idle_in_both_places(wire: Wire) -> None:
    session = await wire.ready_session()
    body = (await wire.client.get(f"{wire.base}/sessions/{session.id}")).json()
    assert body["state"] == body["livyInfo"]["currentState"] == "idle"
    assert body["fabricSessionStateInfo"] == {"state": "unknown", "errorMessage": ""}
    assert body["appId"] == "local-1"
    assert body["livyInfo"]["jobCreationRequest"]["name"] == session.name
    assert never_null(body)


async def test_a_session_with_an_open_statement_is_busy(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}"
    await wire.client.post(f"{url}/statements", json={"code": "1", "kind": "spark"})
    body = (await wire.client.get(url)).json()
    assert body["state"] == body["livyInfo"]["currentState"] == "busy"


async def test_the_list_has_both_names_and_the_count(wire: Wire) -> None:
    for _ in range(3):
        await wire.client.post(f"{wire.base}/sessions", json={})
    body = (await wire.client.get(f"{wire.base}/sessions?$top=2&$skip=0&$count=true")).json()
    assert (body["totalCountOfMatchedItems"], body["pageSize"]) == (3, 2)
    assert body["items"] == body["sessions"]
    assert {item["livyState"] for item in body["items"]} == {"not_started"}
    assert never_null(body)


async def test_delete_answers_200_then_404(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}"
    answers = [await wire.client.delete(url), await wire.client.delete(url)]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert (await wire.client.get(url)).status_code == 404
    late = await wire.client.post(f"{url}/statements", json={"code": "1"})
    assert late.status_code == 404


async def test_reset_timeout_answers_204_with_nothing(wire: Wire) -> None:
    session = await wire.ready_session()
    answer = await wire.client.post(f"{wire.base}/sessions/{session.id}/reset-timeout")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_statement_is_200_with_a_number_and_no_output_yet(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    answer = await wire.client.post(url, json={"code": "1", "kind": "spark", "sourceId": "c1"})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["id"], body["state"], body["code"], body["sourceId"]) == (0, "running", "1", "c1")
    assert "output" not in body


async def test_a_result_has_its_text_and_an_error_has_no_data(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    repl = session.first_repl
    for _ in range(2):
        await wire.client.post(url, json={"code": "1"})
    text = Output(repl=repl, number=0, seq=1, offset=0, text="out\n\n")
    await report(wire.world.context, session, text)
    data = Raw(b'{"image/png":"aGk="}')
    done = Finished(repl=repl, number=0, seq=2, size=5, outcome="ok", data=data)
    await report(wire.world.context, session, done)
    text = Output(repl=repl, number=1, seq=1, offset=0, text="out\n\n")
    await report(wire.world.context, session, text)
    failed = Finished(
        repl=repl,
        number=1,
        seq=2,
        size=5,
        outcome="error",
        ename="AnalysisException",
        evalue="[TABLE_OR_VIEW_NOT_FOUND] no",
        traceback=("line 1\n",),
    )
    await report(wire.world.context, session, failed)
    ok = (await wire.client.get(f"{url}/0")).json()
    assert ok["state"] == "available"
    assert ok["output"] == {
        "status": "ok",
        "execution_count": 0,
        "data": {"text/plain": "out", "image/png": "aGk="},
    }
    error = (await wire.client.get(f"{url}/1")).json()
    assert error["state"] == "available"
    assert error["output"] == {
        "status": "error",
        "execution_count": 1,
        "ename": "AnalysisException",
        "evalue": "[TABLE_OR_VIEW_NOT_FOUND] no",
        "traceback": ["line 1\n"],
        "stdout": "out\n\n",
    }
    listed = (await wire.client.get(url)).json()
    assert listed["total_statements"] == 2
    assert [statement["id"] for statement in listed["statements"]] == [0, 1]
    sliced = (await wire.client.get(f"{url}/0?from=1&size=1")).json()
    assert sliced["output"]["data"]["text/plain"] == "u"


async def test_sql_has_json_and_no_text(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "select 1", "kind": "sql"})
    data = {"application/json": {"schema": {"type": "struct", "fields": []}, "data": []}}
    done = Finished(
        repl=session.first_repl,
        number=0,
        seq=1,
        size=0,
        outcome="ok",
        with_text=False,
        data=Raw(json_bytes(data)),
    )
    await report(wire.world.context, session, done)
    assert (await wire.client.get(f"{url}/0")).json()["output"]["data"] == data


async def test_cancel_answers_canceled_and_the_statement_has_an_output(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    await wire.client.post(url, json={"code": "2"})
    answer = await wire.client.post(f"{url}/1/cancel", json={})
    assert (answer.status_code, answer.json()) == (200, {"msg": "canceled"})
    body = (await wire.client.get(f"{url}/1")).json()
    assert body["state"] == "cancelled"
    assert body["output"]["status"] == "error"
    assert "data" not in body["output"]


@pytest.mark.parametrize(
    "spelling",
    [
        "/v1/workspaces/{0}/lakehouses/{1}/livyApi/versions/2023-12-01/sessions",
        "/v1/workspaces/{0}/lakehouses/{1}/LIVYAPI/versions/2024-07-30/Sessions",
        "/v1//workspaces/{0}//lakehouses/{1}/livyapi/versions/1999-01-01/sessions/",
    ],
)
async def test_paths_are_read_as_clients_write_them(wire: Wire, spelling: str) -> None:
    answer = await wire.client.get(spelling.format(*wire.world.place))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"driverCores": "four"}, "driverCores"),
        ({"numExecutors": "2.5"}, "numExecutors"),
        ({"driverCores": True}, "driverCores"),
        ({"driverMemory": 4}, "driverMemory"),
        ({"driverMemory": "huge"}, "driverMemory"),
        ({"numExecutors": 1.5}, "numExecutors"),
        ({"name": ["a"]}, "name"),
        ({"conf": ["a"]}, "conf"),
        ({"conf": {"spark.x": {"a": 1}}}, "conf.spark.x"),
        ({"conf": {"spark.master": "local"}}, "spark.master"),
        ({"tags": "a"}, "tags"),
        ({"jars": "a.jar"}, "jars"),
        ([], "body"),
        ("x", "body"),
    ],
)
async def test_a_wrong_field_is_a_400_that_names_it(wire: Wire, body: Any, field: str) -> None:
    answer = await wire.client.post(f"{wire.base}/sessions", json=body)
    assert answer.status_code == 400
    assert is_envelope(answer.json())
    assert field in answer.text
    assert await wire.world.store.live_sessions() == []


async def test_unknown_fields_are_accepted_and_numbers_in_conf_too(wire: Wire) -> None:
    body = {
        "kind": "pyspark",
        "ttl": "30s",
        "proxyUser": "x",
        "heartbeatTimeoutInSecond": 60,
        "payload": {"name": "inner"},
        "conf": {"spark.sql.shuffle.partitions": 7, "spark.speculation": False},
    }
    answer = await wire.client.post(f"{wire.base}/sessions", json=body)
    assert answer.status_code == 202
    session = await wire.world.store.session(answer.json()["id"])
    assert session is not None
    assert session.conf == {"spark.sql.shuffle.partitions": "7", "spark.speculation": "false"}


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "code"), ({"code": 1}, "code"), ({"code": "1", "kind": "cobol"}, "kind"),
     ({"code": "1", "kind": "sparkr"}, "sparkr"), ({"code": "1", "sourceId": 4}, "sourceId")],
)  # fmt: skip
async def test_a_wrong_statement_is_a_400_that_names_the_field(
    wire: Wire, body: Any, field: str
) -> None:
    session = await wire.ready_session()
    answer = await wire.client.post(f"{wire.base}/sessions/{session.id}/statements", json=body)
    assert answer.status_code == 400
    assert field in answer.text


@pytest.mark.parametrize("content", [b"{", b'{"a":', b"\xff\xfe", b"[" * 100_000])
async def test_a_malformed_body_is_a_clear_400(wire: Wire, content: bytes) -> None:
    answer = await wire.client.post(
        f"{wire.base}/sessions", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert is_envelope(answer.json())


async def test_a_body_that_is_too_large_is_a_413(wire: Wire) -> None:
    session = await wire.ready_session()
    huge = json.dumps({"code": "x" * (17 * 1024 * 1024)}).encode()
    url = f"{wire.base}/sessions/{session.id}/statements"

    async def pieces() -> Any:
        for start in range(0, len(huge), 1 << 20):
            yield huge[start : start + (1 << 20)]

    for content in (huge, pieces()):
        answer = await wire.client.post(
            url, content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert is_envelope(answer.json())
    large = await wire.client.post(url, json={"code": "#" * (5 * 1024 * 1024)})
    assert large.status_code == 200


async def test_without_a_valid_token_nothing_is_told(wire: Wire) -> None:
    for header in ("", "Bearer", "Bearer nonsense", "Basic YTpi", "nonsense"):
        answer = await wire.client.get(f"{wire.base}/sessions", headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert is_envelope(answer.json())


async def test_a_stranger_is_refused_and_foreign_ids_do_not_exist(wire: Wire) -> None:
    stranger = await wire.client.get(f"{wire.base}/sessions", headers=wire.as_caller("eve"))
    assert stranger.status_code == 403
    assert stranger.json()["errorCode"] == "InsufficientPrivileges"
    for path in (
        wire.base.replace(wire.world.workspace.id, new_id()) + "/sessions",
        wire.base.replace(wire.world.lakehouse.id, new_id()) + "/sessions",
        f"{wire.base}/sessions/{new_id()}",
        f"{wire.base}/sessions/7",
        f"{wire.base}/sessions/{new_id()}/statements/0",
        "/v1/nothing",
        wire.base.replace("2023-12-01", "latest") + "/other",
    ):
        answer = await wire.client.get(path)
        assert answer.status_code == 404, path
        assert is_envelope(answer.json())


async def test_later_features_say_so_in_fabrics_form(wire: Wire) -> None:
    for path in ("batches", "batches/1"):
        answer = await wire.client.get(f"{wire.base}/{path}")
        assert answer.status_code == 501
        assert answer.json()["errorCode"] == "FeatureNotAvailable"
    answer = await wire.client.post(f"{wire.base}/batches", json={"file": "x"})
    assert answer.status_code == 501


async def test_every_answer_has_a_request_id_and_errors_repeat_it(wire: Wire) -> None:
    answer = await wire.client.get("/v1/nothing")
    assert answer.headers["x-ms-request-id"] == answer.json()["requestId"]
    assert (await wire.client.get(f"{wire.base}/sessions")).headers["x-ms-request-id"]


async def test_the_wrong_method_is_a_405_in_the_envelope(wire: Wire) -> None:
    answer = await wire.client.put(f"{wire.base}/sessions", json={})
    assert answer.status_code == 405
    assert is_envelope(answer.json())


@pytest.mark.parametrize("query", ["$top=-1", "$top=x", "$skip=-5", "$top=100000"])
async def test_a_wrong_page_is_a_400(wire: Wire, query: str) -> None:
    answer = await wire.client.get(f"{wire.base}/sessions?{query}")
    assert answer.status_code == 400
    assert query.split("=", maxsplit=1)[0] in answer.text


async def test_the_front_page_is_for_people_and_programs(wire: Wire) -> None:
    page = await wire.client.get("/", headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["location"]) == (303, "/portal")
    assert (await wire.client.get("/")).json()["name"] == "Livius"
    assert (await wire.client.get("/healthz")).json() == {"status": "alive"}
    assert (await wire.client.get("/readyz")).json()["status"] == "ready"
