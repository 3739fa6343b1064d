"""The contract of stores: outlines of sessions."""

from datetime import timedelta

from livius.domain.ids import SessionId, StatementNumber, new_id
from livius.domain.jobs import StatementJobs
from livius.domain.outline import Counts, Heap, JobCount, JobTotals, Outline, Run
from livius.domain.session import Phase as SessionPhase
from livius.domain.session import Session
from livius.domain.statement import Ending, Event, Phase
from livius.ports.store import Store
from support.records import NOW, added, code, spark_job

NO_JOBS = JobTotals(0, 0, 0)
NOTHING = Outline(statements=0, failed=0, cancelled=0, marks=[], jobs=NO_JOBS, heap=None)


async def ran(store: Store, session: Session, number: int, end: Event, ending: Ending) -> None:
    """Have the next statement of a session run from one second to the next, and end so."""
    began = NOW + timedelta(seconds=number)
    statement = await store.add_statement(code(session, f"line {number}", at=began), claim=True)
    assert statement is not None
    key = statement.repl, statement.number
    if end is Event.STOPPED:
        await store.move_statement(*key, Event.CANCEL_REQUESTED, at=began, by="Ada")
    await store.move_statement(*key, end, at=began + timedelta(seconds=1), ending=ending)


async def some_ran(store: Store) -> Session:
    session = await added(store, phase=SessionPhase.READY)
    await ran(store, session, 0, Event.FINISHED, Ending(ok=True, rows=7))
    await ran(store, session, 1, Event.FINISHED, Ending(ok=False, ename="E"))
    await ran(store, session, 2, Event.STOPPED, Ending(ok=False, ename="Cancelled"))
    await store.add_statement(code(session, "runs", at=NOW + timedelta(seconds=9)), claim=True)
    await store.add_statement(code(session, "waits"), claim=True)
    return session


async def test_an_outline_has_each_statements_times_and_end(store: Store) -> None:
    session = await some_ran(store)
    await some_ran(store)  # of another session nothing is in it
    found = await store.outline(session.id, most=10)
    assert (found.statements, found.failed, found.cancelled, found.is_whole) == (5, 1, 1, True)
    assert [(one.number, one.phase, one.ok, one.rows) for one in found.marks] == [
        (0, Phase.AVAILABLE, True, 7),
        (1, Phase.AVAILABLE, False, None),
        (2, Phase.CANCELLED, False, None),
        (3, Phase.RUNNING, None, None),
        (4, Phase.WAITING, None, None),
    ]
    assert [one.has_failed for one in found.marks] == [False, True, False, False, False]
    first, *_, running, waiting = found.marks
    assert (first.started_at, first.ended_at) == (NOW, NOW + timedelta(seconds=1))
    assert (running.started_at, running.ended_at) == (NOW + timedelta(seconds=9), None)
    assert waiting.started_at is None


async def test_of_many_statements_an_outline_has_the_last_and_counts_all(store: Store) -> None:
    session = await some_ran(store)
    found = await store.outline(session.id, most=3)
    assert [one.number for one in found.marks] == [2, 3, 4]
    assert (found.statements, found.failed, found.cancelled, found.is_whole) == (5, 1, 1, False)
    assert await store.outline(SessionId(new_id()), most=3) == NOTHING


async def test_the_times_of_several_sessions_statements(store: Store) -> None:
    first, second = await some_ran(store), await added(store, phase=SessionPhase.READY)
    await ran(store, second, 4, Event.FINISHED, Ending(ok=True))
    silent = await added(store, phase=SessionPhase.READY)
    await some_ran(store)  # nobody asks for it
    wanted = [first.id, second.id, silent.id]
    found = await store.runs(wanted, most=5)
    moments = [NOW + timedelta(seconds=number) for number in range(10)]
    assert sorted(found[first.id], key=lambda run: run.started_at) == [
        *(Run(moments[number], moments[number + 1]) for number in range(3)),
        Run(moments[9], None),
    ]
    assert found[second.id] == [Run(moments[4], moments[5])]
    assert silent.id not in found
    assert set(await store.runs(wanted, most=4)) == {second.id}


def jobs_ending(*words: str) -> StatementJobs:
    jobs = (spark_job(number, status=word) for number, word in enumerate(words))
    return StatementJobs(total=100 + len(words), jobs=tuple(jobs))


async def test_jobs_are_counted_without_being_read(store: Store) -> None:
    session = await some_ran(store)
    repl = session.first_repl
    told = {
        StatementNumber(1): jobs_ending("FAILED", "SUCCEEDED"),
        StatementNumber(2): jobs_ending("CANCELLED", "CANCELLED", "FAILED"),
    }
    assert await store.counts(session.id) == Counts(statements=5, open=2, jobs=0)
    for number, jobs in told.items():
        await store.set_jobs(repl, number, jobs)
    assert await store.job_counts(session.id) == [
        JobCount(repl=repl, number=StatementNumber(1), total=102, failed=1, cancelled=0),
        JobCount(repl=repl, number=StatementNumber(2), total=103, failed=1, cancelled=2),
    ]
    assert await store.counts(session.id) == Counts(statements=5, open=2, jobs=205)
    found = await store.outline(session.id, most=1)
    assert found.jobs == JobTotals(total=205, failed=2, cancelled=2)
    wanted = [(repl, StatementNumber(number)) for number in (2, 3)]
    assert await store.jobs_of(wanted) == {wanted[0]: told[wanted[0][1]]}
    assert await store.jobs_of([]) == {}


async def test_jobs_may_be_as_many_as_a_driver_can_tell(store: Store) -> None:
    session = await some_ran(store)
    for number in (StatementNumber(1), StatementNumber(2)):
        await store.set_jobs(session.first_repl, number, StatementJobs(total=2**53))
    found = await store.outline(session.id, most=1)
    assert (found.jobs.total, type(found.jobs.total)) == (2**54, int)
    assert [one.total for one in await store.job_counts(session.id)] == [2**53, 2**53]
    counts = await store.counts(session.id)
    assert (counts.jobs, type(counts.jobs)) == (2**54, int)


async def test_code_is_read_as_far_as_a_line_needs_it(store: Store) -> None:
    session = await some_ran(store)
    await store.add_statement(code(session, "\N{SNOWMAN}" * 100), claim=False)
    keys = [(session.first_repl, StatementNumber(number)) for number in (0, 5, 99)]
    found = await store.heads_of_code(keys, size=6)
    assert found[keys[0]] == "line 0"
    # In bytes on a database whose texts can't have every character.
    assert found[keys[1]] in ("\N{SNOWMAN}" * 6, "\N{SNOWMAN}" * 2)
    assert keys[2] not in found


async def test_a_heap_keeps_its_highest_figure_until_the_session_is_removed(store: Store) -> None:
    session = await some_ran(store)
    assert (await store.outline(session.id, most=1)).heap is None
    for used in (2**33, 2**34, 2**32):
        await store.set_heap(session.id, used=used, limit=2**35)
    assert (await store.outline(session.id, most=1)).heap == Heap(2**32, 2**34, 2**35)
    nobody = SessionId(new_id())
    await store.set_heap(nobody, used=1, limit=2)
    assert (await store.outline(nobody, most=1)).heap is None


async def test_a_cancel_has_the_name_of_the_caller_who_asked_for_it(store: Store) -> None:
    session = await some_ran(store)
    repl = session.first_repl
    cancelled = await store.statement(repl, StatementNumber(2))
    assert cancelled is not None
    assert cancelled.cancelled_by == "Ada"
    waiting = await store.move_statement(
        repl,
        StatementNumber(4),
        Event.CANCEL_REQUESTED,
        at=NOW,
        ending=Ending(ok=False),
        by="Bob",
    )
    assert waiting is not None
    assert (waiting.phase, waiting.cancelled_by) == (Phase.CANCELLED, "Bob")
