"""The embedded authority's users: owners create, disable and remove them, and set passwords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.accounts import User
from livius.domain.errors import Conflict, Invalid, NotFound
from livius.domain.ids import PrincipalId
from livius.domain.messages import Message
from livius.portal.pages import settings
from livius.portal.pages_base import ROOT, PageRequest, Portal
from livius.ports.identity import Directory
from livius.usecases.access import directory_of_owner
from livius.usecases.identity import directory

BASE: Final = "/users"
_ONE: Final = f"{BASE}/{{oid}}"


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of users."""
    return [
        portal.get(BASE, users),
        portal.post(BASE, create),
        portal.post(f"{_ONE}/password", new_password),
        portal.post(f"{_ONE}/disabled", disable),
        portal.get(f"{_ONE}/remove", ask_to_remove),
        portal.post(f"{_ONE}/remove", remove),
    ]


async def users(request: PageRequest) -> Response:
    """Show all users."""
    return await _show(request)


async def _show(
    request: PageRequest, user: User | None = None, password: str | None = None
) -> Response:
    """Return the page; with a password that was just made, which is shown this once."""
    known = directory_of_owner(request.context, request.caller)
    values: dict[str, Any] = {
        "users": sorted(await known.users(), key=lambda one: one.username),
        "owners": request.context.rules.owners,
        "changed": user,
        "password": password,
    }
    if request.is_fragment:
        return request.fragment("_users.html", **values)
    return await settings.show(
        request, "users.html", key="users", title=request.tr("Users"), **values
    )


async def create(request: PageRequest) -> Response:
    """Create a user with a new password."""
    known = directory_of_owner(request.context, request.caller)
    password = directory.new_password()
    made = await directory.create_user(
        known,
        request.context.clock,
        request.sent("username"),
        name=request.sent("name").strip(),
        password=password,
    )
    return await _show(request, made, password)


async def new_password(request: PageRequest) -> Response:
    """Replace a user's password by a new one; all sign-ins with the old one end."""
    known, user = await _found(request)
    password = directory.new_password()
    await directory.set_password(known, request.context.clock, user, password)
    return await _show(request, user, password)


async def disable(request: PageRequest) -> Response:
    """Disable a user, or enable it again."""
    known, user = await _found(request)
    wanted = request.sent("disabled")
    if wanted not in ("yes", "no"):
        raise Invalid(
            "InvalidInput",
            Message("Say whether the user is disabled: yes or no."),
            field="disabled",
        )
    disabled = wanted == "yes"
    if disabled:
        _check_other(request, user)
    await directory.set_user_disabled(known, request.context.clock, user, disabled=disabled)
    return request.go(
        f"{ROOT}{BASE}",
        request.tr("%(name)s can't sign in any more.", name=user.username)
        if disabled
        else request.tr("%(name)s can sign in again.", name=user.username),
    )


async def ask_to_remove(request: PageRequest) -> Response:
    """Ask, and say what ends."""
    _known, user = await _found(request)
    return request.fragment("_user_remove.html", user=user)


async def remove(request: PageRequest) -> Response:
    """Remove a user."""
    known, user = await _found(request)
    _check_other(request, user)
    await directory.remove_user(known, request.context.clock, user)
    return request.go(f"{ROOT}{BASE}", request.tr("%(name)s is removed.", name=user.username))


def _check_other(request: PageRequest, user: User) -> None:
    """Raises: Conflict: it is the caller's own user."""
    if user.oid == request.caller.oid:
        raise Conflict(
            "OwnUser",
            Message(
                "This is the user that you are signed in as; it can't disable or remove itself."
            ),
        )


async def _found(request: PageRequest) -> tuple[Directory, User]:
    known = directory_of_owner(request.context, request.caller)
    user = await known.user(PrincipalId(request.path("oid")))
    if user is None:
        raise NotFound("UserNotFound", Message("There is no such user. It may have been removed."))
    return known, user
