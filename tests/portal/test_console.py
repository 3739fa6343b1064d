"""The console in a real browser: its editor, its history and proposals, and the cells above it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from livius.domain.lakehouse import Role
from livius.domain.statement import Ending
from livius.usecases.drivers import report
from livius_agent.wire import COMPLETION_PROTOCOL, Complete, Completed
from portal.conftest import Look, Visitor, Windows, activity, write_table
from support.browsing import Served
from support.chromium import check, editor, fits, wait
from support.waiting import wait_for

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "livius" / "portal" / "static"


@pytest.fixture
def page(strict_page: Page) -> Page:
    return strict_page


def lines(page: Page) -> list[str]:
    return editor(page).locator(".cm-line").all_inner_texts()


def test_the_bundle_is_of_its_sources_and_has_its_licences() -> None:
    folder = ROOT / "editor"
    digest = hashlib.sha256()
    for name in ("build.mjs", "editor.js", "package-lock.json"):
        digest.update((folder / name).read_bytes())
    head = (STATIC / "editor.js").read_text()[:200]
    assert digest.hexdigest() in head, "run `npm ci && npm run build` in editor/"
    licences = (STATIC / "editor.LICENSES.txt").read_text()
    lock = json.loads((folder / "package-lock.json").read_text())
    for path, one in lock["packages"].items():
        if path and not one.get("dev") and "optional" not in one:
            assert f"{path.removeprefix('node_modules/')} {one['version']} (MIT)" in licences


def test_the_editors_lock_names_exact_versions_and_no_host() -> None:
    text = (ROOT / "editor" / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert "://" not in text
    wanted = json.loads((ROOT / "editor" / "package.json").read_text())
    for version in (wanted["dependencies"] | wanted["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_code_is_written_with_colours_and_run_with_the_keyboard_alone(
    page: Page, served: Served
) -> None:
    session = served.site.session()
    page.goto(served.url + activity(session))
    page.keyboard.press("/")
    expect(editor(page)).to_be_focused()
    page.keyboard.type("def f():\nreturn 1")
    assert lines(page) == ["def f():", "    return 1"]
    expect(editor(page).locator(".tk").first).to_have_text("def")
    colour = page.locator(".cm-line .tk").first.evaluate("one => getComputedStyle(one).color")
    assert colour == "rgb(131, 39, 143)"  # the one of a cell's keywords: the policy admits styles
    page.keyboard.press("Control+Enter")
    expect(page.locator("#s0 .code")).to_have_text("def f():\n    return 1")
    assert lines(page) == [""] or "Code to run" in lines(page)[0]
    expect(editor(page)).to_be_focused()
    page.keyboard.type("f()")
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#s1 .code")).to_have_text("f()")
    # Nothing is no code.
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notes")).to_be_empty()
    expect(page.locator(".cell")).to_have_count(2)


def test_the_editor_goes_on_where_somebody_types_already(page: Page, served: Served) -> None:
    held: list[Route] = []

    def hold(one: Route) -> None:
        held.append(one)

    page.route("**/editor.js", hold)
    page.goto(served.url + activity(served.site.session()), wait_until="commit")
    page.get_by_role("textbox", name="Code").focus()
    page.keyboard.type("print(2)")
    page.keyboard.press("ArrowLeft")
    wait(page, lambda: bool(held))
    held[0].continue_()
    expect(editor(page)).to_be_focused()
    page.keyboard.type("1")
    assert lines(page) == ["print(21)"]


def test_tab_indents_and_after_escape_leaves(page: Page, served: Served) -> None:
    page.goto(served.url + activity(served.site.session()))
    editor(page).focus()
    page.keyboard.press("Tab")
    page.keyboard.type("x")
    assert lines(page) == ["    x"]
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_focused()


def test_up_and_down_walk_through_the_statements(page: Page, served: Served) -> None:
    session = served.site.session()
    served.site.run(session, "first = 1\nsecond = 2", ending=Ending(ok=True))
    served.site.run(session, "SELECT 3", kind="sql", ending=Ending(ok=True))
    page.goto(served.url + activity(session))
    editor(page).focus()
    page.keyboard.type("dr4ft")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")
    expect(editor(page)).to_have_text("SELECT 3")
    expect(page.locator("#kind")).to_have_value("sql")
    page.keyboard.press("ArrowUp")
    expect(editor(page).locator(".cm-line")).to_have_text(["first = 1", "second = 2"])
    expect(page.locator("#kind")).to_have_value("pyspark")
    page.keyboard.press("ArrowDown")  # within the statement
    page.keyboard.press("ArrowDown")
    expect(editor(page)).to_have_text("SELECT 3")
    page.keyboard.press("ArrowDown")
    expect(editor(page)).to_have_text("dr4ft")


def take(page: Page, key: str) -> None:
    """Take a proposal; for 75 ms after proposals appear the editor heeds no such key."""
    page.clock.fast_forward(100)
    page.keyboard.press(key)


def test_tables_columns_and_names_are_proposed_without_spark(
    page: Page, served: Served, lakehouse: Path
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"], "two words": ["x"]})
    session = served.site.session()
    served.site.run(session, "frame_of_mine = 1", ending=Ending(ok=True))
    page.clock.install()
    page.goto(served.url + activity(session))
    proposals = page.locator(".cm-tooltip-autocomplete")
    editor(page).focus()
    page.keyboard.type("frame_")
    expect(proposals).to_contain_text("frame_of_mine")
    page.keyboard.press("Control+a")
    page.locator("#kind").select_option("sql")
    editor(page).focus()
    page.keyboard.type("select * from cit")
    expect(proposals).to_contain_text("cities")
    check(page, "proposals")
    take(page, "Enter")
    expect(editor(page)).to_contain_text("select * from cities")
    page.keyboard.type(" where cities.tw")
    expect(proposals).to_contain_text("two words")
    take(page, "Tab")
    expect(editor(page)).to_contain_text("cities.`two words`")


def test_names_of_the_live_session_are_proposed(page: Page, served: Served) -> None:
    session = served.site.session()
    world = served.site.world

    async def attach() -> None:
        world.context.completions.attached(session.driver, object(), COMPLETION_PROTOCOL)

    async def answer(*names: str) -> str | None:
        asked = [one for one in world.links.sent if isinstance(one, Complete)]
        world.links.sent.clear()
        for one in asked:
            await report(world.context, session, Completed(id=one.id, names=names))
        return asked[-1].code if asked else None

    def told(*names: str) -> str | None:
        return wait_for(lambda: served.site.do(answer(*names)), seconds=10, what="a question")

    served.site.do(attach())
    page.goto(served.url + activity(session))
    proposals = page.locator(".cm-tooltip-autocomplete")
    editor(page).focus()
    page.keyboard.type("x = 1; frame.")
    assert told("select", "show") == "x = 1; frame."
    expect(proposals).to_contain_text("select")
    page.keyboard.type("sh")
    expect(proposals.locator("li")).to_have_text(["show"])
    check(page, "live names")
    page.keyboard.press("Control+a")
    page.keyboard.type("li")
    assert told("live_one", "list", "lambda") == "li"
    expect(proposals).to_contain_text("live_one")
    assert proposals.locator("li", has_text="list").count() == 1, "the editor's own"
    page.keyboard.press("Escape")
    page.keyboard.type(" # a comment")
    assert served.site.do(answer()) is None


def test_what_was_typed_outlives_a_reload(page: Page, served: Served) -> None:
    page.goto(served.url + activity(served.site.session()))
    page.locator("#kind").select_option("sql")
    editor(page).fill("SELECT 'kept'")
    page.reload()
    expect(editor(page)).to_have_text("SELECT 'kept'")
    expect(page.locator("#kind")).to_have_value("sql")


def test_an_expired_sign_in_is_named_and_leads_back(
    context: BrowserContext, served: Served
) -> None:
    page = context.new_page()
    session = served.site.session()
    page.goto(served.url + activity(session))
    editor(page).fill("SELECT 'kept'")
    context.clear_cookies()
    editor(page).press("Control+Enter")
    expect(page.get_by_role("heading", name="Your sign-in has expired")).to_be_visible()
    check(page, "expired")
    following = page.get_by_role("link", name="Sign in").last.get_attribute("href")
    assert following is not None
    assert following.endswith("next=%2Fportal" + activity(session).replace("/", "%2F"))
    served.sign_in(context)
    page.goto(served.url + activity(session))
    expect(editor(page)).to_have_text("SELECT 'kept'")


def test_signing_out_forgets_what_was_typed(page: Page, served: Served) -> None:
    session = served.site.session()
    page.goto(served.url + activity(session))
    editor(page).fill("secret = 1")
    page.locator("summary").last.click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/signed-out")
    assert "console" not in page.evaluate("Object.keys(sessionStorage).join()")


def test_without_the_editor_the_textarea_runs_code(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    page.route("**/editor.js", lambda one: one.abort())
    session = served.site.session()
    page.goto(served.url + activity(session))
    page.keyboard.press("/")
    page.keyboard.type("print(1)")
    page.reload()
    expect(page.locator("textarea")).to_have_value("print(1)")
    page.locator("textarea").press("Control+Enter")
    expect(page.locator("#s0 .code")).to_have_text("print(1)")
    expect(page.locator("textarea")).to_have_value("")


def test_without_scripts_the_button_runs_code(windows: Windows, served: Served) -> None:
    page = windows.context(scripts=False).new_page()
    page.goto(served.url + activity(served.site.session()))
    page.locator("textarea").fill("print(1)")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("#s0 .code")).to_have_text("print(1)")
    expect(page.locator("#s0").get_by_role("button", name="Run again")).to_be_hidden()


def test_a_cell_is_copied_run_again_edited_linked_and_folded_by_keyboard(
    page: Page, served: Served
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    session = served.site.session()
    code = 'print("<b>&amp;</b>")\n\tx = 1'
    served.site.run(session, code, kind="spark", text="out", ending=Ending(ok=True))
    page.goto(served.url + activity(session))
    bar = page.locator("#s0").get_by_role("toolbar", name="Cell 0")
    bar.get_by_role("button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == code
    page.keyboard.press("ArrowRight")
    expect(bar.get_by_role("button", name="Run again")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#s1 .code")).to_have_js_property("textContent", code)
    expect(page.locator("#s1")).to_have_attribute("data-kind", "spark")
    bar.get_by_role("button", name="Run again").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_focused()
    expect(page.locator("#kind")).to_have_value("spark")
    expect(page.locator("textarea")).to_have_js_property("value", code)
    bar.get_by_role("button", name="Copy link").click()
    expect(page.locator("#said")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{served.url}{activity(session)}?statement=0#s0"
    fold = bar.get_by_role("button", name="Fold")
    fold.press("Enter")
    expect(page.locator("#s0 .output")).to_be_hidden()
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.press("Enter")
    expect(page.locator("#s0 .output")).to_be_visible()


def test_a_session_opens_at_its_last_cell_or_the_one_that_runs(page: Page, served: Served) -> None:
    site = served.site
    session = site.session()
    for number in range(45):
        site.run(session, f"x = {number}", text="row\n" * 12, ending=Ending(ok=True))
    page.goto(served.url + activity(session))
    expect(page.locator("#s44")).to_be_in_viewport()
    expect(page.locator("#s25")).not_to_be_in_viewport()
    earlier = page.get_by_role("link", name="Earlier 20")
    earlier.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#s5")).to_be_attached()
    expect(page.locator(".cell")).to_have_count(40)
    page.get_by_role("link", name="Earlier 5").click()
    expect(page.locator(".cell")).to_have_count(45)
    expect(page.locator("#earlier")).to_have_count(0)
    # The stream goes on.
    running = site.run(session, "while True: pass", text="row\n" * 12)
    expect(page.locator(f"#s{running}")).to_be_attached()
    site.run(session, "waits")
    page.goto(f"{served.url}{activity(session)}?statement=3#s3")
    expect(page.locator("#s3")).to_be_in_viewport()
    page.goto(served.url + activity(session))
    expect(page.locator(f"#s{running}")).to_be_in_viewport()
    page.get_by_role("link", name="First", exact=True).click()
    expect(page.locator("#s0")).to_be_in_viewport()
    expect(page.locator(".composer")).to_have_count(0)


def test_a_cancelled_cell_is_not_a_failed_one(page: Page, served: Served) -> None:
    session = served.site.session()
    number = served.site.run(session, "while True: pass", text="printed before\n")
    page.goto(served.url + activity(session))
    page.locator("#s0").get_by_role("button", name="Cancel").click()
    served.site.stopped(session, number, traceback=("KeyboardInterrupt\n",))
    cell = page.locator("#s0")
    expect(cell.locator(".state")).to_have_text("Cancelled")
    expect(cell).to_contain_text("Cancelled after")
    expect(cell).to_contain_text("printed before")
    expect(cell.locator(".error")).to_have_count(0)
    expect(cell).not_to_contain_text("KeyboardInterrupt")


@pytest.mark.parametrize("part", ["history", "catalogue", "catalogue?table=cities", "names?line=x"])
def test_proposals_are_for_readers_of_the_code(
    served: Served, ada: Visitor, lakehouse: Path, part: str
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    session = served.site.session()
    served.site.run(session, "of_ada")
    path = f"{activity(session)}/console/{part}"
    assert ada.get(path).status_code == 200
    for role in (Role.VIEWER, Role.CONTRIBUTOR):
        other = Visitor(served, served.site.do(served.site.world.member(role)))
        assert other.get(path).status_code == 403
    assert Visitor(served, None).get(path).status_code == 303
    assert Visitor(served, None).get(path, Accept="application/json").status_code == 401


def test_the_history_is_bounded_and_has_no_repeats(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    for code in ("oldest", "x" * 200_000, "y" * 100_000, "again", "again"):
        served.site.run(session, code, ending=Ending(ok=True))
    found = ada.get(f"{activity(session)}/console/history").json()["statements"]
    assert [one["code"][:6] for one in found] == ["again", "yyyyyy"]


def test_the_editor_is_usable_at_any_width(windows: Windows, served: Served, look: Look) -> None:
    session = served.site.session()
    for number in range(6):
        served.site.run(session, f"print({number})", text="line\n" * 30, ending=Ending(ok=True))
    page = windows.open(look)
    page.goto(served.url + activity(session))
    box = page.locator(".composer").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= look.height  # it sticks to the lower edge
    editor(page).fill("x = [1, 2]\n" * 40 + "long = " + "1" * 400)
    assert fits(page)
    check(page, f"editor {look}")
