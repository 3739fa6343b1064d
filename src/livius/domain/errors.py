"""Every error that a caller can meet, divided by the caller's next step.

::

    LiviusError
    ├── Unauthenticated   sign in (again)
    ├── Forbidden         ask for a role or a scope
    ├── NotFound          use another id
    ├── Invalid           change the request (`livius.domain.idempotency.KeyReused`: or the key)
    ├── Conflict          look at the record's present state, then decide
    ├── Exhausted         free something, or wait
    └── Unavailable       try the same again later

``code`` is stable and may be compared; ``message`` is a sentence for people with the next step.
Neither ever holds a secret, a path of the server or a stack trace.
"""

from __future__ import annotations

from datetime import timedelta


class LiviusError(Exception):
    """An error that is reported to the caller."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Unauthenticated(LiviusError):
    """The request has no valid token."""


class Forbidden(LiviusError):
    """The token is valid but does not allow this."""


class NotFound(LiviusError):
    """No such record, or none that this caller may know of."""


class Invalid(LiviusError):
    """The request cannot succeed as it is.

    ``field`` names the part of the request that is wrong, as the caller wrote it.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(code, message)
        self.field = field


class Conflict(LiviusError):
    """The record is in a state that does not allow this."""


class Exhausted(LiviusError):
    """A quota or the machine's capacity is used up."""

    def __init__(self, code: str, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class Unavailable(LiviusError):
    """The server cannot do this now; the same request may work later."""

    def __init__(self, code: str, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class IllegalTransition(Exception):
    """A state machine was asked for a step that its table does not have. A bug or a lost race."""
