"""``python -m bench.pages``: what the portal's pages weigh, how soon they answer, and a large grid.

A real gateway with a session that has run statements; headless Chromium with an empty cache for
each look, on the same machine.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from bench.sample import Results
from support.chromium import chromium, sign_in
from support.gateway import Client, Gateway, RemoteSession

LOOKS = 7
ROWS = 10_000
QUERY = f"SELECT id, hash(id) AS h, concat('row ', id) AS label FROM range({ROWS})"
_NOTED = """async () => {
  const [page] = performance.getEntriesByType("navigation");
  const all = [page, ...performance.getEntriesByType("resource")];
  await new Promise((seen) => {
    new PerformanceObserver((painted) => {
      if (painted.getEntriesByName("first-contentful-paint").length) seen();
    }).observe({ type: "paint", buffered: true });
  });
  return {
    answer: page.responseEnd - page.requestStart,
    paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    bytes: all.reduce((sum, one) => sum + one.transferSize, 0),
    requests: all.length,
  };
}"""


def paths(gateway: Gateway, session: RemoteSession) -> dict[str, str]:
    """The address of each page, below the portal."""
    facts = gateway.connection
    workspace = f"/workspaces/{facts['workspace_id']}"
    activity = session.portal_path
    lakehouse = f"{workspace}/lakehouses/{facts['lakehouse_id']}"
    return {
        "home": "",
        "hub": "/monitor",
        "activity, statements (editor, grid of 10,000 rows)": activity,
        "activity, overview": f"{activity}/overview",
        "activity, Spark jobs": f"{activity}/jobs",
        "activity, logs": f"{activity}/logs",
        "activity, configuration": f"{activity}/configuration",
        "lakehouse": lakehouse,
        "table": f"{lakehouse}/tables/numbers",
        "environments": f"{workspace}/environments",
        "settings, access": f"{workspace}/access",
    }


def look(browser: Browser, gateway: Gateway, results: Results, pages: dict[str, str]) -> None:
    """Load each page with an empty cache, signed in."""
    first = browser.new_context()
    sign_in(first.new_page(), gateway)
    state = first.storage_state()
    for name, path in pages.items():
        for _ in range(LOOKS):
            context = browser.new_context(storage_state=state)
            page = context.new_page()
            answer = page.goto(f"{gateway.connection['http']}/portal{path}", wait_until="load")
            assert answer is not None
            assert answer.ok, name
            noted = page.evaluate(_NOTED)
            results.add(f"{name}: answered", noted["answer"])
            results.add(f"{name}: first paint", noted["paint"])
            results.add(f"{name}: {noted['requests']} requests", noted["bytes"] / 1000, "KB")
            context.close()
    first.close()


def grid(browser: Browser, gateway: Gateway, results: Results, path: str) -> None:
    """Sort and filter the large grid; the first time brings the rows that are not shown yet."""
    for _ in range(LOOKS):
        context = browser.new_context()
        page = context.new_page()
        sign_in(page, gateway)
        page.goto(f"{gateway.connection['http']}/portal{path}")
        shown = page.locator(".data .shown").last
        head = page.locator(".cells th").get_by_role("button", name="h", exact=True).last
        expect(shown).to_have_text("200 of 10,000 rows")
        act(page, results, "grid: first sort, all rows fetched", head.click, "10,000 of")
        field = page.get_by_role("searchbox", name="Filter rows").last
        act(page, results, "grid: filter", partial(field.fill, "row 999"), "11 of")
        act(page, results, "grid: filter off", partial(field.fill, ""), "10,000 of")
        context.close()


def act(page: Page, results: Results, name: str, work: Callable[[], None], then: str) -> None:
    """Time an act until the grid says what it shows."""

    def done() -> None:
        work()
        page.locator(".data .shown").last.filter(has_text=then).wait_for()

    results.time(name, done)


def main() -> None:
    """Serve, run statements, look, print."""
    results = Results()
    with (
        tempfile.TemporaryDirectory(prefix="livius-bench-pages-") as folder,
        Gateway(Path(folder) / "home").serving() as gateway,
        Client(gateway).session(name="pages") as session,
        chromium() as browser,
    ):
        session.run("print(spark.range(1000).count())", "pyspark", seconds=300)
        session.run(f"CREATE TABLE numbers AS {QUERY}", "sql", seconds=300)
        session.run(QUERY, "sql", seconds=300)
        pages = paths(gateway, session)
        look(browser, gateway, results, pages)
        grid(browser, gateway, results, next(one for name, one in pages.items() if "grid" in name))
    print("| | n | median | p95 | min-max |\n|---|---|---|---|---|")
    for name, sample in results.items():
        print(f"| {name} | {sample.row()} |")


if __name__ == "__main__":
    main()
