"""The portal of a real gateway: a person signs in, runs code, watches, stops."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, expect

from support.chromium import check, chromium
from support.gateway import Client, Gateway

pytestmark = pytest.mark.spark


@pytest.fixture
def person(gateway: Gateway) -> Iterator[BrowserContext]:
    """A browser whose person has signed in as the first user; another for each test."""
    facts = gateway.connection
    expect.set_options(timeout=90_000)
    with chromium() as browser:
        context = browser.new_context(locale="en", ignore_https_errors=True)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(facts["http"])
        page.locator("input[name=username]").fill(facts["username"])
        page.locator("input[name=password]").fill(facts["password"])
        page.keyboard.press("Enter")
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
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "'items': [" in done.stdout


@pytest.mark.timeout(300)
def test_a_session_of_a_program_is_watched_used_and_stopped(
    page: Page, gateway: Gateway, client: Client
) -> None:
    page.goto(f"{gateway.connection['http']}/portal/monitor")
    session = client.create(name="from a program")
    row = page.locator("tr", has_text="from a program")
    expect(row).to_contain_text(re.compile("Not started|In progress"))
    row.get_by_role("link", name="from a program").click()
    expect(page.locator("#head .state")).to_contain_text("In progress", timeout=120_000)
    code = page.locator("#code")
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
    expect(page.locator("#s3 .state")).to_contain_text("Cancelled")

    page.get_by_role("link", name="Spark jobs").first.click()
    expect(page.locator("#jobs")).to_contain_text("Stages")
    check(page, "jobs")
    page.get_by_role("link", name="[2]").first.click()
    expect(page.locator("#jobs")).to_contain_text("Of statement 2")
    page.get_by_role("link", name="Logs").click()
    expect(page.locator(".text.log")).to_contain_text(re.compile("Spark|WARN|INFO"))
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#overview")).to_contain_text(re.compile(r"Spark\s*4\."))
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

    page.locator("#commands").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel session").click()
    expect(page.locator("#head .state")).to_contain_text("Stopped")
    assert client.call("GET", session.path).status_code == 404


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
    # The authority asks too: other applications may use its sign-in.
    page.wait_for_url(re.compile("logout"))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="signed out")).to_be_visible()
    page.goto(f"{gateway.connection['http']}/portal/monitor")
    expect(page.locator("input[name=username]")).to_be_visible()
