"""Streams of a page: what they say, that they resume, and that they end."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from livius.adapters.notifications import LocalNotifications
from livius.domain.ids import SessionId
from livius.domain.statement import Ending
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
    wait_for(lambda: served.portal_app.streams.open == 0, seconds=20, what="streams are given back")


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
        served.portal_app.streams.close()
        served.site.do(close(served))
        assert list(said) == []
    assert listen(bob, "/monitor/live").status_code == 503


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
    assert len(asked) <= 5
    asked.clear()
    with listen(ada, f"{activity(session)}/statements/live") as answer:
        said = events(answer)
        next(said)
        first = len(asked)
        served.site.run(session, "3")
        assert "list" in next(said)[1]
        # What was submitted took some too; a look is the portal session, the activity and its
        # statements.
        assert asked[first:].count("find_activity") == 1
        assert asked[first:].count("list_statements") == 1


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
