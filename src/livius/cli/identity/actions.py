"""The actions of ``livius identity``, on the data folder's store, with or without a gateway."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from livius.adapters.clock import SystemClock
from livius.adapters.identity.certificates import read_certificate
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.sample import forget_first_password
from livius.adapters.store import SqlStore
from livius.cli.console import fail, out, print_json, settings
from livius.cli.records import with_store
from livius.domain.accounts import ClientApplication, User
from livius.domain.audit import Action
from livius.domain.lakehouse import Role
from livius.installation.home import Home
from livius.usecases.audit_throttle import act
from livius.usecases.identity import directory

_CLOCK = SystemClock()


def create_user(username: str, *, name: str, password_stdin: bool) -> int:
    """Create a user."""

    async def work(store: SqlStore, _home: Home) -> None:
        password = _password(password_stdin)
        user = await directory.create_user(store, _CLOCK, username, name=name, password=password)
        _say_user(user, None if password_stdin else password)

    return _run(work)


def list_users(*, as_json: bool) -> int:
    """List the users."""

    async def work(store: SqlStore, _home: Home) -> None:
        users = await store.users()
        if as_json:
            print_json([_listed(one) for one in users])
            return
        for user in users:
            note = "  (disabled)" if user.disabled_at else ""
            _say(f"{user.username}  {user.oid}  {user.name}{note}")

    return _run(work)


def _listed(user: User) -> dict[str, object]:
    return {
        "id": user.oid,
        "username": user.username,
        "name": user.name,
        "disabled": user.disabled_at is not None,
    }


def set_user_disabled(username: str, *, disabled: bool) -> int:
    """Disable or enable a user."""

    async def work(store: SqlStore, _home: Home) -> None:
        user = await directory.find_user(store, username)
        await directory.set_user_disabled(store, _CLOCK, user, disabled=disabled)
        _say(
            f"{user.username} can't sign in any more."
            if disabled
            else f"{user.username} can sign in again."
        )

    return _run(work)


def set_password(username: str, *, password_stdin: bool) -> int:
    """Replace a password."""

    async def work(store: SqlStore, home: Home) -> None:
        user = await directory.find_user(store, username)
        password = _password(password_stdin)
        await directory.set_password(store, _CLOCK, user, password)
        forget_first_password(home.sample, user.oid)
        _say_user(user, None if password_stdin else password)

    return _run(work)


def _say_user(user: User, password: str | None) -> None:
    """Show a user, with the generated password."""
    _say(f"User       {user.username}\nObject id  {user.oid}")
    if password is not None:
        _say(f"Password   {password}\nIt is not shown again.")


def remove_user(username: str) -> int:
    """Delete a user."""

    async def work(store: SqlStore, home: Home) -> None:
        user = await directory.find_user(store, username)
        forget_first_password(home.sample, user.oid)
        await directory.remove_user(store, _CLOCK, user)
        _say(f"Removed {user.username}.{await _without_admin(store)}")

    return _run(work)


def create_app(
    name: str, *, public: bool, redirect_uris: Sequence[str], scopes: Sequence[str]
) -> int:
    """Register an application."""

    async def work(store: SqlStore, home: Home) -> None:
        made = await directory.create_application(
            store, _CLOCK, name, public=public, redirect_uris=redirect_uris, scopes=scopes
        )
        tenant = home.tenant_file.read_text(encoding="ascii").strip()
        _say(
            f"Client id  {made.client_id}\nObject id  {made.object_id}\nTenant id  {tenant}"
            + ("" if public else f"\nNext: livius identity app add-secret {made.client_id}")
        )

    return _run(work)


def list_apps(*, as_json: bool) -> int:
    """List the applications."""

    async def work(store: SqlStore, _home: Home) -> None:
        applications = await store.applications()
        if as_json:
            print_json([_document(one) for one in applications])
            return
        for one in applications:
            _say(_described(one))

    return _run(work)


def _document(one: ClientApplication) -> dict[str, Any]:
    return {
        "clientId": one.client_id,
        "objectId": one.object_id,
        "name": one.name,
        "public": one.public,
        "secrets": [{"id": kept.id, "hint": kept.hint} for kept in one.secrets],
        "certificates": [
            {"thumbprint": kept.sha1, "validUntil": f"{kept.not_after:%Y-%m-%dT%H:%M:%SZ}"}
            for kept in one.certificates
        ],
        "redirectUris": list(one.redirect_uris),
        "scopes": sorted(one.scopes),
    }


def remove_app(app: str) -> int:
    """Delete an application."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        await directory.remove_application(store, _CLOCK, application)
        removed = f"Removed {application.name} ({application.client_id})."
        return removed + await _without_admin(store)

    return _change(app, change)


async def _without_admin(store: SqlStore) -> str:
    """Return advice for workspaces without an Admin; empty if all have one."""
    left = [
        f"\nNobody is Admin of {one.name} now. Assign the role to somebody: "
        f"livius workspace assign WHO Admin --workspace {one.id}"
        for one in await store.list_workspaces()
        if all(role.role is not Role.ADMIN for role in await store.roles_in(one.id))
    ]
    return "".join(left)


def add_secret(app: str) -> int:
    """Add a secret."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        kept, value = await directory.add_secret(store, _CLOCK, application)
        return f"Secret     {value}\nSecret id  {kept.id}\nThe secret is not shown again."

    return _change(app, change)


def add_certificate(app: str, file: Path) -> int:
    """Add a certificate."""
    try:
        certificate = read_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        return fail(f"{file} holds no certificate in PEM that can be used: {error}")

    async def change(store: SqlStore, application: ClientApplication) -> str:
        await directory.add_certificate(store, _CLOCK, application, certificate)
        return f"Thumbprint  {certificate.sha1}\nValid until {certificate.not_after:%Y-%m-%d}"

    return _change(app, change)


def remove_credential(app: str, credential: str) -> int:
    """Remove a credential."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        await directory.remove_credential(store, _CLOCK, application, credential)
        return f"Removed {credential} from {application.name}."

    return _change(app, change)


def allow(app: str, scopes: Sequence[str]) -> int:
    """Allow scopes."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        return _described(await directory.allow_scopes(store, _CLOCK, application, scopes))

    return _change(app, change)


def disallow(app: str, scopes: Sequence[str]) -> int:
    """Remove scopes."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        return _described(await directory.disallow_scopes(store, _CLOCK, application, scopes))

    return _change(app, change)


def add_redirect(app: str, uri: str) -> int:
    """Add a redirect URI."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        return _described(await directory.add_redirect(store, _CLOCK, application, uri))

    return _change(app, change)


def remove_redirect(app: str, uri: str) -> int:
    """Remove a redirect URI."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        return _described(await directory.remove_redirect(store, _CLOCK, application, uri))

    return _change(app, change)


def list_consents(*, as_json: bool) -> int:
    """List the consents."""

    async def work(store: SqlStore, _home: Home) -> None:
        users = {one.oid: one.username for one in await store.users()}
        apps = {one.client_id: one.name for one in await store.applications()}
        found = [
            {
                "username": users[one.user],
                "clientId": one.client_id,
                "application": apps[one.client_id],
                "resource": one.resource,
                "scopes": sorted(one.scopes),
            }
            for one in await store.consents()
        ]
        if as_json:
            print_json(found)
            return
        for one in found:
            _say(
                f"{one['username']}  {one['application']} ({one['clientId']})  "
                f"{one['resource']}: {' '.join(one['scopes'])}"
            )

    return _run(work)


def grant_consent(username: str, app: str) -> int:
    """Consent for a user."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        user = await directory.find_user(store, username)
        await directory.consent_for(store, _CLOCK, user, application)
        return f"{application.name} may do for {user.username} what it is allowed to ask for."

    return _change(app, change)


def revoke_consent(username: str, app: str) -> int:
    """Remove a consent."""

    async def change(store: SqlStore, application: ClientApplication) -> str:
        user = await directory.find_user(store, username)
        if await directory.revoke_consent(store, _CLOCK, user, application):
            return f"{user.username} is asked again when {application.name} wants something."
        return f"{user.username} has consented to nothing of {application.name}."

    return _change(app, change)


def rotate_key(*, now: bool) -> int:
    """Sign with a new key."""

    async def work(store: SqlStore, home: Home) -> None:
        ring = KeyRing.open(home.keys, _CLOCK)
        current = ring.rotate()
        entry = act(_CLOCK, Action.KEY_ROTATE, current, detail="old keys retired" if now else None)
        await store.note(entry)
        old = [kid for kid in ring.kids() if kid != current]
        if now:
            for kid in old:
                ring.retire(kid)
            _say(f"Tokens are signed by {current}. {len(old)} older keys are gone: sign in again.")
        else:
            _say(f"Tokens are signed by {current}. The old key verifies for an hour more.")

    return _run(work)


def _run(work: Callable[[SqlStore, Home], Awaitable[None]]) -> int:
    home = Home(settings().home)
    return with_store(lambda store: work(store, home))


def _change(app: str, change: Callable[[SqlStore, ClientApplication], Awaitable[str]]) -> int:
    """Find an application, change it, and print the change."""

    async def work(store: SqlStore, _home: Home) -> None:
        _say(await change(store, await directory.find_application(store, app)))

    return _run(work)


def _password(from_stdin: bool) -> str:  # noqa: FBT001 - the option itself
    return sys.stdin.readline().rstrip("\r\n") if from_stdin else directory.new_password()


def _described(one: ClientApplication) -> str:
    lines = [f"{one.name}  {one.client_id}{'  public' if one.public else ''}"]
    lines += [f"  secret       {kept.hint}…  id {kept.id}" for kept in one.secrets]
    lines += [
        f"  certificate  {kept.sha1}  good until {kept.not_after:%Y-%m-%d}"
        for kept in one.certificates
    ]
    lines += [f"  redirect     {uri}" for uri in one.redirect_uris]
    lines += [f"  scopes       {' '.join(sorted(one.scopes))}"] if one.scopes else []
    return "\n".join(lines)


def _say(text: str) -> None:
    out.print(text, markup=False)
