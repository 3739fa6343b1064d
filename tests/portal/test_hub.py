"""The hub: true states, what all rows have in common, and several sessions stopped at once."""

import json

import pytest
from playwright.sync_api import Page, expect

from livius.domain.audit import Action
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Goal, Session
from livius.domain.statement import Ending
from livius.ports.store import AuditQuery
from portal.conftest import Visitor
from portal.test_pages import XSS, hostile_free
from support.browsing import Served
from support.chromium import check


def key(session: Session) -> str:
    return f"{session.workspace}/{session.id}"


def goal(served: Served, session: Session) -> Goal:
    found = served.site.do(served.site.world.store.session(session.id))
    assert found is not None
    return found.goal


def stop(visitor: Visitor, *keys: str) -> str:
    visitor.http.headers["HX-Request"] = "true"
    answer = visitor.post("/monitor/stop", chosen=" ".join(keys))
    assert answer.status_code == 200, answer.text
    done = json.loads(answer.headers.get("HX-Trigger", "{}")).get("done", "")
    return f"{done}\n{answer.text}"


def test_a_row_says_what_a_live_session_does(served: Served, ada: Visitor) -> None:
    session = served.site.session("one")
    page = ada.get("/monitor").text
    assert ">Idle</span>" in page
    assert "data-until" in page
    number = served.site.run(session, "1")
    assert ">Running</span>" in ada.get("/monitor").text
    served.site.end(session, number, Ending(ok=True))
    assert ">Idle</span>" in ada.get("/monitor").text
    served.site.session("two", ready=False)
    page = ada.get("/monitor").text
    assert ">Starting</span>" in page
    assert "2 activities" in page
    # Fabric's words stay those of the filter.
    assert ">one<" in ada.get("/monitor?status=running").text


def test_what_all_rows_have_is_said_once(served: Served, ada: Visitor) -> None:
    served.site.session("one", ready=False)
    assert 'data-same="' not in ada.get("/monitor").text
    served.site.session("two", ready=False)
    page = ada.get("/monitor").text
    for name in ("kind", "submitter", "location", "runtime"):
        assert f'data-same="{name}"' in page
        assert f" no-{name}" in page
    assert 'data-same="location"' not in ada.get("/monitor?sort=location").text
    member = served.site.do(served.site.world.member(Role.CONTRIBUTOR))
    served.site.session("three", caller=member, ready=False)
    assert 'data-same="submitter"' not in ada.get("/monitor").text


def test_all_pages_are_counted(served: Served, ada: Visitor) -> None:
    for number in range(53):
        served.site.session(f"n{number}", ready=False)
    assert "53 activities" in ada.get("/monitor").text
    assert "11 activities" in ada.get("/monitor?q=n1").text
    assert "1 activity<" in ada.get("/monitor?q=n17").text


def test_several_sessions_are_stopped_by_one_request_each_by_its_own_right(
    served: Served, ada: Visitor
) -> None:
    site = served.site
    member = site.do(site.world.member(Role.CONTRIBUTOR))
    mine, other, adas = (
        site.session("mine", member),
        site.session("more", member),
        site.session("adas"),
    )
    over = site.session("over", member)
    site.fail(over, EndCause.DRIVER_DIED, "out of memory")
    person = Visitor(served, member)
    keys = [key(one) for one in (mine, adas, over, other, mine)]
    unknown = f"{mine.workspace}/00000000-0000-4000-8000-000000000000"
    foreign = f"00000000-0000-4000-8000-000000000000/{adas.id}"
    question = person.get("/monitor/stop?" + "&".join(f"pick={one}" for one in keys)).text
    assert "Stop 2 sessions?" in question
    assert "Only the submitter of a session" in question
    said = stop(person, *keys, unknown, foreign, "x")
    assert "2 sessions stop." in said
    assert "adas" in said
    assert "It has ended already." in said
    assert (goal(served, mine), goal(served, other)) == (Goal.STOP, Goal.STOP)
    assert goal(served, adas) is not Goal.STOP
    entries = [one.entry for one in site.do(site.world.store.audit(AuditQuery(limit=20)))]
    deleted = [one for one in entries if one.action is Action.SESSION_DELETE]
    assert {one.session for one in deleted} == {mine.id, other.id}
    assert any(one.action is Action.REQUEST_REFUSE for one in entries)
    assert "1 session stops." in stop(ada, key(adas))


def test_a_viewer_and_a_stranger_stop_nothing(served: Served) -> None:
    session = served.site.session("adas")
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert 'name="pick"' not in viewer.get("/monitor").text
    assert "stop" not in stop(viewer, key(session)).split("\n")[0]
    assert goal(served, session) is not Goal.STOP
    for form in ({"csrf": "guessed"}, {"csrf": ""}):
        assert viewer.post("/monitor/stop", chosen=key(session), **form).status_code == 403
    assert Visitor(served, None).post("/monitor/stop", chosen=key(session)).status_code == 401


@pytest.mark.parametrize("chosen", ["", " ".join(f"w/{n}" for n in range(51))])
def test_none_and_too_many_are_refused(ada: Visitor, chosen: str) -> None:
    assert ada.post("/monitor/stop", chosen=chosen).status_code == 400


@pytest.mark.parametrize("text", XSS)
def test_no_name_becomes_part_of_the_dialog(served: Served, ada: Visitor, text: str) -> None:
    session = served.site.session(text)
    hostile_free(ada.get("/monitor").text)
    hostile_free(ada.get(f"/monitor/stop?pick={key(session)}").text)
    hostile_free(stop(ada, key(session), text[:70].replace(" ", "")))


def test_a_person_chooses_sessions_and_stops_them(page: Page, served: Served) -> None:
    site = served.site
    sessions = [site.session(f"load {number}") for number in range(3)]
    page.goto(f"{served.url}/monitor")
    expect(page.locator("#picks")).to_be_hidden()
    page.get_by_label("Choose load 0").check()
    page.get_by_label("Choose load 2").check()
    expect(page.locator("#picked")).to_have_text("2 chosen")
    site.session("one more")  # the list is fetched again
    expect(page.get_by_role("link", name="one more")).to_be_visible()
    expect(page.get_by_label("Choose load 2")).to_be_checked()
    check(page, "chosen")
    page.locator("#picks").get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Stop 2 sessions?")
    expect(dialog.get_by_role("button", name="Keep them")).to_be_focused()
    check(page, "stop several")
    dialog.get_by_role("button", name="Stop 2 sessions").click()
    expect(page.locator("#said")).to_have_text("2 sessions stop.")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#picks")).to_be_hidden()
    assert [goal(served, one) is Goal.STOP for one in sessions] == [True, False, True]
    page.get_by_label("Choose all").check()
    expect(page.locator("#picked")).to_contain_text("chosen")
    page.get_by_role("button", name="Choose none").click()
    expect(page.locator("#picks")).to_be_hidden()


def test_columns_are_chosen_and_kept(page: Page, served: Served) -> None:
    for number in range(2):
        served.site.session(f"load {number}")
    page.goto(f"{served.url}/monitor")
    expect(page.get_by_role("columnheader", name="Location")).to_be_hidden()
    expect(page.locator("[data-same=location]")).to_be_visible()
    page.locator("summary", has_text="Columns").click()
    page.locator("#column-choice").get_by_label("Location").check()
    page.locator("#column-choice").get_by_label("End time").check()
    expect(page.get_by_role("columnheader", name="Location")).to_be_visible()
    expect(page.locator("[data-same=location]")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("columnheader", name="End time")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Location")).to_be_visible()
