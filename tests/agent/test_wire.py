"""The messages: every one survives the way, and nothing else gets in."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import livius_agent.wire
from livius_agent.wire import (
    Durable,
    FromAgent,
    FromGateway,
    Hello,
    LedgerEntry,
    Message,
    Welcome,
    WireError,
    decode,
    encode,
)

KINDS = (*get_args(FromAgent), *get_args(FromGateway))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


TEXTS = st.dictionaries(st.text(), st.text(), max_size=3)
# Everywhere, also in what a message holds: what is not a number equals nothing, not even itself.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "data": st.none() | st.dictionaries(st.text(), JSON, max_size=3),
    "last": st.dictionaries(st.text(), st.integers(), max_size=3),
    "versions": TEXTS,
    "conf": TEXTS,
    "body": st.none() | st.dictionaries(st.text(), JSON, max_size=3),
    "arguments": TEXTS,
}


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    names = {field.name for field in dataclasses.fields(kind)}
    return st.builds(kind, **{name: how for name, how in FIELDS.items() if name in names})


@given(st.sampled_from(KINDS).flatmap(messages))
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assert decode(encode(message)) == message


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


@pytest.mark.parametrize("module", ["wire", "spec"])
def test_what_travels_needs_the_standard_library_alone(module: str) -> None:
    source = Path(livius_agent.wire.__file__).with_name(f"{module}.py")
    subprocess.run([sys.executable, "-I", "-S", source], check=True)
