"""The portal in a real browser: live, by keyboard, in both languages, without a finding of axe."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from livius import limits
from livius.domain.ids import StatementNumber
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Session
from livius.domain.statement import Ending
from livius.usecases import catalog
from livius_agent.text import json_bytes
from portal.conftest import Look, Owned, Visitor, Windows, activity, write_table
from support.browsing import Served
from support.chromium import check, editor, fits, wait


def busy_session(served: Served) -> Session:
    site = served.site
    session = site.session("nightly load", conf={"spark.sql.shuffle.partitions": "8"})
    site.run(session, "print('hello')", text="\x1b[32mhello\x1b[0m\n", ending=Ending(ok=True))
    rows = {"schema": {"fields": [{"name": "city"}]}, "data": [["Padua"], [None]]}
    site.run(
        session,
        "SELECT 1",
        kind="sql",
        ending=Ending(ok=True, data=json_bytes({"application/json": rows})),
    )
    site.run(
        session,
        "display(x)",
        ending=Ending(ok=True, data=json_bytes({"text/html": "<h3>rich</h3>"})),
    )
    site.run(
        session,
        "1/0",
        ending=Ending(ok=False, ename="ZeroDivisionError", evalue="x", traceback=("a\n", "b\n")),
    )
    site.run(session, "while True: pass", text="row 1\n")
    return session


def test_a_shared_sessions_repls_are_selected_and_followed(
    windows: Windows, served: Served, look: Look
) -> None:
    site = served.site
    first, second = site.acquire("nightly"), site.acquire("nightly")
    session = second.session
    site.run(session, "of_first", text="one", ending=Ending(ok=True), repl=first.repl.id)
    page = windows.open(look)
    page.goto(served.url + activity(session))
    row = page.locator(".repls a")
    expect(row).to_have_count(2)
    row.nth(1).click()
    expect(row.nth(1)).to_have_attribute("aria-current", "page")
    expect(page.locator(".cell")).to_have_count(0)
    page.get_by_role("textbox").fill("of_second")
    page.get_by_role("textbox").press("Control+Enter")
    expect(page.locator("#s0 .code")).to_have_text("of_second")
    site.end(session, StatementNumber(0), Ending(ok=True), second.repl.id)
    expect(page.locator("#s0 .state.good")).to_be_visible()
    site.acquire("nightly")
    expect(row).to_have_count(3)
    check(page, f"repls {look}")
    site.release(second)
    expect(page.locator("#repls .note")).to_be_visible()
    expect(page.locator(".composer button")).to_be_hidden()
    check(page, f"closed repl {look}")
    assert fits(page)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_axe_finds_nothing_serious_on_any_page(
    windows: Windows, served: Served, lakehouse: Path, look: Look
) -> None:
    fill(served, lakehouse)
    session = busy_session(served)
    base = activity(session)
    ended = served.site.session("ended")
    served.site.fail(ended, EndCause.DRIVER_DIED, "out of memory")
    page = windows.open(look)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    for path in ("", "/monitor", *tabs(session)):
        page.goto(served.url + path)
        check(page, f"{path} {look}")
    for path in places(served):
        page.goto(served.url + path)
        check(page, f"{path} {look}")
    page.goto(served.url + "/monitor")
    page.locator("td.actions button").first.click()
    expect(page.locator("#panel h2")).to_be_focused()
    check(page, "panel")
    page.goto(served.url + base)
    page.locator("#commands button").click()
    expect(page.locator("dialog")).to_be_visible()
    check(page, "dialog")
    assert complaints == []
    page.goto(served.url + "/nowhere")
    check(page, "nowhere")


def tabs(session: Session) -> list[str]:
    """The pages of an activity."""
    base = activity(session)
    parts = ("overview", "jobs", "jobs/spark", "logs", "configuration")
    return [base, *(f"{base}/{part}" for part in parts)]


def fill(served: Served, lakehouse: Path) -> None:
    """Give the lakehouse a table and a file."""
    write_table(served, lakehouse, "cities", {"city": ["Padua"], "region": ["Veneto" * 60]})
    (lakehouse / "Files" / "a.csv").write_text("city,region\nPadua," + "Veneto" * 60)


def places(served: Served) -> list[str]:
    """The pages about workspaces and lakehouses."""
    workspace, lakehouse = served.site.world.place
    base = f"/workspaces/{workspace}/lakehouses/{lakehouse}"
    return [
        "/workspaces",
        f"/workspaces/{workspace}",
        f"/workspaces/{workspace}/access",
        f"/workspaces/{workspace}/settings",
        f"{base}/settings",
        f"{base}/settings/livy",
        f"{base}/tables",
        f"{base}/tables/cities",
        f"{base}/files",
        f"{base}/files?path=a.csv",
    ]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_axe_finds_nothing_serious_in_parts_of_tables_loads_and_environments(
    windows: Windows, served: Served, lakehouse: Path, look: Look
) -> None:
    fill(served, lakehouse)
    ada = Visitor(served, served.site.world.admin)
    workspace, name = served.site.world.place
    base = f"/workspaces/{workspace}/lakehouses/{name}"
    load = {"file": "a.csv", "table": "t", "mode": "Create", "format": "Csv"}
    environments = f"/workspaces/{workspace}/environments"
    made = (ada.post(f"{base}/load", **load), ada.post(environments, name="science"))
    page = windows.open(look)
    for path in (
        *(f"{base}/tables/cities/{part}" for part in ("columns", "history", "files")),
        f"{base}/load?path=a.csv",
        environments,
        *(answer.headers["location"].removeprefix("/portal") for answer in made),
    ):
        page.goto(served.url + path)
        check(page, f"{path} {look}")
        assert fits(page), path


def test_no_column_is_as_narrow_as_a_letter(windows: Windows, served: Served) -> None:
    served.site.acquire("nightly")
    served.site.session("by hand", ready=False)
    served.site.do(served.site.world.member(Role.VIEWER))
    page = windows.open(Look("zh-TW", width=768))
    for path in ("", "/monitor", f"/workspaces/{served.site.world.workspace.id}/access"):
        page.goto(served.url + path)
        expect(page.locator("td").first).to_be_visible()
        narrow = page.evaluate(
            """[...document.querySelectorAll("td:not(.actions, .pick)")].filter(
              one => one.clientWidth && one.clientWidth < 50 && one.innerText.trim().length > 3
            ).map(one => one.innerText)"""
        )
        assert narrow == [], path


def test_no_page_is_wider_than_the_screen(
    windows: Windows, served: Served, lakehouse: Path
) -> None:
    fill(served, lakehouse)
    session = busy_session(served)
    settings = f"/workspaces/{served.site.world.workspace.id}"
    made = Visitor(served, served.site.world.admin).post(
        f"{settings}/environments", name="a name " * 12
    )
    for width in (360, 390, 768, 1920):
        page = windows.open(Look(width=width))
        for path in (
            "",
            "/monitor",
            *tabs(session),
            *places(served),
            f"{settings}/spark",
            made.headers["location"].removeprefix("/portal"),
        ):
            page.goto(served.url + path)
            assert fits(page), (width, path)


def test_the_hub_is_live(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/monitor")
    expect(page.locator("main")).to_contain_text("No activity yet")
    session = served.site.session("appears by itself")
    expect(page.locator("tbody")).to_contain_text("appears by itself")
    expect(page.locator("tbody .state")).to_contain_text("Idle")
    served.site.fail(session, EndCause.DRIVER_DIED, "out of memory")
    expect(page.locator("tbody .state")).to_contain_text("Failed")


def test_places_that_others_make_appear_by_themselves(
    page: Page, served: Served, lakehouse: Path
) -> None:
    world = served.site.world
    page.goto(f"{served.url}/workspaces/{world.workspace.id}")
    page.get_by_label("Name", exact=True).fill("half a na")
    served.site.do(
        catalog.create_lakehouse(world.context, world.admin, world.workspace.id, "silver", "")
    )
    expect(page.locator("#lakehouses")).to_contain_text("silver")
    expect(page.get_by_label("Name", exact=True)).to_have_value("half a na")
    page.goto(
        f"{served.url}/workspaces/{world.workspace.id}/lakehouses/{world.lakehouse.id}/tables"
    )
    expect(page.locator("#tables")).to_contain_text("No table yet")
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    expect(page.locator("#tables")).to_contain_text("cities")


def test_a_role_is_given_and_taken_with_the_keyboard_alone(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/workspaces/{served.site.world.workspace.id}/access")
    page.get_by_label("Object ID").focus()
    page.keyboard.type("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("neither an object id")
    page.get_by_label("Object ID").fill("00000000-0000-4000-8000-000000000001")
    page.keyboard.press("Tab")
    page.keyboard.type("Mem")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    row = page.locator("tbody tr").nth(1)
    expect(row.get_by_role("combobox")).to_have_value("Member")
    row.get_by_role("button", name="Remove the role of").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Remove role", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)


@pytest.mark.timeout(60)
def test_an_application_is_given_a_secret_with_the_keyboard_alone(
    page: Page, served: Served, owned: Owned
) -> None:
    page.goto(f"{served.url}/applications")
    check(page, "applications")
    page.get_by_role("link", name="nightly").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="New secret").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="not shown again")).to_be_visible()
    secret = page.locator("#new-secret").inner_text()
    assert secret not in page.url
    page.get_by_label("Certificate in PEM").fill("nonsense")
    page.get_by_role("button", name="Add certificate").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("no certificate")
    for width, scheme in ((390, "dark"), (1440, "light")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        check(page, f"application {width} {scheme}")
        assert fits(page), width
    page.reload()
    expect(page.get_by_text("not shown again")).to_have_count(0)
    page.get_by_role("button", name="Remove the secret").press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    check(page, "dialog")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Remove credential")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#secrets")).to_contain_text("None yet.")
    assert owned.there().secrets == ()


def test_filters_keep_their_place_in_the_address(page: Page, served: Served) -> None:
    served.site.session("alpha")
    served.site.session("beta")
    page.goto(f"{served.url}/monitor")
    page.keyboard.press("/")
    page.keyboard.type("alp")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=alp"))
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Search by activity name").fill("zzz")
    expect(page.get_by_text("No activity matches")).to_be_visible()
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_a_lakehouse_is_made_and_its_connection_string_copied(page: Page, served: Served) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{served.url}/workspaces")
    page.get_by_role("link", name="Research").click()
    page.get_by_label("Name", exact=True).fill("1st")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("begins with a letter")
    expect(page.get_by_label("Name", exact=True)).to_have_value("1st")
    page.get_by_label("Name", exact=True).fill("silver")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("The lakehouse silver is created.")
    page.goto(re.sub("(/lakehouses/[^/?]+).*", r"\1/settings/livy", page.url))
    page.locator('[data-copy="session-url"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith("/livyapi/versions/2023-12-01/sessions")


def test_more_rows_are_loaded(page: Page, served: Served) -> None:
    for number in range(60):
        served.site.session(f"n{number}", ready=False)
    page.goto(f"{served.url}/monitor")
    expect(page.locator("td.name")).to_have_count(50)
    page.get_by_role("link", name="Load more").click()
    expect(page.locator("td.name")).to_have_count(60)


def test_a_session_is_seen_to_work_and_to_be_stopped_with_the_keyboard_alone(
    page: Page, served: Served
) -> None:
    session = served.site.session("by keyboard")
    page.goto(f"{served.url}/monitor")
    page.get_by_role("link", name="by keyboard").focus()
    page.keyboard.press("Enter")
    code = editor(page)
    code.focus()
    page.keyboard.type("print(6 * 7)")
    page.keyboard.press("Control+Enter")
    cell = page.locator("#s0")
    expect(cell).to_contain_text("Running")
    expect(page.locator("#code")).to_have_value("")
    served.site.print(session, StatementNumber(0), "40")
    expect(cell.locator(".text")).to_contain_text("40")
    served.site.print(session, StatementNumber(0), " and 2\n")
    expect(cell.locator(".text")).to_contain_text("40 and 2")
    served.site.end(session, StatementNumber(0), Ending(ok=True))
    expect(cell).to_contain_text("Succeeded")
    page.locator("#commands").get_by_role("button", name="Stop session").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Stop session")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#head .state")).to_contain_text("Stopping")
    served.site.settle(session.id)
    served.site.do(notify_of(served, session))
    expect(page.locator("#head .state")).to_contain_text("Stopped")


async def notify_of(served: Served, session: Session) -> None:
    served.site.world.notifications.notify(session.id)


def test_a_cell_that_is_too_large_stays_where_it_was_typed(
    page: Page, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CODE_BYTES", 1000)  # a browser is slow with megabytes
    session, typed = served.site.session(), "x" * 1000
    page.goto(served.url + activity(session))
    code = editor(page)
    code.fill(typed)
    code.press("Control+Enter")
    expect(page.locator("#notes")).to_contain_text("Put data into Files")
    expect(page.locator("#code")).to_have_value(typed)


def test_statements_of_another_client_appear_and_run(page: Page, served: Served) -> None:
    session = served.site.session()
    page.goto(served.url + activity(session))
    number = served.site.run(session, "from_a_client()")
    expect(page.locator("#s0")).to_contain_text("Running")
    served.site.end(session, number, Ending(ok=False, ename="NameError", evalue="not defined"))
    expect(page.locator("#s0")).to_contain_text("NameError")


@pytest.mark.parametrize("ends", [False, True])
def test_what_happens_to_a_statement_before_its_cell_is_here_is_not_lost(
    page: Page, served: Served, ends: bool
) -> None:
    session = served.site.session()
    page.goto(served.url + activity(session))
    held: list[tuple[Route, APIResponse]] = []
    fetched = re.compile(r"/statements\?after=")

    def hold(route: Route) -> None:
        held.append((route, route.fetch()))

    def told(events: int) -> None:
        wait(page, lambda: page.evaluate("late.get(0).length") >= events)

    page.route(fetched, hold, times=1)
    number = served.site.run(session, "1")
    wait(page, lambda: bool(held))  # the cell of a running statement is on its way
    served.site.print(session, number, "<printed>\n")
    told(2)
    if ends:
        served.site.end(session, number, Ending(ok=True))
        told(3)
    [(route, answer)] = held
    route.fulfill(response=answer)
    expect(page.locator("#s0 .state")).to_have_text("Succeeded" if ends else "Running")
    expect(page.locator("#s0 .text")).to_have_js_property("textContent", "<printed>\n")
    expect(page.locator(".cell")).to_have_count(1)


def test_a_part_that_could_not_be_fetched_is_fetched_when_the_stream_is_back(
    page: Page, served: Served
) -> None:
    session = served.site.session()
    number = served.site.run(session, "1")
    page.goto(served.url + activity(session))
    page.route(re.compile("/statements/0$"), lambda one: one.abort(), times=1)
    served.site.end(session, number, Ending(ok=True))
    expect(page.locator("#lost")).to_have_text("Connection lost, trying again.")
    expect(page.locator("#s0 .state")).to_have_text("Running")
    page.evaluate("stream.onopen()")
    expect(page.locator("#s0 .state")).to_have_text("Succeeded")
    expect(page.locator("#lost")).to_be_hidden()


def test_a_statement_that_waited_is_seen_cancelled_while_another_runs(
    page: Page, served: Served
) -> None:
    session = served.site.session()
    served.site.run(session, "while True: pass", text="kept")
    page.goto(served.url + activity(session))
    served.site.run(session, "later()")
    waiting = page.locator("#s1")
    expect(waiting.locator(".state")).to_have_text("Waiting")
    waiting.get_by_role("button", name="Cancel").click()
    expect(waiting.locator(".state")).to_have_text("Cancelled")
    served.site.run(session, "latest()")
    expect(page.locator("#s2 .state")).to_have_text("Waiting")
    expect(page.locator("#s0 .text")).to_have_text("kept")


def test_a_long_text_stays_bounded_in_the_page(page: Page, served: Served) -> None:
    session = served.site.session()
    served.site.run(session, "while True: pass", text="begin")
    page.goto(served.url + activity(session))
    cell = page.locator("#s0")
    expect(cell.get_by_text("The latest part of the text.")).to_be_hidden()
    page.evaluate(
        """for (const letter of "abcd")
        append(document.getElementById("s0"), { html: letter.repeat(90000), is_cut: false })"""
    )
    assert cell.locator(".text").evaluate("one => one.textContent") == "c" * 90000 + "d" * 90000
    expect(cell.get_by_text("The latest part of the text.")).to_be_visible()
    with page.expect_download() as download:
        cell.get_by_role("link", name="Download all").click()
    assert download.value.path().read_text() == "begin"


def test_a_cancel_is_seen(page: Page, served: Served) -> None:
    session = served.site.session()
    served.site.run(session, "while True: pass")
    page.goto(served.url + activity(session))
    page.locator("#s0").get_by_role("button", name="Cancel").click()
    expect(page.locator("#s0 .state")).to_contain_text("Cancelling")


def test_rich_output_is_caged(page: Page, served: Served) -> None:
    session = served.site.session()
    hostile = (
        "<h3 id=rich>rich</h3><div style='height:300px'></div><script>"
        "document.title = 'ran';"
        "try { parent.document.title = 'stolen' } catch (e) {}"
        "try { localStorage.x = 1 } catch (e) {}"
        "fetch('/portal').then(() => { document.getElementById('rich').textContent = 'got out' })"
        ".catch(() => { document.getElementById('rich').textContent = 'kept in' });"
        "try { top.location = 'https://elsewhere.test' } catch (e) {}"
        "</script>"
    )
    served.site.run(
        session, "display(x)", ending=Ending(ok=True, data=json_bytes({"text/html": hostile}))
    )
    page.goto(served.url + activity(session))
    frame = page.frame_locator("iframe")
    expect(frame.locator("#rich")).to_have_text("kept in")
    assert page.url == served.url + activity(session)
    assert "stolen" not in page.title()
    # It says how tall it is, within bounds.
    expect(page.locator("iframe")).to_have_css("height", re.compile(r"^3\d\dpx$"))


def test_language_and_appearance_are_switched_and_kept(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/monitor")
    page.locator(".bar summary").nth(1).click()
    page.get_by_role("button", name="繁體中文").click()
    expect(page.get_by_role("heading", name="監視中樞")).to_be_visible()
    page.locator(".bar summary").nth(1).click()
    page.get_by_role("button", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hant-TW")


def test_a_viewer_has_no_buttons_to_press(windows: Windows, served: Served) -> None:
    served.site.session("adas")
    viewer = served.site.do(served.site.world.member(Role.VIEWER))
    page = windows.open(caller=viewer)
    page.goto(f"{served.url}/monitor")
    expect(page.get_by_role("link", name="adas")).to_be_visible()
    expect(page.get_by_role("button", name="Stop adas")).to_have_count(0)
    page.get_by_role("link", name="adas").click()
    expect(page.get_by_role("region", name="Timeline")).to_be_visible()
    expect(page.get_by_role("link", name="Configuration")).to_have_count(0)


def test_signing_out_elsewhere_is_noticed(page: Page, served: Served) -> None:
    served.site.session("adas")
    page.goto(f"{served.url}/monitor")
    page.context.clear_cookies()
    page.locator("td.actions button").first.click()
    expect(page.get_by_role("heading", name="Your sign-in has expired")).to_be_visible()


def test_streams_end_with_the_page(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/monitor")
    wait(page, lambda: served.portal_app.streams.open["page"] == 1)
    page.goto(f"{served.url}/signed-out")
    wait(page, lambda: served.portal_app.streams.open["page"] == 0)


def test_files_are_uploaded_with_progress_and_errors_keep_their_place(
    windows: Windows, served: Served, lakehouse: Path, tmp_path: Path, look: Look
) -> None:
    page = windows.open(look)
    (lakehouse / "Files" / "raw").mkdir()
    workspace, name = served.site.world.place
    page.goto(f"{served.url}/workspaces/{workspace}/lakehouses/{name}/files?path=raw")
    files = [tmp_path / "<b>one.csv", tmp_path / "two.csv"]
    for file in files:
        file.write_text("a,b\n1,2\n" * 100_000)
    page.locator("#upload-files").set_input_files(files)
    for file in files:
        expect(page.get_by_role("link", name=file.name, exact=False).first).to_be_visible()
        assert (lakehouse / "Files" / "raw" / file.name).read_text() == file.read_text()
    page.locator("#upload-files").set_input_files(files[1])
    expect(page.locator("#notes .note")).to_contain_text("two.csv")
    check(page, f"upload {look}")
    assert fits(page)
    page.locator("#upload input[name=replace]").check()
    files[1].write_text("new")
    page.locator("#upload-files").set_input_files(files[1])
    expect(page.locator("td.number").last).to_have_text("3 B")  # the page is the new one
    assert (lakehouse / "Files" / "raw" / "two.csv").read_text() == "new"
