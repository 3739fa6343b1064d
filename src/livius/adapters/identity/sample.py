"""The sample application and the first user of every installation, for an immediate start.

Their credentials are in clear in the data folder. They are for development; no other credentials
are stored like this.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from livius.adapters.identity.certificates import registered, sha1
from livius.adapters.identity.files import private_folder, read_private, write_private
from livius.domain.accounts import ClientApplication, ClientCertificate, ClientSecret, User
from livius.domain.digests import hash_drawn
from livius.domain.ids import ClientId, PrincipalId, TenantId, new_id
from livius.domain.passwords import hash_password
from livius.domain.tokens import Scope
from livius.ports.clock import Clock
from livius.ports.identity import Directory

_NAME: Final = "livius sample"
_LIFETIME: Final = timedelta(days=730)
_RENEW_BEFORE: Final = timedelta(days=30)
_BACKDATED: Final = timedelta(minutes=5)
_LOOPBACK: Final = ("http://localhost", "http://127.0.0.1")
_DEVELOPER_TOOLS: Final = ClientId("04b07795-8ddb-461a-bbee-02f9e1bf7b46")
"""The client id with which the Azure tools and libraries sign people in by default."""

FIRST_USER_FILE: Final = "user.json"
FIRST_USER: Final = "admin@livius.localhost"
PORTAL_SIGNED_IN: Final = "/portal/signed-in"
PORTAL_SIGNED_OUT: Final = "/portal/signed-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleApplication:
    """The sample application with its credentials, which ``connection.json`` repeats.

    ``thumbprint`` is the certificate's SHA-1 in upper-case hex without colons, as MSAL requires.
    ``registered`` is False if the application was removed.
    """

    client_id: ClientId
    object_id: str
    client_secret: str
    certificate_file: Path
    private_key_file: Path
    thumbprint: str
    registered: bool = True

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"SampleApplication(client_id={self.client_id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    client_id: str
    object_id: str
    client_secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUser:
    """The first user. ``password`` is None once the user has set another one."""

    oid: PrincipalId
    username: str
    password: str | None

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"FirstUser(username={self.username!r})"


async def ensure_sample(folder: Path, directory: Directory, clock: Clock) -> SampleApplication:
    """Return the sample application; the first start registers it.

    A removed one is not registered again. Ids and secret never change. The certificate is replaced
    in its last 30 days, and if its two files don't belong together.
    """
    private_folder(folder)
    kept, is_new = _ensure_ids(folder / "application.json")
    certificate_file, key_file = folder / "certificate.pem", folder / "private_key.pem"
    certificate, key = _present(certificate_file, key_file, clock.now()), None
    if certificate is None:
        certificate, key = _make_certificate(clock.now())
    known = await directory.application(ClientId(kept.client_id))
    if known is None and (is_new or not await directory.applications()):
        known = _new_sample(kept, registered(certificate), clock)
        await directory.put_application(known)
    elif known is not None and key is not None:
        renewed = (registered(certificate),)
        await directory.change_application(
            known.client_id, lambda now: replace(now, certificates=renewed)
        )
    if key is not None:
        # Last, so that a start that was interrupted earlier makes a new one.
        write_private(key_file, key)
        write_private(certificate_file, certificate.public_bytes(Encoding.PEM))
    return SampleApplication(
        client_id=ClientId(kept.client_id),
        object_id=kept.object_id,
        client_secret=kept.client_secret,
        certificate_file=certificate_file,
        private_key_file=key_file,
        thumbprint=sha1(certificate),
        registered=known is not None,
    )


async def ensure_first_user(folder: Path, directory: Directory, clock: Clock) -> FirstUser:
    """Return the first user; the first start creates it. A removed one is not created again."""
    private_folder(folder)
    path = folder / FIRST_USER_FILE
    try:
        first = FirstUser(**json.loads(read_private(path)))
    except FileNotFoundError:
        first = FirstUser(
            oid=PrincipalId(new_id()), username=FIRST_USER, password=secrets.token_urlsafe(12)
        )
        write_private(path, json.dumps(asdict(first), indent=2).encode())
    if first.password is not None and await directory.user(first.oid) is None:
        await directory.add_user(
            User(
                oid=first.oid,
                username=first.username,
                name="Admin",
                password_hash=hash_password(first.password),
                created_at=clock.now(),
            )
        )
    return first


def forget_first_password(folder: Path, oid: PrincipalId) -> None:
    """Remove the first user's password from its file: another was set, or the user removed."""
    path = folder / FIRST_USER_FILE
    with contextlib.suppress(FileNotFoundError):
        first = FirstUser(**json.loads(read_private(path)))
        if first.oid == oid:
            write_private(path, json.dumps({**asdict(first), "password": None}, indent=2).encode())


def portal_client_id(tenant: TenantId) -> ClientId:
    """Return the client id of the portal, which never changes in an installation."""
    return ClientId(str(uuid5(UUID(tenant), "livius portal")))


async def ensure_own_applications(
    directory: Directory, tenant: TenantId, clock: Clock, *, portal: Iterable[str]
) -> str:
    """Register the portal and, at the first start, the developer tools.

    ``portal`` are the origins at which this process serves the portal. Returns the secret of the
    portal's application, which is new each time and only in this process.
    """
    client_id = portal_client_id(tenant)
    if await directory.application(client_id) is None:
        await directory.put_application(
            ClientApplication(
                client_id=_DEVELOPER_TOOLS,
                name="Azure developer tools",
                object_id=str(uuid5(UUID(tenant), "developer tools' principal")),
                created_at=clock.now(),
                redirect_uris=_LOOPBACK,
                scopes=frozenset(Scope),
                public=True,
            )
        )
    secret = secrets.token_urlsafe(32)
    await directory.put_application(
        ClientApplication(
            client_id=client_id,
            name="Livius portal",
            object_id=str(uuid5(UUID(tenant), "livius portal's principal")),
            created_at=clock.now(),
            secrets=(_registered_secret(secret, clock),),
            redirect_uris=tuple(
                origin + path for origin in portal for path in (PORTAL_SIGNED_IN, PORTAL_SIGNED_OUT)
            ),
            scopes=frozenset(Scope),
            trusted=True,
        )
    )
    return secret


def _registered_secret(secret: str, clock: Clock) -> ClientSecret:
    return ClientSecret(
        id=new_id(), hint=secret[:3], hash=hash_drawn(secret), created_at=clock.now()
    )


def _new_sample(kept: _Kept, certificate: ClientCertificate, clock: Clock) -> ClientApplication:
    return ClientApplication(
        client_id=ClientId(kept.client_id),
        name=_NAME,
        object_id=kept.object_id,
        created_at=clock.now(),
        secrets=(_registered_secret(kept.client_secret, clock),),
        certificates=(certificate,),
        redirect_uris=_LOOPBACK,
        scopes=frozenset(Scope),
        public=True,
    )


def _ensure_ids(path: Path) -> tuple[_Kept, bool]:
    """Return the sample's ids and secret, and whether they are new."""
    try:
        return _Kept(**json.loads(read_private(path))), False
    except FileNotFoundError:
        kept = _Kept(
            client_id=new_id(), object_id=new_id(), client_secret=secrets.token_urlsafe(32)
        )
        write_private(path, json.dumps(asdict(kept), indent=2).encode())
        return kept, True


def _present(certificate_file: Path, key_file: Path, now: datetime) -> x509.Certificate | None:
    """Return the certificate if it matches its key and is valid for some time."""
    try:
        certificate = x509.load_pem_x509_certificate(read_private(certificate_file))
        key = load_pem_private_key(read_private(key_file), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if certificate.public_key() != key.public_key():
        return None
    return certificate if now < certificate.not_valid_after_utc - _RENEW_BEFORE else None


def _make_certificate(now: datetime) -> tuple[x509.Certificate, bytes]:
    """Return a certificate, and its private key in PEM."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - _BACKDATED)
        .not_valid_after(now.astimezone(UTC) + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    return certificate, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
