"""From the sign-in link to a chart and back, by somebody who has a browser and nothing else."""

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.chromium import check, chromium, editor
from support.gateway import Gateway

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]

MOST_TABS = 150
"""A page where something is further away can't be used by keyboard."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@dataclass
class Person:
    """Somebody at a page, who counts the steps. ``mouse``: else the keyboard alone."""

    page: Page
    mouse: bool
    steps: int = 0

    def do(self, thing: Locator) -> None:
        """Click it, or walk to it and press Enter."""
        expect(thing).to_be_visible()
        self.steps += 1
        if self.mouse:
            thing.click()
        else:
            self.walk(thing)
            self.page.keyboard.press("Enter")

    def walk(self, thing: Locator) -> None:
        for _ in range(MOST_TABS):
            if thing.evaluate("one => one === document.activeElement"):
                return
            # An editor takes Tab for itself until Escape.
            if self.page.locator(".cm-editor.cm-focused").count():
                self.page.keyboard.press("Escape")
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no Tab reaches {thing}")

    def choose(self, option: str, field: Locator) -> None:
        self.steps += 1
        if self.mouse:
            field.select_option(label=option)
            return
        self.walk(field)
        self.page.keyboard.type(option)
        expect(field.locator("option:checked")).to_have_text(option)

    def upload(self, field: Locator, file: Path) -> None:
        self.steps += 1
        with self.page.expect_file_chooser() as chooser:
            if self.mouse:
                self.page.get_by_text("Upload files", exact=True).click()
            else:
                self.walk(field)
                self.page.keyboard.press("Enter")
        chooser.value.set_files(file)

    def run(self, code: str, language: str | None = None) -> Locator:
        """Run code in the console; return its cell."""
        number = self.page.locator("[id^=s].cell").count()
        if language is not None:
            self.choose(language, self.page.locator("#kind"))
        field = editor(self.page)
        self.do(field) if self.mouse else self.walk(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Control+Enter")
        return self.page.locator(f"#s{number}")


@pytest.fixture(params=["mouse", "keyboard"])
def person(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Person]:
    expect.set_options(timeout=90_000)
    with browser.new_context(locale="en") as context:
        context.set_default_timeout(60_000)
        yield Person(context.new_page(), request.param == "mouse")
    expect.set_options(timeout=5_000)


def test_from_the_link_to_a_chart_and_to_the_end(
    person: Person, gateway: Gateway, tmp_path: Path
) -> None:
    began = time.monotonic()
    page, name = person.page, "mice" if person.mouse else "keys"
    opened = gateway.run("open", "--print")
    assert opened.returncode == 0, opened.stderr
    page.goto(opened.stdout.strip())

    file = tmp_path / f"{name}.csv"
    file.write_text("city,people\nTurin,3\nPadua,5\nBari,8\n")
    person.do(page.get_by_role("link", name=re.compile("^Upload files to")))
    person.upload(page.locator("#upload-files"), file)
    person.do(page.get_by_role("link", name=file.name).first)
    person.do(page.get_by_role("link", name="Load to table"))
    person.do(page.get_by_role("button", name="Load", exact=True))
    person.do(page.get_by_role("link", name="Show the table"))
    expect(page.locator("main")).to_contain_text("Padua")

    person.do(page.get_by_role("button", name="Query this table"))
    person.do(page.get_by_role("button", name=re.compile("^Run")))
    first = page.locator("#s0")
    expect(first.locator(".state")).to_contain_text("Succeeded")
    expect(first).to_contain_text("Padua")
    person.do(first.get_by_role("button", name="Chart"))
    expect(page.get_by_role("img", name="Bars: city, people")).to_be_visible()
    queried = time.monotonic() - began

    python = person.run(f"spark.table('{name}').groupBy().sum('people').show()", "PySpark")
    expect(python).to_contain_text("16")
    scala = person.run(f'spark.table("{name}").count()', "Scala")
    expect(scala).to_contain_text("Long = 3")
    long = person.run(
        "import time\nspark.sparkContext.parallelize(range(90), 90)"
        ".foreach(lambda one: time.sleep(one > 1))",
        "PySpark",
    )
    expect(long.locator(".progress")).to_contain_text(re.compile(r"Tasks \d+/90"))
    person.do(long.get_by_role("button", name="Cancel"))
    expect(long.locator(".state")).to_contain_text("Cancelled")
    check(page, "console")

    title = page.locator("h1").inner_text()
    person.do(page.locator("#commands").get_by_role("button", name="Stop session"))
    person.do(page.get_by_role("dialog").get_by_role("button", name="Stop session"))
    expect(page.locator("#head .state")).to_contain_text("Stopped")
    person.do(page.get_by_role("link", name="Monitoring hub").first)
    row = page.locator("tr", has_text=title).first
    expect(row).to_contain_text("Stopped")
    logging.getLogger(__name__).info(
        "%s: %d steps, a chart after %.1f s, all in %.1f s",
        *(name, person.steps, queried, time.monotonic() - began),
    )
