"""One client application, for the owners: name, credentials, scopes, redirect URIs, its end.

A secret is shown only in the response to the form that made it: no address, log line or record has
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import Route

from livius.domain.accounts import ClientApplication, ClientCertificate
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.domain.resources import RESOURCES
from livius.portal.pages import applications, settings
from livius.portal.pages.applications import application_path
from livius.portal.pages_base import ROOT, Crumb, PageRequest, Portal
from livius.ports.identity import Directory
from livius.usecases.access import directory_of_owner, may_change_directory
from livius.usecases.identity import directory

BASE: Final = f"{applications.BASE}/{{application}}"
_LARGEST_PEM: Final = 64 * 1024


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of one application."""
    return [
        portal.get(BASE, application),
        portal.post(f"{BASE}/name", rename),
        portal.post(f"{BASE}/secrets", add_secret),
        portal.post(f"{BASE}/certificates", add_certificate),
        portal.get(f"{BASE}/credentials/{{credential}}/remove", ask_to_remove_credential),
        portal.post(f"{BASE}/credentials/{{credential}}/remove", remove_credential),
        portal.post(f"{BASE}/scopes", set_scopes),
        portal.post(f"{BASE}/redirects", add_redirect),
        portal.post(f"{BASE}/redirects/remove", remove_redirect),
        portal.get(f"{BASE}/delete", ask_to_delete),
        portal.post(f"{BASE}/delete", delete),
    ]


async def _found(request: PageRequest) -> tuple[Directory, ClientApplication]:
    """Return the directory and the application that the path names, to an owner."""
    known = directory_of_owner(request.context, request.caller)
    return known, await directory.own_application(known, request.path("application"))


def _again(request: PageRequest, one: ClientApplication) -> Response:
    """Show the page again."""
    return request.go(application_path(one), request.tr("Saved."))


async def _page(
    request: PageRequest, one: ClientApplication, *, secret: str | None = None
) -> Response:
    return await settings.show(
        request,
        "application.html",
        key="applications",
        title=one.name,
        crumbs=[
            Crumb(request.tr("Client applications"), f"{ROOT}{applications.BASE}"),
            Crumb(one.name),
        ],
        **_values(request, one, secret),
    )


def _values(request: PageRequest, one: ClientApplication, secret: str | None) -> dict[str, Any]:
    return {
        "may_change": may_change_directory(request.context, request.caller),
        "application": one,
        "path": application_path(one),
        "secret": secret,
        "scopes": sorted(RESOURCES[0].scopes),
    }


async def application(request: PageRequest) -> Response:
    """Show it; to an owner with all forms."""
    known = await applications.directory_to_see(request)
    return await _page(request, await directory.own_application(known, request.path("application")))


async def rename(request: PageRequest) -> Response:
    """Rename it."""
    known, one = await _found(request)
    await directory.rename_application(known, request.context.clock, one, request.sent("name"))
    return _again(request, one)


async def add_secret(request: PageRequest) -> Response:
    """Generate a secret and show it once."""
    known, one = await _found(request)
    _kept, value = await directory.add_secret(known, request.context.clock, one)
    one = await directory.own_application(known, one.client_id)
    if request.is_fragment:
        return request.fragment("_application_secrets.html", **_values(request, one, value))
    return await _page(request, one, secret=value)


async def add_certificate(request: PageRequest) -> Response:
    """Register a certificate that was pasted or uploaded."""
    known, one = await _found(request)
    await directory.add_certificate(known, request.context.clock, one, await _certificate(request))
    return _again(request, one)


async def _certificate(request: PageRequest) -> ClientCertificate:
    file = request.form.get("file")
    pem = request.sent("pem").encode("utf-8", "replace")
    if isinstance(file, UploadFile) and file.filename:
        pem = await file.read(_LARGEST_PEM + 1)
    if len(pem) > _LARGEST_PEM:
        raise Invalid("InvalidCertificate", Message("A certificate in PEM has 64 KB at most."))
    if b"PRIVATE KEY" in pem:
        raise Invalid(
            "PrivateKeySent",
            Message(
                "This has a private key in it. That stays with the application: send the "
                "certificate alone."
            ),
        )
    try:
        return request.portal.read_certificate(pem)
    except ValueError:
        raise Invalid(
            "InvalidCertificate",
            Message("This is no certificate in PEM (-----BEGIN CERTIFICATE-----) with an RSA key."),
        ) from None


async def ask_to_remove_credential(request: PageRequest) -> Response:
    """Ask, and say what it means."""
    _directory, one = await _found(request)
    name = request.path("credential")
    return request.fragment(
        "_credential_remove.html", credential=name, **_values(request, one, None)
    )


async def remove_credential(request: PageRequest) -> Response:
    """Remove a secret or a certificate."""
    known, one = await _found(request)
    await directory.remove_credential(known, request.context.clock, one, request.path("credential"))
    return _again(request, one)


async def set_scopes(request: PageRequest) -> Response:
    """Let it request the ticked scopes."""
    known, one = await _found(request)
    ticked = [scope for scope in request.form.getlist("scope") if isinstance(scope, str)]
    await directory.set_scopes(known, request.context.clock, one, ticked)
    return _again(request, one)


async def add_redirect(request: PageRequest) -> Response:
    """Add a redirect URI."""
    known, one = await _found(request)
    await directory.add_redirect(known, request.context.clock, one, request.sent("uri").strip())
    return _again(request, one)


async def remove_redirect(request: PageRequest) -> Response:
    """Remove a redirect URI."""
    known, one = await _found(request)
    await directory.remove_redirect(known, request.context.clock, one, request.sent("uri"))
    return _again(request, one)


async def ask_to_delete(request: PageRequest) -> Response:
    """Ask, and list what will be deleted."""
    _directory, one = await _found(request)
    return request.fragment("_application_delete.html", **_values(request, one, None))


async def delete(request: PageRequest) -> Response:
    """Delete it, and redirect to the list."""
    known, one = await _found(request)
    await directory.remove_application(known, request.context.clock, one)
    return request.go(
        f"{ROOT}{applications.BASE}",
        request.tr("The application %(name)s is deleted.", name=one.name),
    )
