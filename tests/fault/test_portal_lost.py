"""``kill -9`` of the gateway under an open page: the page says so, and continues by itself."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from support.chromium import chromium, sign_in
from support.gateway import Client, Gateway
from support.shared import Spares
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]

CODE = "import time\nfor i in range(40):\n    print('line', i, flush=True); time.sleep(0.5)"


@pytest.fixture(autouse=True)
def _patient() -> Iterator[None]:
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


def test_a_page_under_which_the_gateway_ends_pales_and_comes_back(
    shared: Gateway, client: Client, spares: Spares
) -> None:
    session = client.create()
    session.wait_idle()
    number = session.submit(CODE)
    wait_for(lambda: session.printed(number), seconds=60, what="it prints")
    with chromium() as browser:
        page = browser.new_context(locale="en").new_page()
        page.set_default_timeout(60_000)
        sign_in(page, shared)
        page.goto(session.portal_page)
        cell = page.locator(f"#s{number}")
        expect(cell).to_contain_text("line 1")
        # The page notes when it notices: a look from here would come too late.
        page.evaluate(
            "new MutationObserver(() => { window.noticed = Date.now(); })"
            ".observe(document.getElementById('lost'), { childList: true })"
        )
        killed = page.evaluate("Date.now()")
        shared.kill()
        expect(page.locator("#lost")).to_have_text("Connection lost, trying again.")
        expect(page.locator("body")).to_have_class(re.compile("is-lost"))
        assert page.evaluate("window.noticed") > killed
        still = page.locator("#head [data-since], #head .lead").first.inner_text()
        page.wait_for_timeout(2_000)  # the clock would have moved
        assert page.locator("#head [data-since], #head .lead").first.inner_text() == still
        port = json.loads((shared.home / "connection.json").read_text())["http"]
        shared.start()
        client.reconnect()
        assert json.loads((shared.home / "connection.json").read_text())["http"] == port
        expect(page.locator("#lost")).to_be_hidden()
        expect(page.locator("body")).not_to_have_class(re.compile("is-lost"))
        expect(cell.locator(".state.good")).to_be_visible()
        text = cell.locator(".text").inner_text().split("\n")
        assert [one for one in text if one] == [f"line {i}" for i in range(40)]
    spares.leave(session)
