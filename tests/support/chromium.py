"""The headless browser that tests of pages look with."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from support.gateway import Gateway

CHROMIUM = (
    os.environ.get("LIVIUS_TEST_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or "/usr/bin/chromium"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def sign_in(page: Page, gateway: Gateway) -> None:
    """Sign in at a gateway's portal as its first user."""
    facts = gateway.connection
    page.goto(f"{facts['http']}/portal")
    page.locator("input[name=username]").fill(facts["username"])
    page.locator("input[name=password]").fill(facts["password"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{facts['http']}/portal")


def editor(page: Page) -> Locator:
    """The console's editor. The plain field that it replaces loses what a test types meanwhile."""
    return page.locator(".cm-content")


def fits(page: Page) -> bool:
    """Tell whether a page is as narrow as its window."""
    found: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return found


def wait(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for something beside a page, which goes on meanwhile."""
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came so")


def check(page: Page, where: str) -> None:
    """Let axe look at a page: it must find nothing serious."""
    found = Axe().run(page, options={"iframes": False})
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == [], where
