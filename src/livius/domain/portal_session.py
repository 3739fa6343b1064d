"""Portal sessions: a person's sign-in at the portal, named by a cookie of the browser.

The cookie is random. Its hash and the principal are stored; the token in a portal session's forms
is derived from the cookie. So a reader of the records can neither sign in nor send a form.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from livius.domain.digests import hash_drawn
from livius.domain.principal import Principal

IDLE: Final = timedelta(hours=8)
LONGEST: Final = timedelta(hours=24)
_COOKIE_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSession:
    """One person's portal session. ``key`` is the hash of its cookie."""

    key: str
    caller: Principal
    began_at: datetime
    seen_at: datetime

    def is_over(self, now: datetime) -> bool:
        """Tell whether it was idle for too long, or has lasted for too long."""
        return now - self.seen_at > IDLE or now - self.began_at > LONGEST


def new_cookie() -> str:
    """Return the value of a new portal session's cookie."""
    return secrets.token_urlsafe(_COOKIE_BYTES)


def key_of(cookie: str) -> str:
    """Return the hash of a cookie, which is the key of its record."""
    return hash_drawn(cookie)


def form_token(cookie: str) -> str:
    """Return the token that each form of a portal session must send.

    It is valid as long as the portal session, also on pages from before a restart, and doesn't
    reveal the cookie.
    """
    return hash_drawn(f"livius portal_session form {cookie}")
