"""The real MSAL against the real authority over TLS: nothing but the addresses is ours."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import msal  # type: ignore[import-untyped]
import pytest
import requests
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from fastapi import FastAPI

from identity.conftest import TENANT, World
from livius.api.authority import router

FABRIC = "https://api.fabric.microsoft.com/.default"
POWER_BI = "https://analysis.windows.net/powerbi/api/.default"


@dataclass(frozen=True)
class Served:
    origin: str
    world: World
    apps: list[Any] = field(default_factory=list)

    @property
    def authority(self) -> str:
        return f"{self.origin}/{TENANT}/b2c_livius"

    def app(self, credential: Any, **more: Any) -> Any:
        where = {} if "oidc_authority" in more else {"authority": self.authority}
        app = msal.ConfidentialClientApplication(
            self.world.sample.client_id, client_credential=credential, **where, **more
        )
        self.apps.append(app)
        return app

    def certificate(self, **more: Any) -> dict[str, Any]:
        return {"private_key": self.world.sample.private_key_file.read_text(), **more}


def signed_certificate(
    name: str, key: RSAPrivateKey, issuer: str, issuer_key: RSAPrivateKey, *, is_ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        addresses = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
    return builder.sign(issuer_key, SHA256())


def make_tls(folder: Path) -> tuple[Path, Path]:
    """A throw-away CA and a leaf of it. Returns the CA's file, and the leaf's with its key."""
    ca_key, key = (generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    ca = signed_certificate("throw-away CA", ca_key, "throw-away CA", ca_key, is_ca=True)
    leaf = signed_certificate("localhost", key, "throw-away CA", ca_key, is_ca=False)
    ca_file, leaf_file = folder / "ca.pem", folder / "leaf.pem"
    ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
    leaf_file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + leaf.public_bytes(Encoding.PEM)
    )
    return ca_file, leaf_file


@pytest.fixture
def served(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    tls = tmp_path / "tls"
    tls.mkdir()
    ca_file, leaf_file = make_tls(tls)
    # Both beat MSAL's own verify argument, so neither may be left as it was.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    app = FastAPI()
    app.include_router(router(world.authority))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, ssl_certfile=leaf_file, log_config=None, lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                thread.join(0.01)
            assert server.started
            served = Served(f"https://localhost:{listener.getsockname()[1]}", world)
            yield served
            for one in served.apps:
                one.http_client.close()  # the server waits for connections that are kept alive
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


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
    # One application object sends one assertion for nine minutes.
    bearer(served, app.acquire_token_for_client([FABRIC]))


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
