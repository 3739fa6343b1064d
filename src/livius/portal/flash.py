"""A sentence for the next page: what a form has done, as the answer to a form is a redirect.

It is in a cookie, signed with the portal session's own: cookies ignore ports, so another program of
the machine could leave one too.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

from livius.domain.digests import hash_drawn

SECONDS: Final = 60
_LONGEST: Final = 2000


def write(session_cookie: str, text: str) -> str:
    """Return the value of the cookie."""
    plain = base64.urlsafe_b64encode(text[:_LONGEST].encode()).decode()
    return f"{_seal(session_cookie, plain)}.{plain}"


def read(session_cookie: str, value: str) -> str:
    """Return the sentence; empty if this portal session did not write it."""
    seal, _dot, plain = value.partition(".")
    if not hmac.compare_digest(seal.encode(), _seal(session_cookie, plain).encode()):
        return ""
    try:
        return base64.urlsafe_b64decode(plain.encode()).decode()
    except (binascii.Error, ValueError):
        return ""


def _seal(session_cookie: str, plain: str) -> str:
    return hash_drawn(f"livius portal flash {session_cookie} {plain}")
