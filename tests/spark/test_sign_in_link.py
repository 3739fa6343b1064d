"""``livius open``: a link that signs the first user in once, on this machine, and nobody else."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from support.chromium import chromium
from support.gateway import LIVIUS, Gateway
from support.terminal import in_a_terminal

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(180)]

BROWSER = """#!{python}
import re, sys, requests
open({opened!r}, "w").write(" ".join(sys.argv[1:]))
page = open(sys.argv[1].removeprefix("file://")).read()
link = re.search(r'href="([^"]+)"', page)[1]
http = requests.Session()
http.trust_env = False
http.get(link).raise_for_status()
base, _, secret = link.rpartition("/")
assert http.post(base, data={{"link": secret}}, allow_redirects=False).status_code == 303
"""


def printed(gateway: Gateway, *arguments: str, **variables: str) -> str:
    done = gateway.run(*arguments, variables=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def link(gateway: Gateway) -> str:
    line = printed(gateway, "open", "--print").strip()
    assert re.fullmatch(gateway.connection["http"] + r"/portal/in/[A-Za-z0-9_-]{43}", line)
    return line


def use(link: str, **headers: str) -> requests.Response:
    """Send the form that the link's page sends."""
    base, _, secret = link.rpartition("/")
    with requests.Session() as http:
        http.trust_env = False
        http.verify = False
        return http.post(
            base, data={"link": secret}, headers=headers, allow_redirects=False, timeout=30
        )


def show(link: str, **headers: str) -> requests.Response:
    with requests.Session() as http:
        http.trust_env = False
        return http.get(link, headers=headers, allow_redirects=False, timeout=30)


def test_a_link_signs_in_once_and_looking_at_it_does_not_use_it(
    gateway: Gateway, link: str
) -> None:
    for _ in range(2):
        assert show(link).status_code == 200
    first = use(link)
    assert (first.status_code, first.headers["location"]) == (303, "/portal")
    home = requests.get(
        f"{gateway.connection['http']}/portal",
        cookies=first.cookies.get_dict(),
        headers={"Accept": "text/html"},
        timeout=30,
    )
    assert gateway.connection["username"] in home.text
    second = use(link)
    assert second.status_code == 401
    assert "Make another one: livius open" in second.text
    assert not second.cookies


def test_a_link_that_has_expired_signs_nobody_in(gateway: Gateway, link: str) -> None:
    for file in (gateway.home / "identity" / "links").iterdir():
        file.write_text(json.dumps({**json.loads(file.read_text()), "until": 1.0}))
    assert use(link).status_code == 401


def test_a_link_works_at_the_names_of_this_machine_alone(gateway: Gateway, link: str) -> None:
    assert show(link, Host="livius.example.org").status_code == 421
    assert use(link, Host="livius.example.org").status_code == 421
    elsewhere = link.replace(gateway.connection["http"], gateway.connection["api"])
    with pytest.warns(match="Unverified HTTPS request"):
        assert use(elsewhere).status_code == 403
    assert use(link).status_code == 303


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_sites_form_does_not_use_a_link(link: str, headers: dict[str, str]) -> None:
    assert use(link, **headers).status_code == 403
    assert use(link).status_code == 303


def test_of_many_uses_at_the_same_time_one_signs_in(link: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [one.status_code for one in pool.map(use, [link] * 8)]
    assert sorted(found) == [303, *[401] * 7]


def test_a_link_is_in_no_log_and_the_audit_log_says_that_it_was_used(
    gateway: Gateway, link: str
) -> None:
    show(link)
    use(link)
    use(link)
    secret = link.rpartition("/")[2]
    log = (gateway.home / "test.log").read_text()
    assert '"/portal/in/…"' in log
    audit = printed(gateway, "audit", "--json", "--action", "sign_in", "-n", "1000")
    assert secret not in log + audit
    entries = [json.loads(line) for line in audit.splitlines()]
    assert any("one-time link" in (one.get("detail") or "") for one in entries)
    assert any(one["result"] == "LinkRefused" for one in entries)


def test_a_browser_that_opens_a_link_is_signed_in(gateway: Gateway, link: str) -> None:
    with chromium() as browser:
        page = browser.new_context(locale="en").new_page()
        page.goto(link)
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=20_000)
        assert page.url == f"{gateway.connection['http']}/portal"


def test_without_scripts_there_is_a_button(link: str) -> None:
    with chromium() as browser:
        page = browser.new_context(locale="en", java_script_enabled=False).new_page()
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=20_000)


def test_open_leads_a_browser_there_without_the_link_in_its_arguments(
    gateway: Gateway, tmp_path: Path
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "told"
    browser.write_text(BROWSER.format(python=sys.executable, opened=str(opened)))
    browser.chmod(0o700)
    said = printed(gateway, "open", BROWSER=str(browser))
    assert f"Opened {gateway.connection['http']}" in said
    assert opened.read_text() == (gateway.home / "open.html").as_uri()
    assert not (gateway.home / "open.html").exists()


def test_up_beside_a_gateway_says_that_it_keeps_its_port(gateway: Gateway) -> None:
    said = printed(gateway, "up", LIVIUS_PORT="8443")
    port = gateway.connection["api"].rpartition(":")[2]
    assert f"LIVIUS_PORT is 8443, but this installation keeps port {port}" in said


def test_up_shows_a_link_on_a_terminal_only(gateway: Gateway) -> None:
    assert "/portal/in/" not in printed(gateway, "up")
    said = in_a_terminal([LIVIUS, "up"], {**gateway.environment, "COLUMNS": "200"}, reads=True)
    found = re.search(r"Open (\S+/portal/in/\S+)  \(once, ten minutes\)", said)
    assert found is not None, said
    assert use(found[1]).status_code == 303
