"""Which names the installation can prove to be, to whom, and what a stolen key could do."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from livius.installation.certificates import Certificates
from livius.installation.tls import ensure_certificates


def shake_hands(leaf: Path, key: Path, trusted: Path, name: str) -> None:
    """One TLS handshake in memory; raises what the client makes of the certificate."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(leaf, key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context(cafile=str(trusted)).wrap_bio(
        to_client, to_server, server_hostname=name
    )
    done = 0
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
    assert done >= 2


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return ensure_certificates(tmp_path)


def test_a_led_tree_takes_the_gateway_for_each_intercepted_host(made: Certificates) -> None:
    for name in (
        "api.fabric.microsoft.com",
        "onelake.dfs.fabric.microsoft.com",
        "myvault.vault.azure.net",
        "login.microsoftonline.com",
        "login.windows.net",
    ):
        shake_hands(made.intercept_file, made.intercept_key_file, made.intercept_ca_file, name)


def test_a_program_that_trusts_the_local_authority_alone_does_not(made: Certificates) -> None:
    shake_hands(made.leaf_file, made.leaf_key_file, made.ca_file, "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(
            made.intercept_file, made.intercept_key_file, made.ca_file, "login.microsoftonline.com"
        )


@pytest.mark.parametrize("name", ["login.microsoftonline.com", "example.test"])
def test_the_key_of_the_local_authority_signs_for_this_machine_only(
    made: Certificates, name: str
) -> None:
    """Even if it is stolen: the authority's certificate has the names that it may sign for."""
    authority = x509.load_pem_x509_certificate(made.ca_file.read_bytes())
    stolen = load_pem_private_key((made.ca_file.parent / "ca.key").read_bytes(), password=None)
    assert isinstance(stolen, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(stolen.public_key()), critical=False
        )
        .sign(stolen, SHA256())
    )
    folder = made.ca_file.parent
    leaf, leaf_key = folder / "forged.pem", folder / "forged.key"
    leaf.write_bytes(forged.public_bytes(Encoding.PEM))
    leaf_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(leaf, leaf_key, made.ca_file, name)


def test_nothing_on_disk_can_sign_for_intercepted_hosts(made: Certificates) -> None:
    authority = x509.load_pem_x509_certificate(made.intercept_ca_file.read_bytes())
    keys = list(made.ca_file.parent.glob("*.key"))
    assert {key.name for key in keys} == {"ca.key", "server.key", "intercept.key"}
    for path in keys:
        key = load_pem_private_key(path.read_bytes(), password=None)
        assert key.public_key() != authority.public_key()
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_good_is_kept(made: Certificates) -> None:
    folder = made.ca_file.parent
    before = {path: path.read_bytes() for path in folder.iterdir()}
    ensure_certificates(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_led_certificates_of_another_list_of_names_are_made_anew(made: Certificates) -> None:
    before = made.ca_file.read_bytes()
    ensure_certificates(made.ca_file.parent, hosts=frozenset({"new.fabric.microsoft.com"}))
    shake_hands(
        made.intercept_file,
        made.intercept_key_file,
        made.intercept_ca_file,
        "new.fabric.microsoft.com",
    )
    assert made.ca_file.read_bytes() == before


def test_a_machine_with_another_name_gets_another_authority(made: Certificates) -> None:
    """The first one may not sign for the new name."""
    ensure_certificates(made.ca_file.parent, machine="renamed")
    shake_hands(made.leaf_file, made.leaf_key_file, made.ca_file, "renamed")
    shake_hands(made.leaf_file, made.leaf_key_file, made.ca_file, "localhost")
