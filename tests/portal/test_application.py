"""Client applications changed in the portal: by owners alone, and no secret is shown twice."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from livius.domain.audit import Action, AuditEntry
from livius.domain.digests import is_drawn
from livius.domain.ids import ClientId, new_id
from livius.domain.lakehouse import Role
from livius.domain.principal import PrincipalKind
from livius.ports.store import AuditQuery
from portal.conftest import Owned, Visitor
from support.browsing import Served, principal

FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/name", {"name": "other"}),
    ("/secrets", {}),
    ("/certificates", {"pem": "x"}),
    ("/credentials/x/remove", {}),
    ("/scopes", {}),
    ("/redirects", {"uri": "https://x.test"}),
    ("/redirects/remove", {"uri": "http://localhost"}),
    ("/delete", {}),
)


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None) -> bytes:
    key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nightly")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def served_audit(owned: Owned, action: Action) -> list[AuditEntry]:
    """The audit entries of such acts."""
    query = AuditQuery(action=action, limit=10)
    return [one.entry for one in owned.served.site.do(owned.store.audit(query))]


def test_an_application_is_made_renamed_and_deleted(owned: Owned, ada: Visitor) -> None:
    assert "New client application" in ada.get("/applications").text
    made = ada.post("/applications", name=" load  job ", public="yes").headers["location"]
    path = made.removeprefix("/portal")
    page = ada.get(path).text
    assert "<h1>load job</h1>" in page
    assert "without a credential of its own" in page
    assert ada.post(f"{path}/name", name="Load").status_code == 303
    assert "<h1>Load</h1>" in ada.get(path).text
    assert "Delete this application?" in ada.get(f"{path}/delete").text
    assert ada.post(f"{path}/delete").headers["location"] == "/portal/applications"
    assert ada.get(path).status_code == 404
    assert ada.post(f"{path}/delete").status_code == 404
    assert "nightly" in ada.get("/applications").text


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\x00b"])
def test_a_name_that_can_not_be_is_refused(owned: Owned, ada: Visitor, name: str) -> None:
    assert ada.post("/applications", name=name).status_code == 400
    assert ada.post(f"{owned.path}/name", name=name).status_code == 400
    assert owned.there().name == "nightly"


@pytest.mark.parametrize("part", [True, False])
def test_a_secret_is_shown_once_and_kept_as_a_hash(
    owned: Owned, ada: Visitor, capsys: pytest.CaptureFixture[str], part: bool
) -> None:
    if part:
        ada.http.headers["HX-Request"] = "true"
    answer = ada.post(f"{owned.path}/secrets")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert ("<html" in answer.text) is not part
    shown = re.search(r'<code id="new-secret">([^<]+)</code>', answer.text)
    assert shown is not None
    value = html.unescape(shown[1])
    [kept] = owned.there().secrets
    assert is_drawn(value, kept.hash)
    del ada.http.headers["Accept"]
    ada.http.headers.pop("HX-Request", None)
    for path in (owned.path, "/applications"):
        page = ada.get(path, Accept="text/html").text
        assert (kept.id in page) is (path == owned.path)
        for never in (value, kept.hash):
            assert never not in page
    [recorded] = served_audit(owned, Action.CREDENTIAL_ADD)
    assert recorded.actor is not None
    ada_oid = owned.served.site.world.admin.oid
    assert recorded.actor.id == ada_oid
    assert kept.id in repr(recorded)
    said = capsys.readouterr()
    assert re.search(rf"request_handled .*caller={ada_oid} .*/secrets", said.out + said.err)
    for never in (value, kept.hash):
        assert never not in repr(recorded) + said.out + said.err


def test_a_secret_is_removed_after_a_question(owned: Owned, ada: Visitor) -> None:
    ada.post(f"{owned.path}/secrets")
    [kept] = owned.there().secrets
    path = f"{owned.path}/credentials/{kept.id}/remove"
    assert "Remove this credential?" in ada.get(path).text
    assert owned.there().secrets
    assert ada.post(path).status_code == 303
    assert owned.there().secrets == ()
    assert ada.post(path).status_code == 404


def test_there_are_not_endlessly_many_secrets(owned: Owned, ada: Visitor) -> None:
    ada.post(f"{owned.path}/secrets")
    [first] = owned.there().secrets
    many = tuple(replace(first, id=new_id()) for _ in range(20))
    owned.served.site.do(owned.store.put_application(replace(owned.first, secrets=many)))
    assert ada.post(f"{owned.path}/secrets").status_code == 409
    assert len(owned.there().secrets) == 20


@pytest.mark.parametrize("as_file", [True, False])
def test_a_certificate_is_pasted_or_uploaded(owned: Owned, ada: Visitor, as_file: bool) -> None:
    pem = certificate()
    form = {"csrf": ada.csrf} | ({} if as_file else {"pem": pem.decode()})
    answer = upload(owned, ada, form, ("c.pem", pem) if as_file else ("", b""))
    assert answer.status_code == 303
    [kept] = owned.there().certificates
    page = ada.get(owned.path).text
    assert kept.sha1 in page
    assert upload(owned, ada, {"csrf": ada.csrf, "pem": pem.decode()}).status_code == 409
    assert ada.post(f"{owned.path}/credentials/{kept.sha1}/remove").status_code == 303
    assert owned.there().certificates == ()


def upload(
    owned: Owned, ada: Visitor, form: dict[str, str], file: tuple[str, bytes] = ("", b"")
) -> requests.Response:
    return ada.http.post(
        f"{owned.served.url}{owned.path}/certificates",
        data=form,
        files={"file": file},
        allow_redirects=False,
        timeout=20,
    )


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"", "no certificate"),
        (b"hello", "no certificate"),
        (b"\x00\xff" * 1000, "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
        (b"x" * 70_000, "64 KB"),
        (certificate(ec.generate_private_key(ec.SECP256R1())), "RSA"),
        (
            rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "private key",
        ),
    ],
    ids=["nothing", "text", "bytes", "empty", "huge", "elliptic", "private"],
)
def test_what_is_no_certificate_is_refused(
    owned: Owned, ada: Visitor, pem: bytes, said: str
) -> None:
    answer = upload(owned, ada, {"csrf": ada.csrf}, ("c.pem", pem))
    assert answer.status_code == 400
    assert said in answer.text
    assert owned.there().certificates == ()


def test_scopes_are_those_that_are_ticked(owned: Owned, ada: Visitor) -> None:
    body = [("csrf", ada.csrf), ("scope", "Lakehouse.Read.All"), ("scope", "Code.AccessSQL.All")]
    url = f"{owned.served.url}{owned.path}/scopes"
    assert ada.http.post(url, data=body, allow_redirects=False, timeout=20).status_code == 303
    assert owned.there().scopes == {"Lakehouse.Read.All", "Code.AccessSQL.All"}
    page = ada.get(owned.path).text
    assert re.search(r'value="Lakehouse.Read.All" checked', page)
    assert ada.post(f"{owned.path}/scopes", scope="Everything").status_code == 400
    assert ada.post(f"{owned.path}/scopes").status_code == 303
    assert owned.there().scopes == frozenset()


def test_redirect_uris_come_and_go(owned: Owned, ada: Visitor) -> None:
    assert ada.post(f"{owned.path}/redirects", uri=" https://app.test/back ").status_code == 303
    assert owned.there().redirect_uris == ("http://localhost", "https://app.test/back")
    for uri in (
        "",
        "javascript:alert(1)",
        "http://elsewhere.test",
        "https://x.test/#a",
        "x" * 9000,
    ):
        assert ada.post(f"{owned.path}/redirects", uri=uri).status_code == 400, uri
    gone = {"uri": "http://localhost"}
    assert ada.post(f"{owned.path}/redirects/remove", **gone).status_code == 303
    assert ada.post(f"{owned.path}/redirects/remove", **gone).status_code == 404
    assert owned.there().redirect_uris == ("https://app.test/back",)


def test_owners_alone_change_them(owned: Owned, served: Served) -> None:
    world = served.site.world
    admin = Visitor(served, served.site.do(world.member(Role.ADMIN)))
    application = Visitor(served, replace(world.admin, kind=PrincipalKind.APP))
    page = admin.get("/applications").text
    assert "nightly" in page
    assert "New client application" not in page
    before = owned.there()
    stranger = Visitor(served, principal("Stranger"))
    for visitor, status in (
        (admin, 403),
        (application, 403),
        (stranger, 403),
        (Visitor(served, None), 401),
    ):
        for path, form in FORMS:
            assert visitor.post(owned.path + path, **form).status_code == status, path
        assert visitor.post("/applications", name="mine").status_code == status
        for path in ("", "/delete", "/credentials/x/remove"):
            answer = visitor.get(owned.path + path)
            if path or visitor not in (admin, application):
                assert answer.status_code == (303 if status == 401 else 403)
                assert "nightly" not in answer.text
    seen = admin.get(owned.path).text
    assert "nightly" in seen
    assert "Lakehouse.Read.All" in seen
    assert f'action="/portal{owned.path}' not in seen
    assert owned.there() == before


def test_a_forged_form_changes_nothing(owned: Owned, ada: Visitor) -> None:
    before = owned.there()
    for path, form in FORMS:
        assert ada.post(owned.path + path, csrf="forged", **form).status_code == 403, path
    assert upload(owned, ada, {"csrf": "forged", "pem": certificate().decode()}).status_code == 403
    assert owned.there() == before


def test_what_is_ours_and_what_is_not_there_are_not_found(owned: Owned, ada: Visitor) -> None:
    ours = replace(owned.first, client_id=ClientId(new_id()), object_id=new_id(), trusted=True)
    owned.served.site.do(owned.store.put_application(ours))
    for client_id in (ours.client_id, new_id(), "x", "..%2f.."):
        for path, form in FORMS:
            assert ada.post(f"/applications/{client_id}{path}", **form).status_code == 404
        assert ada.get(f"/applications/{client_id}").status_code == 404
    assert owned.served.site.do(owned.store.application(ours.client_id)) == ours


def test_another_authoritys_applications_are_its_own(served: Served, ada: Visitor) -> None:
    assert ada.get(f"/applications/{new_id()}").status_code == 404
    assert ada.post("/applications", name="x").status_code == 404
