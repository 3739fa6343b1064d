"""A person at a real browser: headless Chromium, driven by Playwright."""

from __future__ import annotations

import queue
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page


class OpenedPages(webbrowser.BaseBrowser):
    """The default browser of this process: keeps what programs open for the test to visit."""

    def __init__(self) -> None:
        super().__init__("test")
        self.opened: queue.Queue[str] = queue.Queue()

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        del new, autoraise
        self.opened.put(url)
        return True


@dataclass
class Desk:
    """A browser, and a thread in which a program waits for what happens there."""

    page: Page
    pages: OpenedPages
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def portal_session_what_is_opened(self) -> Page:
        url = self.pages.opened.get(timeout=20)
        # In a page of its own, as a browser does it: the one before may still be on its way.
        self.page = self.page.context.new_page()
        self.page.goto(url)
        return self.page

    def sign_in(self, username: str, password: str | None) -> None:
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(password or "")
        self.page.get_by_role("button", name="Sign in").click()

    def allow(self) -> None:
        self.page.get_by_role("button", name="Allow").click()


@contextmanager
def seated(chromium: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Open a window of its own, with no cookies."""
    pages = OpenedPages()
    monkeypatch.setattr(webbrowser, "_tryorder", ["test"])
    monkeypatch.setitem(webbrowser._browsers, "test", [None, pages])  # type: ignore[attr-defined]
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    problems: list[Any] = []
    context.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    context.on("weberror", lambda error: problems.append(str(error.error)))
    desk = Desk(context.new_page(), pages)
    try:
        yield desk
    finally:
        desk.threads.shutdown(wait=False, cancel_futures=True)
        context.close()
    assert not [one for one in problems if "Content Security Policy" in str(one)], problems
