"""The portal of a real gateway: a person signs in, runs code, watches, stops."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from support.chromium import check, chromium, editor, sign_in
from support.gateway import SPARK, Client, Gateway, RemoteSession

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def person(browser: Browser, gateway: Gateway) -> Iterator[BrowserContext]:
    """The cookies of somebody who has signed in as the first user; others for each test."""
    expect.set_options(timeout=90_000)
    with browser.new_context(locale="en", ignore_https_errors=True) as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        sign_in(page, gateway)
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
        page.close()
        yield context
    expect.set_options(timeout=5_000)


@pytest.fixture
def page(person: BrowserContext) -> Iterator[Page]:
    found = person.new_page()
    yield found
    found.close()


@pytest.mark.parametrize("way", ["certificate", "secret"])
def test_the_programs_of_the_endpoints_page_run_as_they_are_pasted(
    page: Page, gateway: Gateway, tmp_path: Path, way: str
) -> None:
    facts = gateway.connection
    place = f"workspaces/{facts['workspace_id']}/lakehouses/{facts['lakehouse_id']}"
    page.goto(f"{facts['http']}/portal/{place}/settings/livy")
    program = tmp_path / "pasted.py"
    program.write_text(page.locator(f"#code-{way}").text_content() or "")
    done = subprocess.run(
        [sys.executable, program],
        env={"PATH": os.environ["PATH"], "CLIENT_SECRET": facts["client_secret"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"['sample', '{SPARK}." in done.stdout


@pytest.mark.timeout(300)
def test_a_session_of_a_program_is_watched_used_and_stopped(
    page: Page, gateway: Gateway, client: Client
) -> None:
    page.goto(f"{gateway.connection['http']}/portal/monitor")
    session = client.create(name="from a program")
    row = page.locator("tr", has_text="from a program")
    expect(row).to_contain_text(re.compile("Starting|Idle"))
    row.get_by_role("link", name="from a program").click()
    expect(page.locator("#head .state")).to_contain_text("Idle", timeout=120_000)
    code = editor(page)
    code.fill(
        "import time\nfor i in range(4):\n    print('tick', i, flush=True)\n    time.sleep(0.5)"
    )
    code.press("Control+Enter")
    first = page.locator("#s0")
    expect(first).to_contain_text("tick 1")
    expect(first).to_contain_text("Running")
    expect(first).to_contain_text("Succeeded")
    page.locator("#kind").select_option("sql")
    code.fill("SELECT id, id * 2 AS twice FROM range(3)")
    code.press("Control+Enter")
    expect(page.locator("#s1 td")).to_have_count(6)
    page.locator("#kind").select_option("spark")
    code.fill("spark.range(1000).repartition(4).count()")
    code.press("Control+Enter")
    expect(page.locator("#s2")).to_contain_text("Long = 1000")
    page.locator("#kind").select_option("pyspark")
    code.fill("while True: pass")
    code.press("Control+Enter")
    page.locator("#s3").get_by_role("button", name="Cancel").click()
    expect(page.locator("#s3")).to_contain_text(re.compile("Cancelled after .*s by "))

    assert_jobs(page)
    page.get_by_role("link", name="Logs").click()
    expect(page.locator(".log-box")).to_contain_text(re.compile("Spark|WARN|INFO"))
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#facts")).to_contain_text(re.compile(rf"Spark\s*{SPARK}\."))
    expect(page.locator("svg.track a")).to_have_count(4)
    expect(page.locator("#life")).to_contain_text("Driver's heap", timeout=40_000)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Spark UI").click()
    pages = opened.value
    expect(pages.get_by_role("heading", name=re.compile("Spark Jobs"))).to_be_visible()
    # Its links, styles and scripts come the same way, and the next page too.
    pages.get_by_role("link", name="Executors").click()
    expect(pages.locator("#active-executors, #active-executors-table").first).to_be_visible()
    assert pages.url.startswith(f"{gateway.connection['http']}/portal/spark-ui/")
    assert pages.evaluate("self.origin") == "null"
    pages.close()

    page.locator("#commands").get_by_role("button", name="Stop session").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop session").click()
    expect(page.locator("#head .state")).to_contain_text("Stopped")
    assert client.call("GET", session.path).status_code == 404

    assert_history(page)


def assert_jobs(page: Page) -> None:
    """Jobs stand by statement, with the line of code and what they read."""
    page.get_by_role("link", name="Spark jobs").first.click()
    jobs = page.locator("#jobs")
    expect(jobs.locator("tr:not(.group) td.name").first).to_have_text(
        "spark.range(1000).repartition(4).count()"
    )
    expect(jobs).to_contain_text("1,000 rows")
    check(page, "jobs")
    jobs.get_by_role("link", name="Stages [2]").click()
    expect(jobs).to_contain_text("Of statement 2")


def assert_history(page: Page) -> None:
    """After the end it is Spark's History Server that has the jobs and the pages."""
    page.get_by_role("link", name="Spark jobs").first.click()
    expect(page.locator("#jobs")).to_contain_text("spark.range(1000).repartition(4).count()")
    page.get_by_role("link", name="Executors and stages").click()
    timeline = page.locator(".timeline")
    expect(timeline).to_contain_text("Executor driver", timeout=120_000)
    assert timeline.locator("rect").count() > 2
    check(page, "timeline")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Spark UI").click()
    pages = opened.value
    expect(pages.get_by_role("heading", name=re.compile("Spark Jobs"))).to_be_visible()
    expect(pages.locator("body")).to_contain_text("spark.range(1000).repartition(4).count()")
    assert "/history/" in pages.url
    pages.get_by_role("link", name="Executors").click()
    expect(pages.locator("#active-executors, #active-executors-table").first).to_be_visible()
    # The top would list applications; it leads back to this one.
    pages.locator("a.navbar-brand, .navbar-brand a, a.brand").first.click()
    expect(pages.get_by_role("heading", name=re.compile("Spark Jobs"))).to_be_visible()


@pytest.mark.timeout(300)
def test_a_table_is_queried_from_its_page_and_its_session_starts_again(
    page: Page, gateway: Gateway, client: Client, session: RemoteSession
) -> None:
    assert session.run("CREATE TABLE queried AS SELECT 7 AS seven", kind="sql")["status"] == "ok"
    facts = gateway.connection
    place = f"workspaces/{facts['workspace_id']}/lakehouses/{facts['lakehouse_id']}"
    page.goto(f"{facts['http']}/portal/{place}/tables/queried")
    page.get_by_role("button", name="Query this table").click()
    # Not ready yet: the code waits.
    editor(page).press("Control+Enter")
    expect(page.locator("#s0 .code")).to_have_text("SELECT * FROM `queried` LIMIT 100")
    expect(page.locator("#s0 .state")).to_contain_text("Succeeded", timeout=120_000)
    expect(page.locator("#s0 td")).to_have_text("7")
    before = page.url
    page.locator("#commands").get_by_role("button", name="Stop session").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop session").click()
    expect(page.locator("#head .state")).to_contain_text("Stopped")
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#head .state")).to_contain_text(re.compile("Starting|Idle|Running"))
    again = re.search(r"/activities/([0-9a-f-]+)", page.url)
    assert again is not None
    assert again[1] not in before
    RemoteSession(client, again[1]).delete()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["pyspark", "spark", "sql"])
def test_output_and_progress_appear_while_code_runs(
    page: Page, session: RemoteSession, tmp_path: Path, kind: str
) -> None:
    go = str(tmp_path / "go")
    wait = (
        "import pathlib, time\n"
        "def wait(n):\n"
        f"    while n > 1 and not pathlib.Path({go!r}).exists(): time.sleep(0.01)\n"
        "    return n\n"
    )
    code = {
        "pyspark": f"{wait}print('one', flush=True)\n"
        "spark.sparkContext.parallelize(range(4), 4).foreach(wait)\nprint('two')",
        "spark": 'println("one")\nspark.sparkContext.parallelize(0 until 4, 4).foreach { n => '
        f'while (n > 1 && !new java.io.File("{go}").exists) Thread.sleep(10) }}\nprintln("two")',
        "sql": "SELECT sum(hold(id)) AS held FROM range(0, 4, 1, 4)",
    }
    session.text(f"{wait}x = spark.udf.register('hold', wait, 'long')")
    page.goto(session.portal_page)
    cell = page.locator(f"#s{session.submit(code[kind], kind)}")
    # Two tasks end, two wait for the file: this is seen while the statement runs, or never.
    expect(cell.locator(".progress")).to_contain_text(re.compile(r"Jobs 0/1.*Tasks 2/", re.DOTALL))
    expect(cell.locator(".state")).to_have_text("Running")
    text = cell.locator(".text")
    if kind != "sql":
        expect(text).to_have_js_property("textContent", "one\n")
    Path(go).touch()
    expect(cell.locator(".state")).to_have_text("Succeeded")
    if kind == "sql":
        expect(cell.locator("td")).to_have_text("6")
    else:
        expect(text).to_contain_text("two")


@pytest.mark.timeout(120)
def test_an_application_of_the_portal_signs_in_and_has_the_role_that_it_was_given(
    page: Page, gateway: Gateway
) -> None:
    facts = gateway.connection
    portal = f"{facts['http']}/portal"
    page.goto(f"{portal}/applications")
    page.get_by_label("Name").fill("made here")
    page.get_by_role("button", name="Create application").click()
    expect(page.get_by_role("heading", name="made here")).to_be_visible()
    page.get_by_role("button", name="New secret").click()
    secret = page.locator("#new-secret").inner_text()
    client_id = page.locator("#client").inner_text()
    page.goto(f"{portal}/workspaces/{facts['workspace_id']}/access")
    page.get_by_label("User name").fill("made here")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("tbody")).to_contain_text("made here")
    token = requests.post(
        f"{facts['authority']}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": "https://api.fabric.microsoft.com/.default",
        },
        verify=facts["ca_file"],
        timeout=30,
    ).json()["access_token"]
    own = Client(gateway, token)
    assert own.call("GET", "/sessions").status_code == 200
    assert own.call("POST", "/sessions", json={}).status_code == 403, "a Viewer looks"
    page.goto(f"{portal}/applications/{client_id}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete application").click()
    expect(page.get_by_role("heading", name="Client applications")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("made here")


@pytest.mark.timeout(300)
def test_who_signs_out_is_signed_out(person: BrowserContext, gateway: Gateway) -> None:
    page = person.new_page()
    page.goto(f"{gateway.connection['http']}/portal")
    page.locator("summary").last.click()
    page.get_by_role("button", name="Sign out").click()
    # The authority ends its sign-in as well, and asks no second time.
    expect(page.get_by_role("heading", name="signed out")).to_be_visible()
    page.goto(f"{gateway.connection['http']}/portal/monitor")
    expect(page.locator("input[name=username]")).to_be_visible()
