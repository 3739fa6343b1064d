"""The pipe that all interpreters of a repl write to."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livius_agent.capture import OutputPipe


@pytest.fixture
async def output_pipe(tmp_path: Path) -> AsyncIterator[OutputPipe]:
    opened = OutputPipe(tmp_path / "pipe")
    yield opened
    opened.close()


async def until(heard: list[str], text: str) -> None:
    async with asyncio.timeout(5):
        while "".join(heard) != text:
            await asyncio.sleep(0)


async def test_text_is_handed_on_as_it_comes(output_pipe: OutputPipe) -> None:
    heard: list[str] = []
    output_pipe.begin(heard.append)
    with output_pipe.path.open("wb", buffering=0) as writer:
        writer.write(b"one ")
        await until(heard, "one ")
        writer.write(b"two")
        await until(heard, "one two")
    output_pipe.end()


async def test_all_that_was_flushed_before_the_end_is_heard(output_pipe: OutputPipe) -> None:
    heard: list[str] = []
    output_pipe.begin(heard.append)
    with output_pipe.path.open("wb", buffering=0) as writer:
        writer.write(b"x" * 60_000)
    output_pipe.end()
    assert "".join(heard) == "x" * 60_000


async def test_characters_cut_in_two_are_put_together_and_others_replaced(
    output_pipe: OutputPipe,
) -> None:
    heard: list[str] = []
    output_pipe.begin(heard.append)
    raw = "湖".encode()
    with output_pipe.path.open("wb", buffering=0) as writer:
        writer.write(raw[:1])
        await asyncio.sleep(0)
        writer.write(raw[1:] + b"\xff!" + raw[:2])
    output_pipe.end()
    assert "".join(heard) == "湖\ufffd!\ufffd"


async def test_what_comes_between_statements_goes_to_the_next(output_pipe: OutputPipe) -> None:
    heard: list[str] = []
    with output_pipe.path.open("wb", buffering=0) as writer:
        writer.write(b"late ")
        output_pipe.end()
        output_pipe.begin(heard.append)
        writer.write(b"now")
    output_pipe.end()
    assert "".join(heard) == "late now"


async def test_a_writer_that_never_stops_does_not_keep_a_statement_open(
    output_pipe: OutputPipe,
) -> None:
    output_pipe.begin(lambda _text: None)
    writer = os.open(output_pipe.path, os.O_WRONLY | os.O_NONBLOCK)
    stop = False

    async def flood() -> None:
        while not stop:
            with contextlib.suppress(BlockingIOError):
                os.write(writer, b"y" * 4096)
            await asyncio.sleep(0)

    flooding = asyncio.get_running_loop().create_task(flood())
    await asyncio.sleep(0)
    output_pipe.end()
    stop = True
    await flooding
    os.close(writer)


async def test_it_is_said_how_much_of_what_came_between_statements_is_left_out(
    output_pipe: OutputPipe,
) -> None:
    written, heard = 300 * 1024, list[str]()
    with output_pipe.path.open("wb", buffering=0) as writer:
        await asyncio.to_thread(writer.write, b"x" * written)
    output_pipe.end()
    output_pipe.begin(heard.append)
    output_pipe.end()
    said, _, kept = "".join(heard).partition("\n")
    assert said.startswith(f"[{written - len(kept)} characters")
    assert set(kept) == {"x"}
    heard.clear()
    output_pipe.begin(heard.append)
    assert heard == []
