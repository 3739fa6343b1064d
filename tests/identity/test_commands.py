"""``livius identity``: what the operator does counts at once for a gateway that runs."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from identity.conftest import TENANT, World
from livius.adapters.identity.keys import KeyRing
from livius.api.authority import router
from livius.cli.commands import app as livius

FABRIC = "https://api.fabric.microsoft.com/.default"


@pytest.fixture
def home(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVIUS_HOME", str(world.folder))
    (world.folder / "identity").mkdir(mode=0o700)
    (world.folder / "identity" / "tenant").write_text(TENANT)
    return world.folder


def run(capsys: pytest.CaptureFixture[str], command: str, *, code: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        livius(["identity", *command.split()])
    assert ended.value.code in (code, None if code == 0 else code)
    printed = capsys.readouterr()
    return printed.out + printed.err


def field(printed: str, name: str) -> str:
    found = re.search(rf"^{name}\s+(\S+)$", printed, re.MULTILINE)
    assert found is not None, printed
    return found[1]


def asks(world: World, client_id: str, secret: str) -> tuple[int, str]:
    app = FastAPI()
    app.include_router(router(world.authority))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="https://localhost:8443"
        ) as client:
            fields = {
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": secret,
                "scope": FABRIC,
            }
            return await client.post(f"/{TENANT}/oauth2/v2.0/token", data=fields)

    answer = asyncio.run(ask())
    return answer.status_code, answer.text


def test_an_application_from_its_making_to_its_end(
    world: World, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run(capsys, "app create pipeline --scope code.accessstorage.all")
    client_id = field(made, "Client id")
    secret = run(capsys, "app add-secret pipeline")
    value, identity = field(secret, "Secret"), field(secret, "Secret id")
    assert asks(world, client_id, value)[0] == 200
    listed = run(capsys, "app list")
    assert value not in listed
    assert f"id {identity}" in listed
    assert "scopes       Code.AccessStorage.All" in listed
    run(capsys, f"app remove-credential pipeline {identity}")
    assert asks(world, client_id, value)[0] == 401
    certificate = home / "sample" / "certificate.pem"
    added = run(capsys, f"app add-certificate pipeline {certificate}")
    assert field(added, "Thumbprint") == world.sample.thumbprint
    assert "already" in run(capsys, f"app add-certificate pipeline {certificate}", code=1)
    documents = json.loads(run(capsys, "app list --json"))
    [document] = [one for one in documents if one["name"] == "pipeline"]
    assert document["clientId"] == client_id
    assert document["scopes"] == ["Code.AccessStorage.All"]
    assert [one["thumbprint"] for one in document["certificates"]] == [world.sample.thumbprint]
    run(capsys, "app remove pipeline")
    assert "700016" in asks(world, client_id, value)[1]


def test_scopes_and_redirect_uris(
    world: World, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del home
    run(capsys, "app create tool --public --redirect-uri http://localhost")
    assert "Code.AccessSQL.All" in run(capsys, "app allow tool Code.AccessSQL.All")
    assert "Code.AccessSQL.All" not in run(capsys, "app disallow tool Code.AccessSQL.All")
    assert "https://a.example/b" in run(capsys, "app add-redirect tool https://a.example/b")
    assert "a.example" not in run(capsys, "app remove-redirect tool https://a.example/b")
    for wrong, said in (
        ("app allow tool Nothing.All", "There is no scope"),
        ("app add-redirect tool http://a.example", "http is for loopback only"),
        ("app add-redirect tool https://*.example", "no wildcard"),
        ("app add-redirect tool javascript:alert(1)", "https://"),
        ("app remove-redirect tool https://nowhere.example", "has no redirect URI"),
        ("app add-secret nobody", "There is no client application"),
        ("app add-certificate tool /etc/hostname", "no certificate in PEM"),
        ("app remove-credential tool 1", "has no credential"),
    ):
        assert said in run(capsys, wrong, code=1)
    run(capsys, "app create tool")
    assert "Give the client id" in run(capsys, "app remove tool", code=1)
    del world


def test_users_and_their_passwords(
    world: World,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = run(capsys, "user create Ada --name Ada")
    password = field(made, "Password")
    assert field(made, "User") == "ada@livius.localhost"
    listed = run(capsys, "user list")
    assert "ada@livius.localhost" in listed
    assert password not in listed
    [document] = [
        one for one in json.loads(run(capsys, "user list --json")) if one["name"] == "Ada"
    ]
    assert document == {
        "id": field(made, "Object id"), "username": "ada@livius.localhost", "name": "Ada",
        "disabled": False,
    }  # fmt: skip
    changed = run(capsys, "user set-password ada")
    assert changed.replace(field(changed, "Password"), password) == made
    assert "already" in run(capsys, "user create ada", code=1)
    assert "can't be a username" in run(capsys, "user create a/b", code=1)
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "10 to" in run(capsys, "user set-password ada --password-stdin", code=1)
    monkeypatch.setattr("sys.stdin", io.StringIO("long enough now\n"))
    assert "long" not in run(capsys, "user set-password ada --password-stdin")
    assert "can't sign in any more" in run(capsys, "user disable ada")
    assert "(disabled)" in run(capsys, "user list")
    assert "can sign in again" in run(capsys, "user enable ada")
    assert "(disabled)" not in run(capsys, "user list")
    run(capsys, "user remove ada")
    assert "There is no user" in run(capsys, "user remove ada", code=1)
    file = home / "sample" / "user.json"
    assert (world.user.password or "") in file.read_text()
    run(capsys, f"user set-password {world.user.username}")
    assert (world.user.password or "") not in file.read_text()


def test_consents_in_a_users_place(
    world: World, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del home
    run(capsys, f"consent grant admin {world.sample.client_id}")
    assert "livius sample" in run(capsys, "consent list")
    assert "asked again" in run(capsys, f"consent revoke admin {world.sample.client_id}")
    assert run(capsys, "consent list") == ""
    assert "nothing" in run(capsys, f"consent revoke admin {world.sample.client_id}")


def test_keys_are_rotated(world: World, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ring = KeyRing.open(home / "identity" / "keys", world.clock)
    token = ring.sign({"a": 1})
    run(capsys, "rotate-key")
    assert len(ring.kids()) == 2
    assert ring.read(token) == {"a": 1}
    run(capsys, "rotate-key --now")
    assert len(ring.kids()) == 1
    assert ring.read(token) is None


def test_without_an_installation_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVIUS_HOME", str(tmp_path / "none"))
    assert "livius up" in run(capsys, "user list", code=1)
