"""A gateway whose authority is a second Livius: sessions, the portal, intercepted programs.

And the portal with an OpenID provider that is not ours.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
from playwright.sync_api import Page, expect

from livius.domain.tokens import FABRIC, Scope
from support.chromium import chromium
from support.gateway import LIVIUS, ROOT, Client, Gateway
from support.provider import AUDIENCE, Provider
from support.sign_in import app_token, user_token

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

PROGRAM = ROOT / "tests" / "intercept" / "programs" / "sign_in.py"
STORAGE = "https://storage.azure.com"
BROWSER = """
import os, sys
from livius.cli.intercept.person import Person
from livius.cli.intercept.sign_in import finish, sign_in
if os.fork() == 0:
    finish(sign_in(Person({username!r}, {password!r}), sys.argv[1]))
"""


@dataclass
class Pair:
    """``authority`` issues the tokens, ``served`` takes them: as its application ``own``."""

    authority: Gateway
    served: Gateway
    own: str

    def token(self) -> str:
        """The first user's, for the served side's application."""
        return user_token(self.authority, Scope, resource=f"api://{self.own}")

    def client(self) -> Client:
        """A caller of the served side with a fresh token."""
        return Client(self.served, self.token())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    authority, served = Gateway(folder / "authority"), Gateway(folder / "served")
    try:
        facts = authority.start().connection
        back = "http://localhost/portal"
        scopes = [word for scope in Scope for word in ("--scope", scope)]
        uris = [w for end in ("in", "out") for w in ("--redirect-uri", f"{back}/signed-{end}")]
        made = authority.livius("identity", "app", "create", "served", *uris, *scopes)
        own = re.search(r"[0-9a-f-]{36}", made)
        assert own is not None
        added = authority.livius("identity", "app", "add-secret", "served")
        secret = folder / "secret"
        secret.write_text(added.splitlines()[0].split()[-1] + "\n")
        secret.chmod(0o600)
        authority.livius("identity", "consent", "grant", facts["username"], "served")
        who = jwt.decode(user_token(authority, Scope), options={"verify_signature": False})
        served.settings = {
            "LIVIUS_AUTHORITY_ISSUER": f"{facts['authority']}/v2.0",
            "LIVIUS_AUTHORITY_TENANT": facts["tenant_id"],
            "LIVIUS_AUTHORITY_AUDIENCE": f"{own[0]} https://api.fabric.microsoft.com "
            "https://analysis.windows.net/powerbi/api",
            "LIVIUS_AUTHORITY_CLIENT_ID": own[0],
            "LIVIUS_AUTHORITY_CLIENT_SECRET_FILE": str(secret),
            "LIVIUS_AUTHORITY_SCOPE": f"api://{own[0]}/.default",
            "LIVIUS_OWNERS": who["oid"],
            # The other side's vault, by Azure Key Vault's own protocol.
            "LIVIUS_VAULT_URL": f"{facts['api']}/vaults/{{vault}}",
            "SSL_CERT_FILE": facts["ca_file"],
            "NO_PROXY": "127.0.0.1,localhost",
        }
        served.start()
        served.livius("workspace", "assign", who["oid"], "Admin")
        yield Pair(authority, served, own[0])
    finally:
        for gateway in (served, authority):
            gateway.clean()


def test_a_session_gets_tokens_on_behalf_of_its_user_also_after_a_restart(pair: Pair) -> None:
    client = pair.client()
    with client.session(name="delegated") as session:
        call = f'notebookutils.credentials.getToken("{STORAGE}")'
        caller = jwt.decode(pair.token(), options={"verify_signature": False})
        for code, kind in (
            (f"print('|'.join({call}))", "pyspark"),
            (f'println({call}.mkString("|"))', "spark"),
        ):
            token = session.text(code, kind).strip().replace("|", "")
            read = jwt.decode(token, options={"verify_signature": False})
            assert (read["aud"], read["oid"]) == (STORAGE, caller["oid"])
            assert read["azp"] == pair.own
        pair.authority.livius("secret", "set", "kv-pair", "word", given="hunter22")
        get = 'notebookutils.credentials.getSecret("kv-pair", "word")'
        assert session.text(f"print({get} == 'hunter' + '22')") == "True"
        # A statement that runs over the restart finds its gateway without what was in memory; the
        # next one has brought it again.
        go = Path(pair.served.home, "go")
        number = session.submit(
            "import os, time\n"
            f"while not os.path.exists({str(go)!r}): time.sleep(0.1)\n"
            f"for _ in range(300):\n"
            f"    try:\n        {call}\n        print('given'); break\n"
            "    except Exception as error:\n"
            "        if 'Send a statement' in str(error): print('lost'); break\n"
            "        time.sleep(0.1)"
        )
        pair.served.kill()
        pair.served.start()
        go.touch()
        client.reconnect()
        assert session.wait(number)["output"]["data"]["text/plain"] == "lost"
        assert session.text(f"print(len({call}) > 100)") == "True"
    log = (pair.served.home / "test.log").read_text()
    secret = Path(pair.served.settings["LIVIUS_AUTHORITY_CLIENT_SECRET_FILE"]).read_text().strip()
    assert secret not in log
    assert "eyJ" not in log


def sign_in_as_first_user(page: Page, authority: Gateway) -> None:
    facts = authority.connection
    page.locator("input[name=username]").fill(facts["username"])
    page.locator("input[name=password]").fill(facts["password"])
    page.keyboard.press("Enter")
    page.locator("button[value=allow]").or_(
        page.get_by_role("heading", name="Welcome")
    ).first.wait_for()
    if page.locator("button[value=allow]").count():
        page.locator("button[value=allow]").click()


def test_people_sign_in_at_the_portal_by_the_other_livius_and_out_of_it(pair: Pair) -> None:
    http = pair.served.connection["http"]
    with chromium() as browser:
        context = browser.new_context(locale="en", ignore_https_errors=True)
        page = context.new_page()
        page.goto(f"{http}/portal/monitor")
        assert page.url.startswith(pair.authority.connection["http"])
        sign_in_as_first_user(page, pair.authority)
        expect(page.get_by_role("heading", name="Monitoring hub")).to_be_visible()
        assert page.url == f"{http}/portal/monitor"
        page.goto(f"{http}/portal/workspaces")
        expect(page.get_by_role("link", name="sample").first).to_be_visible()
        # Refused there: a page of ours says so.
        other = browser.new_context(locale="en")
        denied = other.new_page()
        denied.goto(f"{http}/portal/sign-in")
        state = dict(re.findall(r"[?&](\w+)=([^&]*)", denied.url))["state"]
        response = denied.goto(
            f"{http}/portal/signed-in?error=access_denied&error_description=Not+today&state={state}"
        )
        assert response is not None
        assert response.status == 401
        expect(denied.locator("body")).to_contain_text("Not today")
        forged = denied.goto(f"{http}/portal/signed-in?code=x&state=other")
        assert forged is not None
        assert forged.status == 401
        # Out, here and there.
        page.evaluate("document.querySelector('form[action$=\"/sign-out\"]').requestSubmit()")
        page.wait_for_url(re.compile(re.escape(pair.authority.connection["http"]) + ".*logout"))
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
        page.goto(f"{http}/portal")
        expect(page.locator("input[name=password]")).to_be_visible()


def test_led_programs_sign_in_at_the_other_livius_by_their_own_authority(pair: Pair) -> None:
    """Fabric's names lead here, and Entra's stay Entra's."""
    known, served = pair.authority.connection, pair.served.connection
    pair.served.livius("workspace", "assign", object_id(pair), "Viewer")
    bundle = Path(pair.served.home, "both.pem")
    bundle.write_text(Path(known["ca_file"]).read_text())
    browser = Path(pair.served.home, "browser")
    browser.write_text(f"#!{sys.executable}\n{BROWSER.format(**known)}")
    browser.chmod(0o700)
    done = subprocess.run(
        [
            LIVIUS,
            "exec",
            "--only",
            "--",
            sys.executable,
            PROGRAM,
            "certificate",
            "secret",
            "browser",
        ],
        env={
            **pair.served.environment,
            "TENANT": known["tenant_id"],
            "CLIENT": known["client_id"],
            "SECRET": known["client_secret"],
            "KEY": known["private_key_file"],
            "THUMBPRINT": known["thumbprint"],
            "WORKSPACE": served["workspace_id"],
            "LAKEHOUSE": served["lakehouse_id"],
            "AUTHORITY": f"{known['api']}/dstsv2/{known['tenant_id']}",
            "REQUESTS_CA_BUNDLE": str(bundle),
            "BROWSER": f"{browser} %s",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {found[way] for way in ("certificate", "secret", "browser")} == {200}, found
    assert f"programs sign in at {known['authority']}" in done.stderr


def object_id(pair: Pair) -> str:
    """Of the authority's sample application."""
    token = app_token(pair.authority, FABRIC)
    oid: str = jwt.decode(token, options={"verify_signature": False})["oid"]
    return oid


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with Provider.serving(tmp_path) as made:
        yield made


def test_another_providers_page_and_what_is_missing_before(
    provider: Provider, tmp_path: Path
) -> None:
    settings = {
        "LIVIUS_AUTHORITY_ISSUER": provider.issuer,
        "LIVIUS_AUTHORITY_AUDIENCE": AUDIENCE,
        "NO_PROXY": "127.0.0.1,localhost",
    }
    gateway = Gateway(tmp_path / "home", settings)
    try:
        with chromium() as browser:
            http = gateway.start().connection["http"]
            page = browser.new_context(locale="en").new_page()
            page.goto(f"{http}/")
            expect(page.locator("body")).to_contain_text("LIVIUS_AUTHORITY_CLIENT_ID")
            expect(page.locator("body")).to_contain_text("LIVIUS_AUTHORITY_SCOPE")
            assert "LIVIUS_AUTHORITY_SCOPE" in gateway.livius("up")
            gateway.stop()
            secret = tmp_path / "secret"
            secret.write_text("s")
            gateway.settings = {
                **settings,
                "LIVIUS_AUTHORITY_CLIENT_ID": "notebook",
                "LIVIUS_AUTHORITY_CLIENT_SECRET_FILE": str(secret),
                "LIVIUS_AUTHORITY_SCOPE": "Lakehouse.Read.All Code.AccessFabric.All",
            }
            http = gateway.start().connection["http"]
            page.goto(f"{http}/portal")
            assert page.url.startswith(provider.issuer)
            page.locator("input[name=username]").fill("ada")
            page.locator("input[name=password]").fill("a")
            page.keyboard.press("Enter")
            page.wait_for_url(re.compile(re.escape(http)))
            expect(page.locator("body")).to_contain_text("ada")
            assert urlsplit(page.url).path == "/portal"
    finally:
        gateway.clean()
