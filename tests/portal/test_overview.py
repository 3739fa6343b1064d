"""An activity's overview and its Spark jobs by statement: read, and in a browser."""

import re

from playwright.sync_api import expect

from livius.domain.ids import StatementNumber
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Session
from livius.domain.statement import Ending
from livius.portal.session_timeline import MOST_BARS
from portal.conftest import Look, Visitor, Windows, activity
from support.browsing import Served
from support.chromium import check, fits
from support.records import spark_job

HOSTILE = "<img src=x onerror=alert(1)>\"'"
CODE = "import os\nspark.range(9).count()"


def walked(served: Served) -> Session:
    """A session with a statement of each end, and one that runs."""
    site = served.site
    session = site.session("walk")
    for code, ending in (
        (CODE, Ending(ok=True, rows=12)),
        (f"# a comment\n{HOSTILE}", Ending(ok=False, ename="E", evalue="x")),
    ):
        site.run(session, code, ending=ending)
        site.pass_time(3)
    site.cancel(session, site.run(session, "time.sleep(9)"))
    site.pass_time(30)
    site.run(session, "runs")
    site.do(site.world.store.set_heap(session.id, used=512 * 2**20, limit=2**30))
    return session


def test_the_overview_has_the_sessions_figures_and_its_statements(
    served: Served, ada: Visitor
) -> None:
    session = walked(served)
    site = served.site
    jobs = (spark_job(1), spark_job(2, status="FAILED"), spark_job(3, status="CANCELLED"))
    site.spark_jobs(session, StatementNumber(0), *jobs)
    page = ada.get(f"{activity(session)}/overview").text
    tiles = re.findall(r"<dt>(.*?)</dt><dd><b[^>]*>(.*?)</b><span>(.*?)</span>", page)
    said = {re.sub("<[^>]*>", "", name): (value, more) for name, value, more in tiles}
    assert said["Ready in"] == ("4 s", "")
    assert said["Statements"] == ("4", "1 failed, 1 cancelled")
    assert said["Busy"] == ("5.6 s", "of 45.6 s")
    assert said["Spark jobs"] == ("3", "1 failed, 1 cancelled")
    assert said["Driver's heap"] == ("512.0 MB", "of 1.0 GB")
    assert 'Statements <span class="count">4</span>' in page
    assert 'Spark jobs <span class="count">3</span>' in page
    # Each bar is a link to its cell, and says what it is; so does the list.
    for number, tone in enumerate(("good", "bad", "still", "busy")):
        assert re.search(
            rf'href="[^"]*statement={number}#s{number}" tabindex="-1"><rect class="ran {tone}"',
            page,
        )
    assert "[0] import os · Succeeded · 1.4 s · 12 rows" in page
    assert HOSTILE not in page
    assert page.count("&lt;img src=x") == 2
    assert "style=" not in page
    ended = served.site.session("ended")
    served.site.fail(ended, EndCause.DRIVER_DIED, "out of memory")
    assert "out of memory" in ada.get(f"{activity(ended)}/overview").text


def test_a_viewer_sees_the_start_and_the_end_and_no_statements(served: Served) -> None:
    session = walked(served)
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    page = viewer.get(f"{activity(session)}/overview").text
    assert "Ready in" in page
    assert 'class="phase' in page
    for hidden in ('class="ran', "import os", 'class="count"', "heap"):
        assert hidden not in page


def test_a_thousand_statements_make_a_page_of_bounded_size(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    for _ in range(20):
        served.site.run(session, "1", ending=Ending(ok=True))
    few = len(ada.get(f"{activity(session)}/overview").text)
    for _ in range(980):
        served.site.run(session, "1", ending=Ending(ok=True))
    page = ada.get(f"{activity(session)}/overview").text
    assert page.count('class="ran') <= MOST_BARS + 4  # and the legend's
    assert "1,000" in page
    assert len(page) < few + 1000 * MOST_BARS


def test_jobs_stand_by_statement_with_names_and_numbers_and_deltas_own_are_folded(
    served: Served, ada: Visitor
) -> None:
    site, session = served.site, served.site.session("jobs")
    site.do(site.world.store.annotate_session(session.id, ui_url="http://127.0.0.1:4040"))
    first = site.run(session, CODE, ending=Ending(ok=True))
    second = site.run(session, HOSTILE, ending=Ending(ok=False, ename="E", evalue="x"))
    site.spark_jobs(
        session,
        first,
        spark_job(1, description=CODE),
        spark_job(2, description=f"Delta: Delta: {CODE}: Filtering files for query: Compute it"),
        spark_job(3, description="my <b>own</b> words"),
        spark_job(4, description=f"Delta: {CODE}: Rewriting 2 files for DELETE operation"),
        total=30,
    )
    job = spark_job(
        5, name="take at /x/livius_agent/sql.py:1", description=HOSTILE, status="FAILED"
    )
    site.spark_jobs(session, second, job)
    page = ada.get(f"{activity(session)}/jobs").text
    names = re.findall(r'<code class="brief" title="[^"]*">(.*?)</code>', page)
    assert names == [
        "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;",
        "spark.range(9).count()",
        "my &lt;b&gt;own&lt;/b&gt; words",
        "Rewriting 2 files for DELETE operation",
    ]
    assert "1 job of Delta's own" in page
    assert '<span class="wrap">Filtering files for query: Compute it</span>' in page
    assert "30 jobs, the last 4 are shown" in page
    assert "20,000 rows" in page
    assert "livius_agent" not in page
    assert f'href="/portal{activity(session)}/spark-ui?job=5"' in page
    answer = ada.get(f"{activity(session)}/spark-ui?job=5")
    assert answer.headers["location"].endswith("/jobs/job/?id=5")
    assert (
        ada.get(f"{activity(session)}/spark-ui?job=x/../y").headers["location"].endswith("/jobs/")
    )
    one = ada.get(f"{activity(session)}/jobs?statement={first}").text
    assert "my &lt;b&gt;own" in one
    assert "onerror" not in one
    assert "Stages" in one


def test_jobs_are_kept_after_the_end_without_spark(served: Served, ada: Visitor) -> None:
    site, session = served.site, served.site.session("kept")
    for number in range(3):
        site.run(session, f"code {number}", ending=Ending(ok=True))
        jobs = [spark_job(60 * number + job) for job in range(60)]
        site.spark_jobs(session, StatementNumber(number), *jobs)
    site.fail(session, EndCause.DRIVER_DIED, "It ended.")
    page = ada.get(f"{activity(session)}/jobs").text
    assert [text for text in ("code 0", "code 1", "code 2") if text in page] == ["code 1", "code 2"]
    earlier = re.search(r'href="/portal([^"]*until=1)"', page)
    assert earlier is not None
    before = ada.get(earlier[1]).text
    assert "code 0" in before
    assert "code 1" not in before
    assert "until=" not in before.replace("jobs?until=1", "")
    assert site.world.pages.asked == []  # Spark was not


def test_a_cancelled_cell_says_who_cancelled_it(served: Served, ada: Visitor) -> None:
    session = walked(served)
    page = ada.get(activity(session)).text
    assert f"Cancelled after 1.4 s by {served.site.world.admin.name}" in page
    number = served.site.run(session, "waits")
    served.site.cancel_waiting(session, number)
    page = ada.get(activity(session)).text
    assert f"Cancelled before it ran, by {served.site.world.admin.name}" in page


def test_the_overview_follows_the_session_without_a_shift_and_by_keyboard(
    windows: Windows, served: Served, look: Look
) -> None:
    site, session = served.site, walked(served)
    page = windows.open(look)
    page.goto(f"{served.url}{activity(session)}/overview")
    bars = page.locator("svg.track a")
    expect(bars).to_have_count(4)
    summary = page.locator("details.listed > summary")
    top = summary.evaluate("one => one.getBoundingClientRect().top")
    summary.focus()
    page.keyboard.press("Enter")
    rows = page.locator("#life-list tbody tr:has(a)")
    expect(rows).to_have_count(4)
    check(page, f"overview {look}")
    assert fits(page)
    expect(page.locator("#head .state")).to_have_text(
        "Running" if look.language == "en" else "執行中"
    )
    site.end(session, StatementNumber(3), Ending(ok=True))
    expect(page.locator("svg.track a .ran.busy")).to_have_count(0)
    expect(page.locator("#head .state.good")).to_be_visible()  # idle
    site.run(session, "fifth")
    expect(bars).to_have_count(5)
    expect(rows).to_have_count(5)
    expect(page.locator("#tabs .count").first).to_have_text("5")
    assert summary.evaluate("one => one.getBoundingClientRect().top") == top
    expect(page.locator("details.listed")).to_have_attribute("open", "")
    rows.last.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#s4")).to_be_in_viewport()


def test_jobs_of_a_running_statement_appear_and_what_is_unfolded_stays_so(
    windows: Windows, served: Served, look: Look
) -> None:
    site, session = served.site, served.site.session("live")
    number = site.run(session, CODE)
    own = spark_job(1, description=f"Delta: {CODE}: Filtering files for query")
    running = spark_job(2, status="RUNNING", ended_at=None)
    site.spark_jobs(session, number, own, running)
    page = windows.open(look)
    page.goto(f"{served.url}{activity(session)}/jobs")
    expect(page.locator("#jobs .state.busy").last).to_be_visible()
    page.locator("#jobs summary").click()
    expect(page.locator(".own")).to_contain_text("Filtering files for query")
    long = spark_job(3, description="x" * 400, status="RUNNING")
    site.spark_jobs(session, number, own, spark_job(2), long)
    expect(page.locator("#jobs tr:not(.group) td.name")).to_have_count(2)
    expect(page.locator(".own")).to_be_visible()
    status = page.locator("#jobs td.status").last
    ends = page.locator("#jobs .brief").last.evaluate("one => one.getBoundingClientRect().right")
    assert ends <= status.evaluate("one => one.getBoundingClientRect().left")
    expect(status).to_be_in_viewport(ratio=1)
    check(page, f"jobs {look}")
    assert fits(page)
