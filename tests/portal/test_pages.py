"""The contents of pages, their readers, and refusals."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from fakes.world import World
from livius.adapters.capacity import MachineCapacity
from livius.domain.ids import PrincipalId
from livius.domain.lakehouse import Role, RoleAssignment
from livius.domain.principal import Principal
from livius.domain.session import EndCause
from livius.domain.statement import Ending, Phase
from livius.reconcile.housekeeping import _idle_reason
from livius.usecases.sessions import delete_session
from livius_agent.text import json_bytes
from portal.conftest import Visitor, activity
from support.browsing import Served, principal, site

XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></textarea></script><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{1234567*7654321}}${1234567*7654321}",
    "&lt;b&gt;",
]
_PRODUCT = str(1234567 * 7654321)
"""The text of one of them in a template; too long to be in a GUID by chance."""
_NEVER = frozenset({"object", "embed", "base", "link", "style", "applet", "math"})


class _Strict(HTMLParser):
    """Knows what a page of the portal is made of, and finds anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        ours = str(given.get("src") or given.get("href") or "").startswith("/portal/static/")
        if tag in ("script", "link") and (ours or given.get("rel") == "icon"):
            return
        if tag in _NEVER or tag == "script":
            self.foreign.append(tag)
        for name, value in attributes:
            text = (value or "").strip().lower()
            if name.startswith("on") or name == "style" or text.startswith("javascript:"):
                is_field = name in ("value", "title", "aria-label", "alt")
                self.foreign += [] if is_field else [f"{tag} {name}={value}"]
            if name in ("src", "href") and not text.startswith(
                ("/portal", "/docs", "#", "data:image/")
            ):
                self.foreign.append(f"{tag} {name}={value}")


def hostile_free(html: str) -> None:
    parser = _Strict()
    parser.feed(html)
    assert parser.foreign == []
    assert _PRODUCT not in html


# The pages


def test_an_empty_installation_says_what_to_do_next(ada: Visitor) -> None:
    home = ada.get().text
    assert "Open a console" in home
    assert "/livyapi/versions/2023-12-01/sessions" in home
    assert "No activity yet" in ada.get("/monitor").text


def test_who_has_no_role_anywhere_learns_whom_to_ask(served: Served) -> None:
    nobody = principal("Nobody")
    page = Visitor(served, nobody).get().text
    assert "You have no workspace yet" in page
    assert nobody.oid in page


def test_the_hub_shows_every_activity_of_the_callers_workspaces(
    served: Served, ada: Visitor
) -> None:
    served.site.session("first")
    failed = served.site.session("second")
    served.site.fail(failed, EndCause.DRIVER_DIED, "out of memory")
    page = ada.get("/monitor").text
    assert page.index("second") < page.index("first")
    assert "In progress" in page
    assert "Failed" in page
    assert "Research / Bronze" in page
    stranger = Visitor(served, principal("Stranger")).get("/monitor").text
    assert ">first<" not in stranger


def test_home_draws_when_recent_sessions_ran_code_for_those_who_may_read_them(
    served: Served, ada: Visitor
) -> None:
    site = served.site
    session = site.session("nightly")
    site.run(session, "1", ending=Ending(ok=True))
    assert '<svg class="track"' not in ada.get().text  # it still runs
    site.fail(session, EndCause.DRIVER_DIED, "out of memory")
    assert "1 statement · busy 1.4 s of 4" in ada.get().text
    assert "busy 1.4 s" not in ada.get("/monitor").text
    page = Visitor(served, site.do(site.world.member(Role.VIEWER))).get().text
    assert ">nightly<" in page
    assert "busy 1.4 s" not in page


def test_a_queued_session_shows_its_place_and_why(tmp_path: Path) -> None:
    world = World(queue=2)
    world.room.real = MachineCapacity(
        max_drivers=1, per_driver=0, reserve=0, disk=tmp_path, disk_reserve=0
    )
    with site(world) as served:
        ada = Visitor(served, world.admin)
        running = served.site.session("runs")
        served.site.session("first", ready=False)
        waiting = served.site.session("second", ready=False)
        for page in (ada.get().text, ada.get("/monitor").text):
            assert page.count("Waiting: place") == 2
            assert "Waiting: place 2 of 2" in page
        for part in ("/overview", "/head", "/panel"):
            page = ada.get(f"{activity(waiting)}{part}").text
            assert "Waiting: place 2 of 2" in page
            assert "1 of 1 sessions are in use. Delete one" in page
            assert "Waiting:" not in ada.get(f"{activity(running)}{part}").text
        translated = ada.get(f"{activity(waiting)}/overview", **{"Accept-Language": "zh-TW"}).text
        assert "第 2 位" in translated
        assert "1 個工作階段中已使用 1 個。" in translated


def test_filters_and_search(served: Served, ada: Visitor) -> None:
    served.site.session("alpha 100%")
    ended = served.site.session("beta_1")
    served.site.fail(ended, EndCause.DRIVER_DIED, "gone")
    member = served.site.do(served.site.world.member(Role.CONTRIBUTOR))
    served.site.session("gamma", member)

    def names(query: str) -> list[str]:
        part = ada.get(f"/monitor?{query}", **{"HX-Request": "true"}).text
        return re.findall(r'<td class="name"><a [^>]*>([^<]*)</a>', part)

    assert names("") == ["gamma", "beta_1", "alpha 100%"]
    assert names("q=BETA") == ["beta_1"]
    assert names("q=0%25") == ["alpha 100%"]
    assert names("q=_") == ["beta_1"]
    assert names("status=failed") == ["beta_1"]
    assert names("who=me") == ["beta_1", "alpha 100%"]
    assert names("within=1h") == ["gamma", "beta_1", "alpha 100%"]
    workspace, lakehouse = served.site.world.place
    assert len(names(f"location={workspace}/{lakehouse}")) == 3
    assert names("q=nothing") == []


@pytest.mark.parametrize(
    "query",
    ["status=xx", "within=9y", "who=you", "after=x", "after=2026-01-01", "q=" + "x" * 300],
)
def test_a_filter_that_is_none_is_refused_in_words(ada: Visitor, query: str) -> None:
    answer = ada.get(f"/monitor?{query}")
    assert answer.status_code == 400
    assert "can&#39;t be done" in answer.text


def test_a_long_list_comes_in_pages_that_stay_put(served: Served, ada: Visitor) -> None:
    for number in range(120):
        served.site.session(f"n{number:03}", ready=False)
    seen: list[str] = []
    address = "/monitor"
    for _ in range(3):
        page = ada.get(address).text
        seen += re.findall(r'<td class="name"><a [^>]*>([^<]*)</a>', page)
        served.site.session("meanwhile", ready=False)
        found = re.search(r'href="/portal(/monitor\?[^"]*after=[^"]*)"', page)
        address = found[1].replace("&amp;", "&") if found else ""
    assert seen == [f"n{number:03}" for number in reversed(range(120))]
    assert address == ""


def test_a_deleted_session_is_stopped_and_stays_readable(served: Served, ada: Visitor) -> None:
    site = served.site
    session = site.session("seeds path")
    site.run(session, "print(1)", text="1\n", ending=Ending(ok=True))
    site.do(delete_session(site.world.context, site.world.admin, site.world.path(session.id)))
    site.settle(session.id)
    page = ada.get(activity(session)).text
    assert "Stopped" in page
    assert f"{site.world.admin.name} deleted the session." in page
    for part in ("/overview", "/panel"):
        translated = ada.get(activity(session) + part, **{"Accept-Language": "zh-TW"}).text
        assert f"{site.world.admin.name} 已刪除工作階段。" in translated
    site.fail(shut := site.session("shut"), EndCause.GATEWAY_SHUTDOWN, "The gateway was shut down.")
    translated = ada.get(f"{activity(shut)}/panel", **{"Accept-Language": "zh-TW"}).text
    assert "伺服器已關閉。" in translated
    site.fail(idle := site.session("idle"), EndCause.IDLE, _idle_reason(idle))
    translated = ada.get(f"{activity(idle)}/panel", **{"Accept-Language": "zh-TW"}).text
    assert "工作階段閒置了 20 分鐘。" in translated
    assert "print" in page
    assert 'class="composer"' not in page
    assert f"{activity(session)}/stop" not in page


def test_statements_as_a_notebook_shows_them(served: Served, ada: Visitor) -> None:
    site = served.site
    session = site.session()
    rows = {"schema": {"fields": [{"name": "city"}]}, "data": [["Padua"], [None]]}
    site.run(
        session,
        "SELECT 1",
        kind="sql",
        ending=Ending(ok=True, data=json_bytes({"application/json": rows})),
    )
    site.run(session, "1/0", ending=Ending(ok=False, ename="ZeroDivisionError", evalue="by zero"))
    site.run(
        session, "display(x)", ending=Ending(ok=True, data=json_bytes({"text/html": "<i>rich</i>"}))
    )
    page = ada.get(activity(session)).text
    assert "<td>Padua</td>" in page
    assert "ZeroDivisionError" in page
    assert "<i>rich</i>" not in page
    frame = ada.get(f"{activity(session)}/statements/2/rich")
    assert "<i>rich</i>" in frame.text
    assert frame.headers["content-security-policy"].startswith("sandbox allow-scripts;")
    assert "connect-src" not in frame.headers["content-security-policy"]
    whole = ada.get(f"{activity(session)}/statements/0/json")
    assert whole.json() == rows
    assert "attachment" in whole.headers["content-disposition"]


def test_a_thousand_statements_come_in_pages(served: Served, ada: Visitor) -> None:
    site = served.site
    session = site.session()
    for number in range(45):
        site.run(session, f"x = {number}", ending=Ending(ok=True))
    last = ada.get(activity(session)).text
    assert shown(last) == [*range(25, 45)]
    assert 'class="composer"' in last
    assert "45 statements" in last
    earlier = ada.get(f"{activity(session)}/statements?before=25").text
    assert shown(earlier) == [*range(5, 25)]
    assert "Earlier 5" in earlier
    assert shown(ada.get(f"{activity(session)}/statements?before=5").text) == [*range(5)]
    first = ada.get(f"{activity(session)}?until=20").text
    assert shown(first) == [*range(20)]
    assert 'class="composer"' not in first
    assert "Earlier" not in first
    assert "until=40" in first
    assert shown(ada.get(f"{activity(session)}?statement=30").text) == [*range(21, 41)]
    assert shown(ada.get(f"{activity(session)}?statement=3").text) == [*range(20)]
    for odd in ("0", "99", "x", "-1", "9" * 30):
        for name in ("until", "statement"):
            assert ada.get(f"{activity(session)}?{name}={odd}").status_code == 200
        assert ada.get(f"{activity(session)}/statements?before={odd}").status_code == 200


def shown(page: str) -> list[int]:
    """The numbers of the statements on a page."""
    return [int(one) for one in re.findall(r'<article class="cell" id="s(\d+)"', page)]


def test_the_console_runs_code(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    answer = ada.post(f"{activity(session)}/statements", code="print(1)\r\n", kind="pyspark")
    assert answer.status_code == 303
    found = served.site.do(
        served.site.world.store.list_statements(session.first_repl, skip=0, top=5)
    )
    assert [one.code for one in found[0]] == ["print(1)\n"]


def test_the_console_takes_code_as_large_as_the_api_does(served: Served, ada: Visitor) -> None:
    session, code = served.site.session(), "x = 1\n" * 100_000
    answer = ada.post(f"{activity(session)}/statements", code=code)
    assert answer.status_code == 303
    found = served.site.do(
        served.site.world.store.list_statements(session.first_repl, skip=0, top=5)
    )
    assert [one.code for one in found[0]] == [code]
    refused = ada.post("/workspaces", name=code)
    assert refused.status_code == 413
    assert "Put data into Files" in refused.text
    stranger = Visitor(served, None)
    assert stranger.post(f"{activity(session)}/statements", code=code).status_code == 401


@pytest.mark.parametrize("form", [{"code": "  "}, {"code": "1", "kind": "cobol"}, {}])
def test_the_console_says_what_is_wrong(served: Served, ada: Visitor, form: dict[str, str]) -> None:
    session = served.site.session()
    assert ada.post(f"{activity(session)}/statements", **form).status_code == 400


def test_a_running_statement_is_cancelled(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    number = served.site.run(session, "while True: pass")
    ada.post(f"{activity(session)}/statements/{number}/cancel")
    found = served.site.do(served.site.world.store.statement(session.first_repl, number))
    assert found is not None
    assert found.phase is Phase.CANCELLING


def test_stopping_says_first_what_callers_will_see(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    served.site.run(session, "while True: pass")
    served.site.run(session, "1")
    dialog = ada.get(f"{activity(session)}/stop").text
    assert "1 statement is running." in dialog
    assert "1 statement is waiting." in dialog
    assert "404 SessionNotFound" in dialog
    assert ada.post(f"{activity(session)}/stop").status_code == 303
    served.site.settle(session.id)
    assert "Stopped" in ada.get(f"{activity(session)}/overview").text


# To whom


def test_a_viewer_sees_the_record_and_nothing_more(served: Served) -> None:
    session = served.site.session("shared", conf={"spark.sql.shuffle.partitions": "8"})
    served.site.run(session, "secret_code()", text="secret output\n", ending=Ending(ok=True))
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert "shared" in viewer.get("/monitor").text
    base = activity(session)
    assert viewer.get(base).headers["location"] == f"/portal{base}/overview"
    overview = viewer.get(f"{base}/overview").text
    for hidden in ("secret", "shuffle", "/configuration", "/stop", 'class="composer"'):
        assert hidden not in overview
    for path in ("/configuration", "/statements", "/statements/0", "/statements/0/text", "/stop"):
        assert viewer.get(base + path).status_code == 403, path
    for path in ("/stop", "/statements", "/statements/0/cancel"):
        assert viewer.post(base + path, code="1").status_code == 403, path


@pytest.mark.parametrize("role", [Role.CONTRIBUTOR, Role.MEMBER])
def test_another_ones_session_is_like_that_for_who_may_run(served: Served, role: Role) -> None:
    session = served.site.session("adas")
    served.site.run(session, "secret_code()")
    other = Visitor(served, served.site.do(served.site.world.member(role)))
    assert other.get(f"{activity(session)}/statements/0").status_code == 403
    assert other.post(f"{activity(session)}/stop").status_code == 403
    assert f"{activity(session)}/stop" not in other.get("/monitor").text


def test_a_stranger_is_told_nothing(served: Served) -> None:
    session = served.site.session("adas")
    stranger = Visitor(served, principal("Stranger"))
    for path in ("", "/overview", "/head", "/panel", "/stop", "/live", "/configuration"):
        answer = stranger.get(activity(session) + path)
        if path == "/live":
            assert "data:" not in answer.text
        else:
            assert answer.status_code == 403, path
            assert "adas" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/workspaces/x/activities/y",
        "/workspaces/{w}/activities/y",
        "/workspaces/{w}/activities/00000000-0000-4000-8000-000000000000",
        "/workspaces/{w}/activities/{s}/statements/99",
        "/workspaces/{w}/activities/{s}/statements/0/rich",
        "/workspaces/{w}/activities/{s}/statements/%3Cscript%3E",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(served: Served, ada: Visitor, path: str) -> None:
    session = served.site.session()
    served.site.run(session, "1")
    answer = ada.get(path.format(w=session.workspace, s=session.id))
    assert answer.status_code == 404
    assert "<script>" not in answer.text
    assert "There is no such" in answer.text


# Foreign text


@pytest.mark.parametrize("text", XSS)
def test_no_text_of_a_caller_becomes_part_of_a_page(served: Served, text: str) -> None:
    site = served.site
    caller = principal(text)
    site.do(_admit(served, caller))
    session = site.session(text, caller, conf={"spark.sql.x": text}, tags={text[:50]: text})
    site.run(
        session,
        text,
        text=text,
        caller=caller,
        ending=Ending(ok=False, ename=text, evalue=text, traceback=(text,)),
    )
    rows = {"schema": {"fields": [{"name": text}]}, "data": [[text]]}
    data = {"application/json": rows, text: text, "image/png": text}
    site.run(
        session, text, kind="sql", caller=caller, ending=Ending(ok=True, data=json_bytes(data))
    )
    visitor = Visitor(served, caller)
    for path in ("", "/overview", "/configuration", "/panel", "/head", "/stop"):
        hostile_free(visitor.get(activity(session) + path).text)
    hostile_free(visitor.get("/monitor").text)
    hostile_free(visitor.get("").text)
    hostile_free(visitor.get("/monitor?q=" + quote(text)).text)


async def _admit(served: Served, caller: Principal) -> None:
    world = served.site.world
    await world.store.assign_role(
        RoleAssignment(
            workspace=world.workspace.id, principal=PrincipalId(caller.oid), role=Role.CONTRIBUTOR
        )
    )
