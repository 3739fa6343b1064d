"""Streams of a page: what they say, that they resume, and that they end."""

import json
from collections.abc import Iterator

import pytest
import requests

from portal.conftest import Visitor, activity
from support.browsing import Served, principal
from support.waiting import wait_for

Event = tuple[str, str]


def events(answer: requests.Response) -> Iterator[Event]:
    """Each event's id and data."""
    identity = data = ""
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith("id: "):
            identity = line.removeprefix("id: ")
        elif line.startswith("data: "):
            data = line.removeprefix("data: ")
        elif not line and data:
            yield identity, data
            data = ""


def listen(visitor: Visitor, path: str, seen: str = "") -> requests.Response:
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": seen} if seen else {})}
    return visitor.http.get(visitor.served.url + path, headers=headers, stream=True, timeout=20)


def test_a_stream_names_the_parts_that_changed(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    with listen(ada, f"{activity(session)}/statements/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        said = events(answer)
        assert next(said)[1] == "none"
        number = served.site.run(session, "1")
        assert set(next(said)[1].split()) == {"list", "s0"}
        served.site.print(session, number, "text")
        assert next(said)[1] == "s0"


def test_a_stream_that_broke_goes_on_without_a_gap_and_without_a_repeat(
    served: Served, ada: Visitor
) -> None:
    session = served.site.session()
    path = f"{activity(session)}/statements/live"
    with listen(ada, path) as answer:
        seen, _data = next(events(answer))
    served.site.run(session, "1")
    with listen(ada, path, seen) as answer:
        seen, data = next(events(answer))
        assert set(data.split()) == {"list", "s0"}
    with listen(ada, path, seen) as answer:
        said = events(answer)
        served.site.run(session, "2")
        assert set(next(said)[1].split()) == {"list", "s1"}


@pytest.mark.parametrize("seen", ["x", "[]", "1", "{", "null", '{"list": 7}', "é", "x" * 9000])
def test_an_id_that_is_none_of_ours_begins_anew(served: Served, ada: Visitor, seen: str) -> None:
    session = served.site.session()
    path = f"{activity(session)}/statements/live"
    answer = ada.http.get(served.url + path, params={"after": seen}, stream=True, timeout=20)
    with answer:
        identity, _data = next(events(answer))
        assert "list" in json.loads(identity)


def test_streams_are_bounded_and_given_back(served: Served, ada: Visitor) -> None:
    served.site.session()
    held = [listen(ada, "/monitor/live") for _ in range(12)]
    reading = [answer.iter_lines() for answer in held]
    for lines in reading:
        next(lines)
    assert listen(ada, "/monitor/live").status_code == 503
    other = Visitor(served, principal("Other"))
    with listen(other, "/monitor/live") as answer:
        assert answer.status_code == 200
    for answer in held:
        answer.close()
    wait_for(lambda: served.desk.streams.open == 0, seconds=20, what="streams are given back")


def test_a_stream_ends_with_its_visit_and_with_the_gateway(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    with listen(ada, "/monitor/live") as answer:
        said = answer.iter_lines()
        next(said)
        ada.post("/sign-out")
        served.site.do(notify(served, session.id))
        # It comes to its end, which is what this loop waits for.
        assert len(list(said)) < 20
    bob = Visitor(served, served.site.world.admin)
    with listen(bob, "/monitor/live") as answer:
        said = answer.iter_lines()
        next(said)
        served.desk.streams.close()
        served.site.do(close(served))
        assert len(list(said)) < 20
    assert listen(bob, "/monitor/live").status_code == 503


async def notify(served: Served, session: str) -> None:
    served.site.world.changes.notify(session)  # type: ignore[arg-type]


async def close(served: Served) -> None:
    served.site.world.changes.close()
