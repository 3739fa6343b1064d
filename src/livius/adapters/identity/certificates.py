"""Client certificates, as they are registered."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from livius.domain.accounts import ClientCertificate


def read_certificate(pem: bytes) -> ClientCertificate:
    """Return the record to store of the first certificate in a PEM file.

    Raises:
        ValueError: there is none, or its key is not an RSA key.
    """
    return registered(x509.load_pem_x509_certificate(pem))


def registered(certificate: x509.Certificate) -> ClientCertificate:
    """Return the record to store of an application's certificate.

    Raises:
        ValueError: its key is not an RSA key.
    """
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError("Client certificates need an RSA key.")  # noqa: TRY004 # a fault of the file
    return ClientCertificate(
        sha1=sha1(certificate),
        sha256=certificate.fingerprint(SHA256()).hex().upper(),
        public_key_pem=key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def sha1(certificate: x509.Certificate) -> str:
    """Return the certificate's thumbprint as Entra has it. Trust rests on the key alone."""
    return certificate.fingerprint(SHA1()).hex().upper()  # noqa: S303
