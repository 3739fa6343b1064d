"""Continuation tokens: the position of the next page in a list.

A token is no secret and gives no rights: the caller's rights are checked for each page. It is bound
to its list and filters, so that a token that was cut, changed or used for another list is refused.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from livius.domain.activity import Position
from livius.domain.errors import Invalid
from livius.domain.ids import SessionId

LONGEST_TOKEN: Final = 300
_MICROSECONDS: Final = 1_000_000


def encode_token(position: Position, scope: Mapping[str, object]) -> str:
    """Return the token of a position in the list that the scope names."""
    moment = position.created_at.astimezone(UTC)
    micros = int(moment.timestamp()) * _MICROSECONDS + moment.microsecond
    body = json.dumps([micros, position.id], separators=(",", ":")).encode()
    return urlsafe_b64encode(_digest(body, scope) + body).decode().rstrip("=")


def decode_token(token: str, scope: Mapping[str, object]) -> Position:
    """Return the position that a token names.

    Raises:
        Invalid: it is not one of our tokens, or is for another list or other filters.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        body = raw[_DIGEST_BYTES:]
        # Another digest makes the body unreadable, and the token invalid.
        micros, identity = json.loads(body if raw == _digest(body, scope) + body else b"")
        moment = datetime.fromtimestamp(micros // _MICROSECONDS, UTC)
        return Position(
            moment.replace(microsecond=micros % _MICROSECONDS), SessionId(str(UUID(identity)))
        )
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
        raise Invalid(
            "InvalidInput",
            "continuationToken is not one that this list has given, with these filters. Begin "
            "again without it.",
            field="continuationToken",
        ) from None


_DIGEST_BYTES: Final = 12


def _digest(body: bytes, scope: Mapping[str, object]) -> bytes:
    named = json.dumps(scope, sort_keys=True, default=str).encode()
    return hashlib.sha256(named + b"\0" + body).digest()[:_DIGEST_BYTES]
