"""The endpoints for programs: discovery, keys, token, device code (in MSAL's order of calls).

Each route exists for every form of an authority's path, and in Entra's first and second version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from livius.api.authority.documents import instance_discovery, openid_configuration
from livius.api.authority.pages import add_pages
from livius.api.authority.replies import refusal, reply
from livius.api.authority.requests import (
    PATH,
    met_at,
    needed,
    proof_of,
    read_form,
    scope_of,
    with_basic,
)
from livius.domain.errors import Unavailable
from livius.domain.realm import Address
from livius.usecases.identity import token_endpoint
from livius.usecases.identity.authority import Authority, TokenRefused
from livius.usecases.identity.sign_in import DEVICE_INTERVAL, DEVICE_LIFETIME, start_device

_DEVICE_GRANTS: Final = frozenset({"urn:ietf:params:oauth:grant-type:device_code", "device_code"})
_ON_BEHALF_OF: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_UNTOLD: Final = frozenset({"authorization_pending", "unsupported_grant_type"})
"""Refusals that the audit log leaves out: polls of devices, and hopeless requests."""

_log = structlog.get_logger(__name__)

Handler = Callable[[Request, Address], Awaitable[Mapping[str, Any]]]


def router(authority: Authority) -> APIRouter:
    """Return the authority's routes."""
    routes = APIRouter(include_in_schema=False)

    async def instance(request: Request, address: Address) -> Mapping[str, Any]:
        asked = request.query_params.get("authorization_endpoint")
        return instance_discovery(authority, address, asked)

    async def keys(_request: Request, _address: Address) -> Mapping[str, Any]:
        return authority.signer.key_set()

    _serve(routes, authority, PATH + "/discovery/instance", instance)
    for path in ("/discovery/v2.0/keys", "/discovery/keys"):
        _serve(routes, authority, PATH + path, keys)
    for version, document, endpoints in (
        (2, "/v2.0/.well-known/openid-configuration", "/oauth2/v2.0"),
        (1, "/.well-known/openid-configuration", "/oauth2"),
    ):
        _serve(routes, authority, PATH + document, _discovery(authority, version))
        _serve(routes, authority, f"{PATH}{endpoints}/token", _token(authority, version), "POST")
        _serve(
            routes, authority, f"{PATH}{endpoints}/devicecode", _device(authority, version), "POST"
        )
    add_pages(routes, authority)
    return routes


def _serve(
    routes: APIRouter, authority: Authority, path: str, handler: Handler, method: str = "GET"
) -> None:
    async def endpoint(request: Request) -> JSONResponse:
        try:
            return reply(await handler(request, met_at(request, authority.realm)))
        except TokenRefused as refused:
            return _refuse(authority, request, refused)
        except Unavailable as unavailable:
            return _refuse(
                authority, request, TokenRefused(90033, "server_busy", unavailable.message)
            )

    routes.add_api_route(path, endpoint, methods=[method])


def _refuse(authority: Authority, request: Request, refused: TokenRefused) -> JSONResponse:
    if refused.error != "authorization_pending":
        _log.info("token_request_refused", path=request.scope["path"], code=refused.code)
    return refusal(request, refused, at=authority.clock.now())


def _discovery(authority: Authority, version: int) -> Handler:
    async def discovery(_request: Request, address: Address) -> Mapping[str, Any]:
        return openid_configuration(authority, address, version=version)

    return discovery


def _device(authority: Authority, version: int) -> Handler:
    async def device(request: Request, address: Address) -> Mapping[str, Any]:
        form = with_basic(request, await read_form(request))
        scope = scope_of(form, version) or needed(form, "scope")
        started = await start_device(authority, proof_of(request, form, address), scope=scope)
        shown = f"{started.user_code[:4]}-{started.user_code[4:]}"
        where = f"{authority.pages}/device"
        return {
            "device_code": started.device_code,
            "user_code": shown,
            "verification_uri": where,
            "verification_uri_complete": f"{where}?user_code={shown}",
            "expires_in": int(DEVICE_LIFETIME.total_seconds()),
            "interval": int(DEVICE_INTERVAL.total_seconds()),
            "message": f"To sign in, open {where} in a browser and enter the code {shown}.",
        }

    return device


def _token(authority: Authority, version: int) -> Handler:
    async def token(request: Request, address: Address) -> Mapping[str, Any]:
        form = with_basic(request, await read_form(request))
        kind = needed(form, "grant_type")
        try:
            issued = await _redeem(authority, request, address, form, version=version)
        except TokenRefused as refused:
            if refused.error not in _UNTOLD:
                await token_endpoint.note_refused(
                    authority, form.get("client_id", ""), kind, refused
                )
            raise
        _log.info("token_issued", grant=kind, client_id=form["client_id"], scope=issued.scope)
        return _body(issued, form, version=version)

    return token


async def _redeem(
    authority: Authority,
    request: Request,
    address: Address,
    form: Mapping[str, str],
    *,
    version: int,
) -> token_endpoint.Tokens:
    kind, proof, scope = (
        form["grant_type"],
        proof_of(request, form, address),
        scope_of(form, version),
    )
    if kind == "client_credentials":
        wanted = f"{form['resource']}/.default" if version == 1 and "resource" in form else None
        return await token_endpoint.issue_for_client(
            authority, proof, version=version, scope=wanted or needed(form, "scope")
        )
    if kind == "authorization_code":
        return await token_endpoint.redeem_code(
            authority,
            proof,
            version=version,
            code=needed(form, "code"),
            redirect_uri=needed(form, "redirect_uri"),
            verifier=form.get("code_verifier"),
            scope=scope,
        )
    if kind == "refresh_token":
        return await token_endpoint.refresh(
            authority,
            proof,
            version=version,
            refresh_token=needed(form, "refresh_token"),
            scope=scope,
        )
    if kind in _DEVICE_GRANTS:
        code = form.get("device_code") or needed(form, "code")
        return await token_endpoint.poll_device(authority, proof, version=version, device_code=code)
    if kind == _ON_BEHALF_OF and form.get("requested_token_use") == "on_behalf_of":
        return await token_endpoint.on_behalf_of(
            authority,
            proof,
            version=version,
            assertion=needed(form, "assertion"),
            scope=scope or needed(form, "scope"),
        )
    raise TokenRefused(
        70003,
        "unsupported_grant_type",
        "The app requested an unsupported grant type. Known are client_credentials, "
        "authorization_code with PKCE, refresh_token, device_code and, on behalf of a user, "
        "jwt-bearer.",
    )


def _body(
    issued: token_endpoint.Tokens, form: Mapping[str, str], *, version: int
) -> Mapping[str, Any]:
    seconds = issued.access.expires_in
    body: dict[str, Any] = {
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": issued.access.access_token,
        "scope": issued.scope,
        "refresh_token": issued.refresh_token,
        "id_token": issued.id_token,
        "client_info": issued.client_info if form.get("client_info") == "1" else None,
    }
    if version == 1:
        body["resource"] = form.get("resource")
    return {name: value for name, value in body.items() if value is not None}
