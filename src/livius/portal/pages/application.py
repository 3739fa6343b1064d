"""One client application, for the owners: name, credentials, scopes, redirect URIs, its end.

A secret is shown in the answer to the form that made it and nowhere else: no address has it, no log
line, and no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.accounts import ClientApplication, ClientCertificate
from livius.domain.errors import Invalid
from livius.domain.resources import RESOURCES
from livius.domain.sentences import Sentence
from livius.portal.desk import ROOT, Call, Crumb, Desk
from livius.portal.pages import applications
from livius.portal.pages.applications import application_path, crumbs_to
from livius.ports.identity import Directory
from livius.usecases.access import directory_of_owner
from livius.usecases.identity import directory

BASE: Final = f"{applications.BASE}/{{application}}"
_LARGEST_PEM: Final = 64 * 1024


def routes(desk: Desk) -> Sequence[Route]:
    """Return the routes of one application."""
    return [
        desk.get(BASE, application),
        desk.post(f"{BASE}/name", rename),
        desk.post(f"{BASE}/secrets", add_secret),
        desk.post(f"{BASE}/certificates", add_certificate),
        desk.get(f"{BASE}/credentials/{{credential}}/remove", ask_to_remove_credential),
        desk.post(f"{BASE}/credentials/{{credential}}/remove", remove_credential),
        desk.post(f"{BASE}/scopes", set_scopes),
        desk.post(f"{BASE}/redirects", add_redirect),
        desk.post(f"{BASE}/redirects/remove", remove_redirect),
        desk.get(f"{BASE}/delete", ask_to_delete),
        desk.post(f"{BASE}/delete", delete),
    ]


async def _found(call: Call) -> tuple[Directory, ClientApplication]:
    """Return the directory and the application that the path names, to an owner."""
    known = directory_of_owner(call.context, call.caller)
    return known, await directory.own_application(known, call.path("application"))


def _again(call: Call, one: ClientApplication) -> Response:
    """Show the page anew."""
    return call.go(application_path(one))


def _page(call: Call, one: ClientApplication, *, secret: str | None = None) -> Response:
    return call.page(
        "application.html",
        title=one.name,
        place="workspaces",
        crumbs=crumbs_to(call, Crumb(one.name)),
        **_values(one, secret),
    )


def _values(one: ClientApplication, secret: str | None) -> dict[str, Any]:
    return {
        "application": one,
        "path": application_path(one),
        "secret": secret,
        "scopes": sorted(RESOURCES[0].scopes),
    }


async def application(call: Call) -> Response:
    """Show it with all forms."""
    _directory, one = await _found(call)
    return _page(call, one)


async def rename(call: Call) -> Response:
    """Call it something else."""
    known, one = await _found(call)
    await directory.rename_application(known, call.context.clock, one, call.sent("name"))
    return _again(call, one)


async def add_secret(call: Call) -> Response:
    """Draw a secret and show it this once."""
    known, one = await _found(call)
    _kept, value = await directory.add_secret(known, call.context.clock, one)
    one = await directory.own_application(known, one.client_id)
    if call.is_fragment:
        return call.fragment("_application_secrets.html", **_values(one, value))
    return _page(call, one, secret=value)


async def add_certificate(call: Call) -> Response:
    """Take a certificate that was pasted or uploaded."""
    known, one = await _found(call)
    await directory.add_certificate(known, call.context.clock, one, await _certificate(call))
    return _again(call, one)


async def _certificate(call: Call) -> ClientCertificate:
    file = call.form.get("file")
    pem = call.sent("pem").encode("utf-8", "replace")
    if isinstance(file, UploadFile) and file.filename:
        pem = await file.read(_LARGEST_PEM + 1)
    if len(pem) > _LARGEST_PEM:
        raise Invalid("InvalidCertificate", Sentence("A certificate in PEM has 64 KB at most."))
    if b"PRIVATE KEY" in pem:
        raise Invalid(
            "PrivateKeySent",
            Sentence(
                "This has a private key in it. That stays with the application: send the "
                "certificate alone."
            ),
        )
    try:
        return call.desk.read_certificate(pem)
    except ValueError:
        raise Invalid(
            "InvalidCertificate",
            Sentence(
                "This is no certificate in PEM (-----BEGIN CERTIFICATE-----) with an RSA key."
            ),
        ) from None


async def ask_to_remove_credential(call: Call) -> Response:
    """Ask, and say what it means."""
    _directory, one = await _found(call)
    name = call.path("credential")
    return call.fragment("_credential_remove.html", credential=name, **_values(one, None))


async def remove_credential(call: Call) -> Response:
    """Take a secret or a certificate away."""
    known, one = await _found(call)
    await directory.remove_credential(known, call.context.clock, one, call.path("credential"))
    return _again(call, one)


async def set_scopes(call: Call) -> Response:
    """Let it ask for the scopes that are ticked."""
    known, one = await _found(call)
    ticked = [scope for scope in call.form.getlist("scope") if isinstance(scope, str)]
    await directory.set_scopes(known, call.context.clock, one, ticked)
    return _again(call, one)


async def add_redirect(call: Call) -> Response:
    """Let people be sent back there."""
    known, one = await _found(call)
    await directory.add_redirect(known, call.context.clock, one, call.sent("uri").strip())
    return _again(call, one)


async def remove_redirect(call: Call) -> Response:
    """Don't any more."""
    known, one = await _found(call)
    await directory.remove_redirect(known, call.context.clock, one, call.sent("uri"))
    return _again(call, one)


async def ask_to_delete(call: Call) -> Response:
    """Ask, and say what goes."""
    _directory, one = await _found(call)
    return call.fragment("_application_delete.html", **_values(one, None))


async def delete(call: Call) -> Response:
    """Remove it, and lead to those that are left."""
    known, one = await _found(call)
    await directory.remove_application(known, call.context.clock, one)
    return call.go(f"{ROOT}{applications.BASE}")
