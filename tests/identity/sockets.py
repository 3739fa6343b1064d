"""The authority over real sockets: https for programs, http on loopback for people."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from fastapi import FastAPI

from identity.conftest import TENANT, World
from livius.api.authority import router
from livius.domain.realm import Address


@dataclass(frozen=True)
class Served:
    origin: str
    pages: str
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


@contextmanager
def serving(world: World, leaf_file: Path) -> Iterator[Served]:
    """Serve until the end of the context."""
    with (
        socket.create_server(("127.0.0.1", 0)) as https,
        socket.create_server(("127.0.0.1", 0)) as http,
    ):
        port, pages = https.getsockname()[1], f"http://localhost:{http.getsockname()[1]}"
        home = Address(host="localhost", port=port, tenant=TENANT)
        app = FastAPI()
        app.include_router(router(replace(world.authority, home=home, pages=pages)))
        servers = [
            uvicorn.Server(
                uvicorn.Config(
                    app,
                    ssl_certfile=file,
                    log_config=None,
                    lifespan="off",
                    timeout_graceful_shutdown=2,
                )
            )
            for file in (leaf_file, None)
        ]

        async def serve() -> None:
            await asyncio.gather(
                servers[0].serve(sockets=[https]), servers[1].serve(sockets=[http])
            )
            # Some stay open: of browsers that open them beforehand, of clients that met an error.
            async with asyncio.timeout(5):
                await asyncio.sleep(0.05)
                while left := [each for one in servers for each in one.server_state.connections]:
                    for each in left:
                        each.transport.abort()
                    await asyncio.sleep(0.01)

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not all(one.started for one in servers) and time.monotonic() < deadline:
                thread.join(0.01)
            assert all(one.started for one in servers)
            served = Served(f"https://localhost:{port}", pages, world)
            yield served
            for one in served.apps:
                one.http_client.close()  # the server waits for connections that are kept alive
        finally:
            for server in servers:
                server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
