"""A statement costs the store the same, however many there were before it in its session."""

from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from livius.adapters.store import SqlStore, open_store
from livius.adapters.store.engine import Transactions
from livius.domain.audit import Action, entry
from livius.domain.session import Phase, Session
from livius.domain.statement import Ending, Event
from support.records import NOW, added, code


async def steps(transactions: Transactions, store: SqlStore, session: Session) -> int:
    """Run a statement; return how many instructions SQLite's machine ran for it."""
    counter = count()

    def watch(connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(lambda: next(counter) < 0, 1)

    await transactions.run(watch)
    statement = await store.add_statement(code(session), claim=True)
    assert statement is not None
    await store.end_statement(
        session.first_repl,
        statement.number,
        Event.FINISHED,
        at=NOW,
        ending=Ending(ok=True),
        audit=entry(session, Action.STATEMENT_END, at=NOW, result="ok"),
        claim=True,
    )
    return next(counter)


async def test_a_statement_costs_as_much_in_a_long_session(tmp_path: Path) -> None:
    transactions = open_store(tmp_path / "livius.db")
    store = SqlStore(transactions)
    try:
        session = await added(store, phase=Phase.READY)
        early = [await steps(transactions, store, session) for _ in range(100)]
        late = [await steps(transactions, store, session) for _ in range(100)]
    finally:
        transactions.close()
    assert max(late) < 1.1 * max(early[:10])
