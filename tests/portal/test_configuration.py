"""An activity's conf as one table, in a real browser too."""

import json

from playwright.sync_api import Page, expect

from portal.conftest import Look, Visitor, Windows, activity
from support.browsing import Served
from support.chromium import check, fits

CONF = {
    "spark.sql.shuffle.partitions": "8",
    "spark.ms.autotune.enabled": "true",
    "spark.my.secret.token": "do-not-show",
    "spark.sql.x": "<b>long</b> " * 40,
}
EFFECTIVE = {
    "spark.sql.shuffle.partitions": "8",
    "spark.scheduler.mode": "FAIR",
    "spark.app.id": "local-1",
    "spark.driver.extraJavaOptions": "--add-opens=java.base/java.lang=ALL-UNNAMED " * 12,
    "spark.sql.x": "<b>long</b> " * 40,
}


def configured(served: Served) -> str:
    session = served.site.session(conf=CONF, tags={"team": "taxi"})
    served.site.do(served.site.world.store.set_effective_conf(session.id, EFFECTIVE))
    return f"{activity(session)}/configuration"


def test_conf_that_was_asked_has_its_effect_beside_it(served: Served, ada: Visitor) -> None:
    page = ada.get(configured(served)).text
    assert "Without effect" in page
    assert "For autotune" in page
    assert "taxi" in page
    assert "do-not-show" not in page
    assert "*********(redacted)" in page
    assert "<b>long" not in page
    assert "spark.<wbr>sql.<wbr>shuffle.<wbr>partitions" in page


def test_keys_are_filtered_in_place_and_copied(page: Page, served: Served) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(served.url + configured(served))
    rows = page.locator("#conf tbody tr:not([hidden])")
    total = rows.count()
    page.get_by_label("Only what was requested").check()
    expect(rows).to_have_count(len(CONF))
    expect(page.locator("#conf-count")).to_have_text(f"{len(CONF)} of {total} keys")
    expect(rows.nth(0)).to_contain_text("spark.sql.shuffle.partitions")
    page.get_by_role("button", name="Copy as JSON").click()
    expect(page.locator("#said")).to_have_text("Copied.")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied == CONF | {"spark.my.secret.token": "*********(redacted)"}
    page.keyboard.press("/")
    page.keyboard.type("sql shuffle")
    expect(rows).to_have_count(1)
    page.keyboard.press("Control+A")
    page.keyboard.type("nothing like it")
    expect(page.locator("#conf-none")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Only what was requested").uncheck()
    expect(rows).to_have_count(total)
    row = page.locator("#conf tr", has_text="extraJavaOptions")
    row.locator("summary").press("Enter")
    expect(row.locator("details")).to_have_attribute("open", "")


def test_the_configuration_is_usable_at_any_width(
    windows: Windows, served: Served, look: Look
) -> None:
    page = windows.open(look)
    page.goto(served.url + configured(served))
    check(page, f"configuration {look}")
    assert fits(page)
