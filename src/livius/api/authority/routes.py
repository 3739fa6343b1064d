"""``/{tenant}/…``: discovery, keys, token (what MSAL calls, and in its order).

The tenant is a GUID or a registered domain in the path, so that nothing else the gateway serves is
shadowed. Each route exists with and without a ``b2c_`` segment behind the tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from livius.api.authority.replies import refusal, reply
from livius.api.authority.requests import met_at, needed, read_form, with_basic
from livius.domain.errors import Unavailable
from livius.domain.identity import Address
from livius.usecases.tokens import (
    Authority,
    ClientTokenRequest,
    TokenRefused,
    issue_for_client,
)

_DISCOVERY: Final = ("/v2.0/.well-known/openid-configuration", "/.well-known/openid-configuration")
_KEYS: Final = "/discovery/v2.0/keys"
_TOKEN: Final = "/oauth2/v2.0/token"  # noqa: S105 # a path
_AUTHORIZE: Final = "/oauth2/v2.0/authorize"
_CLIENT_CREDENTIALS: Final = "client_credentials"

_log = structlog.get_logger(__name__)

Handler = Callable[[Request, Address], Awaitable[Mapping[str, Any]]]


def router(authority: Authority) -> APIRouter:
    """Return the authority's routes."""
    routes = APIRouter(include_in_schema=False)
    tenants = ["/{tenant:uuid}", *(f"/{domain}" for domain in sorted(authority.realm.domains))]

    async def discovery(_request: Request, address: Address) -> Mapping[str, Any]:
        return _document(authority, address)

    async def keys(_request: Request, _address: Address) -> Mapping[str, Any]:
        return authority.signer.key_set()

    async def token(request: Request, address: Address) -> Mapping[str, Any]:
        return await _token(authority, request, address)

    async def authorize(_request: Request, _address: Address) -> Mapping[str, Any]:
        raise TokenRefused(
            70005,
            "unsupported_response_type",
            "This version of Livius has no sign-in page yet. Sign in as an application, with a "
            "certificate or a client secret.",
        )

    for tenant in tenants:
        for prefix in (tenant, tenant + "/{policy}"):
            for path in _DISCOVERY:
                _serve(routes, authority, prefix + path, discovery)
            _serve(routes, authority, prefix + _KEYS, keys)
            _serve(routes, authority, prefix + _TOKEN, token, method="POST")
            _serve(routes, authority, prefix + _AUTHORIZE, authorize)
    return routes


def _serve(
    routes: APIRouter, authority: Authority, path: str, handler: Handler, *, method: str = "GET"
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
    _log.info("token_request_refused", path=request.scope["path"], code=refused.code)
    return refusal(request, refused, at=authority.clock.now())


def _document(authority: Authority, address: Address) -> Mapping[str, Any]:
    """Return the discovery document: every URL under the name that the caller used."""
    return {
        "token_endpoint": address.authority + _TOKEN,
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "jwks_uri": address.authority + _KEYS,
        "issuer": address.issuer(authority.realm),
        # MSAL wants the name in the document, whether it signs people in or not.
        "authorization_endpoint": address.authority + _AUTHORIZE,
        "response_types_supported": ["code"],
        "grant_types_supported": [_CLIENT_CREDENTIALS],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "request_uri_parameter_supported": False,
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nbf", "oid", "tid", "ver"],
    }


async def _token(authority: Authority, request: Request, address: Address) -> Mapping[str, Any]:
    form = with_basic(request, await read_form(request))
    if needed(form, "grant_type") != _CLIENT_CREDENTIALS:
        raise TokenRefused(
            70003,
            "unsupported_grant_type",
            "The app requested an unsupported grant type. This version of Livius knows "
            f"{_CLIENT_CREDENTIALS}.",
        )
    asked = ClientTokenRequest(
        address=address,
        caller=request.client.host if request.client is not None else "",
        client_id=needed(form, "client_id"),
        scope=needed(form, "scope"),
        secret=form.get("client_secret"),
        assertion=form.get("client_assertion"),
        assertion_type=form.get("client_assertion_type"),
    )
    issued = await issue_for_client(authority, asked)
    _log.info("token_issued", client_id=asked.client_id, scope=asked.scope)
    return {
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "ext_expires_in": issued.expires_in,
        "access_token": issued.access_token,
    }
