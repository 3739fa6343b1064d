"""What the agent says first on a new link."""

from pathlib import Path
from typing import cast

import pytest
import websockets

from fakes.scripted_driver import Wire
from livius.domain.ids import DriverId
from livius_agent.ledger import Ledger
from livius_agent.link import Link, ToAgent, _Refused
from livius_agent.wire import (
    PROTOCOL,
    Ack,
    Finished,
    FromAgent,
    Hello,
    Ready,
    ReplReady,
    Run,
    Warmed,
    Welcome,
    decode_agent,
    encode,
)


async def ignore(message: ToAgent) -> None:
    del message


def new_link(folder: Path) -> Link:
    return Link(
        driver="d",
        secret="s",
        address_file=folder,
        lease_seconds=0,
        ledger=Ledger(limit=1, reserve=0, folder=folder),
        on_message=ignore,
    )


async def said(link: Link) -> list[FromAgent]:
    """Let it dial, and return what it sends."""
    wire = Wire(DriverId("d"), "s")
    socket = cast("websockets.ClientConnection", wire)
    await wire.send_bytes(encode(Welcome(beat_seconds=1)))
    wire.move(up=False, most=1)
    await link._greet(socket)
    await link._send_news(socket)
    return [decode_agent(frame) for frame in wire.to_gateway if isinstance(frame, bytes)]


async def test_its_state_comes_before_what_presupposes_it(tmp_path: Path) -> None:
    link = new_link(tmp_path)
    ready = Ready(spark_app_id="local-1", versions={})
    link.warmed()
    assert [type(one) for one in await said(link)] == [Hello, Warmed]
    link.ready(ready)
    assert await said(link) == [Hello(protocol=PROTOCOL, driver="d", agent="1", last={}), ready]
    link.say(ReplReady(repl="r"))  # and the link broke before `Ready` arrived
    assert (await said(link))[1:] == [ready, ReplReady(repl="r")]
    assert (await said(link))[1:] == [ready]


async def test_a_wish_to_stop_is_repeated_until_it_is_acknowledged(tmp_path: Path) -> None:
    link = new_link(tmp_path)
    for number, stop in enumerate((False, True)):
        entry = link._ledger.take(Run(repl="r", number=number, kind="pyspark", code=""))
        assert entry is not None
        entry.append("a")
        entry.finish(Finished(repl="r", number=number, seq=0, size=1, outcome="ok", stop=stop))
    # The gateway has both ends: it names no statement that it still wants.
    for seq in (1, 2):
        [end] = (await said(link))[1:]
        assert end == Finished(repl="r", number=1, seq=seq, size=1, outcome="ok", stop=True)
    link._acknowledged(Ack(repl="r", number=1, offset=1, finished=True))
    assert (await said(link))[1:] == []


@pytest.mark.parametrize("code", [1001, 1006, 1012, 1013])
async def test_a_link_that_is_lost_before_the_welcome_is_no_refusal(
    tmp_path: Path, code: int
) -> None:
    with pytest.raises(websockets.ConnectionClosed):
        await greeted(new_link(tmp_path), code)


async def test_a_link_that_is_closed_for_what_was_said_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(_Refused):
        await greeted(new_link(tmp_path), 1008)


async def greeted(link: Link, code: int) -> None:
    """Let it dial, and close its link in place of a welcome."""
    wire = Wire(DriverId("d"), "s")
    wire.to_agent.append(code)
    wire.move(up=False, most=1)
    await link._greet(cast("websockets.ClientConnection", wire))
