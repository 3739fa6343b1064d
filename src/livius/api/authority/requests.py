"""The parts of a request to the authority: its address, and the fields of its form."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor

from livius.domain.accounts import LOOPBACK_HOSTS
from livius.domain.realm import POLICY_PATTERN, Address, Realm, Style
from livius.usecases.identity.authority import TokenRefused
from livius.usecases.identity.client_authentication import ClientCredential

PATH_PARAMETER: Final = "authority"
PATH: Final = f"/{{{PATH_PARAMETER}:livius_authority}}"
"""The beginning of all paths of the authority: a tenant in one of the forms that MSAL has."""


class _AuthorityPath(Convertor[str]):
    """A GUID, a domain, or a word of Entra's, so that no other path of the gateway is hidden."""

    regex = (
        r"(?:adfs|(?:dstsv2/)?"
        r"(?:common|organizations|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
        r"|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+))(?:/[^/]+)?"
    )

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("livius_authority", _AuthorityPath())

_LARGEST_FORM: Final = 64 * 1024
_MOST_FIELDS: Final = 64
_FORM: Final = "application/x-www-form-urlencoded"
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?")
_POLICY: Final = re.compile(POLICY_PATTERN)


def met_at(request: Request, realm: Realm) -> Address:
    """Return the address at which a program reached the authority, by the Host header.

    Raises:
        TokenRefused: another host, another tenant, or not over https.
    """
    # Headers of proxies are ignored here: uvicorn reads them if the operator trusts a proxy. The
    # scope, not request.url, which is built from the Host header and fails on an invalid one.
    found = _HOST.fullmatch(request.headers.get("host", "").lower())
    if request.scope["scheme"] != "https" or found is None or found[1] not in realm.hosts:
        raise TokenRefused(
            9002313,
            "invalid_request",
            "The authority is not served at this address. Use https and the host name that the "
            "gateway shows at its start.",
        )
    return _address(request, realm, host=found[1], port=int(found[2] or 443))


def check_page(request: Request, realm: Realm) -> None:
    """Refuse a browser's request under a foreign name (DNS rebinding).

    Raises:
        TokenRefused: the name is foreign, or the tenant is another one.
    """
    found = _HOST.fullmatch(request.headers.get("host", "").lower())
    hosts = realm.hosts if request.scope["scheme"] == "https" else LOOPBACK_HOSTS | {"[::1]"}
    if found is None or found[1] not in hosts:
        raise TokenRefused(
            9002313,
            "invalid_request",
            "This page is not served under this name. Use the address that the gateway shows at "
            "its start.",
        )
    if PATH_PARAMETER in request.path_params:
        _address(request, realm, host=found[1], port=int(found[2] or 443))


def _address(request: Request, realm: Realm, *, host: str, port: int) -> Address:
    parts = str(request.path_params[PATH_PARAMETER]).split("/")
    style = Style(parts[0]) if parts[0] in (Style.ADFS, Style.DSTS) else Style.TENANT
    if style is Style.ADFS:
        parts = [realm.tenant, *parts[1:]]
    elif style is Style.DSTS:
        parts = parts[1:]
    tenant, policy = parts[0], "/".join(parts[1:])
    if not realm.has_tenant(tenant) or (policy and not _POLICY.fullmatch(policy)):
        raise TokenRefused(
            90002,
            "invalid_tenant",
            f"Tenant '{tenant[:100]}' not found. The tenant here is {realm.tenant}.",
        )
    return Address(host=host, port=port, tenant=tenant, policy=policy, style=style)


def caller_of(request: Request) -> str:
    """Return the peer's address."""
    return request.client.host if request.client is not None else ""


def proof_of(request: Request, form: Mapping[str, str], address: Address) -> ClientCredential:
    """Return the credential of the application in a form."""
    return ClientCredential(
        address=address,
        caller=caller_of(request),
        client_id=needed(form, "client_id"),
        secret=form.get("client_secret"),
        assertion=form.get("client_assertion"),
        assertion_type=form.get("client_assertion_type"),
    )


def scope_of(form: Mapping[str, str], version: int) -> str | None:
    """Return a request's scope. In Entra's first form it names a resource instead."""
    if version == 1 and "resource" in form:
        return f"{form['resource']}/.default openid profile offline_access"
    return form.get("scope")


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form, each given once.

    Raises:
        TokenRefused: the body is no form, or too large to be one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _malformed(f"The body must be {_FORM}.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise _malformed("The body is too large.")
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise _malformed("The body is not a valid form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _malformed("A field is given more than once.")
    return {name: value for name, value in form.items() if value}


def needed(form: Mapping[str, str], name: str) -> str:
    """Return a field.

    Raises:
        TokenRefused: it is missing or empty.
    """
    if name not in form:
        raise TokenRefused(
            900144,
            "invalid_request",
            f"The request body must contain the following parameter: '{name}'.",
        )
    return form[name]


def with_basic(request: Request, form: Mapping[str, str]) -> Mapping[str, str]:
    """Return the form with the client's id and secret, where they came as a Basic header.

    Raises:
        TokenRefused: the header contradicts the form.
    """
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _malformed("The Authorization header is not valid.") from None
    client_id, _, secret = (unquote_plus(part) for part in text.partition(":"))
    if form.get("client_id", client_id) != client_id or "client_secret" in form:
        raise _malformed("The client's credential is given twice.")
    return {**form, "client_id": client_id, "client_secret": secret}


def _malformed(message: str) -> TokenRefused:
    return TokenRefused(
        9002313, "invalid_request", f"Invalid request. Request is malformed or invalid. {message}"
    )
