"""The messages between the agent and a repl."""

import asyncio
import socket

import msgspec

from livius_agent.zygote_client import PythonProcess


async def test_the_data_of_an_answer_is_passed_on_as_it_came() -> None:
    """Parsing a large result would hold up whatever else the agent does."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    with theirs:
        ended = asyncio.get_running_loop().create_future()
        process = PythonProcess(0, ended, reader, writer)
        theirs.sendall(b'{"began":3}\n{"number":3,"outcome":"ok","data":{"a": [1.10]}}\n')
        answer = await process.run({"number": 3})
        assert process.began == [3]
        assert answer.pop("data") == msgspec.Raw(b'{"a": [1.10]}')
        assert answer == {"number": 3, "outcome": "ok"}
        process.close()


async def test_names_are_asked_for_between_statements_and_a_late_answer_is_nobodys() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    with theirs:
        ended = asyncio.get_running_loop().create_future()
        process = PythonProcess(0, ended, reader, writer)
        theirs.sendall(b'{"completed":0,"names":["a","b"]}\n')
        assert await process.complete("x.") == ("a", "b")
        assert await process.complete("x.") == ()  # no answer comes in time
        running = asyncio.get_running_loop().create_task(process.run({"number": 3}))
        await asyncio.sleep(0)
        assert await process.complete("x.") == ()  # not while a statement runs
        theirs.sendall(b'{"completed":1,"names":["late"]}\n{"number":3,"outcome":"ok"}\n')
        assert await running == {"number": 3, "outcome": "ok"}
        process.close()
