"""People who sign in at a real browser, sent there by the real MSAL and azure-identity."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
from azure.identity import DeviceCodeCredential, InteractiveBrowserCredential
from playwright.sync_api import expect

from identity.chromium import Desk
from identity.conftest import TENANT
from identity.sockets import Served
from livius.domain.tokens import FABRIC, Scope

SCOPES = [f"{FABRIC}/{one}" for one in Scope]
DEFAULT = f"{FABRIC}/.default"

pytestmark = pytest.mark.timeout(90)


def test_msal_signs_a_person_in_as_the_document_does(served: Served, desk: Desk) -> None:
    app = msal.PublicClientApplication(served.world.sample.client_id, authority=served.authority)
    served.apps.append(app)
    waiting = desk.threads.submit(app.acquire_token_interactive, scopes=SCOPES, timeout=60)
    page = desk.portal_session_what_is_opened()
    assert page.url.startswith(served.pages)
    desk.sign_in(served.world.user.username, served.world.user.password)
    expect(page.get_by_role("heading")).to_contain_text("asks for permission")
    for scope in Scope:
        expect(page.get_by_text(scope, exact=True)).to_be_visible()
    desk.allow()
    expect(page.get_by_text("Authentication complete")).to_be_visible()
    found = waiting.result(20)
    assert "access_token" in found, found
    assert served.world.verifier.verify(found["access_token"]).scopes == set(Scope)
    (account,) = app.get_accounts()
    assert account["username"] == served.world.user.username
    assert account["home_account_id"] == f"{served.world.user.oid}.{TENANT}"
    silent = app.acquire_token_silent(SCOPES, account=account)
    assert silent["token_source"] == "cache"
    renewed = app.acquire_token_silent(SCOPES, account=account, force_refresh=True)
    assert renewed["token_source"] == "identity_provider"
    served.world.verifier.verify(renewed["access_token"])


def test_msal_hears_of_denied_consent(served: Served, desk: Desk) -> None:
    app = msal.PublicClientApplication(served.world.sample.client_id, authority=served.authority)
    served.apps.append(app)
    waiting = desk.threads.submit(app.acquire_token_interactive, scopes=SCOPES, timeout=60)
    page = desk.portal_session_what_is_opened()
    desk.sign_in(served.world.user.username, "wrong password")
    expect(page.get_by_role("alert")).to_contain_text("The username or the password is not right")
    desk.sign_in(served.world.user.username, served.world.user.password)
    page.get_by_role("button", name="Cancel").click()
    found = waiting.result(20)
    assert (found["error"], found["error_description"][:12]) == ("access_denied", "AADSTS65004:")


@pytest.mark.parametrize("spelling", ["adfs", "dstsv2", "common", "b2c"])
def test_msal_takes_each_form_of_authority(served: Served, desk: Desk, spelling: str) -> None:
    authority = {
        "adfs": f"{served.origin}/adfs",
        "dstsv2": f"{served.origin}/dstsv2/{TENANT}",
        "common": f"{served.origin}/common",
        "b2c": f"{served.origin}/livius.test/b2c_x",
    }[spelling]
    more = {"instance_discovery": False} if spelling == "common" else {}
    app = msal.PublicClientApplication(served.world.sample.client_id, authority=authority, **more)
    served.apps.append(app)
    flow = app.initiate_device_flow([DEFAULT])
    assert flow["verification_uri"] == f"{served.pages}/device"
    page = desk.page
    page.goto(flow["verification_uri"])
    page.get_by_label("Code").fill(flow["user_code"].lower())
    page.get_by_role("button", name="Continue").click()
    desk.sign_in(served.world.user.username, served.world.user.password)
    desk.allow()
    expect(page.get_by_role("heading")).to_have_text("You are signed in")
    found = app.acquire_token_by_device_flow(flow)
    served.world.verifier.verify(found["access_token"])


def azure(served: Served, **more: Any) -> dict[str, Any]:
    return {
        "client_id": served.world.sample.client_id,
        "tenant_id": TENANT,
        "authority": served.origin,
        "disable_instance_discovery": True,
        **more,
    }


def test_azure_identity_opens_a_browser_and_asks_for_an_account(served: Served, desk: Desk) -> None:
    with InteractiveBrowserCredential(**azure(served, timeout=60)) as credential:
        waiting = desk.threads.submit(credential.get_token, DEFAULT)
        page = desk.portal_session_what_is_opened()
        assert "prompt=select_account" in page.url
        desk.sign_in(served.world.user.username, served.world.user.password)
        desk.allow()
        token = waiting.result(20).token
    assert served.world.verifier.verify(token).oid == served.world.user.oid
    with InteractiveBrowserCredential(**azure(served, timeout=60)) as credential:
        waiting = desk.threads.submit(credential.get_token, DEFAULT)
        page = desk.portal_session_what_is_opened()
        expect(page.get_by_role("heading")).to_have_text("Choose an account")
        page.get_by_role("button", name=re.compile(served.world.user.username)).click()
        served.world.verifier.verify(waiting.result(20).token)


@pytest.mark.parametrize("approved", [True, False])
def test_azure_identity_shows_a_device_code(served: Served, desk: Desk, approved: bool) -> None:
    page = desk.page

    def person(uri: str, code: str, _expires: object) -> None:
        received.append((uri, code))

    received: list[tuple[str, str]] = []
    callback: Callable[[str, str, Any], None] = person
    with DeviceCodeCredential(**azure(served, prompt_callback=callback)) as credential:
        waiting = desk.threads.submit(credential.get_token, DEFAULT)
        while not received:
            page.wait_for_timeout(20)
        uri, code = received[0]
        page.goto(uri)
        page.get_by_label("Code").fill("AAAA-AAAA")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("alert")).to_contain_text("This code is not known")
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Continue").click()
        desk.sign_in(served.world.user.username, served.world.user.password)
        expect(page.get_by_text("If somebody sent you this code, cancel.")).to_be_visible()
        if approved:
            desk.allow()
            served.world.verifier.verify(waiting.result(30).token)
        else:
            page.get_by_role("button", name="Cancel").click()
            expect(page.get_by_role("heading")).to_have_text("Not signed in")
            with pytest.raises(Exception, match="declined"):
                waiting.result(30)
