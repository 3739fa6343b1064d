"""One authority with its sample application, and a clock that tests move."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from fastapi import FastAPI

from identity.browser import Person
from livius.adapters.identity.assertions import JwtAssertions
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.replay_cache import FileAssertionReplayCache
from livius.adapters.identity.sample import (
    FirstUser,
    SampleApplication,
    ensure_first_user,
    ensure_own_applications,
    ensure_sample,
)
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.adapters.store import SqlStore, open_store
from livius.api.authority import router
from livius.domain.ids import TenantId
from livius.domain.realm import Address, Realm
from livius.usecases.audit_throttle import AuditThrottle
from livius.usecases.identity.authority import Authority
from livius.usecases.identity.presence import Presence

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from identity.chromium import Desk
    from identity.sides import Side
    from identity.sockets import Served

TENANT = TenantId("3f0c1c5e-6c0b-4a0b-9b2f-0d3b8d1f7a11")
PAGES = "http://localhost:8998"


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
    store: SqlStore
    sample: SampleApplication
    user: FirstUser
    portal_secret: str
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
    KeyRing.open(template / "keys", clock)
    sample, user, portal_secret = asyncio.run(begin(template, clock))

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
        keys = KeyRing.open(folder / "keys", clock)
        store = SqlStore(open_store(folder / "livius.db"))
        return World(
            folder=folder,
            clock=clock,
            realm=realm,
            keys=keys,
            store=store,
            user=user,
            portal_secret=portal_secret,
            sample=replace(
                sample,
                certificate_file=folder / "sample/certificate.pem",
                private_key_file=folder / "sample/private_key.pem",
            ),
            authority=Authority(
                realm=realm,
                store=store,
                used=FileAssertionReplayCache(folder / "used-assertions", clock),
                assertions=JwtAssertions(),
                signer=keys,
                clock=clock,
                home=Address(host="localhost", port=8443, tenant=TENANT),
                pages=PAGES,
                throttle=AuditThrottle(store, clock),
            ),
            verifier=EmbeddedVerifier(keys, realm, clock, present=Presence(store, clock).check),
        )

    return make


@pytest.fixture
def world(made: Callable[[Path], World], tmp_path: Path) -> Iterator[World]:
    world = made(tmp_path)
    yield world
    world.store.close()


async def begin(folder: Path, clock: MovedClock) -> tuple[SampleApplication, FirstUser, str]:
    """The records of a gateway's first start."""
    store = SqlStore(open_store(folder / "livius.db"))
    sample = await ensure_sample(folder / "sample", store, clock)
    user = await ensure_first_user(folder / "sample", store, clock)
    secret = await ensure_own_applications(store, TENANT, clock, portal=(PAGES,))
    store.close()
    return sample, user, secret


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(router(world.authority))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client


@pytest.fixture
def person(http: httpx.AsyncClient) -> Person:
    return Person(http)


@pytest.fixture
def served(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    from identity.sockets import make_tls, serving

    tls = tmp_path / "tls"
    tls.mkdir()
    ca_file, leaf_file = make_tls(tls)
    # Both beat MSAL's own verify argument, so neither may be left as it was.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with serving(world, leaf_file) as served:
        yield served


@pytest.fixture
async def side(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Side]:
    from identity.sides import standing

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls" / "ca.pem"))
    monkeypatch.setenv("NO_PROXY", "localhost")
    async with standing(served) as side:
        yield side


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from support import chromium as browsers

    if not Path(browsers.CHROMIUM).exists() and "CI" not in os.environ:
        pytest.skip("there is no Chromium here")
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def desk(chromium: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    from identity.chromium import seated

    with seated(chromium, monkeypatch) as desk:
        yield desk
