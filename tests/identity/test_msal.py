"""The real MSAL against the real authority over TLS: nothing but the addresses is ours."""

from __future__ import annotations

from typing import Any

import jwt
import requests

from identity.conftest import TENANT
from identity.sockets import Served

FABRIC = "https://api.fabric.microsoft.com/.default"
POWER_BI = "https://analysis.windows.net/powerbi/api/.default"


def bearer(served: Served, found: dict[str, Any]) -> dict[str, Any]:
    """The claims of a token that our verifier believes."""
    assert "access_token" in found, found
    principal = served.world.verifier.verify(found["access_token"])
    assert principal.oid == served.world.sample.object_id
    claims: dict[str, Any] = jwt.decode(found["access_token"], options={"verify_signature": False})
    return claims


def test_msal_signs_in_with_a_secret(served: Served) -> None:
    app = served.app(served.world.sample.client_secret)
    claims = bearer(served, app.acquire_token_for_client([FABRIC]))
    assert (claims["azpacr"], claims["aud"]) == ("1", "https://api.fabric.microsoft.com")
    assert claims["iss"] == f"{served.authority}/v2.0"
    assert app.acquire_token_for_client([FABRIC])["token_source"] == "cache"


def test_msal_signs_in_with_a_thumbprint_as_the_document_does(served: Served) -> None:
    sample = served.world.sample
    credential = served.certificate(
        thumbprint=sample.thumbprint, certificate=sample.certificate_file.read_text()
    )
    app = served.app(credential)
    claims = bearer(served, app.acquire_token_for_client([POWER_BI]))
    assert (claims["azpacr"], claims["aud"]) == ("2", "https://analysis.windows.net/powerbi/api")
    # One application object sends one assertion for nine minutes: for each audience it counts once.
    bearer(served, app.acquire_token_for_client([FABRIC]))
    assert "access_token" in app.acquire_token_for_client(["https://storage.azure.com/.default"])


def test_msal_signs_in_with_ps256_and_a_chain(served: Served) -> None:
    public = served.world.sample.certificate_file.read_text()
    app = served.app(served.certificate(public_certificate=public))
    assert bearer(served, app.acquire_token_for_client([FABRIC]))["azpacr"] == "2"


def test_msal_checks_our_issuer_where_it_checks_any(served: Served) -> None:
    app = served.app(served.world.sample.client_secret, oidc_authority=f"{served.authority}/v2.0")
    bearer(served, app.acquire_token_for_client([FABRIC]))


def test_msal_reads_our_refusals(served: Served) -> None:
    found = served.app("wrong").acquire_token_for_client([FABRIC])
    assert (found["error"], found["error_codes"]) == ("invalid_client", [7000215])
    assert found["error_description"].startswith("AADSTS7000215: Invalid client secret")


def test_the_published_keys_verify_the_token(served: Served) -> None:
    found = served.app(served.world.sample.client_secret).acquire_token_for_client([FABRIC])
    document = requests.get(
        f"{served.authority}/v2.0/.well-known/openid-configuration", timeout=10
    ).json()
    keys = jwt.PyJWKSet.from_dict(requests.get(document["jwks_uri"], timeout=10).json())
    token = found["access_token"]
    claims = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=document["id_token_signing_alg_values_supported"],
        audience="https://api.fabric.microsoft.com",
        issuer=document["issuer"],
    )
    assert claims["tid"] == TENANT
