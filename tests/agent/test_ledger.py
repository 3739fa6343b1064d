"""The agent's records of statements until the gateway has stored them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livius_agent.ledger import WINDOW, Entry, Ledger
from livius_agent.wire import OUTPUT_CHUNK_BYTES, Finished, Run


def ledger(folder: Path, *, limit: int = 10_000_000) -> Ledger:
    return Ledger(limit=limit, reserve=0, folder=folder)


def run(number: int = 0, repl: str = "r") -> Run:
    return Run(repl=repl, number=number, kind="pyspark", code="1")


MakeEntry = Callable[..., Entry]


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[MakeEntry]:
    made: list[Entry] = []

    def make(*, limit: int = 10_000_000) -> Entry:
        taken = ledger(tmp_path, limit=limit).take(run())
        assert taken is not None
        made.append(taken)
        return taken

    yield make
    for one in made:
        one.close()


def received(source: Entry) -> str:
    """All that can be sent, acknowledged as it goes."""
    stream = b""
    while (piece := source.next_output()) is not None:
        assert piece.offset == len(stream)
        stream += piece.text.encode()
        source.acknowledge(len(stream))
    return stream.decode()


@given(st.text("aä台😀", min_size=1, max_size=30), st.integers(0, 120))
def test_a_stream_goes_on_wherever_the_gateway_has_it_until(text: str, held: int) -> None:
    """A disk that was full may have taken a part of a character."""
    with TemporaryDirectory() as folder:
        entry = ledger(Path(folder)).take(run())
        assert entry is not None
        entry.append(text)
        entry.finish(Finished(repl="r", number=0, seq=0, size=entry.size, outcome="ok"))
        entry.rewind(held)
        stream = text.encode()[:held]
        rest = entry.text.sent
        assert rest <= len(stream) < rest + 4
        end = entry.next_end()
        assert end is not None
        assert stream[:rest] + end.text.encode() == text.encode()
        entry.close()


def test_a_statement_is_taken_once(tmp_path: Path) -> None:
    kept = ledger(tmp_path)
    first = kept.take(run(3))
    assert first is not None
    assert kept.take(run(3)) is None
    assert kept.take(run(2)) is None
    kept.forget(first)
    assert kept.take(run(3)) is None
    assert kept.take(run(4)) is not None
    assert kept.take(run(0, repl="other")) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(texts=st.lists(st.text(max_size=300), max_size=30))
def test_what_is_sent_is_what_was_printed(entry: MakeEntry, texts: list[str]) -> None:
    source = entry()
    for text in texts:
        source.append(text)
    assert received(source) == "".join(texts).encode(errors="replace").decode()


def test_a_large_stream_of_wide_characters_arrives_whole(entry: MakeEntry) -> None:
    source = entry()
    text = "湖é" * (OUTPUT_CHUNK_BYTES // 2)
    for start in range(0, len(text), 7001):
        source.append(text[start : start + 7001])
    assert received(source) == text


def test_sending_waits_for_acknowledgements(entry: MakeEntry) -> None:
    source = entry()
    source.append("x" * (3 * WINDOW))
    while source.next_output() is not None:
        pass
    assert source.text.sent == WINDOW
    source.acknowledge(WINDOW)
    assert source.next_output() is not None


def test_a_new_link_goes_on_from_the_durable_offset(entry: MakeEntry) -> None:
    source = entry()
    source.append("0123456789")
    assert source.next_output() is not None
    source.finish(Finished(repl="r", number=0, seq=1, size=10, outcome="ok"))
    source.finished_sent = True
    source.rewind(4)
    piece = source.next_output()
    assert piece is not None
    assert (piece.offset, piece.text) == (4, "456789")
    assert not source.finished_sent


def test_a_short_rest_goes_with_the_end(entry: MakeEntry) -> None:
    source = entry()
    source.append("0123")
    assert source.next_end() is None
    assert source.next_output() is not None
    source.append("湖")
    source.finish(Finished(repl="r", number=0, seq=0, size=source.size, outcome="ok"))
    end = source.next_end()
    assert end is not None
    assert (end.text, end.size, end.seq) == ("湖", 7, 2)
    assert (source.next_end(), source.next_output()) == (None, None)
    source.rewind(0)  # the link broke before the gateway had any of it
    again = source.next_end()
    assert again is not None
    assert (again.text, again.seq) == ("0123湖", 3)


def test_a_long_rest_goes_before_the_end(entry: MakeEntry) -> None:
    source = entry()
    source.append("x" * (OUTPUT_CHUNK_BYTES + 1))
    source.finish(Finished(repl="r", number=0, seq=0, size=source.size, outcome="ok"))
    assert source.next_end() is None
    piece = source.next_output()
    end = source.next_end()
    assert piece is not None
    assert end is not None
    assert piece.text + end.text == "x" * (OUTPUT_CHUNK_BYTES + 1)


def test_beyond_the_limit_one_line_says_so_and_the_rest_is_dropped(entry: MakeEntry) -> None:
    source = entry(limit=100)
    for _ in range(50):
        source.append("湖" * 10)
    text = received(source)
    assert text.startswith("湖" * 33)
    assert text.endswith("[output cut: the limit is 100 bytes]\n")
    assert text.count("output cut") == 1


def test_the_summary_names_what_is_open(tmp_path: Path) -> None:
    kept = ledger(tmp_path)
    one = kept.take(run(0))
    assert one is not None
    one.append("abc")
    [summary] = kept.summary()
    assert (summary.repl, summary.number, summary.size, summary.finished) == ("r", 0, 3, False)
    one.close()


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_forgotten_statement_leaves_no_file(tmp_path: Path, size: int) -> None:
    kept = ledger(tmp_path)
    one = kept.take(run(0))
    assert one is not None
    one.append("x" * size)
    kept.forget(one)
    assert list(tmp_path.iterdir()) == []
    assert kept.summary() == ()


def test_a_statement_that_the_gateway_wants_no_longer_may_print_and_end(tmp_path: Path) -> None:
    given = ledger(tmp_path)
    entry = given.take(run())
    assert entry is not None
    entry.append("one\n")
    given.forget(entry)
    entry.append("two\n")
    assert entry.size == len("one\n")
    end = Finished(repl="r", number=0, seq=0, size=4, outcome="ok")
    entry.finish(end, data=b'{"a":"' + b"x" * OUTPUT_CHUNK_BYTES + b'"}')
    assert entry.finished is not None
