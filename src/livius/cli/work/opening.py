"""The session that a command's statements run in: a live one, or one of the command's own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from livius.cli.answers import Failed
from livius.cli.api import Api, NotFound
from livius.cli.work.interrupts import Interrupts
from livius.cli.work.options import SessionOptions
from livius.cli.work.places import Session, find_lakehouse, find_session
from livius.cli.work.progress import Progress

_STARTS_WITHIN: Final = 600.0
_ENDED: Final = ("dead", "killed", "error", "success", "shutting_down")
_WAIT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The context of a command that runs statements."""

    api: Api
    interrupts: Interrupts
    progress: Progress


def _read_conf(pairs: Sequence[str]) -> dict[str, str]:
    """Return the pairs of ``--conf key=value``.

    Raises:
        Failed: one is no such pair.
    """
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise Failed(f"--conf is KEY=VALUE, such as spark.sql.ansi.enabled=true, not {pair!r}.")
        found[key.strip()] = value
    return found


@contextmanager
def opened(command: Command, options: SessionOptions) -> Iterator[Session]:
    """Yield a session that is ready.

    A new one is deleted at the end, unless the user wants to keep it.

    Raises:
        Failed: there is no such session, or it can't be created or does not start.
    """
    if options.session is not None:
        if options.conf or options.keep or options.name:
            raise Failed("--conf, --keep and --name are for a new session: leave out --session.")
        found = find_session(command.api, options.session, lakehouse=options.lakehouse, live=True)
        command.progress.begin("Waiting for the session")
        _wait_until_ready(command, found)
        yield found
        return
    place = find_lakehouse(command.api, options.lakehouse)
    body = {"name": options.name or "livius", "conf": _read_conf(options.conf)}
    created = command.api.call("POST", place.sessions, body=body)
    session = Session(lakehouse=place, id=created["id"])
    kept = False
    try:
        command.progress.begin("The session starts")
        _wait_until_ready(command, session)
        kept = options.keep
        yield session
    finally:
        if kept:
            command.progress.say(
                f"The session goes on. Use it: --session {session.id}. End it: livius session "
                f"stop {session.id}"
            )
        else:
            _delete(command, session)


def _delete(command: Command, session: Session) -> None:
    try:
        command.api.call("DELETE", session.path)
    except NotFound:
        pass  # its code, or somebody else, has ended it
    except Failed as error:  # whatever came before it is what the command reports
        command.progress.say(f"The session was not ended. {error}")


def _wait_until_ready(command: Command, session: Session) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while True:
        with command.interrupts.allowed():
            body = command.api.call("GET", session.path, wait=_WAIT)
        if body["state"] in ("idle", "busy"):
            command.progress.clear()
            return
        if body["state"] in _ENDED:
            reasons = " ".join(one["message"] for one in body.get("errorInfo", []))
            reason = reasons or body.get("cancellationReason", "")
            raise Failed(f"The session is {body['state']}. {reason}".rstrip())
        if time.monotonic() > deadline:
            raise Failed(f"The session did not start within {_STARTS_WITHIN:.0f} s.")
        command.progress.show()
