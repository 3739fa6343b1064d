"""The contract of the store of output streams."""

from livius.domain.ids import ReplId, SessionId, StatementNumber, new_id
from livius.ports.outputs import Outputs

KEY = (SessionId(new_id()), ReplId(new_id()), StatementNumber(0))


async def test_a_stream_that_was_never_written_is_empty(outputs: Outputs) -> None:
    assert await outputs.size(*KEY) == 0
    assert await outputs.read(*KEY) == b""
    assert await outputs.read_data(*KEY) == b""


async def test_pieces_make_a_stream_and_a_repeat_changes_nothing(outputs: Outputs) -> None:
    assert await outputs.write(*KEY, offset=0, data=b"hello ", most=1000) == 6
    assert await outputs.write(*KEY, offset=6, data=b"world", most=1000) == 11
    assert await outputs.write(*KEY, offset=0, data=b"hello ", most=1000) == 11
    assert await outputs.write(*KEY, offset=3, data=b"lo wor", most=1000) == 11
    assert await outputs.read(*KEY) == b"hello world"


async def test_what_is_stored_is_never_changed(outputs: Outputs) -> None:
    assert await outputs.write(*KEY, offset=0, data=b"hello ", most=1000) == 6
    assert await outputs.write(*KEY, offset=0, data=b"HELLO world", most=1000) == 11
    assert await outputs.write(*KEY, offset=2, data=b"no", most=1000) == 11
    assert await outputs.read(*KEY) == b"hello world"


async def test_beyond_the_most_the_beginning_is_kept_and_says_so(outputs: Outputs) -> None:
    assert await outputs.write(*KEY, offset=0, data=b"0123456", most=10) == 7
    assert await outputs.write(*KEY, offset=7, data="78台 and more".encode(), most=10) == 21
    kept = await outputs.read(*KEY)
    assert kept == b"012345678\n[output cut: the limit is 10 bytes]\n"
    # The sender goes on, now or after a redial, as if all of it were taken.
    assert await outputs.write(*KEY, offset=21, data=b"x" * 100, most=10) == 121
    assert await outputs.write(*KEY, offset=len(kept), data=b"y", most=10) == len(kept) + 1
    assert await outputs.read(*KEY) == kept


async def test_the_two_streams_of_a_statement_are_apart(outputs: Outputs) -> None:
    assert await outputs.write(*KEY, offset=0, data=b"text", most=100) == 4
    assert await outputs.write(*KEY, offset=0, data=b'{"a":', most=100, stream="data") == 5
    assert await outputs.write(*KEY, offset=5, data=b"1}", most=100, stream="data") == 7
    assert await outputs.size(*KEY, stream="data") == 7
    assert await outputs.read_data(*KEY) == b'{"a":1}'
    assert await outputs.read(*KEY) == b"text"


async def test_a_gap_is_refused_by_telling_the_size(outputs: Outputs) -> None:
    await outputs.write(*KEY, offset=0, data=b"abc", most=1000)
    assert await outputs.write(*KEY, offset=5, data=b"x", most=1000) == 3
    assert await outputs.read(*KEY) == b"abc"


async def test_a_window_of_a_stream(outputs: Outputs) -> None:
    await outputs.write(*KEY, offset=0, data=b"0123456789", most=1000)
    assert await outputs.read(*KEY, offset=3, size=4) == b"3456"
    assert await outputs.read(*KEY, offset=8, size=100) == b"89"
    assert await outputs.read(*KEY, offset=50) == b""
    assert await outputs.read(*KEY, offset=2, size=0) == b""


async def test_large_data_lies_beside_the_stream_and_both_go_with_the_session(
    outputs: Outputs,
) -> None:
    await outputs.write(*KEY, offset=0, data=b"text", most=1000)
    await outputs.write_data(*KEY, b"{}")
    await outputs.write_data(*KEY, b'{"a":1}')
    assert await outputs.read_data(*KEY) == b'{"a":1}'
    await outputs.remove(KEY[0])
    assert await outputs.read(*KEY) == b""
    assert await outputs.read_data(*KEY) == b""
    await outputs.remove(KEY[0])
