"""The README's picture of the portal, taken of a gateway that serves this clone.

``make up`` in one terminal; in another: ``cd tests && ../.venv/bin/python -m support.picture``.
"""

from pathlib import Path

from playwright.sync_api import Page

from support.chromium import chromium
from support.gateway import ROOT, Client, Gateway

PICTURE = ROOT / "docs" / "images" / "portal.png"
NAME = "green trips"
QUERY = """\
SELECT payment_type, count(*) AS trips, round(avg(total_amount), 2) AS average
FROM green_tripdata_2022
GROUP BY payment_type ORDER BY payment_type"""
STATEMENTS = (
    ("pyspark", 'trips = spark.read.table("green_tripdata_2022")\nprint(trips.count(), "trips")'),
    ("sql", QUERY),
    ("spark", 'spark.table("green_tripdata_2022").agg(max("trip_distance")).first'),
)


def sign_in(page: Page, gateway: Gateway) -> None:
    """As the installation's first user."""
    facts = gateway.connection
    page.goto(f"{facts['http']}/portal")
    page.locator("input[name=username]").fill(facts["username"])
    page.locator("input[name=password]").fill(facts["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{facts['http']}/portal")


def take(gateway: Gateway, target: Path = PICTURE) -> None:
    """Run a session and take the picture of its page."""
    client = Client(gateway)
    with client.session(name=NAME) as session, chromium() as browser:
        for kind, code in STATEMENTS:
            session.run(code, kind, seconds=300)
        page = browser.new_page(
            viewport={"width": 1280, "height": 860}, color_scheme="light", locale="en-US"
        )
        sign_in(page, gateway)
        page.goto(f"{gateway.connection['http']}/portal/monitor")
        page.get_by_role("link", name=NAME).first.click()
        page.locator("#s2").wait_for()
        page.mouse.move(0, 0)
        page.screenshot(path=target)


if __name__ == "__main__":
    take(Gateway(ROOT / ".livius"))
