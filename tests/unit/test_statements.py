"""Statements between caller, record and driver."""

import pytest
from msgspec import Raw

from fakes.world import World, submit_statement, with_rules
from livius.domain.digests import hash_drawn
from livius.domain.errors import Forbidden, Invalid, NotFound, Unauthenticated
from livius.domain.ids import StatementNumber
from livius.domain.lakehouse import Role
from livius.domain.session import Event as SessionEvent
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import Ending, Event, Kind, Phase
from livius.usecases.driver_link import SessionLost, attach_driver, authenticate_driver, resume
from livius.usecases.drivers import report
from livius.usecases.sessions import CreateSession, create_session
from livius.usecases.statement_reads import StatementView, Window, get_statement, list_statements
from livius.usecases.statements import cancel_statement, parse_kind
from livius_agent.text import json_bytes
from livius_agent.wire import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    Ack,
    Cancel,
    Durable,
    Failing,
    Finished,
    Hello,
    LedgerEntry,
    Output,
    Progress,
    Ready,
    Run,
)
from support.records import first_repl, move_session


async def starting(world: World) -> Session:
    view = await create_session(world.context, world.admin, *world.place, CreateSession())
    await world.settle(view.session.id)
    return view.session


def hello(session: Session, *ledger: LedgerEntry, last: int = -1) -> Hello:
    return Hello(
        protocol=PROTOCOL,
        driver=session.driver,
        agent="1",
        last={session.first_repl: last},
        ledger=ledger,
    )


async def attach(world: World, session: Session, *ledger: LedgerEntry) -> tuple[Durable, ...]:
    driver = await world.store.driver(session.driver)
    assert driver is not None
    attached = await attach_driver(world.context, driver, hello(session, *ledger))
    world.links.open.add(session.driver)
    await resume(world.context, attached)
    return attached.welcome.durable


async def ready(world: World) -> Session:
    session = await starting(world)
    await attach(world, session)
    await report(world.context, session, Ready(spark_app_id="local-1", versions={"spark": "4"}))
    world.links.sent.clear()
    return session


async def submit(world: World, session: Session, code: str = "1") -> StatementView:
    return await submit_statement(
        world.context,
        world.admin,
        world.path(session.id),
        code=code,
        kind="pyspark",
        source_id="cell",
    )


async def get(world: World, session: Session, number: int = 0, **window: int) -> StatementView:
    asked = Window(**window) if window else None
    return await get_statement(
        world.context, await first_repl(world.store, session), str(number), asked
    )


def finished(session: Session, number: int = 0, **more: object) -> Finished:
    fields: dict[str, object] = {"size": 0, "outcome": "ok", "seq": 9, **more}
    fields["data"] = Raw(json_bytes(fields.get("data")))
    return Finished(repl=session.first_repl, number=number, **fields)  # type: ignore[arg-type]


async def test_a_statement_of_a_ready_session_is_running_and_sent_before_the_answer(
    world: World,
) -> None:
    session = await ready(world)
    view = await submit(world, session, "x = 1")
    assert view.statement.phase is Phase.RUNNING
    assert world.links.sent == [
        Run(repl=session.first_repl, number=0, kind="pyspark", code="x = 1")
    ]


async def test_statements_of_a_starting_session_wait_and_run_in_order(world: World) -> None:
    session = await starting(world)
    assert (await submit(world, session, "a")).statement.phase is Phase.WAITING
    assert (await submit(world, session, "b")).statement.phase is Phase.WAITING
    await attach(world, session)
    assert world.links.sent == []
    await report(world.context, session, Ready(spark_app_id="local-1", versions={}))
    assert [m.number for m in world.links.sent if isinstance(m, Run)] == [0]
    await report(world.context, session, finished(session, 0))
    assert [m.number for m in world.links.sent if isinstance(m, Run)] == [0, 1]


async def test_output_is_kept_acknowledged_and_given_when_it_ends(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    for offset, text in ((0, "héllo "), (7, "wörld\n"), (0, "héllo ")):
        message = Output(repl=session.first_repl, number=0, seq=1, offset=offset, text=text)
        await report(world.context, session, message)
    acks = [m for m in world.links.sent if isinstance(m, Ack)]
    assert [ack.offset for ack in acks] == [7, 14, 14]
    assert (await get(world, session)).text == ""
    await report(world.context, session, finished(session, size=14, data={"text/html": "<b>"}))
    view = await get(world, session)
    assert view.text == "héllo wörld\n"
    assert view.data == b'{"text/html":"<b>"}'
    assert world.links.sent[-1] == Ack(repl=session.first_repl, number=0, offset=14, finished=True)


async def test_a_slice_never_splits_a_character(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    message = Output(repl=session.first_repl, number=0, seq=1, offset=0, text="a湖b")
    await report(world.context, session, message)
    await report(world.context, session, finished(session, size=5))
    texts = [
        (await get(world, session, 0, offset=o, size=s)).text for o, s in ((0, 3), (2, 3), (1, 3))
    ]
    assert texts == ["a", "b", "湖"]


async def test_the_same_end_twice_is_acknowledged_twice_and_stored_once(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    await report(world.context, session, finished(session, data={"a": 1}))
    await report(world.context, session, finished(session, data={"a": 2}))
    view = await get(world, session)
    assert view.data == b'{"a":1}'
    assert len([m for m in world.links.sent if isinstance(m, Ack) and m.finished]) == 2


async def test_an_end_that_lacks_output_is_not_taken_and_the_link_is_dropped(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    await report(world.context, session, finished(session, size=10))
    assert (await get(world, session)).statement.phase is Phase.RUNNING
    assert session.driver not in world.links.open


async def test_large_data_lies_beside_the_record_and_comes_back(world: World) -> None:
    world.context = with_rules(world, inline_bytes=10)
    session = await ready(world)
    await submit(world, session)
    data = {"application/json": {"data": [[1] * 50]}}
    await report(world.context, session, finished(session, data=data))
    kept = await world.store.statement(session.first_repl, StatementNumber(0))
    assert kept is not None
    assert kept.ending is not None
    assert kept.ending.data is None
    view = await get(world, session)
    assert view.data == json_bytes(data)


async def test_a_redial_sends_again_only_what_the_agent_never_saw(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    await submit(world, session)
    message = Output(repl=session.first_repl, number=0, seq=1, offset=0, text="abc")
    await report(world.context, session, message)
    world.links.open.clear()
    world.links.sent.clear()
    entry = LedgerEntry(repl=session.first_repl, number=0, seq=3, size=5, finished=False)
    durable = await attach(world, session, entry)
    assert durable == (Durable(repl=session.first_repl, number=0, offset=3),)
    assert world.links.sent == []
    world.links.open.clear()
    assert await attach(world, session) == ()
    assert [m.number for m in world.links.sent if isinstance(m, Run)] == [0]


async def test_a_redial_makes_the_agent_forget_what_has_ended(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    await report(world.context, session, finished(session))
    entry = LedgerEntry(repl=session.first_repl, number=0, seq=3, size=0, finished=True)
    assert await attach(world, session, entry) == ()


async def test_a_cancel_lost_with_a_link_is_sent_again(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    world.links.open.clear()
    await cancel_statement(world.context, world.admin, world.path(session.id), "0")
    entry = LedgerEntry(repl=session.first_repl, number=0, seq=1, size=0, finished=False)
    await attach(world, session, entry)
    assert Cancel(repl=session.first_repl, number=0) in world.links.sent


async def test_cancelled_is_said_only_when_the_code_has_stopped(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    path = world.path(session.id)
    await cancel_statement(world.context, world.admin, path, "0")
    assert (await get(world, session)).statement.phase is Phase.CANCELLING
    await report(
        world.context,
        session,
        finished(session, outcome="cancelled", ename="Cancelled", evalue="x"),
    )
    assert (await get(world, session)).statement.phase is Phase.CANCELLED


async def test_a_waiting_statement_is_cancelled_at_once_and_never_sent(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    await submit(world, session)
    await cancel_statement(world.context, world.admin, world.path(session.id), "1")
    assert (await get(world, session, 1)).statement.phase is Phase.CANCELLED
    await report(world.context, session, finished(session, 0))
    assert [m.number for m in world.links.sent if isinstance(m, Run)] == [0]


async def test_cancelling_a_finished_statement_changes_nothing(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    await report(world.context, session, finished(session))
    await cancel_statement(world.context, world.admin, world.path(session.id), "0")
    assert (await get(world, session)).statement.phase is Phase.AVAILABLE


@pytest.mark.parametrize("number", ["1", "-1", "x", "", "0x0", "99999999999999999999", "٣"])
async def test_a_statement_that_is_not_there_is_not_found(world: World, number: str) -> None:
    session = await ready(world)
    await submit(world, session)
    path = world.path(session.id)
    with pytest.raises(NotFound):
        await get_statement(world.context, await first_repl(world.store, session), number)
    with pytest.raises(NotFound):
        await cancel_statement(world.context, world.admin, path, number)


async def test_a_list_brings_no_data_that_lies_elsewhere(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    large = {"application/json": "x" * (world.context.rules.inline_bytes + 1)}
    await report(world.context, session, finished(session, data=large))
    [listed], _ = await list_statements(
        world.context, await first_repl(world.store, session), skip=0, top=10
    )
    assert listed.statement.ending is not None
    assert listed.statement.ending.data is None
    assert (await get(world, session)).data == json_bytes(large)


async def test_the_list_has_all_statements_with_the_heads_of_their_outputs(world: World) -> None:
    world.context = with_rules(world, inline_bytes=2)
    session = await ready(world)
    await submit(world, session)
    await submit(world, session)
    message = Output(repl=session.first_repl, number=0, seq=1, offset=0, text="abcdef")
    await report(world.context, session, message)
    await report(world.context, session, finished(session, size=6))
    page, total = await list_statements(
        world.context, await first_repl(world.store, session), skip=0, top=10
    )
    assert total == 2
    assert [view.text for view in page] == ["ab", ""]


async def test_a_viewer_can_not_submit(world: World) -> None:
    session = await ready(world)
    viewer = await world.member(Role.VIEWER)
    with pytest.raises(Forbidden):
        await submit_statement(
            world.context, viewer, world.path(session.id), code="1", kind=None, source_id=None
        )


def test_kinds_have_their_classic_aliases_and_python_is_the_default() -> None:
    assert [parse_kind(name) for name in (None, "python", "scala", "SQL")] == [
        Kind.PYSPARK,
        Kind.PYSPARK,
        Kind.SPARK,
        Kind.SQL,
    ]


def test_sparkr_and_unknown_kinds_are_refused_with_what_to_use() -> None:
    with pytest.raises(Invalid, match="not available here, because"):
        parse_kind("sparkr")
    with pytest.raises(Invalid, match="pyspark"):
        parse_kind("cobol")


async def test_a_driver_speaks_of_its_own_repl_only(world: World) -> None:
    session, other = await ready(world), await ready(world)
    await submit(world, other)
    with pytest.raises(SessionLost):
        await report(world.context, session, finished(other))
    message = Progress(repl=other.first_repl, number=0, seq=1, value=0.5)
    with pytest.raises(SessionLost):
        await report(world.context, session, message)
    assert (await get(world, other)).statement.phase is Phase.RUNNING


async def test_a_secret_proves_one_driver_while_it_lives(world: World) -> None:
    session = await ready(world)
    secret = "s" * 43
    await world.store.note_launch(session.driver, hash_drawn(secret), at=world.clock.now())
    assert (await authenticate_driver(world.context, session.driver, secret)).id == session.driver
    other = await ready(world)
    for driver, wrong in ((session.driver, "x"), (other.driver, secret), ("nobody", secret)):
        with pytest.raises(Unauthenticated):
            await authenticate_driver(world.context, driver, wrong)


async def test_what_happens_between_the_welcome_and_the_open_link_reaches_the_driver(
    world: World,
) -> None:
    """A cancel can't be sent then, nor can a claim that another request had begun before."""
    session = await ready(world)
    await submit(world, session)
    await submit(world, session)
    world.links.close(session.driver)
    world.links.sent.clear()
    driver = await world.store.driver(session.driver)
    assert driver is not None
    known = LedgerEntry(repl=session.first_repl, number=0, seq=1, size=0, finished=False)
    attached = await attach_driver(world.context, driver, hello(session, known, last=0))
    await cancel_statement(world.context, world.admin, world.path(session.id), "0")
    assert world.links.sent == []
    world.links.open.add(session.driver)
    await resume(world.context, attached)
    assert world.links.sent == [Cancel(repl=session.first_repl, number=0)]

    world.links.close(session.driver)
    world.links.sent.clear()
    attached = await attach_driver(world.context, driver, hello(session, last=0))
    stopped = Ending(ok=False)
    at = world.clock.now()
    key = (session.first_repl, StatementNumber(0))
    await world.store.move_statement(*key, Event.STOPPED, at=at, ending=stopped)
    assert await world.store.claim_next(session.first_repl, at=at) is not None
    world.links.open.add(session.driver)
    await resume(world.context, attached)
    [run] = world.links.sent
    assert isinstance(run, Run)
    assert run.number == 1


async def test_an_agent_of_another_protocol_or_driver_is_refused(world: World) -> None:
    session, other = await ready(world), await ready(world)
    driver = await world.store.driver(session.driver)
    assert driver is not None
    with pytest.raises(SessionLost):
        await attach_driver(world.context, driver, hello(other))
    for protocol in (OLDEST_PROTOCOL - 1, PROTOCOL + 1):
        strange = Hello(protocol=protocol, driver=session.driver, agent="0", last={})
        with pytest.raises(SessionLost):
            await attach_driver(world.context, driver, strange)


async def test_a_driver_from_before_an_upgrade_goes_on(world: World) -> None:
    session = await ready(world)
    driver = await world.store.driver(session.driver)
    assert driver is not None
    old = Hello(protocol=OLDEST_PROTOCOL, driver=session.driver, agent="0", last={})
    await resume(world.context, await attach_driver(world.context, driver, old))
    await submit(world, session)
    printed = Output(repl=session.first_repl, number=0, seq=1, offset=0, text="2\n")
    await report(world.context, session, printed)
    await report(world.context, session, finished(session, size=2))
    assert (await get(world, session)).text == "2\n"


async def test_a_short_text_comes_with_the_end_and_lies_in_the_record(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    for _ in range(2):  # the first acknowledgement may be lost
        await report(world.context, session, finished(session, size=7, text="héllo\n"))
    assert world.links.sent[1:] == 2 * [
        Ack(repl=session.first_repl, number=0, offset=7, finished=True)
    ]
    view = await get(world, session)
    assert (view.text, view.statement.phase) == ("héllo\n", Phase.AVAILABLE)
    assert (await get(world, session, offset=1, size=3)).text == "él"
    assert (await get(world, session, offset=7)).text == ""
    found, _ = await list_statements(
        world.context, await first_repl(world.store, session), skip=0, top=1
    )
    assert (found[0].text, found[0].whole) == ("héllo\n", True)
    assert await world.outputs.size(session.id, session.first_repl, StatementNumber(0)) == 0


async def test_the_rest_of_a_text_comes_with_the_end_and_follows_what_came_before(
    world: World,
) -> None:
    session = await ready(world)
    await submit(world, session)
    first = Output(repl=session.first_repl, number=0, seq=1, offset=0, text="first ")
    await report(world.context, session, first)
    await report(world.context, session, finished(session, size=10, text="last"))
    assert (await get(world, session)).text == "first last"


async def test_a_long_text_that_comes_with_the_end_lies_in_the_outputs(world: World) -> None:
    session = await ready(world)
    await submit(world, session)
    text = "x" * (world.context.rules.inline_bytes + 1)
    await report(world.context, session, finished(session, size=len(text), text=text))
    assert (await get(world, session)).text == text
    size = await world.outputs.size(session.id, session.first_repl, StatementNumber(0))
    assert size == len(text)


async def test_the_reason_that_a_driver_gives_is_kept(world: World) -> None:
    session = await ready(world)
    await report(world.context, session, Failing(reason="The JVM ended.", log=("a", "b")))
    found = await world.store.session(session.id)
    assert found is not None
    assert (found.end_reason, found.log) == ("The JVM ended.", ("a", "b"))


async def test_ready_again_after_a_redial_changes_nothing(world: World) -> None:
    session = await ready(world)
    before = await world.store.session(session.id)
    await report(world.context, session, Ready(spark_app_id="other", versions={}))
    assert await world.store.session(session.id) == before
    assert before is not None
    assert before.phase is SessionPhase.READY


async def test_a_ready_that_was_lost_with_the_gateway_counts_after_the_redial(
    world: World,
) -> None:
    session = await starting(world)
    await move_session(world.store, session.id, SessionEvent.DRIVER_ATTACHED, at=world.clock.now())
    await submit(world, session)
    await attach(world, session)
    await report(world.context, session, Ready(spark_app_id="local-1", versions={}))
    assert [m.number for m in world.links.sent if isinstance(m, Run)] == [0]
