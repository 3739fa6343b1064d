"""``kill -9`` of the gateway while people are at the portal: they stay signed in."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from support.chromium import chromium
from support.gateway import Gateway

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def served(gateway: Gateway) -> Gateway:
    return gateway.start()


@pytest.fixture
def person(served: Gateway) -> Iterator[BrowserContext]:
    """A browser whose person has signed in as the first user."""
    facts = served.connection
    expect.set_options(timeout=30_000)
    with chromium() as browser:
        context = browser.new_context(locale="en")
        page = context.new_page()
        page.goto(facts["http"])
        page.locator("input[name=username]").fill(facts["username"])
        page.locator("input[name=password]").fill(facts["password"])
        page.keyboard.press("Enter")
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
