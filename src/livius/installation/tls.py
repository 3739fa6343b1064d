"""The gateway's own certificate authority and the certificates that it serves with.

There are two. The first is for this machine's names, from an authority that people may trust
permanently. The second is for the intercepted hosts, which are Microsoft's: its authority signs
that one certificate, its key is never written down, and `livius exec` has one process tree trust
it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from livius.domain.intercepted_hosts import INTERCEPTED, constraints
from livius.installation.certificates import Certificates, certificates_in

_CA_DAYS: Final = 3650
_LEAF_DAYS: Final = 397
_RENEW_WITHIN: Final = timedelta(days=30)
_BACKDATED: Final = timedelta(minutes=5)
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_ALL_ADDRESSES: Final = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificates(
    folder: Path, *, machine: str | None = None, hosts: frozenset[str] = INTERCEPTED
) -> Certificates:
    """Return certificates that are valid for at least a month; make missing ones.

    ``machine`` is this machine's host name, asked of the system if left out.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A copy or a backup may have opened them; a reader of the authority's key can be any server.
    folder.chmod(0o700)
    for key_file in folder.glob("*.key"):
        key_file.chmod(0o600)
    files = certificates_in(folder)
    now = datetime.now(UTC)
    names = sorted({"localhost", (machine or socket.gethostname()).lower()})
    _ensure_own(files, folder / "ca.key", names, now)
    _ensure_intercepted(files, hosts, now)
    return files


def _ensure_own(files: Certificates, ca_key_file: Path, names: list[str], now: datetime) -> None:
    # An authority made under another host name could not sign for this one.
    fits = _is_good(files.ca_file, now) and _permitted(files.ca_file) == names
    if not fits or not ca_key_file.exists():
        made = _make_authority("Livius local authority", names, _LOOPBACK, now, _CA_DAYS)
        _write_key(ca_key_file, made.key)
        _write(files.ca_file, made.certificate)
        files.leaf_file.unlink(missing_ok=True)
    if not _is_good(files.leaf_file, now) or _names_in(files.leaf_file) != names:
        authority = _load_authority(files.ca_file, ca_key_file)
        _make_leaf(files.leaf_file, files.leaf_key_file, authority, names, now, local=True)


def _ensure_intercepted(files: Certificates, hosts: frozenset[str], now: datetime) -> None:
    names = sorted(hosts)
    good = all(_is_good(file, now) for file in (files.intercept_ca_file, files.intercept_file))
    if good and files.intercept_key_file.exists() and _names_in(files.intercept_file) == names:
        return
    authority = _make_authority("Livius intercepted hosts", constraints(hosts), (), now, _LEAF_DAYS)
    _make_leaf(files.intercept_file, files.intercept_key_file, authority, names, now, local=False)
    _write(files.intercept_ca_file, authority.certificate)


def _is_good(path: Path, now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return certificate.not_valid_after_utc > now + _RENEW_WITHIN


def _names_in(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(names.get_values_for_type(x509.DNSName))


def _permitted(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        found = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    permitted = found.permitted_subtrees or []
    return sorted(str(one.value) for one in permitted if isinstance(one, x509.DNSName))


def _make_authority(
    name: str, domains: Sequence[str], addresses: Sequence[str], now: datetime, days: int
) -> _Authority:
    """Make an authority that can sign for the domains and networks, and for nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
    permitted += _networks(addresses)
    # A kind of name that is not mentioned would be free.
    excluded = None if addresses else _networks(_ALL_ADDRESSES)
    public = key.public_key()
    certificate = (
        _builder(subject, subject, public, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.NameConstraints(permitted, excluded), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Authority(certificate, key)


def _networks(texts: Sequence[str]) -> list[x509.IPAddress]:
    return [x509.IPAddress(ipaddress.ip_network(text)) for text in texts]


def _load_authority(file: Path, key_file: Path) -> _Authority:
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key_file} is not one of ours; delete the folder {key_file.parent}")
    return _Authority(x509.load_pem_x509_certificate(file.read_bytes()), key)


def _make_leaf(
    file: Path,
    key_file: Path,
    authority: _Authority,
    domains: Sequence[str],
    now: datetime,
    *,
    local: bool,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0])])
    names: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
    if local:
        names += [x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "::1")]
    signer = authority.key.public_key()
    certificate = (
        _builder(subject, authority.certificate.subject, key.public_key(), now, _LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write_key(key_file, key)
    _write(file, certificate)


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
