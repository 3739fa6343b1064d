"""Continuation tokens: where the next page of a list begins, and of which list.

A token is nobody's secret and gives nothing: the caller's rights are looked at for each page. It
is bound to its list and filters, so that one that was cut, changed or taken elsewhere is refused
rather than answered with other things.
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
        Invalid: it is no token of ours, or of another list or other filters.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        body = raw[_DIGEST_BYTES:]
        # Another digest makes the body unreadable, and the token no token.
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
