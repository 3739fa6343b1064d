"""What every keeper of output streams promises."""

from livius.domain.ids import ReplId, SessionId, StatementNumber, new_id
from livius.ports.outputs import Outputs

KEY = (SessionId(new_id()), ReplId(new_id()), StatementNumber(0))


async def test_a_stream_that_was_never_written_is_empty(outputs: Outputs) -> None:
    assert await outputs.size(*KEY) == 0
    assert await outputs.read(*KEY) == b""
    assert await outputs.read_data(*KEY) == b""


async def test_pieces_make_a_stream_and_a_repeat_changes_nothing(outputs: Outputs) -> None:
    assert await outputs.write(*KEY, offset=0, data=b"hello ") == 6
    assert await outputs.write(*KEY, offset=6, data=b"world") == 11
    assert await outputs.write(*KEY, offset=0, data=b"hello ") == 11
    assert await outputs.write(*KEY, offset=3, data=b"lo wor") == 11
    assert await outputs.read(*KEY) == b"hello world"


async def test_what_is_stored_is_never_changed(outputs: Outputs) -> None:
    assert await outputs.write(*KEY, offset=0, data=b"hello ") == 6
    assert await outputs.write(*KEY, offset=0, data=b"HELLO world") == 11
    assert await outputs.write(*KEY, offset=2, data=b"no") == 11
    assert await outputs.read(*KEY) == b"hello world"


async def test_a_gap_is_refused_by_telling_the_size(outputs: Outputs) -> None:
    await outputs.write(*KEY, offset=0, data=b"abc")
    assert await outputs.write(*KEY, offset=5, data=b"x") == 3
    assert await outputs.read(*KEY) == b"abc"


async def test_a_window_of_a_stream(outputs: Outputs) -> None:
    await outputs.write(*KEY, offset=0, data=b"0123456789")
    assert await outputs.read(*KEY, offset=3, size=4) == b"3456"
    assert await outputs.read(*KEY, offset=8, size=100) == b"89"
    assert await outputs.read(*KEY, offset=50) == b""
    assert await outputs.read(*KEY, offset=2, size=0) == b""


async def test_large_data_lies_beside_the_stream_and_both_go_with_the_session(
    outputs: Outputs,
) -> None:
    await outputs.write(*KEY, offset=0, data=b"text")
    await outputs.write_data(*KEY, b"{}")
    await outputs.write_data(*KEY, b'{"a":1}')
    assert await outputs.read_data(*KEY) == b'{"a":1}'
    await outputs.remove(KEY[0])
    assert await outputs.read(*KEY) == b""
    assert await outputs.read_data(*KEY) == b""
    await outputs.remove(KEY[0])
