"""Every cell of docs/reference/permissions.csv, asked over HTTP with real tokens.

The table is written by hand: it says what should be, and these tests say that it is so. A route
that it lacks fails here, so a new one comes with its rows.
"""

import asyncio
import csv
import importlib
import json
import pkgutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatch
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp

import livius.api
from fakes.clock import FakeClock
from fakes.world import World
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.api import audit, driver, fabric, home, metrics, openapi_page
from livius.api.app import create_app
from livius.domain.audit import Action, entry
from livius.domain.digests import hash_drawn
from livius.domain.driver import Driver
from livius.domain.high_concurrency import HighConcurrencySession
from livius.domain.ids import (
    DriverId,
    EnvironmentId,
    HighConcurrencyId,
    LakehouseId,
    OperationId,
    PrincipalId,
    ReplId,
    SessionId,
    SparkPoolId,
    StatementNumber,
    TenantId,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import Lakehouse, Role, RoleAssignment
from livius.domain.operation import Event as OperationEvent
from livius.domain.personal_token import PersonalToken, new_secret
from livius.domain.realm import Realm
from livius.domain.session import Goal, Phase, Session
from livius.domain.statement import Ending, Event, Kind
from livius.domain.tokens import Scope
from livius.event_streams import EventStreams
from livius.ports.store import NewStatement, SessionEnd
from livius.usecases import environments, publishing
from livius.usecases.environments import EnvironmentPath
from livius.usecases.identity.presence import anybody
from livius.usecases.personal_tokens import BearerVerifier
from support.records import end_session, own_driver, spark_pool

TABLE: Final = Path(__file__).parents[2] / "docs" / "reference" / "permissions.csv"
ROLES: Final = (*Role, None)
TENANT: Final = TenantId(new_id())

STAGED_LIBRARIES: Final = "/v1/workspaces/{workspace}/environments/{environment}/staging/libraries"

BODIES: Final[Mapping[tuple[str, str], Any]] = {
    ("POST", "/v1/workspaces"): {"displayName": "{new}"},
    ("PATCH", "/v1/workspaces/{workspace}"): {"displayName": "{new}"},
    ("POST", "/v1/workspaces/{workspace}/lakehouses"): {"displayName": "{new}"},
    ("POST", "/v1/workspaces/{workspace}/items"): {"displayName": "{new}", "type": "Lakehouse"},
    ("PATCH", "/v1/workspaces/{workspace}/items/{item}"): {"displayName": "{new}"},
    ("PATCH", "/v1/workspaces/{workspace}/lakehouses/{lakehouse}"): {"displayName": "{new}"},
    ("POST", "/v1/workspaces/{workspace}/roleAssignments"): {
        "principal": {"id": "{newcomer}", "type": "User"},
        "role": "Viewer",
    },
    ("PATCH", "/v1/workspaces/{workspace}/roleAssignments/{principal}"): {"role": "Member"},
    ("POST", "/v1/workspaces/{workspace}/environments"): {"displayName": "{new}"},
    ("PATCH", "/v1/workspaces/{workspace}/environments/{environment}"): {"displayName": "{new}"},
    ("POST", f"{STAGED_LIBRARIES}/importExternalLibraries"): {"dependencies": []},
    ("POST", f"{STAGED_LIBRARIES}/removeExternalLibrary"): {"name": "polars"},
    ("POST", "/v1/workspaces/{workspace}/lakehouses/{lakehouse}/tables/{table}/load"): {
        "relativePath": "Files/a.csv",
        "pathType": "File",
    },
    ("PATCH", "/v1/workspaces/{workspace}/spark/settings"): {"automaticLog": {"enabled": False}},
    ("POST", "/v1/workspaces/{workspace}/spark/pools"): {
        "name": "{new}",
        "nodeFamily": "MemoryOptimized",
        "nodeSize": "Small",
        "autoScale": {"enabled": True, "minNodeCount": 1, "maxNodeCount": 1},
        "dynamicExecutorAllocation": {"enabled": False, "minExecutors": 1, "maxExecutors": 1},
    },
    ("PATCH", "/v1/workspaces/{workspace}/spark/pools/{pool}"): {"nodeSize": "Large"},
}
"""A valid body for a request: statements get code, all else an empty object."""


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    session: str
    token: str
    cells: Mapping[Role | None, int]

    def __str__(self) -> str:
        short = self.path.replace(
            "/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livyapi/versions/{version}", "…"
        )
        return f"{self.method} {short} {self.session} {self.token}".replace("  ", " ")


def _read() -> tuple[list[Row], list[Row]]:
    """The rows to be asked, and those whose callers prove themselves by something else."""
    asked: list[Row] = []
    elsewhere: list[Row] = []
    with TABLE.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            cells = {role: line[role.value if role else "none"] for role in ROLES}
            filled = {role: int(text) for role, text in cells.items() if text}
            row = Row(line["method"], line["path"], line["session"], line["token"], filled)
            assert len(filled) in (0, len(ROLES)), row
            (asked if filled else elsewhere).append(row)
    return asked, elsewhere


ASKED, ELSEWHERE = _read()


@dataclass
class Installation:
    """One application over one world; each cell brings its own lakehouse, session and caller."""

    world: World
    keys: KeyRing
    app: ASGIApp
    numbers: Iterator[int] = field(default_factory=count)

    @classmethod
    def make(cls, folder: Path) -> "Installation":
        world = World(clock=FakeClock())
        asyncio.run(world.begin())
        world.pages.said = {"local-1": b"{}", "local-1/jobs": b"[]"}
        keys = KeyRing.open(folder / "keys", world.clock)
        realm = Realm(tenant=TENANT, hosts=frozenset({"localhost"}))
        verifier = BearerVerifier(
            EmbeddedVerifier(keys, realm, world.clock, present=anybody),
            world.store,
            world.clock,
            present=anybody,
        )
        return cls(world, keys, create_app(verifier, routers(world), version="0"))

    async def caller(self, role: Role | None) -> PrincipalId:
        oid = PrincipalId(new_id())
        if role is not None:
            await self.world.store.assign_role(
                RoleAssignment(workspace=self.world.workspace.id, principal=oid, role=role)
            )
        return oid

    async def workspace(self, oid: PrincipalId, role: Role | None) -> WorkspaceId:
        """A workspace that may be deleted; the caller has the role there."""
        identity = WorkspaceId(new_id())
        made = replace(self.world.workspace, id=identity, name=identity)
        await self.world.store.add_workspace(made, PrincipalId(new_id()))
        if role is not None:
            await self.world.store.assign_role(
                RoleAssignment(workspace=made.id, principal=oid, role=role)
            )
        return made.id

    async def tokens(self, row: Row, oid: PrincipalId) -> list[str | None]:
        """Every token that a row speaks of; None is none."""
        word, _, rest = row.token.partition(" ")
        every = frozenset(Scope)
        match word:
            case "nothing":
                return [None]
            case "application":
                return [self.signed(oid, None)]
            case "with":
                scopes = frozenset(rest.split())
            case "without":
                assert rest in every, row
                scopes = every - {Scope(rest)}
            case "any":
                return [
                    self.signed(oid, None),
                    self.signed(oid, every),
                    await self.personal(oid, every),
                ]
            case _:
                raise AssertionError(f"{row.token!r} is no token")
        return [self.signed(oid, scopes), await self.personal(oid, scopes)]

    def signed(self, oid: PrincipalId, scopes: frozenset[str] | None) -> str:
        now = self.world.clock.now().timestamp()
        kind = {"idtyp": "app"} if scopes is None else {"scp": " ".join(sorted(scopes))}
        return self.keys.sign(
            {
                "iss": f"https://localhost/{TENANT}/v2.0",
                "aud": "https://api.fabric.microsoft.com",
                "iat": now,
                "nbf": now,
                "exp": now + 3600,
                "sub": oid,
                "oid": oid,
                "tid": TENANT,
                **kind,
            }
        )

    async def personal(self, oid: PrincipalId, scopes: frozenset[str]) -> str:
        secret = new_secret()
        now = self.world.clock.now()
        await self.world.store.add_personal_token(
            PersonalToken(
                id=new_id(),
                digest=hash_drawn(secret),
                name="",
                principal=oid,
                principal_name="",
                tenant=TENANT,
                issuer="",
                subject=oid,
                scopes=tuple(scopes),
                created_at=now,
                expires_at=now + timedelta(days=1),
            )
        )
        return secret

    async def end(self, session: Session) -> None:
        """End a session and its one statement, which has rows."""
        store, now = self.world.store, self.world.clock.now()
        await store.repl_opened(session.first_repl)
        await store.claim_next(session.first_repl, at=now)
        key = (session.first_repl, StatementNumber(0))
        assert await store.move_statement(*key, Event.FINISHED, at=now, ending=ENDING)
        assert await end_session(store, session.id, at=now, end=lambda _: SessionEnd(ending=ENDING))

    async def environment(self, name: str, row: Row) -> tuple[EnvironmentId, OperationId]:
        """A published environment, or one whose publish runs, with the operation."""
        context, admin = self.world.context, self.world.admin
        workspace = self.world.workspace.id
        made = await environments.create_environment(context, admin, workspace, name, "")
        here = EnvironmentPath(workspace, made.environment.id)
        await environments.import_libraries(context, admin, here, "polars\n")
        self.world.environments.files[made.environment.id] = {"own.py": b""}
        operation = await publishing.publish(context, admin, here)
        if not row.path.endswith("/cancelPublish"):
            publish = await publishing.publish_of(context, operation.id)
            now = self.world.clock.now()
            store = self.world.store
            await store.move_operation(operation.id, OperationEvent.STARTED, at=now)
            assert await store.finish_publish(publish.version.id, packages=(), at=now)
        return made.environment.id, operation.id

    async def pool(self, name: str) -> SparkPoolId:
        made = spark_pool(workspace=self.world.workspace.id, name=name)
        # All cells of the table share the workspace.
        assert await self.world.store.add_spark_pool(made, most=10_000)
        return made.id

    async def places(self, row: Row, oid: PrincipalId) -> dict[str, str]:
        """The records in the paths: a lakehouse, and a session with one statement."""
        world, number = self.world, next(self.numbers)
        lakehouse = Lakehouse(
            id=LakehouseId(new_id()),
            workspace=world.workspace.id,
            name=f"L{number}",
            database=f"l{number}",
            created_at=world.clock.now(),
        )
        assert await world.store.add_lakehouse(lakehouse)
        environment, operation = await self.environment(f"E{number}", row)
        places = {
            "workspace": str(world.workspace.id),
            "lakehouse": str(lakehouse.id),
            "version": "2023-12-01",
            "rest:path": new_id(),
            "item": lakehouse.id if "/items/" in row.path else new_id(),
            "application": "local-1",
            "attempt": "1",
            "table": "t",
            "path:path": "jobs",
            "new": f"N{number}",
            "newcomer": new_id(),
            "principal": await self.caller(Role.VIEWER),
            "environment": environment,
            "operation": operation,
            "library": "own.py",
        }
        if "{pool}" in row.path:
            places["pool"] = await self.pool(f"P{number}")
        if row.session:
            submitter = oid if row.session == "own" else PrincipalId(new_id())
            session, driver = a_session(lakehouse, submitter, world.clock.now())
            await world.store.add_session(session, driver)
            await world.store.add_statement(
                NewStatement(
                    session=session.id,
                    repl=session.first_repl,
                    kind=Kind.PYSPARK,
                    code="1",
                    source_id=None,
                    at=world.clock.now(),
                ),
                claim=False,
            )
            if row.path.endswith(("/events", "/rows")):
                await self.end(session)  # a stream lasts until then, and rows are waited for
            handle = await world.store.acquire(
                HighConcurrencySession(
                    id=HighConcurrencyId(new_id()),
                    repl=ReplId(new_id()),
                    session=session.id,
                    workspace=lakehouse.workspace,
                    lakehouse=lakehouse.id,
                    creator=submitter,
                    tag=None,
                    created_at=world.clock.now(),
                ),
                *a_session(lakehouse, submitter, world.clock.now()),
                admit=lambda _found: True,
                audit=lambda shared: entry(
                    shared, Action.HIGH_CONCURRENCY_ACQUIRE, at=world.clock.now(), result="accepted"
                ),
            )
            places |= {
                "session": session.id,
                "number": "0",
                "repl": session.first_repl,
                "handle": handle.handle.id,
            }
        return places


ENDING: Final = Ending(
    ok=True, data=b'{"application/json":{"schema":{"type":"struct","fields":[]},"data":[]}}'
)


def a_session(
    lakehouse: Lakehouse, submitter: PrincipalId, now: datetime
) -> tuple[Session, Driver]:
    session = Session(
        id=SessionId(new_id()),
        workspace=lakehouse.workspace,
        lakehouse=lakehouse.id,
        submitter=submitter,
        submitter_name="Someone",
        name="a session",
        runtime="2.0",
        conf={},
        tags={},
        request={},
        goal=Goal.RUN,
        phase=Phase.READY,
        driver=DriverId(new_id()),
        first_repl=ReplId(new_id()),
        idle_timeout=timedelta(minutes=20),
        created_at=now,
        last_active_at=now,
        times={Phase.REQUESTED: now},
        spark_app_id="local-1",
        ui_url="http://127.0.0.1:1",
    )
    return session, own_driver(session)


def routers(world: World) -> list[APIRouter]:
    """The routers whose callers are principals."""
    return [
        fabric.router(world.context, EventStreams()),
        driver.router(world.context),
        home.router(world.context, home.Facts(version="0", api="x", authority="x")),
        audit.router(world.context),
        metrics.router(no_metrics),
        openapi_page.router(),
    ]


async def no_metrics() -> bytes:
    return b""


COVERED: Final = {
    "audit",
    "authority",
    "driver",
    "fabric",
    "home",
    "metrics",
    "openapi_page",
    "vault",
}
"""The parts of the API that are looked at; authority and vaults have tests of their own."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation.make(tmp_path_factory.mktemp("permissions"))
    yield made
    made.world.store.close()


@pytest.fixture
async def client(installation: Installation) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=installation.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="https://localhost", trust_env=False
    ) as opened:
        yield opened


@pytest.mark.parametrize("row", ASKED, ids=str)
async def test_every_cell(row: Row, installation: Installation, client: httpx.AsyncClient) -> None:
    for role, expected in row.cells.items():
        for kind in range(3):
            # Each question has a world of its own: the one before may have deleted it.
            oid = await installation.caller(role)
            tokens = await installation.tokens(row, oid)
            if kind >= len(tokens):
                break
            places = await installation.places(row, oid)
            if (row.method, row.path) == ("DELETE", "/v1/workspaces/{workspace}"):
                places["workspace"] = await installation.workspace(oid, role)
            answer = await ask(client, row, places, tokens[kind])
            where = (str(row), role, kind, answer.text[:300])
            assert answer.status_code == expected, where
            if row.token.startswith("without"):
                assert answer.json()["errorCode"] == "InsufficientScopes", where
                assert row.token.partition(" ")[2] in answer.json()["message"], where


async def ask(
    client: httpx.AsyncClient, row: Row, places: Mapping[str, str], token: str | None
) -> httpx.Response:
    path = row.path
    for name, value in places.items():
        path = path.replace("{" + name + "}", value)
    if row.method == "DELETE" and path.endswith("/libraries"):
        path += "?libraryToDelete=own.py"
    if path.endswith("/logs"):
        path += "?type=livy"
    body = BODIES.get((row.method, row.path), {})
    if path.endswith(("/statements", "/completion")) and row.method == "POST":
        body = {"code": "1"}
    for name in ("new", "newcomer"):
        body = json.loads(json.dumps(body).replace("{" + name + "}", places[name]))
    headers = {"Prefer": "wait=0"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return await client.request(
        row.method, path, headers=headers, json=body if row.method in ("POST", "PATCH") else None
    )


def test_every_route_has_its_rows(installation: Installation) -> None:
    known = {(row.method, row.path) for row in ASKED}
    others = [(row.method, row.path) for row in ELSEWHERE]
    asked: set[tuple[str, str]] = set()
    missing = []
    for router in routers(installation.world):
        for route in iter_route_contexts(router.routes):
            for method in getattr(route, "methods", None) or ["WS"]:
                path = str(route.path)
                asked.add((method, path))
                listed = (method, path) in known or any(
                    fnmatch(method, some) and fnmatch(path, pattern) for some, pattern in others
                )
                if not listed:
                    missing.append(f"{method} {path}")
    assert not missing, "write down in docs/reference/permissions.csv who may use them"
    assert known <= asked, "the table speaks of routes that are not there"


def test_no_part_of_the_api_is_left_out() -> None:
    parts = {
        found.name
        for found in pkgutil.iter_modules(livius.api.__path__)
        if hasattr(importlib.import_module(f"livius.api.{found.name}"), "router")
    }
    assert parts == COVERED, "add its router to routers() and its rows to permissions.csv"


def test_each_role_and_each_kind_of_token_stands_in_the_table() -> None:
    """For every endpoint that takes tokens: with, without, an application's, and none."""
    for method, path in {(row.method, row.path) for row in ASKED}:
        words = {
            row.token.partition(" ")[0] for row in ASKED if (row.method, row.path) == (method, path)
        }
        assert words >= {"with", "without", "application", "nothing"} or words == {
            "any",
            "nothing",
        }, (method, path)
