"""The messages: every one survives the way, and nothing else gets in."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

import livius_agent.wire
from livius_agent import fitting
from livius_agent.wire import (
    LONGEST_ASK,
    LONGEST_ERROR,
    MAX_FRAME_BYTES,
    MOST_JOBS,
    OUTPUT_CHUNK_BYTES,
    Ack,
    AgentRequest,
    Answer,
    Beat,
    Bind,
    Cancel,
    CloseRepl,
    Complete,
    Completed,
    Durable,
    Failing,
    Finished,
    FromAgent,
    FromGateway,
    Hello,
    Job,
    Jobs,
    LedgerEntry,
    Message,
    OpenRepl,
    Output,
    Progress,
    Ready,
    ReplClosed,
    ReplReady,
    Run,
    Stage,
    Warmed,
    Welcome,
    WireError,
    check_data,
    decode_agent,
    decode_gateway,
    encode,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

STAGE = Stage(id=1, attempt=0, name="s", status="ACTIVE", tasks=4, done=1, active=-1, failed=0)
JOB = Job(
    id=1,
    name="j",
    status="RUNNING",
    tasks=4,
    done=1,
    active=3,
    failed=0,
    skipped=0,
    started=1.5,
    stages=(STAGE,),
)
MESSAGES: list[Callable[[str], Message]] = [
    lambda text: Hello(
        protocol=3,
        driver="d",
        agent=text[:99],
        last={"r": -1},
        ledger=(LedgerEntry(repl="r", number=4, seq=1, size=9, finished=True),),
    ),
    lambda text: Ready(spark_app_id="a", versions={"spark": "4"}, ui_url=None, conf={text: text}),
    lambda _text: Warmed(),
    lambda text: Bind(
        lakehouse_root="/l", database="d", names="/n", name=text, conf={"spark.x": text}
    ),
    lambda _text: ReplReady(repl="r"),
    lambda text: ReplClosed(repl="r", reason=text),
    lambda text: Failing(reason=text, log=(text, "")),
    lambda text: Output(repl="r", number=1, seq=2, offset=3, text=text, stream="data"),
    lambda text: Progress(repl="r", number=1, seq=2, value=len(text) / 7),
    lambda text: Jobs(repl="r", number=1, total=1, jobs=(JOB,)),
    lambda text: Finished(
        repl="r",
        number=1,
        seq=2,
        size=3,
        outcome="error",
        text=text,
        ename=text,
        evalue=text,
        traceback=(text, text),
        stop=True,
    ),
    lambda text: Beat(busy=bool(text)),
    lambda text: AgentRequest(id=1, repl="r", what="secret", arguments={"name": text}),
    lambda text: Welcome(beat_seconds=5, durable=(Durable(repl="r", number=4, offset=2, data=1),)),
    lambda _text: OpenRepl(repl="r"),
    lambda _text: CloseRepl(repl="r"),
    lambda text: Run(repl="r", number=1, kind="sql", code=text),
    lambda text: Cancel(repl="r", number=1),
    lambda text: Ack(repl="r", number=1, offset=2, finished=False, stream="data"),
    lambda text: Completed(id=7, names=(text[:99],)),
    lambda text: Complete(id=7, repl="r", kind="pyspark", code=text),
    lambda text: Answer(id=1, body={text: [text, None, 1.5]}, error=None, code=text),
]


def decode(frame: str | bytes) -> Message:
    try:
        return decode_agent(frame)
    except WireError:
        return decode_gateway(frame)


def fields(message: Struct) -> dict[str, Any]:
    """Two equal JSON texts are two values to Python."""
    found = {name: getattr(message, name) for name in message.__struct_fields__}
    return {name: bytes(one) if isinstance(one, Raw) else one for name, one in found.items()}


def test_each_kind_of_message_is_tried() -> None:
    kinds = {type(make("")) for make in MESSAGES}
    assert kinds == {*get_args(FromAgent), *get_args(FromGateway)}


@given(st.sampled_from(MESSAGES), st.text(max_size=50))
def test_a_message_comes_out_as_it_went_in(make: Callable[[str], Message], text: str) -> None:
    message = make(text)
    arrived = decode(encode(message))
    assert type(arrived) is type(message)
    assert fields(arrived) == fields(message)


@given(st.sampled_from(MESSAGES))
def test_half_a_character_is_sent_as_a_question_mark(make: Callable[[str], Message]) -> None:
    assert fields(decode(encode(make("a\ud800b")))) == fields(make("a?b"))


def test_data_is_passed_on_as_it_is() -> None:
    raw = b'{"a":[1.0,1e3, "x"]}'
    done = Finished(repl="r", number=0, seq=1, size=0, outcome="ok", data=Raw(raw))
    arrived = decode_agent(encode(done))
    assert isinstance(arrived, Finished)
    assert bytes(arrived.data) == raw


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{", b'{"a":NaN}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":' + b"[" * 10**5],
)
def test_data_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        check_data(raw)


@given(JSON)
def test_anything_else_is_refused_and_never_breaks(body: object) -> None:
    with pytest.raises(WireError):
        decode(json.dumps(body))


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "{",
        b"\xff\xfe",
        '{"type":"beat","busy":1}',
        '{"type":"ack","repl":"r","number":true,"offset":1,"finished":true}',
        '{"type":"ack","repl":"r","number":1.0,"offset":1,"finished":true}',
        '{"type":"finished","repl":"r","number":1,"seq":1,"size":1,"outcome":"fine"}',
        '{"type":"progress","repl":"r","number":1,"seq":1,"value":"half"}',
        '{"type":"hello","protocol":1,"driver":"d","agent":"a","last":{"r":"x"}}',
        '{"type":"welcome","beat_seconds":1,"durable":[{"repl":"r"}]}',
        "[" * 100_000,
    ],
)
def test_a_wrong_frame_is_refused(frame: str | bytes) -> None:
    with pytest.raises(WireError):
        decode(frame)


def test_nested_values_and_unknown_fields() -> None:
    hello = Hello(
        protocol=1,
        driver="d",
        agent="1",
        last={"r": 4},
        ledger=(LedgerEntry(repl="r", number=4, seq=1, size=9, finished=True),),
    )
    welcome = Welcome(beat_seconds=5, durable=(Durable(repl="r", number=4, offset=2),))
    assert decode(encode(hello)) == hello
    assert decode(encode(welcome)) == welcome
    newer = json.loads(encode(hello)) | {"mood": "good"}
    assert decode(json.dumps(newer)) == hello


FINISHED = {"type": "finished", "repl": "r", "number": 1, "seq": 1, "size": 1, "outcome": "ok"}
OUTPUT = {"type": "output", "repl": "r", "number": 1, "seq": 1, "offset": 0, "text": ""}
JOBS = {"type": "jobs", "repl": "r", "number": 0, "total": 1, "jobs": []}
READY = {"type": "ready", "spark_app_id": "a", "versions": {}}


@pytest.mark.parametrize(
    ("valid", "broken"),
    [
        (OUTPUT, {"text": "x" * (OUTPUT_CHUNK_BYTES + 1)}),
        (OUTPUT, {"repl": "x" * 1000}),
        (OUTPUT, {"number": -1}),
        (OUTPUT, {"number": 2**31}),
        (OUTPUT, {"offset": -1}),
        (OUTPUT, {"offset": 2**60}),
        (OUTPUT, {"stream": "other"}),
        (FINISHED, {"evalue": "x" * (LONGEST_ERROR + 1)}),
        (FINISHED, {"ename": "x" * (LONGEST_ERROR + 1)}),
        (FINISHED, {"traceback": ["x"] * 10_001}),
        (FINISHED, {"data_size": -1}),
        (READY, {"spark_app_id": "x" * 101}),
        (READY, {"ui_url": "x" * 1001}),
        (READY, {"versions": {str(one): "1" for one in range(21)}}),
        (READY, {"versions": {"spark": "x" * 101}}),
        (READY, {"conf": {str(one): "1" for one in range(10_001)}}),
        (JOBS, {"jobs": [json.loads(json.dumps({"id": 1}))]}),
        (JOBS, {"total": 10**30}),
        ({"type": "failing", "reason": ""}, {"reason": "x" * 10_001}),
        ({"type": "failing", "reason": ""}, {"log": [""] * 201}),
        (
            {"type": "ask", "id": 1, "repl": "", "what": "stop"},
            {"arguments": {"a": "x" * (LONGEST_ASK + 1)}},
        ),
        (
            {"type": "hello", "protocol": 3, "driver": "d", "agent": "1", "last": {}},
            {"driver": "x" * 101},
        ),
        ({"type": "progress", "repl": "r", "number": 0, "seq": 1, "value": 0.5}, {"value": "half"}),
    ],
)
def test_what_breaks_a_bound_is_no_message(valid: dict[str, Any], broken: dict[str, Any]) -> None:
    decode_agent(json.dumps(valid))
    with pytest.raises(WireError):
        decode_agent(json.dumps(valid | broken))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_no_message(value: str) -> None:
    frame = '{"type":"progress","repl":"r","number":0,"seq":1,"value":%s}'
    decode_agent(frame % "0.5")
    with pytest.raises(WireError):
        decode_agent(frame % value)


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00", "\\ud800x"])
def test_half_a_character_is_no_message(text: str) -> None:
    with pytest.raises(WireError):
        decode_agent(f'{{"type":"failing","reason":"{text}"}}')


def test_a_side_takes_only_what_is_for_it() -> None:
    with pytest.raises(WireError):
        decode_agent(encode(Cancel(repl="r", number=1)))
    with pytest.raises(WireError):
        decode_gateway(encode(Beat()))


def test_no_log_shows_what_was_asked_and_answered() -> None:
    assert "hunter2" not in repr(
        AgentRequest(id=1, repl="r", what="secret", arguments={"name": "hunter2"})
    )
    assert "hunter2" not in repr(Answer(id=1, body={"value": "hunter2"}))


@pytest.mark.parametrize("text", ["x", "\x01", "台", "😀"])
def test_whatever_an_agent_has_to_say_is_cut_to_what_a_gateway_takes(text: str) -> None:
    long = text * 300_000
    stage = msgspec.structs.replace(STAGE, name=text * 1000)
    job = msgspec.structs.replace(JOB, name=long, stages=(stage,) * 50)
    end = Finished(
        repl="r",
        number=1,
        seq=2,
        size=3,
        outcome="error",
        ename=long,
        evalue=long,
        traceback=(long, "last line") * 2000,
        text=text * (OUTPUT_CHUNK_BYTES // len(text.encode())),
    )
    cut = fitting.finished(end)
    jobs = fitting.jobs(Jobs(repl="r", number=1, total=999, jobs=(job,) * 999))
    failing = fitting.failing(Failing(reason=long, log=(long,) * 500))
    conf = {str(number): long for number in range(99)}
    ready = fitting.ready(Ready(spark_app_id="a", versions={}, conf=conf))
    for message in (cut, jobs, failing, ready):
        frame = encode(message)
        assert len(frame) <= MAX_FRAME_BYTES
        assert type(decode_agent(frame)) is type(message)
    assert cut.traceback[-1] == "last line"
    assert cut.evalue is not None
    assert cut.evalue.endswith("more characters]\n")
    assert len(jobs.jobs) == MOST_JOBS
    assert jobs.jobs[-1].stages
    assert jobs.jobs[0].name.endswith(f"[{len(job.stages)} stages left out]")
    *kept, note = ready.conf.items()
    assert note == (
        "livius.conf.leftOut",
        f"{99 - len(kept)} keys are left out: the conf is too large.",
    )


def test_what_is_short_is_not_cut() -> None:
    end = Finished(
        repl="r",
        number=1,
        seq=2,
        size=3,
        outcome="error",
        evalue="x" * 10_000,
        traceback=("a\n", "b\n"),
    )
    assert fitting.finished(end) == end


def test_what_the_supervisor_needs_is_the_standard_library_alone() -> None:
    source = Path(livius_agent.wire.__file__).parent
    code = "import livius_agent.spec, livius_agent.redact, livius_agent.files"
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(source.parent)!r}); {code}",
    ]
    subprocess.run(command, check=True)
