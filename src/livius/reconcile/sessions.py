"""What a driver's life is to its session: the binding to a driver of the pool, and the end."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from livius.domain.activity import activity_state
from livius.domain.audit import Action, entry
from livius.domain.conf_secrets import SecretsLost, reveal
from livius.domain.driver import DriverEnd
from livius.domain.errors import Unavailable
from livius.domain.ids import SessionId
from livius.domain.session import EndCause, Phase, Session
from livius.domain.statement import Ending, Statement
from livius.ports.launcher import Binding
from livius.ports.meter import Meter
from livius.ports.notifications import Notifications
from livius.ports.store import SessionEnd, Store
from livius_agent.text import tail

MAX_LOG_LINES: Final = 100
LOG_BYTES: Final = 64 * 1024
"""The log of its end is read with the session, by each list that it is in."""
_SECRETS_LOST: Final = (
    "The session's conf has secrets, which are kept in memory alone until its driver has them, and "
    "the server was started anew before that. Create the session again."
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSteps:
    """The part of a driver's steps that is about its session.

    ``conf_secrets`` has the secrets of confs that no driver has yet.
    """

    store: Store
    notifications: Notifications
    meter: Meter
    conf_secrets: MutableMapping[SessionId, Mapping[str, str]]

    async def binding(self, session: Session) -> Binding:
        """Return what binds a driver to the session, with its conf in clear.

        Raises:
            Unavailable: there is no such thing any more; the message says why.
        """
        lakehouse = await self.store.lakehouse(session.lakehouse)
        if lakehouse is None:
            raise Unavailable("ItemNotFound", "The session's lakehouse no longer exists.")
        try:
            conf = reveal(session.conf, self.conf_secrets.get(session.id, {}))
        except SecretsLost:
            raise Unavailable("SecretsLost", _SECRETS_LOST) from None
        places = await self.store.lakehouse_access()
        return Binding(
            submitter=session.submitter,
            workspace=session.workspace,
            lakehouse=session.lakehouse,
            database=lakehouse.database,
            name=session.name,
            conf=conf,
            workspaces=frozenset(
                place.workspace for place in places if place.principal == session.submitter
            ),
        )

    def has_its_conf(self, session: SessionId) -> None:
        """Note that the driver has the conf, with its secrets."""
        self.conf_secrets.pop(session, None)

    def note_end(self, session: Session, abandoned: tuple[Statement, ...], at: datetime) -> None:
        """Count and log the end of a session, and notify those that wait for it."""
        self.conf_secrets.pop(session.id, None)
        self.notifications.notify(session.id)
        for statement in abandoned:
            self.notifications.notify((statement.repl, statement.number))
            started = statement.started_at or at
            self.meter.statement_ended(
                statement.kind,
                "abandoned",
                waited=started - statement.created_at,
                ran=at - started,
            )
        state = activity_state(session)
        self.meter.session_ended(state)
        _log.info(
            "session_ended",
            session=session.id,
            phase=session.phase,
            cause=session.end_cause,
            result=state,
            seconds=round((at - session.created_at).total_seconds(), 3),
        )


def session_end(
    session: Session, end: DriverEnd, reason: str | None, *, at: datetime
) -> SessionEnd:
    """Return what the end of a session leaves in the records.

    ``reason`` is ours, for a driver that did not end by itself.
    """
    cause, why = _explain(session, end, reason)
    log = tail((session.log or end.log)[-MAX_LOG_LINES:], LOG_BYTES)
    return SessionEnd(
        ending=Ending(
            ok=False,
            ename="SessionEnded",
            evalue=why,
            traceback=tuple(f"{line}\n" for line in log),
        ),
        cause=cause,
        reason=why,
        log=log,
        audit=entry(session, Action.SESSION_END, at=at, result=cause),
    )


def _explain(session: Session, end: DriverEnd, reason: str | None) -> tuple[EndCause, str]:
    """Say why a session ends.

    The cause that was wanted, else our reason, else what the driver said, else how it ended.
    """
    if session.end_cause is not None:
        return session.end_cause, session.end_reason or session.end_cause.value
    cause = EndCause.DRIVER_DIED if session.phase is Phase.DIED else EndCause.START_FAILED
    return cause, reason or session.end_reason or end.sentence()
