"""Help, shortcuts, settings and Home in a real browser, at every width and in both languages."""

import pytest
from playwright.sync_api import Page, expect

from livius.domain.lakehouse import Role
from portal.conftest import Look, Owned, Visitor, Windows, activity
from support.browsing import Served
from support.chromium import check, fits


def test_keys_lead_everywhere_and_can_be_switched_off(page: Page, served: Served) -> None:
    session = served.site.session("one")
    page.goto(served.url)
    for keys, heading in (("gm", "Monitoring hub"), ("gs", "Your settings"), ("gw", "Workspaces")):
        page.keyboard.type(keys)
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
    page.keyboard.type("gh")
    expect(page.get_by_role("heading", name="Welcome", level=1)).to_be_visible()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    check(page, "shortcuts")
    dialog.get_by_label("Shortcuts of single keys").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.type("gm?")
    expect(dialog).to_have_count(0)
    assert page.url == served.url
    page.locator("summary", has_text="Help").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialog.get_by_label("Shortcuts of single keys").check()
    dialog.get_by_role("button", name="Close").click()
    page.goto(f"{served.url}/monitor")
    page.keyboard.press("/")
    expect(page.get_by_label("Search by activity name")).to_be_focused()
    page.keyboard.type("gm?")  # is text where somebody types
    expect(page.get_by_label("Search by activity name")).to_have_value("gm?")
    page.goto(served.url + activity(session))
    expect(page.locator(".cm-content")).to_be_visible()
    page.locator("main").focus()
    page.keyboard.press("/")
    expect(page.locator(".cm-content")).to_be_focused()


def test_help_leads_to_the_api_and_tells_the_version(page: Page, served: Served) -> None:
    page.goto(served.url)
    page.locator("summary", has_text="Help").click()
    expect(page.get_by_text("Version 0.1.0")).to_be_visible()
    check(page, "help")
    page.get_by_role("link", name="API reference").click()
    assert page.url == f"{served.site.url}/docs"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "look",
    [Look(), Look("zh-TW", "dark", 390), Look("en", "dark", 768), Look("zh-TW", "light")],
    ids=str,
)
def test_settings_are_one_area(windows: Windows, owned: Owned, look: Look) -> None:
    served = owned.served
    ada = Visitor(served, served.site.world.admin)
    ada.post("/workspaces", name="Another")
    ada.post("/users", username="grace")
    page = windows.open(look)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    base = f"/workspaces/{served.site.world.workspace.id}"
    places = ("/settings", f"{base}/settings", f"{base}/access", f"{base}/spark", "/users")
    for path in (*places, "/applications", owned.path):
        page.goto(served.url + path)
        expect(page.locator(".side [aria-current=page]")).to_have_count(1)
        check(page, f"{path} {look}")
        assert fits(page), path
    page.goto(f"{served.url}{base}/spark")
    page.locator(".switch summary").click()
    page.get_by_role("link", name="Another").click()
    expect(page.locator(".switch summary")).to_contain_text("Another")
    assert page.url.endswith("/spark")
    assert complaints == []


def test_what_is_saved_is_said_and_saving_needs_a_change(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/workspaces/{served.site.world.workspace.id}/settings")
    save = page.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    page.get_by_label("Name", exact=True).fill("Lab")
    expect(save).to_be_enabled()
    save.click()
    expect(page.locator("#said")).to_have_text("Saved.")
    expect(page.locator(".crumbs")).to_contain_text("Lab")
    page.reload()
    expect(page.locator("#said")).to_be_empty()


def test_a_sentence_of_another_session_or_program_is_not_said(served: Served) -> None:
    world = served.site.world
    ada = Visitor(served, world.admin)
    ada.post(f"/workspaces/{world.workspace.id}/settings", name="Lab")
    [cookie] = [one for one in ada.http.cookies if one.name.endswith("_said")]
    other = Visitor(served, served.site.do(world.member(Role.VIEWER)))
    for value in (str(cookie.value), "x.SGFja2Vk", "", "."):
        other.http.cookies.set(cookie.name, value)
        page = other.get().text
        assert "Saved." not in page
        assert "Hacked" not in page
    assert "Saved." in ada.get().text
    assert "Saved." not in ada.get().text


def test_the_ways_to_begin_are_dismissed_and_brought_back(page: Page, served: Served) -> None:
    served.site.session("running")
    page.goto(served.url)
    expect(page.get_by_role("heading", name="Live sessions")).to_be_visible()
    expect(page.get_by_role("heading", name="Run a program")).to_be_visible()
    page.get_by_role("button", name="Hide the ways to begin").click()
    expect(page.get_by_role("heading", name="Run a program")).to_have_count(0)
    expect(page.get_by_role("button", name="New session")).to_be_visible()
    check(page, "Home without the ways to begin")
    page.get_by_role("button", name="Ways to begin").click()
    expect(page.get_by_role("heading", name="Run a program")).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator('[data-copy="c-tenant"]').click()
    expect(page.locator("#said")).to_have_text("Copied.")
    expect(page.locator('[data-copy="c-tenant"] use')).to_have_attribute("href", "#i-check")


def test_a_page_without_a_stream_notices_that_the_server_is_back(
    page: Page, served: Served
) -> None:
    page.goto(f"{served.url}/workspaces/{served.site.world.workspace.id}/settings")
    page.get_by_label("Name", exact=True).fill("Lab")
    page.context.set_offline(True)
    expect(page.locator("#lost")).to_have_text("Connection lost, trying again.")
    page.get_by_role("button", name="Save").click()
    page.context.set_offline(False)
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Lab")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#said")).to_have_text("Saved.")
