"""Streams of a page: what they say, that they resume, and that they end."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from livius.adapters.notifications import LocalNotifications
from livius.domain.ids import SessionId
from livius.domain.session import Session
from livius.domain.statement import Ending
from livius.usecases.drivers import report
from livius_agent.wire import Job, Jobs, Stage
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


@dataclass
class Told:
    """One event of the stream of statements."""

    name: str
    id: str
    data: Any


def told(answer: requests.Response) -> Iterator[Told]:
    found: dict[str, str] = {}
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        field, _, value = line.partition(": ")
        if field:
            found[field] = value
        elif line == "" and "data" in found:
            data = found["data"]
            read = json.loads if data.startswith("{") else str.split
            yield Told(found.get("event", "parts"), found["id"], read(data))
            found = {}


def opened(visitor: Visitor, session: Session, seen: str = "") -> tuple[str, str]:
    """Open the page of statements: its text, and where its stream begins."""
    page = visitor.get(activity(session)).text
    found = re.search(r'data-last-id="([^"]*)"', page)
    assert found is not None
    return page, found[1]


def test_a_list_names_the_parts_that_changed_also_after_a_break(
    served: Served, ada: Visitor
) -> None:
    with listen(ada, "/monitor/live") as answer:
        said = events(answer)
        seen, data = next(said)
        assert data == "none"
        served.site.session()
        assert next(said)[1] == "rows"
    with listen(ada, "/monitor/live", seen) as answer:
        said = events(answer)
        seen, data = next(said)
        assert data == "rows"
    with listen(ada, "/monitor/live", seen) as answer:
        said = events(answer)
        served.site.session()
        assert next(said)[1] == "rows"


def test_the_page_of_statements_is_told_what_is_printed_from_where_it_was_shown(
    served: Served, ada: Visitor
) -> None:
    session = served.site.session()
    number = served.site.run(session, "1", text="shown \x1b[31m<one>")
    page, seen = opened(ada, session)
    assert 'shown <span class="a1">&lt;one&gt;</span></pre>' in page
    with listen(ada, f"{activity(session)}/statements/live", seen) as answer:
        said = told(answer)
        served.site.print(session, number, "\n<two>\x1b[3")
        one = next(said)
        assert (one.name, one.data) == (
            "text",
            {"number": number, "html": "\n&lt;two&gt;", "is_cut": False},
        )
        served.site.print(session, number, "2mthree")
        two = next(said)
        assert two.data["html"] == '<span class="a2">three</span>'
        waiting = served.site.run(session, "2")
        assert next(said).data == {"numbers": [waiting]}
        served.site.end(session, number, Ending(ok=True))
        assert [next(said).data for _ in range(2)] == [[f"s{number}"], [f"h{waiting}"]]
        last = next(said)
        assert (last.name, last.data) == ("queue", {"numbers": []})
    with listen(ada, f"{activity(session)}/statements/live", one.id) as answer:
        again = told(answer)
        assert next(again).data == [f"s{number}"], "an ended one is fetched whole"
        assert next(again).data == [f"h{waiting}"]


def test_a_page_is_told_of_a_sessions_end_also_after_its_deletion(
    served: Served, ada: Visitor
) -> None:
    session = served.site.session()
    _page, seen = opened(ada, session)
    with listen(ada, f"{activity(session)}/statements/live", seen) as answer:
        said = told(answer)
        ada.post(f"{activity(session)}/stop")
        assert next(said).data == ["head", "repls"]
        served.site.settle(session.id)
        *parts, last = said
        assert {name for one in parts for name in one.data} == {"head", "repls"}
        assert last.name == "end"
    assert "data-live" not in ada.get(activity(session)).text


def test_of_a_flood_a_page_is_told_the_end(served: Served, ada: Visitor) -> None:
    most = served.site.world.context.rules.inline_bytes
    session = served.site.session()
    number = served.site.run(session, "1")
    _page, seen = opened(ada, session)
    served.site.print(session, number, "x" * most + "the end")
    with listen(ada, f"{activity(session)}/statements/live", seen) as answer:
        one = next(told(answer))
    assert one.data["is_cut"]
    assert one.data["html"].endswith("xthe end")
    assert len(one.data["html"]) == most


def test_progress_is_told_in_words(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    number = served.site.run(session, "1")
    _page, seen = opened(ada, session)
    counts: dict[str, Any] = {"id": 0, "name": "<s>", "tasks": 8, "done": 3, "active": 1}
    stage = Stage(attempt=0, status="ACTIVE", failed=0, **counts)
    job = Job(status="RUNNING", failed=0, skipped=0, stages=(stage,), **counts)
    said = Jobs(repl=session.first_repl, number=number, total=2, jobs=(job,))
    with listen(ada, f"{activity(session)}/statements/live", seen) as answer:
        served.site.do(report(served.site.world.context, session, said))
        one = next(told(answer))
    assert one.name == "progress"
    words = re.sub("<[^>]*>", "", one.data["html"]).split()
    assert words == ["Jobs", "1/2", "Stages", "0/1", "Tasks", "3/8"]


@pytest.mark.parametrize("seen", ["x", "[]", "1", "{", "null", '{"rows": 7}', "é", "x" * 9000])
def test_an_id_that_is_none_of_ours_begins_anew(served: Served, ada: Visitor, seen: str) -> None:
    session = served.site.session()
    for path, name in (("/monitor/live", "rows"), (f"{activity(session)}/statements/live", "")):
        url = served.url + path
        with ada.http.get(url, params={"after": seen}, stream=True, timeout=20) as answer:
            identity, _data = next(events(answer))
            assert name in identity


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
    wait_for(
        lambda: not any(served.portal_app.streams.open.values()),
        seconds=20,
        what="streams are given back",
    )


def test_a_stream_ends_with_its_portal_session_and_with_the_gateway(
    served: Served, ada: Visitor
) -> None:
    with listen(ada, "/monitor/live") as answer:
        said = events(answer)
        assert next(said)[1] == "none"
        ada.post("/sign-out")
        served.site.session()
        # It comes to its end, which this waits for, without a word of what was done since.
        assert list(said) == []
    bob = Visitor(served, served.site.world.admin)
    with listen(bob, "/monitor/live") as answer:
        said = events(answer)
        assert next(said)[1] == "none"
        served.site.do(close(served))
        assert list(said) == []


async def close(served: Served) -> None:
    served.site.world.notifications.close()


def looks_into_the_store(served: Served) -> list[str]:
    """A list that grows by the name of each method of the store that is called."""
    store, asked = served.site.world.store, list[str]()

    def counted(name: str, method: Any) -> Any:
        async def count(*args: Any, **more: Any) -> Any:
            asked.append(name)
            return await method(*args, **more)

        return count

    for name in dir(type(store)):
        method = getattr(store, name)
        if not name.startswith("_") and inspect.iscoroutinefunction(method):
            setattr(store, name, counted(name, method))
    return asked


def test_a_page_and_a_look_take_few_transactions(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    for code in ("1", "2"):
        served.site.run(session, code, text="printed", ending=Ending(ok=True))
    ada.get(activity(session))  # signed in
    asked = looks_into_the_store(served)
    ada.get(activity(session))
    assert asked.count("find_activity") == 1
    assert asked.count("list_statements") == 2
    assert len(asked) <= 6
    _page, seen = opened(ada, session)
    with listen(ada, f"{activity(session)}/statements/live", seen) as answer:
        said = told(answer)
        number = served.site.run(session, "3")
        assert next(said).data == [f"h{number}"]
        asked.clear()
        served.site.print(session, number, "printed")
        assert next(said).name == "text"
        # A look is the portal session, the activity and its repl, and its present statement.
        # That of its jobs may be one that began before.
        assert asked.count("find_activity") == 1
        assert len([one for one in asked if one != "jobs"]) <= 6


def test_streams_are_not_counted_among_the_answers_that_are_held(
    served: Served, ada: Visitor
) -> None:
    """Else at the limit of those each stream would look all the time instead of waiting."""
    session = served.site.session()
    notifications = served.site.world.notifications
    with listen(ada, f"{activity(session)}/live") as answer:
        said = events(answer)
        assert next(said)[1] == "none"
        wait_for(lambda: notifications._watches, seconds=10, what="the stream watches")
        assert notifications.watched == 0


def test_beyond_the_limit_a_watch_does_not_wait_and_says_so() -> None:
    notifications = LocalNotifications(most=1)
    topic = SessionId("s")
    with notifications.watch(topic) as one, notifications.watch(topic) as other:
        assert (one.is_held, other.is_held) == (True, False)
        with notifications.watch(topic, counted=False) as stream:
            assert stream.is_held
            notifications.close()
            assert not stream.is_held
