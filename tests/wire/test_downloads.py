"""A statement's text and rows, as they are."""

import asyncio
import csv
import io
import json
from typing import Any, Literal

import httpx
import pyarrow as pa
import pytest
from msgspec import Raw
from pyarrow import ipc

from livius.usecases.drivers import report
from livius_agent.wire import Finished, Output
from wire.conftest import Wire
from wire.test_long_polls import HELD, until_watched

TEXT = "line 1\n湖\nline 3\n"
SQL: dict[str, Any] = {
    "schema": {
        "type": "struct",
        "fields": [
            {"name": "n", "type": "long", "nullable": True},
            {"name": "n", "type": "string"},
            {"name": "d", "type": "decimal(38,2)"},
            {"name": "t", "type": "timestamp"},
            {"name": "x", "type": {"type": "array", "elementType": "double"}},
        ],
    },
    "data": [
        [9007199254740993, 'a,"b"\n湖', "12.50", "2024-01-01 10:00:00.5", [1.0e10, "NaN"]],
        [None, None, None, None, None],
    ],
}


async def ended(
    wire: Wire,
    data: dict[str, Any] | None = None,
    *,
    text: str = "",
    inline: bool = True,
    outcome: Literal["ok", "error"] = "ok",
) -> str:
    """Run a statement to its end, and return its address."""
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    size = len(text.encode())
    if not inline:
        printed = Output(repl=session.first_repl, number=0, seq=1, offset=0, text=text)
        await report(wire.world.context, session, printed)
    done = Finished(
        repl=session.first_repl,
        number=0,
        seq=2,
        size=size,
        text=text if inline else "",
        outcome=outcome,
        data=Raw(json.dumps(data or {}, ensure_ascii=False).encode()),
        ename="ValueError" if outcome == "error" else None,
    )
    await report(wire.world.context, session, done)
    return f"{url}/0"


async def rows(wire: Wire, url: str, form: str = "", **headers: str) -> httpx.Response:
    return await wire.client.get(f"{url}/rows{form}", headers=headers)


@pytest.mark.parametrize("inline", [True, False])
async def test_the_text_comes_as_it_was_printed(wire: Wire, inline: bool) -> None:
    url = await ended(wire, text=TEXT, inline=inline)
    answer = await wire.client.get(f"{url}/output")
    assert (answer.status_code, answer.content) == (200, TEXT.encode())
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == str(len(TEXT.encode()))


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-3", 0, 4), ("5-", 5, 18), ("-6", 12, 18), ("-99", 0, 18), ("8-9999", 8, 18)],
)
async def test_a_range_gives_its_bytes(
    wire: Wire, asked: str, start: int, end: int, inline: bool
) -> None:
    url = await ended(wire, text=TEXT, inline=inline)
    answer = await wire.client.get(f"{url}/output", headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, answer.content) == (206, TEXT.encode()[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/18"


async def test_a_range_beyond_the_end_is_a_416_with_the_size(wire: Wire) -> None:
    url = await ended(wire, text=TEXT)
    for asked in ("bytes=18-", "bytes=99-100", "bytes=-0"):
        answer = await wire.client.get(f"{url}/output", headers={"Range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */18")


@pytest.mark.parametrize("asked", ["lines=0-1", "bytes=0-1,4-5", "bytes=5-2", "bytes=-", "x"])
async def test_a_range_that_is_not_served_gives_the_whole(wire: Wire, asked: str) -> None:
    url = await ended(wire, text=TEXT)
    answer = await wire.client.get(f"{url}/output", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, TEXT.encode())


async def test_a_download_goes_on_only_if_it_is_still_the_same(wire: Wire) -> None:
    url = await ended(wire, text=TEXT)
    etag = (await wire.client.get(f"{url}/output")).headers["etag"]
    for known, status in ((etag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=7-", "If-Range": known}
        assert (await wire.client.get(f"{url}/output", headers=headers)).status_code == status


async def test_while_it_runs_the_text_so_far_comes(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    assert (await wire.client.get(f"{url}/0/output")).content == b""
    printed = Output(repl=session.first_repl, number=0, seq=1, offset=0, text=TEXT)
    await report(wire.world.context, session, printed)
    answer = await wire.client.get(f"{url}/0/output")
    assert answer.text == TEXT
    assert "etag" not in answer.headers


async def test_rows_as_lines_of_json_keep_each_digit(wire: Wire) -> None:
    url = await ended(wire, {"application/json": SQL})
    answer = await rows(wire, url)
    assert answer.headers["content-type"] == "application/x-ndjson"
    first, second = answer.text.splitlines()
    assert first.startswith('{"n":9007199254740993,"n_2":"a,')
    assert json.loads(first)["x"] == [1e10, "NaN"]
    assert set(json.loads(second).values()) == {None}


async def test_rows_as_csv(wire: Wire) -> None:
    url = await ended(wire, {"application/json": SQL})
    answer = await rows(wire, url, "?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["n", "n", "d", "t", "x"],
        [
            "9007199254740993",
            'a,"b"\n湖',
            "12.50",
            "2024-01-01 10:00:00.5",
            '[10000000000.0, "NaN"]',
        ],
        [""] * 5,
    ]


async def test_rows_as_arrow_with_and_without_a_time_zone(wire: Wire) -> None:
    url = await ended(wire, {"application/json": SQL})
    answer = await rows(
        wire, url, "?timezone=Asia/Taipei", accept="application/vnd.apache.arrow.stream"
    )
    table = ipc.open_stream(answer.content).read_all()
    assert table.num_rows == 2
    assert table.schema.field(3).type == pa.timestamp("us", tz="Asia/Taipei")
    assert table.column(3)[0].as_py().isoformat() == "2024-01-01T10:00:00.500000+08:00"
    assert str(table.column(2)[0]) == "12.50"
    local = ipc.open_stream((await rows(wire, url, "?format=arrow")).content).read_all()
    assert local.schema.field(3).type == pa.timestamp("us")


async def test_many_rows_come_in_pieces_and_each_of_them(wire: Wire) -> None:
    schema = {"fields": [{"name": "n", "type": "long"}]}
    data = [[number] for number in range(2500)]
    url = await ended(wire, {"application/json": {"schema": schema, "data": data}})
    lines = (await rows(wire, url)).text.splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(2500))
    table = ipc.open_stream((await rows(wire, url, "?format=arrow")).content).read_all()
    assert (table.num_rows, table.column(0).num_chunks) == (2500, 3)
    assert (await rows(wire, url, "?format=csv")).text.splitlines() == ["n", *map(str, range(2500))]


async def test_rows_of_table_come_too(wire: Wire) -> None:
    table = {"headers": [{"name": "a", "type": "BIGINT_TYPE"}], "data": [[1], [2]]}
    url = await ended(wire, {"application/vnd.livy.table.v1+json": table})
    assert (await rows(wire, url)).text == '{"a":1}\n{"a":2}\n'


async def test_no_rows_are_an_empty_body_and_rows_that_were_cut_say_so(wire: Wire) -> None:
    empty = {"schema": {"fields": []}, "data": []}
    url = await ended(wire, {"application/json": empty})
    for form in ("ndjson", "csv"):
        answer = await rows(wire, url, f"?format={form}")
        assert (answer.status_code, answer.content) == (200, b"")
        assert "livius-truncated" not in answer.headers
    url = await ended(wire, {"application/json": SQL | {"truncated": True, "row_limit": 2}})
    assert (await rows(wire, url)).headers["livius-truncated"] == "true"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/x-ndjson"),
        ("text/*", "text/csv"),
        ("text/html, text/csv;q=0.5, application/x-ndjson; q=0.9", "application/x-ndjson"),
        ("application/x-ndjson;q=0, */*;q=0.1", "application/x-ndjson"),
    ],
)
async def test_accept_chooses_the_format(wire: Wire, accept: str, media: str) -> None:
    url = await ended(wire, {"application/json": SQL})
    answer = await rows(wire, url, accept=accept)
    assert answer.headers["content-type"].partition(";")[0] == media


async def test_what_is_not_offered_is_said(wire: Wire) -> None:
    url = await ended(wire, {"application/json": SQL})
    refused = await rows(wire, url, accept="text/html")
    assert (refused.status_code, refused.json()["errorCode"]) == (406, "NotAcceptable")
    for wrong in ("?format=xml", "?timezone=Mars", "?timezone=../../etc/passwd"):
        refused = await rows(wire, url, wrong)
        assert (refused.status_code, refused.json()["errorCode"]) == (400, "InvalidInput")


async def test_a_value_that_arrow_has_no_place_for_is_a_409_that_says_what_to_do(
    wire: Wire,
) -> None:
    schema = {"fields": [{"name": "day", "type": "date"}]}
    url = await ended(wire, {"application/json": {"schema": schema, "data": [["+12024-01-01"]]}})
    refused = await rows(wire, url, "?format=arrow")
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "ValueOutOfRange")
    assert "column day" in refused.json()["message"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"text": "x"}, "it gave none"),
        ({"data": {"image/png": "aGk="}}, "something else"),
        ({"data": {"application/json": {"a": 1}}}, "something else"),
        ({"outcome": "error"}, "failed: ValueError"),
    ],
)
async def test_a_statement_without_rows_says_why(
    wire: Wire, given: dict[str, Any], reason: str
) -> None:
    refused = await rows(wire, await ended(wire, **given))
    assert (refused.status_code, refused.json()["errorCode"]) == (404, "StatementHasNoRows")
    assert reason in refused.json()["message"]


async def test_rows_of_a_running_statement_are_waited_for(wire: Wire) -> None:
    session = await wire.ready_session()
    url = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(url, json={"code": "1"})
    refused = await rows(wire, f"{url}/0", prefer="wait=0")
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "StatementNotFinished")
    asked = asyncio.create_task(rows(wire, f"{url}/0", **HELD))
    await until_watched(wire)
    data = Raw(json.dumps({"application/json": SQL}).encode())
    done = Finished(repl=session.first_repl, number=0, seq=2, size=0, outcome="ok", data=data)
    await report(wire.world.context, session, done)
    assert len((await asked).text.splitlines()) == 2


async def test_text_and_rows_are_the_submitters_and_the_admins(wire: Wire) -> None:
    url = await ended(wire, {"application/json": SQL}, text=TEXT)
    for path in ("output", "rows"):
        refused = await wire.client.get(f"{url}/{path}", headers=wire.as_caller("eve"))
        assert refused.status_code == 403
        assert (await wire.client.get(f"{url}9/{path}")).status_code == 404
