"""The routes: a secret, its versions, the names in a vault.

A vault's address is ``https://<vault>.vault.azure.net``, which `livius exec` leads here, or
``https://<gateway>/vaults/<vault>``. Ids of secrets have the former, because clients parse a
vault's address and expect no path in it. A request without a valid token gets the challenge that
names the authority.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from livius.api.auth import MISSING, bearer_token
from livius.domain.errors import Forbidden, Invalid, LiviusError, NotFound, Unauthenticated
from livius.domain.principal import Principal
from livius.domain.vault import HOST, RESOURCE, Secret, vault_name
from livius.ports.identity import TokenVerifier


class VaultFiles(Protocol):
    """The vaults that are served."""

    def get(self, vault: str, name: str, version: str | None = None) -> Secret:
        """Return a secret."""
        ...

    def versions(self, vault: str, name: str) -> Sequence[Secret]:
        """Return a secret's versions, oldest first."""
        ...

    def names(self, vault: str) -> Sequence[Secret]:
        """Return a vault's secrets."""
        ...


Record = Callable[[Principal | None, str, str], Awaitable[None]]
"""Called for each secret that is read and each request that is refused.

Its arguments are the caller (None: not authenticated), the secret's name, and the result.
"""

_STATUS: Final = {Unauthenticated: 401, Forbidden: 403, NotFound: 404, Invalid: 400}


def router(vaults: VaultFiles, tokens: TokenVerifier, authority: str, record: Record) -> APIRouter:
    """Return the routes. ``tokens`` verifies those issued for Azure Key Vault."""
    routes = APIRouter()
    challenge = f'Bearer authorization="{authority}", resource="{RESOURCE}"'

    async def answer(
        request: Request, look: Callable[[str], Any], *, reads: str | None = None
    ) -> JSONResponse:
        caller = None
        try:
            caller = await tokens.bearer_of(_token(request))
            vault = _vault(request)
            body = await asyncio.to_thread(look, vault)
            if reads is not None:
                await record(caller, f"{vault}/{reads}", "ok")
        except (Unauthenticated, Forbidden, NotFound, Invalid) as error:
            # Clients ask once without a token, to read the challenge.
            if error.code != MISSING:
                await record(caller, _asked(request), error.code)
            return _error(error, challenge)
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @routes.get("/secrets")
    @routes.get("/vaults/{vault}/secrets")
    async def names(request: Request) -> JSONResponse:
        return await answer(
            request, lambda vault: _page(vault, vaults.names(vault), with_version=False)
        )

    @routes.get("/secrets/{name}/versions")
    @routes.get("/vaults/{vault}/secrets/{name}/versions")
    async def versions(request: Request, name: str) -> JSONResponse:
        return await answer(
            request, lambda vault: _page(vault, vaults.versions(vault, name), with_version=True)
        )

    @routes.get("/secrets/{name}")
    @routes.get("/secrets/{name}/{version}")
    @routes.get("/vaults/{vault}/secrets/{name}")
    @routes.get("/vaults/{vault}/secrets/{name}/{version}")
    async def secret(request: Request, name: str, version: str = "") -> JSONResponse:
        def look(vault: str) -> dict[str, Any]:
            found = vaults.get(vault, name, version or None)
            return {"value": found.value, **_about(vault, found, with_version=True)}

        return await answer(request, look, reads=name)

    return routes


def _token(request: Request) -> str:
    if request.scope["scheme"] != "https":
        raise Forbidden(
            "HttpsRequired",
            "Vaults answer over https only. A token that was sent without is no secret any more: "
            "get another one.",
        )
    token = bearer_token(request)
    if token is None:
        raise Unauthenticated(MISSING, "The request has no bearer token.")
    return token


def _asked(request: Request) -> str:
    """Return the vault and secret in a request, unchecked."""
    path = request.path_params
    vault = path.get("vault") or request.headers.get("host", "").partition(".")[0]
    return f"{vault}/{path.get('name', '')}"


def _vault(request: Request) -> str:
    """Return the vault in the path, or else in the host."""
    if not request.query_params.get("api-version"):
        raise Invalid("BadParameter", "The query parameter api-version is missing.")
    named = request.path_params.get("vault")
    if named is not None:
        return vault_name(named)
    label, _, rest = request.headers.get("host", "").partition(":")[0].lower().partition(".")
    if rest != HOST:
        raise NotFound("VaultNotFound", f"Name a vault: /vaults/<vault>{request.url.path}.")
    return vault_name(label)


def _page(vault: str, secrets: Sequence[Secret], *, with_version: bool) -> dict[str, Any]:
    about = [_about(vault, one, with_version=with_version) for one in secrets]
    return {"value": about, "nextLink": None}


def _about(vault: str, secret: Secret, *, with_version: bool) -> dict[str, Any]:
    created = int(secret.created_at.timestamp())
    version = f"/{secret.version}" if with_version else ""
    return {
        "id": f"https://{vault}.{HOST}/secrets/{secret.name}{version}",
        "attributes": {
            "enabled": True,
            "created": created,
            "updated": created,
            "recoveryLevel": "Purgeable",
        },
        "tags": {},
    }


def _error(error: LiviusError, challenge: str) -> JSONResponse:
    status, code, headers = _STATUS[type(error)], error.code, {"Cache-Control": "no-store"}
    if isinstance(error, Unauthenticated):
        code, headers["WWW-Authenticate"] = "Unauthorized", challenge
    return JSONResponse({"error": {"code": code, "message": error.message}}, status, headers)
