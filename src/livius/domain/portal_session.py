"""Portal sessions: people's signed-in stays at the portal, each named by the cookie of a browser.

The cookie is drawn at random and says nothing. What is kept is its hash, and who signed in; the
token that a portal session's forms carry is made of the cookie, too. So nothing that is kept opens
a portal session, and whoever reads the records can neither come in nor send a form.
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
    """One person's portal session, from the sign-in on. ``key`` is what is kept of its cookie."""

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
    """Return what is kept of a cookie."""
    return hash_drawn(cookie)


def form_token(cookie: str) -> str:
    """Return what each form of a portal session has to show.

    It is good as long as the portal session, for pages from before a restart too, and does not tell
    the cookie.
    """
    return hash_drawn(f"livius portal_session form {cookie}")
