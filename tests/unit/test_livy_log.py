"""The log of what the gateway did for a session: whole, in order, and read once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.store import transactions
from livius.adapters.store import SqlStore
from livius.domain.ids import StatementNumber
from livius.domain.session import EndCause, Phase, Session
from livius.domain.statement import Ending, Event, Statement
from livius.usecases.livy_log import LivyLogs
from support.records import NOW, acquire, added, code, end_session, with_end


@pytest.fixture
def counting() -> Iterator["CountingStore"]:
    made = CountingStore()
    yield made
    made.close()


class CountingStore(SqlStore):
    """Counts the statements that are read."""

    def __init__(self) -> None:
        super().__init__(transactions())
        self.read = 0
        self.asked: list[object] = []

    async def list_statements(self, *args: object, **more: object) -> tuple[list[Statement], int]:
        found, total = await super().list_statements(*args, **more)  # type: ignore[arg-type]
        self.read += len(found)
        self.asked.append(args[0])
        return list(found), total


async def with_statements(store: SqlStore, number: int, *, ended: int) -> Session:
    """A session whose first statements have ended."""
    session = await added(store, phase=Phase.READY)
    for at in range(number):
        new = code(session, at=NOW + timedelta(seconds=at))
        assert await store.add_statement(new, claim=True)
    for one in range(ended):
        await end(store, session, one)
    return session


async def end(store: SqlStore, session: Session, number: int, *, ok: bool = True) -> None:
    at = NOW + timedelta(hours=1, seconds=number)
    key = session.first_repl, StatementNumber(number)
    ending = Ending(ok=ok, data=b'{"text/plain": "1"}')
    assert await store.move_statement(*key, Event.FINISHED, at=at, ending=ending)
    await store.claim_next(session.first_repl, at=at)


async def test_what_has_ended_is_read_once(counting: CountingStore) -> None:
    store = counting
    session = await with_statements(store, 1100, ended=1090)
    logs = LivyLogs(store)
    whole = await logs.text(session)
    assert store.read == 1100
    assert await logs.text(session) == whole
    assert store.read == 1110
    await end(store, session, 1090, ok=False)
    more = await logs.text(session)
    assert store.read == 1120
    assert more.startswith(whole)
    said = more[len(whole) :].decode()
    assert "statement 1090 (pyspark) available, with an error\n" in said
    assert "statement 1091 (pyspark) running\n" in said
    # A cached log and one that is made again are the same.
    assert await LivyLogs(store).text(session) == more


async def test_lines_are_in_order_of_time(store: SqlStore) -> None:
    session = await with_statements(store, 5, ended=3)
    lines = (await LivyLogs(store).text(session)).decode().splitlines()
    assert lines == sorted(lines, key=lambda line: line.split()[0])
    assert [line.partition(" ")[2] for line in lines[:7]] == [
        "session accepted",
        "session driver starting",
        "session driver connected",
        "session ready",
        "statement 0 (pyspark) accepted",
        "statement 0 (pyspark) running",
        "statement 1 (pyspark) accepted",
    ]


async def test_few_sessions_are_remembered(counting: CountingStore) -> None:
    store = counting
    sessions = [await with_statements(store, 2, ended=2) for _ in range(20)]
    logs = LivyLogs(store)
    for session in sessions:
        await logs.text(session)
    assert store.read == 40
    for session in sessions[-8:]:
        await logs.text(session)
    assert store.read == 40
    await logs.text(sessions[0])
    assert store.read == 42


async def test_a_shared_sessions_log_has_each_repl_and_reads_a_closed_one_once(
    counting: CountingStore,
) -> None:
    store = counting
    acquired = [await acquire(store), await acquire(store)]
    session = acquired[0].session
    first, second = (one.repl.id for one in acquired)
    for at, repl in enumerate((first, second, second)):
        new = replace(code(session, at=NOW + timedelta(seconds=at)), repl=repl)
        assert await store.add_statement(new, claim=False)
    logs = LivyLogs(store)
    lines = (await logs.text(session)).decode().splitlines()
    assert [line.partition(" ")[2] for line in lines if "statement" in line] == [
        f"statement 0 (pyspark) of repl {first} accepted",
        f"statement 0 (pyspark) of repl {second} accepted",
        f"statement 1 (pyspark) of repl {second} accepted",
    ]
    await store.close_repl(
        second, at=NOW + timedelta(hours=1), reason=None, ending=Ending(ok=False)
    )
    whole = await logs.text(session)
    assert whole.count(b"with an error") == 2
    read = store.read
    assert await logs.text(session) == whole
    assert store.read == read + 1
    assert store.asked[-1] == first


async def test_the_end_is_the_last_line(store: SqlStore) -> None:
    session = await with_statements(store, 1, ended=0)
    logs = LivyLogs(store)
    before = await logs.text(session)
    done = await end_session(
        store,
        session.id,
        at=NOW + timedelta(hours=2),
        end=with_end(
            Ending(ok=False, ename="SessionEnded", evalue="It is over."),
            cause=EndCause.DRIVER_DIED,
            reason="The driver died.",
        ),
    )
    assert done is not None
    after = (await logs.text(done[0])).decode()
    assert after.startswith(before.decode())
    assert after.splitlines()[-1].endswith("The driver died.")
    assert "statement 0 (pyspark) available, with an error" in after
