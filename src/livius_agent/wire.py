"""The messages that gateway and agent push to each other, and nothing else.

Three rules:

* Plain data only. A frame is one JSON object with a ``type``; nothing is ever unpickled,
  and what comes from a driver is untrusted, so `decode` checks every field.
* A message about a statement names it by ``repl`` and ``number`` and carries ``seq``, which
  grows by one with each message about that statement. Sending a message twice is harmless.
* This module imports the standard library only: it travels with the agent and is the one
  module of the driver's side that the gateway imports.

The conversation. The agent dials, shows its driver's secret in the ``Authorization`` header of
the upgrade, and says `Hello` with its ledger: every statement that the gateway has not yet
acknowledged as finished. The gateway answers `Welcome` with the durable output offset of each,
re-sends what the agent never saw, and from then on both sides push. The agent keeps a
statement's output in a spool and forgets it on ``Ack(finished=True)``.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias, Union, get_args, get_origin

PROTOCOL: Final = 2
"""Raised when a message changes in a way that the other side must know about.

2: `Finished` may bring the last piece of output. Before, `Output` brought all of it.
"""

OLDEST_PROTOCOL: Final = 1
"""The oldest that a gateway still takes: drivers outlive its upgrade."""

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""The largest frame either side accepts; an output message carries `OUTPUT_CHUNK_BYTES` at most."""

OUTPUT_CHUNK_BYTES: Final = 64 * 1024

MOST_JOBS: Final = 100
LONGEST_ASK: Final = 256 * 1024
"""Characters of one question of user code; the gateway refuses longer ones."""

SECRET_ASKS: Final = frozenset({"token", "secret"})
"""What is answered with ``{"value": …}`` that no output and no log may show."""


class WireError(ValueError):
    """The peer sent something that is not a message of this protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What the agent knows of one statement that the gateway has not acknowledged as finished.

    ``size`` is the number of output bytes spooled so far. A finished statement's `Finished`
    message is sent again right after `Welcome`.
    """

    repl: str
    number: int
    seq: int
    size: int
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """How many bytes of one statement's output the gateway holds durably."""

    repl: str
    number: int
    offset: int


# From the agent to the gateway.


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first message of every connection.

    ``last`` maps a repl to the highest statement number it was ever given (-1: none): a number
    at or below it is never run again.
    """

    type: ClassVar[str] = "hello"
    protocol: int
    driver: str
    agent: str
    last: Mapping[str, int]
    ledger: tuple[LedgerEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Spark runs and the default repl takes statements. Sent again after each `Welcome`."""

    type: ClassVar[str] = "ready"
    spark_app_id: str
    versions: Mapping[str, str]
    ui_url: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """The driver is about to end by itself: start-up failed, the JVM ended, Spark stopped.

    ``reason`` is one sentence for people, ``log`` the last lines that explain it.
    """

    type: ClassVar[str] = "failing"
    reason: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Text at byte ``offset`` (of its UTF-8 form) of a statement's output stream."""

    type: ClassVar[str] = "output"
    repl: str
    number: int
    seq: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The share, 0 to 1, of the statement's Spark tasks that are done."""

    type: ClassVar[str] = "progress"
    repl: str
    number: int
    seq: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage's last attempt. ``status`` is Spark's word; the numbers count tasks."""

    id: int
    attempt: int
    name: str
    status: str
    tasks: int
    done: int
    active: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A Spark job. Times are Unix seconds; of more than 50 stages it has the last."""

    id: int
    name: str
    status: str
    tasks: int
    done: int
    active: int
    failed: int
    skipped: int
    started: float | None = None
    ended: float | None = None
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """A statement's Spark jobs as they are now, the last `MOST_JOBS` of ``total``.

    Sent while it runs, and once more soon after its end; what was sent last holds. Of a statement
    without jobs nothing is sent.
    """

    type: ClassVar[str] = "jobs"
    repl: str
    number: int
    total: int
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A statement ended. Sent again after each redial until acknowledged.

    ``size`` is the length in bytes of its whole output stream, which is its ``text/plain``;
    ``text`` is what of it, at its end, no `Output` has brought: `OUTPUT_CHUNK_BYTES` at most.
    ``data`` holds the other MIME types (values are JSON values); it is null on an error.
    ``with_text`` tells whether an empty stream still makes an (empty) ``text/plain``.
    ``outcome`` is ``cancelled`` only when the code has truly stopped because of a `Cancel`.
    ``stop`` tells that the statement's code wants its session ended.
    """

    type: ClassVar[str] = "finished"
    repl: str
    number: int
    seq: int
    size: int
    outcome: Literal["ok", "error", "cancelled"]
    text: str = ""
    with_text: bool = True
    data: Mapping[str, Any] | None = None
    ename: str | None = None
    evalue: str | None = None
    traceback: tuple[str, ...] = ()
    stop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Nothing new; the agent is alive. ``busy`` tells of work outside statements (streams)."""

    type: ClassVar[str] = "beat"
    busy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question of the session's code, with an id of the agent's. It may be sent again."""

    type: ClassVar[str] = "ask"
    id: int
    repl: str
    what: Literal["context", "stop", "token", "secret"]
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)


# From the gateway to the agent.


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The answer to `Hello`. The agent sends something at least every ``beat_seconds``.

    ``durable`` names the ledger's statements that the gateway still wants; the others are to be
    forgotten. Output is re-sent from each offset.
    """

    type: ClassVar[str] = "welcome"
    beat_seconds: float
    durable: tuple[Durable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run this statement, after those already queued in its repl. Ignored when seen before."""

    type: ClassVar[str] = "run"
    repl: str
    number: int
    kind: Literal["spark", "pyspark", "sql", "sparkr"]
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Stop this statement and say `Finished` once its code has truly stopped."""

    type: ClassVar[str] = "cancel"
    repl: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The gateway holds the output up to ``offset`` durably, and the end too if ``finished``."""

    type: ClassVar[str] = "ack"
    repl: str
    number: int
    offset: int
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to an `Ask`, or a sentence that says why there is none."""

    type: ClassVar[str] = "answer"
    id: int
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    error: str | None = None
    code: str | None = None


FromAgent: TypeAlias = Hello | Ready | Failing | Output | Progress | Jobs | Finished | Beat | Ask
FromGateway: TypeAlias = Welcome | Run | Cancel | Ack | Answer
Message: TypeAlias = FromAgent | FromGateway

_BY_TYPE: Final[Mapping[str, type[Message]]] = {
    kind.type: kind for kind in (*get_args(FromAgent), *get_args(FromGateway))
}


def encode(message: Message) -> str:
    """Return the frame's text."""
    return json.dumps(
        {"type": message.type, **dataclasses.asdict(message)},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def decode(frame: str | bytes) -> Message:
    """Return the message in a frame.

    Fields that this version does not know are ignored, so that an agent may be a little newer.

    Raises:
        WireError: not JSON, an unknown type, a missing field or one of the wrong type.
    """
    try:
        body = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise WireError("the frame is not JSON") from error
    if not isinstance(body, dict):
        raise WireError("the frame is not an object")
    kind = _BY_TYPE.get(str(body.get("type")))
    if kind is None:
        raise WireError(f"unknown message type {str(body.get('type'))[:40]!r}")
    return typing.cast(Message, _build(kind, body, kind.type))


def _build(kind: type[Any], body: Mapping[str, Any], path: str) -> Any:
    hints = _hints(kind)
    values: dict[str, Any] = {}
    for entry in dataclasses.fields(kind):
        if entry.name in body:
            values[entry.name] = _check(hints[entry.name], body[entry.name], f"{path}.{entry.name}")
        elif entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING:
            raise WireError(f"{path}.{entry.name} is missing")
    return kind(**values)


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _check(hint: Any, value: Any, path: str) -> Any:  # noqa: C901, PLR0911, PLR0912 - one arm per shape
    """Return the value as the hint wants it, or raise `WireError`."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin is Literal:
        if value in get_args(hint):
            return value
    elif origin in (Union, types.UnionType):
        if value is None:
            return None
        return _check(next(arm for arm in get_args(hint) if arm is not type(None)), value, path)
    elif origin is tuple:
        if isinstance(value, list):
            return tuple(_check(get_args(hint)[0], item, path) for item in value)
    elif origin is Mapping:
        if isinstance(value, dict):
            return {key: _check(get_args(hint)[1], item, path) for key, item in value.items()}
    elif dataclasses.is_dataclass(hint):
        if isinstance(value, dict):
            return _build(typing.cast("type[Any]", hint), value, path)
    elif hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise WireError(f"{path} has the wrong type")
