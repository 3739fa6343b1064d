"""The messages that gateway and agent push to each other, and nothing else.

Three rules:

* Plain data only. A frame is one JSON object with a ``type``; nothing is ever unpickled. What comes
  from a driver is untrusted, so its types carry bounds: a text that is longer, a number that is out
  of range, half a character, NaN or Infinity is no message.
* A message about a statement names it by ``repl`` and ``number`` and carries ``seq``, which
  grows by one with each message about that statement. Sending a message twice is harmless.
* This module travels with the agent and is the one module of the driver's side that speaks to the
  gateway. It needs msgspec, which both environments have.

The conversation. The agent dials, shows its driver's secret in the ``Authorization`` header of
the upgrade, and says `Hello` with its ledger: every statement that the gateway has not yet
acknowledged as finished. The gateway answers `Welcome` with the durable output offsets of each,
re-sends what the agent never saw, and from then on both sides push. The agent keeps a
statement's output in a spool and forgets it on ``Ack(finished=True)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

PROTOCOL: Final = 6
"""Raised when a message changes in a way that the other side must know about.

6: a driver is asked for names by `Complete`, and answers with `Completed`.
5: a driver of the starter pool says `Warmed`, and is bound to its session by `Bind`.
4: a driver may have several repls: `OpenRepl`, `CloseRepl`, `ReplReady`, `ReplClosed`.
3: data that is too large for `Finished` comes before it, as `Output` of the stream ``data``.
2: `Finished` may bring the last piece of output. Before, `Output` brought all of it.
"""

REPLS_PROTOCOL: Final = 4
"""The oldest that knows of further repls."""

COMPLETION_PROTOCOL: Final = 6
"""The oldest that can be asked for names."""

OLDEST_PROTOCOL: Final = 1
"""The oldest that a gateway still takes: drivers outlive its upgrade."""

MAX_FRAME_BYTES: Final = 1024 * 1024
"""The largest frame of an agent. `livius_agent.fitting` cuts texts to it, and what may be larger
comes in pieces of `OUTPUT_CHUNK_BYTES`."""

MAX_GATEWAY_FRAME_BYTES: Final = 64 * 1024 * 1024
"""The largest frame of a gateway: `Run` carries the code as it was sent."""

OUTPUT_CHUNK_BYTES: Final = 64 * 1024

LARGEST_DATA: Final = 64 * 1024 * 1024
"""Bytes of a statement's data; the agent cuts it at less (`livius_agent.answers`)."""

MOST_JOBS: Final = 100
MOST_NAMES: Final = 200
LONGEST_LINE: Final = 1000
"""Characters of the code before the place for which names are wanted."""
LONGEST_ASK: Final = 16 * 1024
"""Characters of one question of user code; the gateway refuses longer ones."""

LONGEST_ERROR: Final = 256 * 1024
"""Bytes of JSON that an error's text and traceback may take together."""

SECRET_ASKS: Final = frozenset({"token", "secret"})
"""What is answered with ``{"value": …}`` that no output and no log may show."""

_LAST_MOMENT: Final = 253_402_300_799
"""The end of the year 9999, in Unix seconds."""

Name: TypeAlias = Annotated[str, Meta(max_length=100)]
Word: TypeAlias = Annotated[str, Meta(max_length=1000)]
Piece: TypeAlias = Annotated[str, Meta(max_length=OUTPUT_CHUNK_BYTES)]
Text: TypeAlias = Annotated[str, Meta(max_length=LONGEST_ERROR)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Offset: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Count: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""Of tasks: Spark is known to count below zero."""
Moment: TypeAlias = Annotated[float, Meta(ge=0, le=_LAST_MOMENT)]
Stream: TypeAlias = Literal["text", "data"]


NO_DATA: Final = Raw(b"null")


class WireError(ValueError):
    """The peer sent something that is not a message of this protocol."""


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """What the agent knows of one statement that the gateway has not acknowledged as finished.

    ``size`` is the number of output bytes spooled so far. A finished statement's `Finished`
    message is sent again right after `Welcome`.
    """

    repl: Name
    number: Number
    seq: Offset
    size: Offset
    finished: bool


class Durable(Struct, frozen=True, kw_only=True):
    """How many bytes of one statement's streams the gateway holds durably."""

    repl: str
    number: int
    offset: int
    data: int = 0


# From the agent to the gateway.


class Hello(Struct, frozen=True, kw_only=True, tag="hello"):
    """The first message of every connection.

    ``last`` maps a repl to the highest statement number it was ever given (-1: none): a number
    at or below it is never run again.
    """

    protocol: Number
    driver: Name
    agent: Name
    last: Annotated[Mapping[Name, Count], Meta(max_length=1000)]
    ledger: Annotated[tuple[LedgerEntry, ...], Meta(max_length=1000)] = ()


class Ready(Struct, frozen=True, kw_only=True, tag="ready"):
    """Spark runs and the driver's first repl takes statements. Sent again after each `Welcome`."""

    spark_app_id: Name
    versions: Annotated[Mapping[Name, Name], Meta(max_length=20)]
    ui_url: Word | None = None
    conf: Annotated[Mapping[str, str], Meta(max_length=10_000)] = {}


class Warmed(Struct, frozen=True, kw_only=True, tag="warmed"):
    """Spark has done some work of each kind, and waits for `Bind`. Sent again after `Welcome`."""


class ReplReady(Struct, frozen=True, kw_only=True, tag="repl_ready"):
    """A further repl takes statements. Sent again when `OpenRepl` comes again."""

    repl: Name


class ReplClosed(Struct, frozen=True, kw_only=True, tag="repl_closed"):
    """There is no such repl any more, or it could not be opened.

    ``reason`` is a sentence for people where that was not asked for.
    """

    repl: Name
    reason: Annotated[str, Meta(max_length=10_000)] | None = None


class Failing(Struct, frozen=True, kw_only=True, tag="failing"):
    """The driver is about to end by itself: start-up failed, the JVM ended, Spark stopped.

    ``reason`` is one sentence for people, ``log`` the last lines that explain it.
    """

    reason: Annotated[str, Meta(max_length=10_000)]
    log: Annotated[tuple[Annotated[str, Meta(max_length=10_000)], ...], Meta(max_length=200)] = ()


class Output(Struct, frozen=True, kw_only=True, tag="output"):
    """Text at byte ``offset`` (of its UTF-8 form) of one of a statement's two streams.

    ``text`` is what it prints. ``data`` is the JSON object that `Finished.data` has no room for.
    """

    repl: Name
    number: Number
    seq: Offset
    offset: Offset
    text: Piece
    stream: Stream = "text"


class Progress(Struct, frozen=True, kw_only=True, tag="progress"):
    """The share, 0 to 1, of the statement's Spark tasks that are done."""

    repl: Name
    number: Number
    seq: Offset
    value: float


class Heap(Struct, frozen=True, kw_only=True):
    """The Java heap of a driver, in bytes."""

    used: Offset
    limit: Offset


class Stage(Struct, frozen=True, kw_only=True):
    """A stage's last attempt. ``status`` is Spark's word; the numbers count tasks.

    Of what it read and wrote, ``input`` and ``output`` are from and to storage, not shuffles.
    """

    id: Count
    attempt: Count
    name: Text
    status: Word
    tasks: Count
    done: Count
    active: Count
    failed: Count
    started: Moment | None = None
    ended: Moment | None = None
    input_bytes: Count = 0
    input_rows: Count = 0
    output_bytes: Count = 0
    output_rows: Count = 0


class Job(Struct, frozen=True, kw_only=True):
    """A Spark job. Times are Unix seconds; of more than 50 stages it has the last.

    ``name`` is its call site, ``description`` what code or a library says of it.
    """

    id: Count
    name: Text
    description: Text | None = None
    status: Word
    tasks: Count
    done: Count
    active: Count
    failed: Count
    skipped: Count
    started: Moment | None = None
    ended: Moment | None = None
    stages: Annotated[tuple[Stage, ...], Meta(max_length=100)] = ()


class Jobs(Struct, frozen=True, kw_only=True, tag="jobs"):
    """A statement's Spark jobs as they are now, the last `MOST_JOBS` of ``total``.

    Sent while it runs, and once more soon after its end; what was sent last holds. Of a statement
    without jobs nothing is sent.
    """

    repl: Name
    number: Number
    total: Count
    jobs: Annotated[tuple[Job, ...], Meta(max_length=MOST_JOBS)]
    heap: Heap | None = None


class Finished(Struct, frozen=True, kw_only=True, tag="finished"):
    """A statement ended. Sent again after each redial until acknowledged.

    ``size`` is the length in bytes of its whole output stream, which is its ``text/plain``;
    ``text`` is what of it, at its end, no `Output` has brought: `OUTPUT_CHUNK_BYTES` at most.
    ``data`` holds the other MIME types (values are JSON values) as one JSON object; it is
    null on an error, and where it came before as a stream of ``data_size`` bytes.
    ``with_text`` tells whether an empty stream still makes an (empty) ``text/plain``.
    ``outcome`` is ``cancelled`` only when the code has truly stopped because of a `Cancel`.
    ``stop`` tells that the statement's code wants its session ended.
    """

    repl: Name
    number: Number
    seq: Offset
    size: Offset
    outcome: Literal["ok", "error", "cancelled"]
    text: Piece = ""
    with_text: bool = True
    data: Raw = NO_DATA
    data_size: Offset = 0
    ename: Text | None = None
    evalue: Text | None = None
    traceback: Annotated[tuple[Text, ...], Meta(max_length=10_000)] = ()
    stop: bool = False


class Beat(Struct, frozen=True, kw_only=True, tag="beat"):
    """Nothing new; the agent is alive. ``busy`` tells of work outside statements (streams)."""

    busy: bool = False
    heap: Heap | None = None


class Completed(Struct, frozen=True, kw_only=True, tag="completed"):
    """The answer to a `Complete`; no names while the repl is busy, or where it knows none."""

    id: Offset
    names: Annotated[tuple[Name, ...], Meta(max_length=MOST_NAMES)] = ()


class AgentRequest(Struct, frozen=True, kw_only=True, tag="ask"):
    """A question of the session's code, with an id of the agent's. It may be sent again."""

    id: Offset
    repl: Name
    what: Literal["context", "stop", "token", "secret"]
    arguments: Annotated[
        Mapping[Name, Annotated[str, Meta(max_length=LONGEST_ASK)]], Meta(max_length=20)
    ] = {}

    def __repr__(self) -> str:
        """Leave out the arguments, which no log may show."""
        return f"AgentRequest(id={self.id}, what={self.what!r})"


# From the gateway to the agent.


class Welcome(Struct, frozen=True, kw_only=True, tag="welcome"):
    """The answer to `Hello`. The agent sends something at least every ``beat_seconds``.

    ``durable`` names the ledger's statements that the gateway still wants; the others are to be
    forgotten. Output is re-sent from each offset.
    """

    beat_seconds: float
    durable: tuple[Durable, ...] = ()


class Bind(Struct, frozen=True, kw_only=True, tag="bind"):
    """Be the driver of this session, and say `Ready`. A driver is bound once.

    ``conf`` is the caller's, as far as a running Spark can take it; ``names`` is the file of the
    lakehouses that its user may use.
    """

    lakehouse_root: str
    database: str
    names: str
    name: str
    conf: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Leave out the conf, which no log may show."""
        return f"Bind(lakehouse_root={self.lakehouse_root!r}, name={self.name!r})"


class OpenRepl(Struct, frozen=True, kw_only=True, tag="open_repl"):
    """Open a repl, and say `ReplReady` or `ReplClosed`. One that was closed stays closed."""

    repl: str


class CloseRepl(Struct, frozen=True, kw_only=True, tag="close_repl"):
    """Stop what a repl runs, close it, and say `ReplClosed`."""

    repl: str


class Run(Struct, frozen=True, kw_only=True, tag="run"):
    """Run this statement, after those already queued in its repl. Ignored when seen before."""

    repl: str
    number: int
    kind: Literal["spark", "pyspark", "sql", "sparkr"]
    code: str


class Cancel(Struct, frozen=True, kw_only=True, tag="cancel"):
    """Stop this statement and say `Finished` once its code has truly stopped."""

    repl: str
    number: int


class Complete(Struct, frozen=True, kw_only=True, tag="complete"):
    """Propose names for the end of this code, in no statement's way. It may stay unanswered."""

    id: int
    repl: str
    kind: Literal["spark", "pyspark", "sql", "sparkr"]
    code: str


class Ack(Struct, frozen=True, kw_only=True, tag="ack"):
    """The gateway holds a stream up to ``offset`` durably, and the end too if ``finished``."""

    repl: str
    number: int
    offset: int
    finished: bool
    stream: Stream = "text"


class Answer(Struct, frozen=True, kw_only=True, tag="answer"):
    """The answer to an `AgentRequest`, or a sentence that says why there is none."""

    id: int
    body: Mapping[str, Any] | None = None
    error: str | None = None
    code: str | None = None

    def __repr__(self) -> str:
        """Leave out the body, which no log may show."""
        return f"Answer(id={self.id}, code={self.code!r})"


FromAgent: TypeAlias = (
    Hello
    | Ready
    | Warmed
    | ReplReady
    | ReplClosed
    | Failing
    | Output
    | Progress
    | Jobs
    | Finished
    | Beat
    | Completed
    | AgentRequest
)
FromGateway: TypeAlias = (
    Welcome | Bind | OpenRepl | CloseRepl | Run | Cancel | Complete | Ack | Answer
)
Message: TypeAlias = FromAgent | FromGateway

_ENCODER: Final = msgspec.json.Encoder()
_OF_AGENT: Final[msgspec.json.Decoder[FromAgent]] = msgspec.json.Decoder(FromAgent)
_OF_GATEWAY: Final[msgspec.json.Decoder[FromGateway]] = msgspec.json.Decoder(FromGateway)


def type_of(message: Message) -> str:
    """Return the ``type`` that a message has in its frame."""
    return str(type(message).__struct_config__.tag)


def encode(message: Message) -> bytes:
    """Return the frame's bytes."""
    try:
        return _ENCODER.encode(message)
    except UnicodeEncodeError:
        return _ENCODER.encode(whole(message))


def decode_agent(frame: str | bytes) -> FromAgent:
    """Return the message in a frame that claims to be an agent's.

    Fields that this version does not know are ignored, so that an agent may be a little newer.

    Raises:
        WireError: it is none, or breaks a bound.
    """
    return _decode(_OF_AGENT, frame)


def decode_gateway(frame: str | bytes) -> FromGateway:
    """Return the message in a frame of a gateway's, like `decode_agent`."""
    return _decode(_OF_GATEWAY, frame)


_Kind = TypeVar("_Kind")


def _decode(decoder: msgspec.json.Decoder[_Kind], frame: str | bytes) -> _Kind:
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WireError(str(error)) from error


def whole(value: Any) -> Any:
    """Return a message, or what is in one, with a question mark for each lone half of a character.

    For Python such a half is text; for JSON, UTF-8 and the gateway it is none.
    """
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode()
    if isinstance(value, Struct):
        parts = {name: whole(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **parts)
    if isinstance(value, Mapping):
        return {whole(key): whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(whole, value))
    return value


def check_data(raw: bytes) -> bool:
    """Check that bytes are one JSON object, in UTF-8; tell whether it has members.

    Raises:
        WireError: they are not.
    """
    return bool(_object(raw, dict[str, Raw]))


def check_values(raw: bytes) -> None:
    """Check besides that its values can be read: pages show small data in lists of others'.

    Raises:
        WireError: they can't.
    """
    _object(raw, dict[str, Any])


def _object(raw: bytes, kind: type[dict[str, Any]]) -> dict[str, Any]:
    try:
        raw.decode()
        found: dict[str, Any] = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise WireError(f"the data is no JSON object: {error}") from error
    return found
