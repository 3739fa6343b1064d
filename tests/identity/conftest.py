"""One authority with its sample application, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from livius.adapters.identity.assertions import JwtAssertions
from livius.adapters.identity.clients import FileClients
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.sample import SampleApplication, ensure_sample
from livius.adapters.identity.used import FileUsedAssertions
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.domain.identity import Realm
from livius.domain.ids import TenantId
from livius.usecases.tokens import Authority

TENANT = TenantId("3f0c1c5e-6c0b-4a0b-9b2f-0d3b8d1f7a11")


@dataclass
class MovedClock:
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def move(self, by: timedelta) -> None:
        self.moment += by


@dataclass
class World:
    folder: Path
    clock: MovedClock
    realm: Realm
    keys: KeyRing
    clients: FileClients
    sample: SampleApplication
    authority: Authority
    verifier: EmbeddedVerifier

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good application token; None removes one."""
        now = self.clock.now().timestamp()
        claims = {
            "iss": f"https://localhost:8443/{TENANT}/v2.0",
            "aud": "https://api.fabric.microsoft.com",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "sub": self.sample.object_id,
            "oid": self.sample.object_id,
            "tid": TENANT,
            "azp": self.sample.client_id,
            "idtyp": "app",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], World]:
    """RSA keys cost time: one set of files is made, and copied for each test."""
    template = tmp_path_factory.mktemp("identity")
    clock = MovedClock()
    KeyRing.open(template / "keys")
    sample = ensure_sample(template / "sample", FileClients(template / "clients.json"), clock)

    def make(folder: Path) -> World:
        for path in sorted(template.rglob("*")):
            target = folder / path.relative_to(template)
            if path.is_dir():
                target.mkdir(mode=0o700)
            else:
                target.write_bytes(path.read_bytes())
                target.chmod(0o600)
        clock = MovedClock()
        realm = Realm(
            tenant=TENANT,
            hosts=frozenset({"localhost", "127.0.0.1"}),
            domains=frozenset({"livius.test"}),
        )
        keys = KeyRing.open(folder / "keys")
        clients = FileClients(folder / "clients.json")
        return World(
            folder=folder,
            clock=clock,
            realm=realm,
            keys=keys,
            clients=clients,
            sample=replace(
                sample,
                certificate_file=folder / "sample/certificate.pem",
                private_key_file=folder / "sample/private_key.pem",
            ),
            authority=Authority(
                realm=realm,
                clients=clients,
                used=FileUsedAssertions(folder / "used-assertions", clock),
                assertions=JwtAssertions(),
                signer=keys,
                clock=clock,
            ),
            verifier=EmbeddedVerifier(keys, realm, clock),
        )

    return make


@pytest.fixture
def world(made: Callable[[Path], World], tmp_path: Path) -> World:
    return made(tmp_path)


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])
