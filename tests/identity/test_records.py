"""The audit log of the authority: sign-ins and consents, without secrets."""

from __future__ import annotations

import io
import os
import pwd
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from identity.browser import Person
from identity.conftest import TENANT, World
from identity.flows import AUTHORIZE, TOKEN, get_tokens, request
from livius.cli.commands import app
from livius.domain.audit import Action, ActorKind, AuditEntry
from livius.ports.store import AuditQuery
from support.gateway import LIVIUS


async def written(world: World) -> list[AuditEntry]:
    await world.authority.throttle.settle(everything=True)
    found = await world.store.audit(AuditQuery(limit=1000))
    return [record.entry for record in reversed(found)]


async def every_value(world: World) -> str:
    def work(connection: Connection) -> str:
        rows = connection.execute(text("SELECT * FROM audit")).all()
        return "\n".join(str(value) for row in rows for value in row)

    return await world.store._transactions.run(work)


async def test_a_sign_in_a_consent_and_what_was_given_for_them(
    person: Person, world: World
) -> None:
    tokens = await get_tokens(person, world)
    renewal = {
        "grant_type": "refresh_token",
        "client_id": world.sample.client_id,
        "refresh_token": tokens["refresh_token"],
    }
    for _ in range(5):
        assert (await person.client.post(TOKEN, data=renewal)).status_code == 200
    lines = await written(world)
    assert [(one.action, one.result, one.times) for one in lines] == [
        (Action.SIGN_IN, "ok", 1),
        (Action.CONSENT_GIVE, "ok", 1),
        (Action.TOKEN_ISSUE, "ok", 1),
        (Action.TOKEN_ISSUE, "ok", 1),
        (Action.TOKEN_ISSUE, "ok", 4),
    ]
    for one in lines:
        assert one.actor is not None
        assert (one.actor.kind, one.actor.id) == (ActorKind.USER, world.user.oid)
        assert one.actor.client_id == world.sample.client_id
    assert [(one.detail or "").partition(":")[0] for one in lines[2:]] == [
        *("code", "refresh", "refresh"),
    ]
    assert "Lakehouse.Execute.All" in (lines[1].detail or "")
    everything = await every_value(world)
    for secret in (tokens["access_token"], tokens["refresh_token"], world.user.password):
        assert secret is not None
        assert secret not in everything


async def test_wrong_passwords_name_nobody_and_a_mistyped_password_is_not_kept(
    person: Person, world: World
) -> None:
    await person.opens(AUTHORIZE, **request(world))
    await person.signs_in(world.user.username, "wrong-password")
    await person.signs_in("my-secret-typed-here", "x")
    known, unknown = await written(world)
    for one in (known, unknown):
        assert (one.action, one.result) == (Action.SIGN_IN, "AADSTS50126")
        assert one.actor is not None
        assert (one.actor.kind, one.actor.id) == (ActorKind.UNPROVEN, None)
    assert known.target == world.user.username
    assert unknown.target is None
    everything = await every_value(world)
    assert "wrong-password" not in everything
    assert "my-secret-typed-here" not in everything


async def test_a_flood_of_wrong_secrets_is_two_lines(person: Person, world: World) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": world.sample.client_id,
        "client_secret": "guessed-secret",
        "scope": "https://api.fabric.microsoft.com/.default",
    }
    for _ in range(30):
        assert (await person.client.post(TOKEN, data=form)).status_code in (401, 429)
    lines = await written(world)
    assert sorted((one.result, one.times) for one in lines) == [
        *(("AADSTS7000215", 1), ("AADSTS7000215", 9)),
        *(("AADSTS90055", 1), ("AADSTS90055", 19)),
    ]
    # It is what they named, not who they are.
    assert all(one.actor is not None and one.actor.id is None for one in lines)
    assert all(world.sample.client_id in (one.target or "") for one in lines)
    form["client_secret"] = world.sample.client_secret
    assert "guessed-secret" not in await every_value(world)


@pytest.fixture
def home(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    (world.folder / "identity").mkdir(mode=0o700)
    (world.folder / "identity" / "tenant").write_text(TENANT)
    monkeypatch.setenv("LIVIUS_HOME", str(world.folder))
    monkeypatch.setenv("USER", "somebody-else")
    return world.folder


def test_what_the_operator_does_at_the_machine(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def livius(command: str, *, typed: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            app(command.split())
        assert not ended.value.code
        return capsys.readouterr().out

    password = "a-password-of-ada"
    livius("identity user create ada --password-stdin", typed=f"{password}\n")
    livius("identity app create pipeline --scope Code.AccessSQL.All")
    secret = livius("identity app add-secret pipeline").split()[1]
    livius("identity app allow pipeline Lakehouse.Read.All")
    livius("identity consent grant ada pipeline")
    livius("identity consent revoke ada pipeline")
    livius("identity rotate-key")
    livius("secret set vault-one db-password", typed="the-value")
    livius("secret remove vault-one db-password")
    livius("identity app remove pipeline")
    livius("identity user set-password ada --password-stdin", typed=f"{password}\n")
    livius("identity user remove ada")
    printed = subprocess.run(  # a process of its own: nothing is known but what was written
        [LIVIUS, "audit", "-n", "100"],
        env={"PATH": "/usr/bin:/bin", "LIVIUS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    lines = printed.splitlines()
    assert [line.split("  ")[2] for line in lines] == [
        *("user.create", "application.create", "credential.add", "application.change"),
        *("consent.give", "consent.give", "consent.revoke", "key.rotate"),
        *("secret.set", "secret.remove", "application.remove", "user.change", "user.remove"),
    ]
    # The kernel names the user, not the environment.
    assert all(f"  {pwd.getpwuid(os.getuid()).pw_name} at the machine  " in one for one in lines)
    assert not any(kept in printed for kept in (password, secret, "the-value"))
    [one] = livius("audit --action secret.set").splitlines()
    assert "vault-one/db-password" in one
