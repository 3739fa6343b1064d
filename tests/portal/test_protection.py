"""The portal's protection from strangers: portal sessions, forms, names, headers."""

import logging
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import Row, select
from structlog.testing import capture_logs

from fakes.world import principal
from livius.adapters.store.schema import PORTAL_SESSIONS
from livius.domain.errors import Unauthenticated, Unavailable
from livius.portal.pages_base import local_path
from livius.usecases.identity.presence import anybody
from livius.usecases.portal_sessions import PortalSessions
from portal.conftest import Visitor, activity
from support.browsing import Served
from support.waiting import wait_for

PAGES = ["", "/monitor", "/workspaces/x/activities/y", "/workspaces/x/activities/y/overview"]


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_signed_in_is_led_to_the_sign_in_and_back(served: Served, path: str) -> None:
    answer = Visitor(served, None).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/portal/sign-in?next=%2Fportal")


def test_a_part_of_a_page_is_not_answered_with_a_sign_in_page(served: Served) -> None:
    page = f"{served.url}/monitor?q=a%26b"
    headers = {"HX-Request": "true", "HX-Current-URL": page}
    answer = Visitor(served, None).get("/monitor", **headers)
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/portal/expired?next=%2Fportal%2Fmonitor%3Fq%3Da%2526b"
    expired = Visitor(served, None).get("/expired?next=%2Fportal%2Fmonitor")
    assert 'href="/portal/sign-in?next=%2Fportal%2Fmonitor"' in expired.text
    assert "elsewhere" not in Visitor(served, None).get("/expired?next=//elsewhere.test").text


def test_a_stream_without_a_portal_session_ends_at_once(served: Served) -> None:
    assert Visitor(served, None).get("/monitor/live", Accept="text/event-stream").status_code == 401


@pytest.mark.parametrize("csrf", ["", "wrong", "é"])
def test_a_form_without_the_portal_sessions_token_changes_nothing(
    served: Served, ada: Visitor, csrf: str
) -> None:
    session = served.site.session("mine")
    answer = ada.post(f"{activity(session)}/stop", csrf=csrf)
    assert answer.status_code == 403
    assert "FormExpired" in answer.text
    found = served.site.do(served.site.world.store.session(session.id))
    assert found is not None
    assert found.deleted_at is None


def test_who_leaves_in_the_middle_of_a_form_is_no_error(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    name, value = served.cookie()
    address = urlsplit(served.url)
    path = f"/portal{activity(served.site.session('mine'))}/stop"
    with capture_logs() as ours:
        with socket.create_connection((str(address.hostname), int(address.port or 0))) as made:
            made.sendall(
                f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nCookie: {name}={value}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                "Content-Length: 100\r\n\r\ncsrf=".encode()
            )
        wait_for(
            lambda: any(one["event"] == "request_handled" for one in ours),
            seconds=5,
            what="the request has ended",
        )
    [handled] = [one for one in ours if one["event"] == "request_handled"]
    assert (handled["status"], handled["log_level"]) == (499, "debug")
    assert not [one for one in (*ours, *caplog.records) if "failed" in str(one)]
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.test"},
        {"Origin": "null"},
    ],
)
def test_a_form_that_another_site_sends_is_refused(
    ada: Visitor, served: Served, headers: dict[str, str]
) -> None:
    ada.http.headers.update(headers)
    session = served.site.session("mine")
    assert ada.post(f"{activity(session)}/stop").status_code == 403


def test_a_request_under_a_foreign_name_is_led_to_the_portals_own(ada: Visitor) -> None:
    answer = ada.get("/monitor?q=x", Host="localhost:9")
    assert answer.status_code == 307
    assert answer.headers["location"] == f"{ada.served.url}/monitor?q=x"


def test_a_name_that_is_not_this_machines_gets_nothing(ada: Visitor) -> None:
    """It is a foreign page's, which was led here (DNS rebinding)."""
    assert ada.get("/monitor", Host="rebound.test").status_code == 421


def test_every_answer_keeps_foreign_scripts_and_frames_out(served: Served, ada: Visitor) -> None:
    session = served.site.session("mine")
    for path in ("", "/monitor", activity(session), "/nowhere", "/signed-out"):
        answer = ada.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe-inline'" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_portal_session_is_known_to_the_browser_alone(served: Served) -> None:
    served.site.people.known["good"] = served.site.world.admin
    answer = sign_in(served, "good")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/portal" in cookie


def sign_in(
    served: Served, code: str, http: requests.Session | None = None, following: str = ""
) -> requests.Response:
    """Go the way of a person who signs in at the authority at once."""
    browser = http or requests.Session()
    begun = browser.get(
        f"{served.url}/sign-in", params={"next": following}, allow_redirects=False, timeout=20
    )
    assert begun.status_code == 303
    state = served.site.people.asked[-1]["state"]
    return browser.get(
        f"{served.url}/signed-in",
        params={"code": code, "state": state},
        allow_redirects=False,
        timeout=20,
    )


def test_signing_in_begins_a_portal_session_and_goes_on_where_it_was_meant_to(
    served: Served,
) -> None:
    served.site.people.known["good"] = served.site.world.admin
    browser = requests.Session()
    answer = sign_in(served, "good", browser, following="/portal/monitor?q=x")
    assert answer.headers["location"] == "/portal/monitor?q=x"
    assert "Monitoring hub" in browser.get(f"{served.url}/monitor", timeout=20).text
    begun, redeemed = served.site.people.asked
    assert begun["redirect_uri"] == redeemed["redirect_uri"] == f"{served.url}/signed-in"
    assert begun["challenge"] != redeemed["verifier"]
    assert begun["nonce"] == redeemed["nonce"]
    assert len({begun["nonce"], begun["state"], redeemed["verifier"]}) == 3


def test_a_new_sign_in_ends_the_portal_session_before(served: Served) -> None:
    served.site.people.known["good"] = served.site.world.admin
    browser = requests.Session()
    sign_in(served, "good", browser)
    before = browser.cookies[served.portal_app.cookie]
    sign_in(served, "good", browser)
    assert browser.cookies[served.portal_app.cookie] != before
    assert served.site.do(served.portal_app.portal_sessions.find(before)) is None


def test_a_sign_in_that_another_browser_began_is_refused(served: Served) -> None:
    served.site.people.known["good"] = served.site.world.admin
    sign_in(served, "good")
    state = served.site.people.asked[0]["state"]
    answer = requests.get(
        f"{served.url}/signed-in", params={"code": "good", "state": state}, timeout=20
    )
    assert answer.status_code == 401
    assert "SignInExpired" in answer.text


def test_tokens_that_name_two_people_begin_nothing(served: Served) -> None:
    served.site.people.known["good"] = served.site.world.admin
    served.site.people.named = "another"
    browser = requests.Session()
    answer = sign_in(served, "good", browser)
    assert answer.status_code == 401
    assert "two people" in answer.text
    assert served.portal_app.cookie not in browser.cookies


def test_an_access_token_that_does_not_count_is_the_operators_matter(served: Served) -> None:
    answer = sign_in(served, "opaque")
    assert answer.status_code == 401
    assert "TokenOfNoUse" in answer.text
    assert "LIVIUS_AUTHORITY_SCOPE" in answer.text


def test_people_elsewhere_reach_the_portal_by_its_address(served: Served, ada: Visitor) -> None:
    served.portal_app.facts = replace(served.portal_app.facts, portal="http://127.0.0.1:9")
    assert ada.get("/monitor", Host="127.0.0.1:9").status_code == 200
    begun = ada.get("/sign-in", Host="127.0.0.1:9")
    assert begun.status_code == 303
    assert served.site.people.asked[-1]["redirect_uri"] == "http://127.0.0.1:9/portal/signed-in"
    assert ada.get("/monitor", Host="localhost:9").headers["location"].startswith(served.url)


@pytest.mark.parametrize("code", ["unknown", ""])
def test_a_code_that_is_no_good_begins_nothing(served: Served, code: str) -> None:
    browser = requests.Session()
    answer = sign_in(served, code, browser)
    assert answer.status_code == 401
    assert served.portal_app.cookie not in browser.cookies


def test_a_refusal_of_the_authority_is_told_and_escaped(served: Served) -> None:
    browser = requests.Session()
    browser.get(f"{served.url}/sign-in", allow_redirects=False, timeout=20)
    state = served.site.people.asked[-1]["state"]
    answer = browser.get(
        f"{served.url}/signed-in",
        params={"error_description": "no <script>alert(1)</script>", "state": state},
        timeout=20,
    )
    assert answer.status_code == 401
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_an_authority_that_fails_is_told(served: Served) -> None:
    served.site.people.fails = Unauthenticated("SignInFailed", "The code was used before.")
    answer = sign_in(served, "good")
    assert answer.status_code == 401
    assert "The code was used before." in answer.text


def test_signing_out_ends_the_portal_session(served: Served, ada: Visitor) -> None:
    before = ada.http.cookies[served.portal_app.cookie]
    assert ada.get().status_code == 200
    answer = ada.post("/sign-out")
    assert answer.headers["location"].endswith("/portal/signed-out")
    assert served.site.do(served.portal_app.portal_sessions.find(before)) is None
    ada.http.cookies.set(served.portal_app.cookie, before)
    assert "/sign-in" in ada.get().headers["location"]


@pytest.mark.parametrize(
    "text",
    [
        "https://elsewhere.test",
        "//elsewhere.test",
        "/portal//elsewhere.test",
        "/portalx",
        "/v1/workspaces",
        "/portal/\\elsewhere",
        "/portal/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_led_out_of_the_portal(text: str) -> None:
    assert local_path(text) == "/portal"


def test_a_path_of_the_portal_stays() -> None:
    assert local_path("/portal/monitor?q=a%20b") == "/portal/monitor?q=a%20b"


def restarted(served: Served) -> None:
    """Forget what a gateway keeps in memory alone."""
    site = served.site
    served.portal_app.portal_sessions = PortalSessions(
        site.world.store, site.world.clock, issuer=principal().issuer, present=anybody
    )


def test_a_restart_signs_nobody_out_and_takes_forms_from_before_it(
    served: Served, ada: Visitor
) -> None:
    session = served.site.session("mine")
    assert f'name="csrf" value="{ada.csrf}"' in ada.get(activity(session)).text
    restarted(served)
    assert ada.get().status_code == 200
    assert ada.post(f"{activity(session)}/stop").status_code == 303


def portal_sessions(served: Served) -> Sequence[Row[Any]]:
    work = served.site.world.store._transactions.run(
        lambda connection: connection.execute(select(PORTAL_SESSIONS)).all()
    )
    found: Sequence[Row[Any]] = served.site.do(work)
    return found


def test_what_is_kept_opens_nothing(served: Served, ada: Visitor) -> None:
    [portal_session] = portal_sessions(served)
    assert ada.csrf not in repr(portal_session)
    for value in (portal_session.key, ada.csrf):
        ada.http.cookies.set(served.portal_app.cookie, value)
        assert "/sign-in" in ada.get().headers["location"]


def test_pages_that_follow_each_other_write_nothing(served: Served, ada: Visitor) -> None:
    clock = served.site.world.clock
    [before] = portal_sessions(served)
    for _ in range(5):
        clock.advance(timedelta(seconds=11))
        assert ada.get().status_code == 200
    assert portal_sessions(served) == [before]
    clock.advance(timedelta(seconds=11))
    assert ada.get().status_code == 200
    [after] = portal_sessions(served)
    assert after.seen_at == clock.now()


def test_records_that_can_not_be_read_are_a_page_that_says_so(
    served: Served, ada: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_key: str) -> None:
        raise Unavailable("InsufficientStorage", "The server can't write to its disk now.")

    monkeypatch.setattr(served.site.world.store, "portal_session", broken)
    answer = ada.get()
    assert answer.status_code == 503
    assert "can&#39;t write to its disk" in answer.text
