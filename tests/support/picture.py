"""The pictures of README and docs, taken of a real gateway with the sample table.

``make up`` in one terminal; in another: ``cd tests && ../.venv/bin/python -m support.picture``.
Another installation's data folder may follow.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, Page

from support.chromium import chromium, sign_in
from support.gateway import ROOT, Client, Gateway, RemoteSession

FOLDER = ROOT / "docs" / "images"
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
OTHERS = ("nightly load", "weekly report")
SIZE = {"width": 1280, "height": 860}
_NEUTRAL = """pairs => {
  for (const one of document.querySelectorAll(".copy > code"))
    for (const [path, other] of pairs) one.textContent = one.textContent.replaceAll(path, other);
}"""
"""Puts other paths in the place of this machine's. Cells of statements have none."""


def take(gateway: Gateway, folder: Path = FOLDER) -> None:
    """Run sessions and take a picture of each page."""
    client = Client(gateway)
    for name in OTHERS:
        with client.session(name=name) as ended:
            ended.run("SELECT count(*) FROM green_tripdata_2022", "sql", seconds=300)
    with client.session(name=NAME) as session, chromium() as browser:
        for kind, code in STATEMENTS:
            session.run(code, kind, seconds=300)
        for name, path in _pages(gateway, session).items():
            _take(browser, gateway, path, folder / f"{name}.png")


def _pages(gateway: Gateway, session: RemoteSession) -> Mapping[str, str]:
    """The address of each picture, below the portal."""
    facts = gateway.connection
    workspace = f"/workspaces/{facts['workspace_id']}"
    lakehouse = f"{workspace}/lakehouses/{facts['lakehouse_id']}"
    activity = session.portal_path
    return {
        "portal": activity,
        "home": "",
        "hub": "/monitor",
        "activity": f"{activity}/overview",
        "explorer": f"{lakehouse}/tables/green_tripdata_2022",
        "settings": f"{workspace}/access",
    }


def _take(browser: Browser, gateway: Gateway, path: str, target: Path) -> None:
    context = browser.new_context(
        viewport={"width": SIZE["width"], "height": SIZE["height"]},
        color_scheme="light",
        locale="en-US",
    )
    page: Page = context.new_page()
    sign_in(page, gateway)
    page.goto(f"{gateway.connection['http']}/portal{path}", wait_until="load")
    if path.endswith("activities/" + path.rpartition("/")[2]):
        page.locator("#s2").wait_for()
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1_000)  # clocks, bars and the editor are drawn
    page.evaluate(_NEUTRAL, [[sys.prefix, "/opt/livius"], [str(gateway.home), "/var/lib/livius"]])
    page.screenshot(path=target)
    context.close()


if __name__ == "__main__":
    take(Gateway(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / ".livius"))
