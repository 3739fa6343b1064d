"""``kill -9`` of the gateway while people are at the portal: they lose neither sign-in nor text."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from support.chromium import chromium, editor, sign_in
from support.gateway import Gateway
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def served(gateway: Gateway) -> Gateway:
    return gateway.start()


@pytest.fixture
def person(served: Gateway) -> Iterator[BrowserContext]:
    """A browser whose person has signed in as the first user."""
    expect.set_options(timeout=30_000)
    with chromium() as browser:
        context = browser.new_context(locale="en")
        page = context.new_page()
        sign_in(page, served)
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        page.close()
        yield context
    expect.set_options(timeout=5_000)


def test_people_stay_signed_in_and_their_open_pages_go_on(
    served: Gateway, person: BrowserContext
) -> None:
    facts = served.connection
    workspace = f"{facts['http']}/portal/workspaces/{facts['workspace_id']}"
    watched, filled = person.new_page(), person.new_page()
    with watched.expect_response(lambda answer: "/live" in answer.url):
        watched.goto(workspace)
    filled.goto(workspace)
    filled.locator("form input[name=name]").fill("Silver")

    served.kill()
    served.start()
    assert served.connection["http"] == facts["http"]

    filled.get_by_role("button", name="Create lakehouse").click()
    expect(filled).to_have_url(re.compile("/lakehouses/"))
    filled.goto(workspace)
    expect(filled.get_by_role("link", name="Silver", exact=True)).to_be_visible()
    # Nobody has touched this page: its stream came back by itself.
    expect(watched.get_by_role("link", name="Silver", exact=True)).to_be_visible()

    # Nor does the authority ask for the password again.
    filled.goto(f"{facts['http']}/portal/sign-in")
    expect(filled.get_by_role("heading", name="Welcome")).to_be_visible()

    # Another process says so, and it counts at once.
    served.livius("identity", "user", "remove", facts["username"])
    filled.goto(workspace)
    expect(filled.locator("input[name=password]")).to_be_visible()


@pytest.mark.timeout(300)
def test_the_console_shows_each_print_at_once_and_goes_on_after_a_kill(
    served: Gateway, person: BrowserContext, tmp_path: Path
) -> None:
    def go(step: int) -> None:
        (tmp_path / f"go-{step}").touch()

    def is_printed(text: str) -> None:
        expect(page.locator("#s0 .text")).to_have_js_property("textContent", text)

    session = served.client().create()
    session.wait_idle()
    page = person.new_page()
    page.goto(session.portal_page)
    code = editor(page)
    # No chunk is printed before the test has seen the one before it.
    code.fill(
        "import pathlib, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "for step in range(4):\n"
        "    print('<chunk>', step, flush=True)\n"
        "    (folder / f'printed-{step}').touch()\n"
        "    while not (folder / f'go-{step}').exists(): time.sleep(0.01)\n"
    )
    code.press("Control+Enter")
    is_printed("<chunk> 0\n")
    go(0)
    is_printed("<chunk> 0\n<chunk> 1\n")
    code.fill("typed, but not sent")

    served.kill()
    expect(page.locator("#lost")).to_have_text("Connection lost, trying again.", timeout=3000)
    go(1)
    wait_for((tmp_path / "printed-2").exists, seconds=30, what="it prints without a gateway")
    served.start()
    is_printed("<chunk> 0\n<chunk> 1\n<chunk> 2\n")
    expect(page.locator("#lost")).to_be_hidden()
    expect(code).to_have_text("typed, but not sent")
    go(2)
    is_printed("".join(f"<chunk> {step}\n" for step in range(4)))
    go(3)
    expect(page.locator("#s0 .state")).to_contain_text("Succeeded")
    is_printed("".join(f"<chunk> {step}\n" for step in range(4)))
    expect(code).to_have_text("typed, but not sent")
