"""A gateway whose authority is another one: an OpenID provider, and a second Livius."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from support.gateway import Gateway
from support.provider import AUDIENCE, Provider

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


class Caller:
    """Calls the API with a token that it was given."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.facts = gateway.connection
        self.token = token
        self.base = f"{self.facts['api']}/v1/workspaces/{self.facts['workspace_id']}"

    def __call__(self, method: str, path: str, **arguments: Any) -> requests.Response:
        with requests.Session() as http:
            http.trust_env = False
            return http.request(
                method,
                path if path.startswith("https:") else self.base + path,
                verify=self.facts["ca_file"],
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=60,
                **arguments,
            )


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider.serving(tmp_path_factory.mktemp("provider")) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Gateway]:
    settings = {
        "LIVIUS_AUTHORITY_ISSUER": provider.issuer,
        "LIVIUS_AUTHORITY_AUDIENCE": AUDIENCE,
        "NO_PROXY": "127.0.0.1,localhost",
    }
    made = Gateway(tmp_path_factory.mktemp("external") / "home", settings)
    try:
        yield made.start()
    finally:
        made.clean()


def test_a_providers_user_works_within_role_and_scopes(
    gateway: Gateway, provider: Provider
) -> None:
    scopes = ("Lakehouse.Read.All", "Lakehouse.Execute.All")
    ada = Caller(gateway, provider.tokens(*scopes)["access_token"])
    stranger = ada("GET", "/lakehouses")
    assert (stranger.status_code, stranger.json()["errorCode"]) == (403, "InsufficientPrivileges")
    oid = stranger.json()["message"].rsplit(" ", 1)[1].rstrip(".")
    gateway.livius("workspace", "assign", oid, "Contributor")
    assert ada("GET", "/lakehouses").status_code == 200
    made = ada("POST", "/lakehouses", json={"displayName": "adas"})
    assert made.status_code == 201
    livy = f"/lakehouses/{made.json()['id']}/livyapi/versions/2023-12-01/sessions"
    refused = ada("GET", livy)
    assert refused.json()["errorCode"] == "InsufficientScopes"
    assert "Code.AccessFabric.All" in refused.json()["message"]
    wider = Caller(gateway, provider.tokens(*scopes, "Code.AccessFabric.All")["access_token"])
    assert wider("GET", livy).status_code == 200
    assert Caller(gateway, provider.application_token())("GET", "/lakehouses").status_code == 403


def test_the_embedded_authority_is_off_and_says_so(gateway: Gateway, provider: Provider) -> None:
    facts = gateway.connection
    assert facts["authority"] == provider.issuer
    assert facts["client_id"] is facts["client_secret"] is None
    tenant = (gateway.home / "identity" / "tenant").read_text()
    for method, path in (
        ("GET", f"/{tenant}/v2.0/.well-known/openid-configuration"),
        ("GET", f"/{tenant}/discovery/v2.0/keys"),
        ("POST", f"/{tenant}/oauth2/v2.0/token"),
        ("GET", "/common/discovery/instance"),
    ):
        answer = Caller(gateway, "")(method, facts["api"] + path)
        assert (answer.status_code, answer.json()["errorCode"]) == (404, "AuthorityElsewhere")
        assert provider.issuer in answer.json()["message"]


def test_a_token_of_the_embedded_authoritys_key_is_worth_nothing(gateway: Gateway) -> None:
    """Its key is still in the data folder: its tokens must not be valid."""
    from livius.adapters.clock import SystemClock
    from livius.adapters.identity.keys import KeyRing

    keys = KeyRing.open(gateway.home / "identity" / "keys", SystemClock())
    tenant = (gateway.home / "identity" / "tenant").read_text()
    claims = {"iss": f"https://localhost:8443/{tenant}/v2.0", "aud": AUDIENCE, "sub": "x"}
    answer = Caller(gateway, keys.sign(claims))("GET", "/lakehouses")
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "InvalidToken")


def test_what_the_commands_say_works(gateway: Gateway, provider: Provider) -> None:
    printed = gateway.livius("up")
    assert provider.issuer in printed
    assert "livius token)" not in printed
    assert "first_query.py" not in printed
    curl = next(line for line in printed.splitlines() if line.strip().startswith("curl"))
    listed = subprocess.run(
        ["bash", "-c", curl],
        env={**gateway.environment, "no_proxy": "localhost"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert '"items"' in listed.stdout
    assert "sign in there" in gateway.livius("token", code=1)
    assert "sample" in gateway.livius("lakehouse", "list")


def test_a_second_livius_is_an_authority(tmp_path: Path) -> None:
    authority = Gateway(tmp_path / "authority")
    served = Gateway(tmp_path / "served")
    try:
        facts = authority.start().connection
        served.settings = {
            "LIVIUS_AUTHORITY_ISSUER": f"{facts['authority']}/v2.0",
            "LIVIUS_AUTHORITY_TENANT": facts["tenant_id"],
            "LIVIUS_AUTHORITY_AUDIENCE": "https://api.fabric.microsoft.com",
            "SSL_CERT_FILE": facts["ca_file"],
            "NO_PROXY": "127.0.0.1,localhost",
        }
        served.start()
        token = authority.livius("token").strip()
        caller = Caller(served, token)
        refused = caller("GET", "/lakehouses")
        assert refused.json()["errorCode"] == "InsufficientPrivileges", refused.text
        oid = refused.json()["message"].rsplit(" ", 1)[1].rstrip(".")
        served.livius("workspace", "assign", oid, "Viewer")
        assert caller("GET", "/lakehouses").status_code == 200
        assert caller("POST", "/lakehouses", json={"displayName": "x"}).status_code == 403
        own = Caller(served, served.livius("token", "create").splitlines()[0])
        assert own("GET", "/lakehouses").status_code == 200
        # The reverse fails: each trusts only the configured one.
        assert Caller(authority, own.token)("GET", "/lakehouses").status_code == 401
    finally:
        authority.clean()
        served.clean()
