"""Roles and personal access tokens, made by the operator's commands while the application serves.

The commands have their own connection to the database file that the application has open.
"""

import asyncio
import base64
import dataclasses
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from fakes.clock import FakeClock
from fakes.world import World
from livius.adapters.clock import SystemClock
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.adapters.store import SqlStore, open_store
from livius.api import fabric
from livius.api.app import create_app
from livius.cli.commands import app
from livius.domain.accounts import ClientApplication
from livius.domain.ids import ClientId, PrincipalId, TenantId, new_id
from livius.domain.realm import Realm
from livius.event_streams import EventStreams
from livius.installation.home import Home
from livius.usecases.identity.presence import BOUND, Presence
from livius.usecases.personal_tokens import BearerVerifier

Capture = pytest.CaptureFixture[str]

TENANT = TenantId(new_id())
EVE = new_id()


class Said(NamedTuple):
    stdout: str
    stderr: str


def run_command(arguments: tuple[str, ...]) -> int:
    try:
        app(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@dataclass
class Operated:
    home: Home
    capture: Capture
    client: httpx.AsyncClient
    keys: KeyRing
    clock: FakeClock
    place: tuple[str, str]

    async def livius(self, *arguments: str, code: int = 0) -> "Said":
        """Run a command as the command line does, in a thread of its own."""
        self.capture.readouterr()
        ended = await asyncio.to_thread(run_command, arguments)
        said = Said(*self.capture.readouterr())
        assert ended == code, said
        return said

    @property
    def sessions(self) -> str:
        workspace, lakehouse = self.place
        base = f"/v1/workspaces/{workspace}/lakehouses/{lakehouse}"
        return f"{base}/livyapi/versions/2023-12-01/sessions"

    def eve(self) -> dict[str, str]:
        """An application that has no role yet."""
        now = self.clock.now().timestamp()
        claims = {
            "iss": f"https://localhost/{TENANT}/v2.0",
            "aud": "https://api.fabric.microsoft.com",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "sub": EVE,
            "oid": EVE,
            "tid": TENANT,
            "idtyp": "app",
        }
        return {"Authorization": f"Bearer {self.keys.sign(claims)}"}

    async def status(self, method: str = "GET", **headers: str) -> int:
        body: dict[str, str] | None = {} if method == "POST" else None
        answer = await self.client.request(method, self.sessions, json=body, headers=headers)
        return answer.status_code


@pytest.fixture
async def operated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> AsyncIterator[Operated]:
    home = Home(tmp_path / "home")
    home.create()
    monkeypatch.setenv("LIVIUS_HOME", str(home.root))
    home.tenant_file.write_text(TENANT)
    world = World()
    store = SqlStore(open_store(home.database))
    await store.add_workspace(world.workspace, PrincipalId(world.admin.oid))
    await store.add_lakehouse(world.lakehouse)
    for name, oid in (("sample", world.admin.oid), ("eve", EVE)):
        await store.put_application(
            ClientApplication(
                client_id=ClientId(new_id()),
                name=name,
                object_id=oid,
                created_at=SystemClock().now(),
            )
        )
    keys = KeyRing.open(home.keys, SystemClock())
    # Personal tokens are made by commands, which have the machine's clock.
    clock = FakeClock()
    clock.advance(SystemClock().now() - clock.now())
    realm = Realm(tenant=TENANT, hosts=frozenset({"localhost"}))
    present = Presence(store, clock).check
    served = create_app(
        BearerVerifier(
            EmbeddedVerifier(keys, realm, clock, present=present), store, clock, present=present
        ),
        [fabric.router(dataclasses.replace(world.context, store=store), EventStreams())],
        version="0",
    )
    transport = httpx.ASGITransport(app=served, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="https://localhost", trust_env=False
    ) as client:
        yield Operated(home, capsys, client, keys, clock, world.place)
    store.close()


async def test_a_role_counts_from_the_next_request_on(operated: Operated) -> None:
    eve = operated.eve()
    assert await operated.status(**eve) == 403
    said = await operated.livius("workspace", "assign", "eve", "Viewer")
    assert said.stdout == "eve is Viewer of Research.\n"
    assert (await operated.status(**eve), await operated.status("POST", **eve)) == (200, 403)
    await operated.livius("workspace", "assign", EVE, "contributor", "--workspace", "research")
    assert await operated.status("POST", **eve) == 202
    listed = (await operated.livius("workspace", "list")).stdout
    assert f"Contributor  {EVE}  eve" in listed
    assert "Admin" in listed
    assert "sample" in listed
    [document] = json.loads((await operated.livius("workspace", "list", "--json")).stdout)
    assert document["displayName"] == "Research"
    assert {"role": "Contributor", "principal": EVE, "name": "eve"} in document["roles"]
    await operated.livius("workspace", "remove", "eve")
    assert await operated.status(**eve) == 403


async def test_wrong_words_are_told_apart(operated: Operated) -> None:
    nobody = await operated.livius("workspace", "assign", "mallory", "Viewer", code=1)
    assert "neither an object id nor a user or application" in nobody.stderr
    nowhere = await operated.livius(
        "workspace", "assign", EVE, "Viewer", "--workspace", "x", code=1
    )
    assert "There is no workspace x. There is: Research." in nowhere.stderr
    for command in (("remove", "sample"), ("assign", "sample", "Member")):
        last = await operated.livius("workspace", *command, code=1)
        assert "the only Admin" in last.stderr


async def test_a_workspace_is_renamed_and_deleted(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = await operated.livius("workspace", "rename", "research", "Lab")
    assert said.stdout == "Research is called Lab now.\n"
    for name in ("", "x" * 257):
        assert (await operated.livius("workspace", "rename", "Lab", name, code=1)).stderr
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    kept = await operated.livius("workspace", "delete", "Lab", code=1)
    assert "Bronze" in kept.stderr
    assert "Nothing was deleted" in kept.stderr
    await operated.livius("workspace", "assign", "eve", "Contributor")
    assert await operated.status("POST", **operated.eve()) == 202
    gone = await operated.livius("workspace", "delete", "Lab", "--yes")
    assert "Sessions that end: 1." in gone.stdout
    assert operated.place[0] in gone.stdout
    answer = await operated.client.get(operated.sessions, headers=operated.eve())
    assert answer.json()["errorCode"] == "WorkspaceNotFound"
    assert (await operated.livius("workspace", "delete", "Lab", "--yes", code=1)).stderr


async def test_a_personal_token_is_good_as_bearer_and_as_password(operated: Operated) -> None:
    made = await operated.livius("token", "create", "--name", "airflow")
    secret = made.stdout.strip()
    assert secret.startswith("livius_pat_")
    assert secret not in made.stderr
    bearer = {"Authorization": f"Bearer {secret}"}
    basic = {"Authorization": basic_of("anybody", secret)}
    for headers in (bearer, basic):
        assert await operated.status(**headers) == 200
        assert await operated.status("POST", **headers) == 202
    listed = (await operated.livius("token", "list")).stdout
    assert "airflow" in listed
    assert secret not in listed
    [document] = json.loads((await operated.livius("token", "list", "--json")).stdout)
    assert (document["id"], document["name"]) == (listed.split()[0], "airflow")
    assert document["expired"] is False
    stored = b"".join(path.read_bytes() for path in operated.home.root.glob("livius.db*"))
    assert secret.encode() not in stored
    await operated.livius("token", "revoke", listed.split()[0])
    for headers in (bearer, basic):
        assert await operated.status(**headers) == 401
    assert "no token" in (await operated.livius("token", "revoke", "x", code=1)).stderr


async def test_a_personal_token_has_its_scopes_its_end_and_its_owners_role(
    operated: Operated,
) -> None:
    arguments = ("--scope", "Lakehouse.Read.All", "--scope", "Code.AccessFabric.All")
    made = await operated.livius("token", "create", *arguments, "--expires", "2h", "--for", "eve")
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert await operated.status(**headers) == 403  # eve has no role
    await operated.livius("workspace", "assign", "eve", "Admin")
    assert await operated.status(**headers) == 200
    refused = await operated.client.post(operated.sessions, json={}, headers=headers)
    assert refused.json()["errorCode"] == "InsufficientScopes"
    operated.clock.advance(timedelta(hours=2, minutes=1))
    ended = await operated.client.get(operated.sessions, headers=headers)
    assert (ended.status_code, ended.json()["errorCode"]) == (401, "TokenExpired")


async def test_a_token_that_could_not_be_used_is_not_made(operated: Operated) -> None:
    for arguments, said in (
        (("--scope", "Everything"), "no scope. There are: Lakehouse.Execute.All"),
        (("--expires", "400d"), "within 366 days"),
        (("--expires", "soon"), "is no time"),
        (("--for", "mallory"), "neither an object id"),
        (("--name", "x" * 101), "at most 100"),
    ):
        refused = await operated.livius("token", "create", *arguments, code=1)
        assert said in refused.stderr
        assert refused.stdout == ""
    assert (await operated.livius("token", "list")).stdout == ""


async def test_removed_means_removed(operated: Operated) -> None:
    eve = operated.eve()
    await operated.livius("workspace", "assign", "eve", "Contributor")
    made = await operated.livius("token", "create", "--for", "eve")
    personal = {"Authorization": f"Bearer {made.stdout.strip()}"}
    for headers in (eve, personal):
        assert await operated.status("POST", **headers) == 202
    await operated.livius("identity", "app", "remove", "eve")
    assert await operated.status("POST", **personal) == 401
    operated.clock.advance(BOUND)
    assert await operated.status("POST", **eve) == 401
    assert EVE not in (await operated.livius("workspace", "list")).stdout
    assert (await operated.livius("token", "list")).stdout == ""
    for words in (("workspace", "assign", EVE, "Viewer"), ("token", "create", "--for", EVE)):
        refused = await operated.livius(*words, code=1)
        assert "may have been removed" in " ".join(refused.stderr.split())
    log = (await operated.livius("audit")).stdout
    for line in ("role.remove", "personal_token.revoke", "application.remove"):
        assert line in log


async def test_the_last_admin_may_go_and_that_is_said(operated: Operated) -> None:
    said = await operated.livius("identity", "app", "remove", "sample")
    assert "Nobody is Admin of Research now" in said.stdout
    nobody = await operated.livius("token", "create", code=1)
    assert "Nobody is Admin of Research" in nobody.stderr


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!",
        "Basic ÄÖ",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"ada:secret").decode(),
        "Basic " + base64.b64encode(b"ada:livius_pat_" + b"x" * 43).decode(),
        "Bearer livius_pat_" + "x" * 43,
        "Bearer livius_pat_' OR 1=1 --",
        "Bearer " + "x" * 20_000,
        "Digest x",
    ],
)
async def test_what_is_no_token_is_a_401(operated: Operated, header: str) -> None:
    answer = await operated.client.get(
        operated.sessions, headers={b"Authorization": header.encode()}
    )
    assert answer.status_code == 401
    assert answer.json()["errorCode"] in ("InvalidToken", "MissingToken")


def basic_of(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
