"""Large statements are rendered in pieces and decoded in a thread, and say what small ones say."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import Response

from fakes.world import World, submit_statement
from livius.api.fabric.large import statement_response, statements_response
from livius.api.fabric.responses import statement_body, statements_body
from livius.usecases import statement_reads
from livius.usecases.sessions import CreateSession, create_session
from livius.usecases.statement_reads import StatementView, Window, get_statement, whole_characters
from support.records import first_repl

CODE = 'print("台北 \\ud83d")\n' * 200_000
MIB = 1024 * 1024


async def submitted(world: World, code: str) -> StatementView:
    made = await create_session(world.context, world.admin, *world.place, CreateSession())
    path = world.path(made.session.id)
    return await submit_statement(
        world.context, world.admin, path, code=code, kind=None, source_id=None
    )


async def sent(response: Response) -> list[bytes]:
    """The pieces in which the event loop renders a response."""
    pieces: list[bytes] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is read")

    async def send(message: Any) -> None:
        pieces.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.4"}}
    await response(scope, receive, send)
    return pieces


async def test_large_code_is_rendered_in_pieces(world: World) -> None:
    view = await submitted(world, CODE)
    pieces = await sent(statement_response(view))
    assert max(map(len, pieces)) < MIB
    assert json.loads(b"".join(pieces)) == statement_body(view)


async def test_a_page_of_large_statements_is_rendered_in_pieces(world: World) -> None:
    views = [
        await submitted(world, "1"),
        await submitted(world, CODE),
        replace(await submitted(world, "[]"), text="x" * 100),
    ]
    pieces = await sent(statements_response(views, total=7))
    assert max(map(len, pieces)) < MIB
    assert json.loads(b"".join(pieces)) == statements_body(views, total=7)


async def test_a_page_of_small_statements_is_one_piece(world: World) -> None:
    views = [await submitted(world, "1")]
    assert [one for one in await sent(statements_response(views, total=1)) if one]
    assert len([one for one in await sent(statement_response(views[0])) if one]) == 1


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_large_text_is_decoded_in_a_thread(
    world: World, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    found = (await submitted(world, "1")).statement
    text = ("台" * size)[:size]
    await world.context.outputs.write(
        found.session, found.repl, found.number, offset=0, data=text.encode(), most=10**9
    )
    threads: list[threading.Thread] = []

    def decode(raw: bytes) -> str:
        threads.append(threading.current_thread())
        return whole_characters(raw)

    monkeypatch.setattr(statement_reads, "whole_characters", decode)
    session = await world.store.session(found.session)
    assert session is not None
    view = await get_statement(world.context, await first_repl(world.store, session), "0", Window())
    assert view.text == text
    assert (threads == [threading.main_thread()]) == (size < MIB)


@pytest.mark.parametrize("cut", range(1, 5))
def test_pieces_split_no_character(cut: int) -> None:
    raw = ("😀台é." * 100_000).encode()
    assert whole_characters(raw) == raw.decode()
    assert whole_characters(raw[cut:-cut]) == raw[cut:-cut].decode(errors="ignore")
