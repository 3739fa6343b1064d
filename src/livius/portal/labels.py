"""The labels of states and quantities on pages. The texts are keys of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from gettext import NullTranslations
from typing import Final

from livius.domain.activity import ActivityState
from livius.domain.environment import PublishState
from livius.domain.messages import Message
from livius.domain.operation import Phase as OperationPhase
from livius.domain.outline import StatementMark
from livius.domain.pool import Condition, WarmDriver
from livius.domain.session import EndCause, Phase
from livius.domain.statement import Phase as StatementPhase
from livius.domain.statement import Statement


def N_(text: str) -> str:  # noqa: N802 - the name by which catalogues find keys
    """Mark a text as a key of the catalogue."""
    return text


@dataclass(frozen=True, slots=True)
class State:
    """A state as pages show it: a word, a colour's class, a shape."""

    label: str
    tone: str
    icon: str


@dataclass(frozen=True, slots=True)
class PhaseWords:
    """A phase's label and description."""

    phase: Phase
    label: str
    what: str


ACTIVITY: Final[Mapping[ActivityState, State]] = {
    ActivityState.WAITING: State(N_("Not started"), "wait", "wait"),
    ActivityState.RUNNING: State(N_("In progress"), "busy", "busy"),
    ActivityState.STOPPING: State(N_("Stopping"), "wait", "busy"),
    ActivityState.STOPPED: State(N_("Stopped"), "still", "stop"),
    ActivityState.CANCELLED: State(N_("Cancelled"), "still", "off"),
    ActivityState.TIMED_OUT: State(N_("Timed out"), "still", "wait"),
    ActivityState.FAILED: State(N_("Failed"), "bad", "bad"),
}

STARTING: Final = State(N_("Starting"), "wait", "busy")
IDLE: Final = State(N_("Idle"), "good", "still")
RUNS_CODE: Final = State(N_("Running"), "busy", "busy")
"""What a list says of a live session, in place of Fabric's one word for all of these."""

END: Final[Mapping[EndCause, str]] = {
    EndCause.DELETED: N_("It was deleted."),
    EndCause.IDLE: N_("It was idle for longer than its idle timeout."),
    EndCause.START_FAILED: N_("It could not be started."),
    EndCause.START_TIMED_OUT: N_("It did not start in time."),
    EndCause.DRIVER_DIED: N_("Its Spark driver ended by itself."),
    EndCause.DRIVER_REFUSED: N_("Its Spark driver broke a rule, so it was ended."),
    EndCause.GATEWAY_SHUTDOWN: N_("The server was shut down."),
    EndCause.STOPPED_BY_CODE: N_("Its own code stopped it."),
}

PHASES: Final = (
    PhaseWords(Phase.REQUESTED, N_("Submitted"), N_("The request is recorded.")),
    PhaseWords(Phase.LAUNCHING, N_("Driver launched"), N_("The Spark driver is started.")),
    PhaseWords(
        Phase.STARTING, N_("Spark starts"), N_("The driver is connected; Spark is starting.")
    ),
    PhaseWords(Phase.READY, N_("Ready"), N_("Statements run.")),
    PhaseWords(Phase.STOPPING, N_("Stopping"), N_("The driver was asked to end.")),
)
"""The phases that lead from the request to the end, in order."""

PUBLISH: Final[Mapping[PublishState, State]] = {
    PublishState.WAITING: State(N_("Waiting"), "wait", "wait"),
    PublishState.RUNNING: State(N_("Running"), "busy", "busy"),
    PublishState.CANCELLING: State(N_("Cancelling"), "wait", "busy"),
    PublishState.CANCELLED: State(N_("Cancelled"), "still", "off"),
    PublishState.FAILED: State(N_("Failed"), "bad", "bad"),
    PublishState.SUCCEEDED: State(N_("Succeeded"), "good", "good"),
}

LOAD: Final[Mapping[OperationPhase, State]] = {
    OperationPhase.NOT_STARTED: State(N_("Waiting"), "wait", "wait"),
    OperationPhase.RUNNING: State(N_("Running"), "busy", "busy"),
    OperationPhase.SUCCEEDED: State(N_("Succeeded"), "good", "good"),
    OperationPhase.FAILED: State(N_("Failed"), "bad", "bad"),
}
LOAD_CANCELLING: Final = State(N_("Cancelling"), "wait", "busy")
LOAD_CANCELLED: Final = State(N_("Cancelled"), "still", "off")

POOL: Final[Mapping[Condition, str]] = {
    Condition.OFF: N_("None: each session starts a driver of its own"),
    Condition.FILLED: N_("%(warm)s of %(size)s drivers warm"),
    Condition.FILLING: N_("%(warm)s of %(size)s drivers warm; one is starting"),
    Condition.WAITING: N_("%(warm)s of %(size)s drivers warm; the next starts in a quiet moment"),
    Condition.NO_MEMORY: N_("%(warm)s of %(size)s drivers warm; memory is too short for more"),
    Condition.FAILING: N_("%(warm)s of %(size)s drivers warm; the last one ended by itself"),
    Condition.GIVEN_UP: N_("%(warm)s of %(size)s drivers warm; they end by themselves"),
}

WARM_DRIVER: Final[Mapping[WarmDriver, str]] = {
    WarmDriver.UNWANTED: N_("None"),
    WarmDriver.NEVER: N_("None: the server's operator lets no drivers of environments wait"),
    WarmDriver.ABSENT: N_("Starts when there is a quiet moment and room"),
    WarmDriver.STARTING: N_("Starting"),
    WarmDriver.WARM: N_("Warm: the next session starts at once"),
}

STATEMENT: Final[Mapping[StatementPhase, State]] = {
    StatementPhase.WAITING: State(N_("Waiting"), "wait", "wait"),
    StatementPhase.RUNNING: State(N_("Running"), "busy", "busy"),
    StatementPhase.CANCELLING: State(N_("Cancelling"), "wait", "busy"),
    StatementPhase.AVAILABLE: State(N_("Succeeded"), "good", "good"),
    StatementPhase.CANCELLED: State(N_("Cancelled"), "still", "off"),
}
FAILED: Final = State(N_("Failed"), "bad", "bad")

TROUBLE: Final[Mapping[int, str]] = {
    400: N_("This can't be done"),
    401: N_("Sign in first"),
    403: N_("You don't have permission for this"),
    404: N_("There is no such page"),
    405: N_("There is no such page"),
    409: N_("This can't be done now"),
    413: N_("This is too large"),
    429: N_("There is no room now"),
    500: N_("Something went wrong"),
    503: N_("Not available now"),
}

_MINUTE: Final = 60
_HOUR: Final = 3600
_UNITS: Final = ("KB", "MB", "GB", "TB")


_TRANSLATED: Final = (
    N_("%(name)s deleted the session."),
    N_("The session was idle for %(minutes)s minutes."),
)
_SAID_IN_FULL: Final = (EndCause.GATEWAY_SHUTDOWN, EndCause.STOPPED_BY_CODE)
"""Causes of which `END` says all that matters, and in the reader's language."""


def end_reason(cause: EndCause | None, stored: str | None) -> str | None:
    """Return the sentence why a session ended, if it says more than `END`."""
    if stored is None or cause in _SAID_IN_FULL:
        return None
    for template in _TRANSLATED:
        begin, name, end = re.split(r"%\((\w+)\)s", template)
        if stored.startswith(begin) and stored.endswith(end):
            said = stored.removeprefix(begin).removesuffix(end)
            return Message(template, **{name: said})
    return stored


def statement_state(statement: Statement) -> State:
    """Return a statement's state; code that failed has one of its own."""
    ending = statement.ending
    if statement.phase is StatementPhase.AVAILABLE and ending is not None and not ending.ok:
        return FAILED
    return STATEMENT[statement.phase]


def mark_state(mark: StatementMark) -> State:
    """Return a statement's state from its mark."""
    return FAILED if mark.has_failed else STATEMENT[mark.phase]


def duration(seconds: float, words: NullTranslations) -> str:
    """Return a length of time in its two largest units."""
    tr = words.gettext
    hours, minutes, rest, small = tr("h"), tr("min"), tr("s"), tr("ms")
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} {small}"
    if seconds < _MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + f" {rest}"
    whole = int(seconds)
    first, second = divmod(whole, _MINUTE) if whole < _HOUR else divmod(whole // _MINUTE, _MINUTE)
    words_of = (minutes, rest) if whole < _HOUR else (hours, minutes)
    return f"{first} {words_of[0]}" + (f" {second} {words_of[1]}" if second else "")


def rows(count: int, words: NullTranslations) -> str:
    """Return a number of rows in words."""
    return words.ngettext("%(count)s row", "%(count)s rows", count) % {"count": f"{count:,}"}


def files(count: int, words: NullTranslations) -> str:
    """Return a number of files in words."""
    return words.ngettext("%(count)s file", "%(count)s files", count) % {"count": f"{count:,}"}


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1024:  # noqa: PLR2004 - a kilobyte
        return f"{count} B"
    value = count / 1024
    units = iter(_UNITS)
    unit = next(units)
    while value >= 1024 and unit != _UNITS[-1]:  # noqa: PLR2004
        value, unit = value / 1024, next(units)
    return f"{value:.1f} {unit}"
