"""Sessions, statements and drivers in any order of events: what must hold always does.

The machine plays callers, drivers, time and a gateway that restarts, over the real
store and ports in memory.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, select

from fakes.store import in_line_store
from fakes.world import World, submit_statement
from livius.adapters.store.rows import session_of, statement_of
from livius.adapters.store.schema import SESSIONS, STATEMENTS
from livius.api.fabric.states import session_state
from livius.domain.driver import DriverEnd
from livius.domain.errors import LiviusError
from livius.domain.ids import DriverId, SessionId
from livius.domain.session import FINAL, Session
from livius.domain.statement import ACTIVE, OPEN, Statement
from livius.domain.statement import FINAL as STATEMENT_FINAL
from livius.usecases.driver_link import attach_driver, resume
from livius.usecases.drivers import report
from livius.usecases.sessions import CreateSession, create_session, delete_session
from livius.usecases.statements import cancel_statement
from livius_agent.wire import PROTOCOL, Finished, Hello, LedgerEntry, Ready, Run

WIRE_ORDER = ("not_started", "starting", "idle", "shutting_down", "killed", "dead")
Key = tuple[str, int]


class Records:
    """All records, read again when one has changed."""

    def __init__(self) -> None:
        self._changes = -1
        self.sessions: list[Session] = []
        self.statements: list[Statement] = []

    def read(self, connection: Connection) -> None:
        changes = connection.connection.driver_connection.total_changes  # type: ignore[union-attr]
        if changes != self._changes:
            self._changes = changes
            self.sessions = [session_of(row) for row in connection.execute(select(SESSIONS))]
            self.statements = [statement_of(row) for row in connection.execute(select(STATEMENTS))]


class Life(RuleBasedStateMachine):
    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World(store=in_line_store())
        self.final: dict[Key, Statement] = {}
        self.shown: dict[SessionId, int] = {}
        # What each driver was given and has not been told to forget: the agent's ledger.
        self.given: dict[DriverId, dict[int, bool]] = {}
        self.runs: dict[Key, int] = {}
        self._records = Records()
        self._is_old = True

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        self._is_old = True
        try:
            return self.loop.run_until_complete(work)
        except LiviusError:
            return None  # A refusal: that nothing broke is for the invariants to say.

    def deliver(self) -> None:
        """Hand the drivers what was sent to them; each runs a statement when it sees it first."""
        for message in self.world.links.sent:
            if isinstance(message, Run):
                session = self.of_repl(message.repl)
                seen = self.given.setdefault(session.driver, {})
                if message.number not in seen:
                    seen[message.number] = False
                    key = (message.repl, message.number)
                    self.runs[key] = self.runs.get(key, 0) + 1
        self.world.links.sent.clear()

    @property
    def records(self) -> Records:
        if self._is_old:
            self.loop.run_until_complete(self.world.store._transactions.run(self._records.read))
            self._is_old = False
        return self._records

    def of_repl(self, repl: str) -> Session:
        return next(s for s in self.records.sessions if s.repl == repl)

    def get(self, session: SessionId) -> Session:
        found: Session = self.do(self.world.store.session(session))
        return found

    def teardown(self) -> None:
        self.world.store.close()
        self.loop.close()

    @initialize()
    def begin(self) -> None:
        self.do(self.world.begin())

    @rule(target=sessions)
    def create(self) -> SessionId:
        view = self.do(
            create_session(self.world.context, self.world.admin, *self.world.place, CreateSession())
        )
        created: SessionId = view.session.id
        return created

    @rule(session=sessions)
    def reconcile(self, session: SessionId) -> None:
        self.do(self.world.reconciler.step(session))

    @rule(session=sessions)
    def dial(self, session: SessionId) -> None:
        record = self.get(session)
        if record.driver not in self.world.launcher.alive:
            return
        given = self.given.setdefault(record.driver, {})
        ledger = tuple(
            LedgerEntry(repl=record.repl, number=number, seq=1, size=0, finished=finished)
            for number, finished in given.items()
        )
        hello = Hello(
            protocol=PROTOCOL,
            driver=record.driver,
            agent="1",
            last={record.repl: max(given, default=-1)},
            ledger=ledger,
        )
        driver = self.do(self.world.store.driver(record.driver))
        attached = self.do(attach_driver(self.world.context, driver, hello))
        if attached is not None:
            self.world.links.open.add(record.driver)
            self.do(resume(self.world.context, attached))
            self.do(report(self.world.context, record, Ready(spark_app_id="a", versions={})))
            self.deliver()

    @rule(session=sessions)
    def break_link(self, session: SessionId) -> None:
        self.world.links.close(self.get(session).driver)

    @rule()
    def restart_gateway(self) -> None:
        self.world.links.open.clear()
        self.world.links.sent.clear()
        self.world.reconciler = self.world.restarted_reconciler()

    @rule(session=sessions)
    def submit(self, session: SessionId) -> None:
        self.do(
            submit_statement(
                self.world.context,
                self.world.admin,
                self.world.path(session),
                code="1",
                kind=None,
                source_id=None,
            )
        )
        self.deliver()

    @rule(session=sessions, number=st.integers(0, 3))
    def cancel(self, session: SessionId, number: int) -> None:
        work = cancel_statement(
            self.world.context, self.world.admin, self.world.path(session), str(number)
        )
        self.do(work)
        self.deliver()

    @rule(
        session=sessions,
        number=st.integers(0, 3),
        outcome=st.sampled_from(["ok", "error", "cancelled"]),
    )
    def finish(self, session: SessionId, number: int, outcome: Any) -> None:
        record = self.get(session)
        given = self.given.get(record.driver, {})
        if number not in given or record.driver not in self.world.links.open:
            return
        given[number] = True
        message = Finished(repl=record.repl, number=number, seq=1, size=0, outcome=outcome)
        self.do(report(self.world.context, record, message))
        self.deliver()

    @rule(session=sessions)
    def die(self, session: SessionId) -> None:
        driver = self.get(session).driver
        if driver in self.world.launcher.alive:
            self.world.links.close(driver)
            self.world.launcher.die(driver, DriverEnd(signal=9))

    @rule(session=sessions)
    def delete(self, session: SessionId) -> None:
        self.do(delete_session(self.world.context, self.world.admin, self.world.path(session)))

    @rule(minutes=st.integers(1, 10))
    def wait(self, minutes: int) -> None:
        self.world.clock.advance(timedelta(minutes=minutes))

    @invariant()
    def a_final_statement_never_changes(self) -> None:
        for statement in self.records.statements:
            key = (statement.repl, statement.number)
            if key in self.final:
                assert statement == self.final[key]
            elif statement.phase in STATEMENT_FINAL:
                assert statement.ending is not None
                self.final[key] = statement

    @invariant()
    def a_repl_runs_one_statement_at_a_time(self) -> None:
        active = [s.repl for s in self.records.statements if s.phase in ACTIVE]
        assert len(active) == len(set(active))

    @invariant()
    def no_statement_runs_twice(self) -> None:
        assert all(count == 1 for count in self.runs.values())

    @invariant()
    def an_ended_session_has_no_open_statement_and_no_driver(self) -> None:
        records = self.records
        for session in records.sessions:
            if session.phase in FINAL:
                assert session.driver not in self.world.launcher.alive
                of_session = [s for s in records.statements if s.session == session.id]
                assert not [s for s in of_session if s.phase in OPEN]

    @invariant()
    def the_shown_state_never_goes_backwards(self) -> None:
        for session in self.records.sessions:
            now = WIRE_ORDER.index(session_state(session, busy=False).state)
            assert now >= self.shown.get(session.id, 0)
            self.shown[session.id] = now

    @invariant()
    def a_session_has_one_driver(self) -> None:
        assert self.world.launcher.launches <= len(self.records.sessions)


TestLife = pytest.mark.timeout(120)(Life.TestCase)
TestLife.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
