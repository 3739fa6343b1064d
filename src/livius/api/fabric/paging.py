"""Continuation tokens: the position of the next page in a list.

A token is no secret and gives no rights: the caller's rights are checked for each page. It is bound
to its list and filters, so that a token that was cut, changed or used for another list is refused.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import Query, Request

from livius.api.addresses import own_url
from livius.api.schemas import Continuation
from livius.domain.activity import Position
from livius.domain.errors import Invalid
from livius.domain.ids import SessionId

LONGEST_TOKEN: Final = 1500
PAGE: Final = 100
"""Entries of a page of a list for which a caller can't choose the number."""
_MICROSECONDS: Final = 1_000_000
_DIGEST_BYTES: Final = 12

_Key = tuple[str | int, ...]
_Entry = TypeVar("_Entry")
Token = Annotated[str | None, Query(alias="continuationToken", max_length=LONGEST_TOKEN)]


def encode_token(position: Position, scope: Mapping[str, object]) -> str:
    """Return the token of a position in the list that the scope names."""
    return _encode((micros(position.created_at), position.id), scope)


def decode_token(token: str, scope: Mapping[str, object]) -> Position:
    """Return the position that a token names.

    Raises:
        Invalid: it is not one of our tokens, or is for another list or other filters.
    """
    try:
        at, identity = _decode(token, scope)
        moment = datetime.fromtimestamp(int(at) // _MICROSECONDS, UTC)
        return Position(
            moment.replace(microsecond=int(at) % _MICROSECONDS), SessionId(str(UUID(str(identity))))
        )
    except (ValueError, TypeError, OverflowError):
        raise _foreign() from None


def page_of(
    request: Request,
    entries: Sequence[_Entry],
    key: Callable[[_Entry], _Key],
    token: str | None,
    *,
    most: int = PAGE,
) -> tuple[Sequence[_Entry], Continuation]:
    """Return one page of a whole list in the order of a key, and the link to the next one.

    The token has the key of the page's last entry, so no entry is missed or repeated if others come
    or go between two pages.

    Raises:
        Invalid: the token is not one of this list.
    """
    filters = sorted(
        pair
        for pair in request.query_params.multi_items()
        if pair[0] not in ("continuationToken", "maxResults")
    )
    scope = {"list": request.url.path.lower(), "filters": filters}
    rest = sorted(entries, key=key)
    if token:
        after = _decode(token, scope)
        try:
            rest = [one for one in rest if key(one) > after]
        except TypeError:
            raise _foreign() from None
    if len(rest) <= most:
        return rest, {}
    following: Continuation = {"continuationToken": _encode(key(rest[most - 1]), scope)}
    uri = own_url(request, continuationToken=following["continuationToken"])
    if uri is not None:
        following["continuationUri"] = uri
    return rest[:most], following


def micros(moment: datetime) -> int:
    """Return a moment as a number that grows with it."""
    plain = moment.astimezone(UTC)
    return int(plain.timestamp()) * _MICROSECONDS + plain.microsecond


def _encode(key: _Key, scope: Mapping[str, object]) -> str:
    body = json.dumps(key, separators=(",", ":"), ensure_ascii=False).encode()
    return urlsafe_b64encode(_digest(body, scope) + body).decode().rstrip("=")


def _decode(token: str, scope: Mapping[str, object]) -> _Key:
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        body = raw[_DIGEST_BYTES:]
        # Another digest makes the body unreadable, and the token invalid.
        return tuple(json.loads(body if raw == _digest(body, scope) + body else b""))
    except (ValueError, TypeError, binascii.Error):
        raise _foreign() from None


def _foreign() -> Invalid:
    return Invalid(
        "InvalidInput",
        "continuationToken is not one that this list has given, with these filters. Begin again "
        "without it.",
        field="continuationToken",
    )


def _digest(body: bytes, scope: Mapping[str, object]) -> bytes:
    named = json.dumps(scope, sort_keys=True, default=str).encode()
    return hashlib.sha256(named + b"\0" + body).digest()[:_DIGEST_BYTES]
