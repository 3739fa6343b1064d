"""The header ``Idempotency-Key`` of requests that create something."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from fastapi import Request

from livius.domain.errors import Invalid
from livius.domain.idempotency import LONGEST_KEY, IdempotencyKey
from livius.domain.ids import PrincipalId
from livius.domain.principal import Principal
from livius.usecases.context import Context

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_VALID: Final = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")


async def idempotency_key(
    context: Context, request: Request, caller: Principal
) -> IdempotencyKey | None:
    """Return the key that a request has, if it has one. Read the body first.

    The draft has the key in quotation marks; most clients leave them out, which is accepted.

    Raises:
        Invalid: there are several keys, or one that is empty, too long or has spaces.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    text = given[0].strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if len(given) > 1 or not _VALID.fullmatch(key):
        raise Invalid(
            "InvalidIdempotencyKey",
            f"A request has one Idempotency-Key at most, of 1 to {LONGEST_KEY} printable ASCII "
            "characters without spaces. A random UUID is a good one.",
            field="Idempotency-Key",
        )
    asked = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    asked.update(await request.body())
    return IdempotencyKey(
        principal=PrincipalId(caller.oid),
        key=key,
        fingerprint=asked.hexdigest(),
        at=context.clock.now(),
    )
