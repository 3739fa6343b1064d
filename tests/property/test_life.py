"""Sessions, statements and drivers in any order of events: the invariants always hold.

The machine plays callers, drivers, time, links that lose and repeat messages, and a gateway that
restarts, over the real store and ports in memory. Some events overlap: each of them yields to the
others before and after every call of a port, as it does with a real database or process.
"""

import asyncio
import contextlib
import inspect
import random
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import Connection, select

from fakes.store import in_line_store
from fakes.world import ScriptedLauncher, World, submit_statement
from livius.adapters.store import SqlStore
from livius.adapters.store.rows import session_of, statement_of
from livius.adapters.store.schema import SESSIONS, STATEMENTS
from livius.api.fabric.states import session_state
from livius.domain.driver import DriverEnd
from livius.domain.errors import Conflict, LiviusError
from livius.domain.ids import DriverId, SessionId
from livius.domain.session import FINAL, Session
from livius.domain.statement import ACTIVE, OPEN, Statement
from livius.domain.statement import FINAL as STATEMENT_FINAL
from livius.usecases.driver_link import attach_driver, resume
from livius.usecases.drivers import LinkMemory, report
from livius.usecases.sessions import CreateSession, create_session, delete_session
from livius.usecases.statements import cancel_statement
from livius_agent.wire import PROTOCOL, Ack, Finished, Hello, LedgerEntry, Output, Ready, Run

pytestmark = pytest.mark.timeout(300)

WIRE_ORDER = ("not_started", "starting", "idle", "shutting_down", "killed", "dead")
Key = tuple[str, int]
Outcome = Literal["ok", "error", "cancelled"]
Fate = Literal["arrives", "arrives twice", "is lost"]

FATES = st.sampled_from(["arrives", "arrives", "arrives twice", "is lost"])
OUTCOMES = st.sampled_from(["ok", "ok", "error", "cancelled"])
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["reconcile", "dial", "submit", "delete"])),
    st.tuples(st.just("cancel"), st.sampled_from([0, 0, 1])),
    st.tuples(st.just("output"), FATES),
    st.tuples(st.just("finish"), OUTCOMES, FATES),
)


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


class Yielding:
    """A port that lets other tasks run around each call, at random, while ``chance`` is set."""

    chance: random.Random | None = None

    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **more: Any) -> Any:
            await self._yield()
            answer = await found(*args, **more)
            await self._yield()
            return answer

        return call

    async def _yield(self) -> None:
        for _ in range(self.chance.randrange(4) if self.chance else 0):
            await asyncio.sleep(0)


@dataclass
class Given:
    """A statement in the agent's ledger, until the gateway acknowledges its end."""

    printed: str = ""
    outcome: Outcome | None = None


@dataclass
class Agent:
    """The state of a driver's agent."""

    ledger: dict[int, Given] = field(default_factory=dict)
    last: int = -1
    # Messages of one link are taken in line, and the gateway remembers what it found of them.
    link: asyncio.Lock = field(default_factory=asyncio.Lock)
    found: LinkMemory = field(default_factory=LinkMemory)

    def running(self) -> tuple[int, Given] | None:
        """The statement that runs, if there is one, and its number."""
        found = [(n, given) for n, given in self.ledger.items() if given.outcome is None]
        return found[-1] if found else None


class Life(RuleBasedStateMachine):
    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store, self.launcher = Yielding(in_line_store()), Yielding(ScriptedLauncher())
        self.world = World(
            store=cast("SqlStore", self.store),
            launcher=cast("ScriptedLauncher", self.launcher),
        )
        self.final: dict[Key, Statement] = {}
        self.shown: dict[SessionId, int] = {}
        self.agents: dict[DriverId, Agent] = defaultdict(Agent)
        self.runs: dict[Key, int] = defaultdict(int)
        self.acknowledged: set[Key] = set()
        self.printed: dict[Key, str] = {}
        self._records = Records()
        self._is_old = True

    def do(self, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        """Do all of it at the same time."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(*works)

        done = self.loop.run_until_complete(gathered())
        self._is_old = True
        self.deliver()
        return done

    def deliver(self) -> None:
        """Deliver the gateway's messages. An agent runs a statement when it first sees it."""
        for message in self.world.links.sent:
            if isinstance(message, Run):
                agent = self.agents[self.of_repl(message.repl).driver]
                if message.number > agent.last:
                    agent.last = message.number
                    agent.ledger[message.number] = Given()
                    self.runs[message.repl, message.number] += 1
            if isinstance(message, Ack) and message.finished:
                agent = self.agents[self.of_repl(message.repl).driver]
                agent.ledger.pop(message.number, None)
                self.acknowledged.add((message.repl, message.number))
        self.world.links.sent.clear()

    @property
    def records(self) -> Records:
        if self._is_old:
            self.loop.run_until_complete(self.world.store._transactions.run(self._records.read))
            self._is_old = False
        return self._records

    def of_repl(self, repl: str) -> Session:
        return next(s for s in self.records.sessions if s.first_repl == repl)

    def driver_of(self, session: SessionId) -> DriverId:
        return next(s.driver for s in self.records.sessions if s.id == session)

    async def get(self, session: SessionId) -> Session:
        found = await self.world.store.session(session)
        assert found is not None
        return found

    def teardown(self) -> None:
        self.world.store.close()
        self.loop.close()

    # Callers. A refusal is an answer: the invariants find what it breaks.

    async def submit_one(self, session: SessionId) -> None:
        with contextlib.suppress(LiviusError):
            await submit_statement(
                self.world.context,
                self.world.admin,
                self.world.path(session),
                code="1",
                kind=None,
                source_id=None,
            )

    async def cancel_one(self, session: SessionId, ahead: int) -> None:
        """Cancel the newest that the driver was given, or one that waits."""
        record = await self.get(session)
        number = max(0, self.agents[record.driver].last) + ahead
        path = self.world.path(session)
        with contextlib.suppress(LiviusError):
            await cancel_statement(self.world.context, self.world.admin, path, str(number))

    async def delete_one(self, session: SessionId) -> None:
        with contextlib.suppress(LiviusError):
            await delete_session(self.world.context, self.world.admin, self.world.path(session))

    # Drivers. The gateway refuses an honest one only after its session has ended.

    async def dial_in(self, session: SessionId) -> None:
        record = await self.get(session)
        agent = self.agents[record.driver]
        if record.driver not in self.world.launcher.alive:
            return
        async with agent.link:
            ledger = tuple(
                LedgerEntry(
                    repl=record.first_repl,
                    number=number,
                    seq=1,
                    size=len(given.printed),
                    finished=given.outcome is not None,
                )
                for number, given in agent.ledger.items()
            )
            hello = Hello(
                protocol=PROTOCOL,
                driver=record.driver,
                agent="1",
                last={record.first_repl: agent.last},
                ledger=ledger,
            )
            driver = await self.world.store.driver(record.driver)
            assert driver is not None
            try:
                attached = await attach_driver(self.world.context, driver, hello)
            except Conflict:
                return
            self.world.links.open.add(record.driver)
            agent.found = LinkMemory()
            await resume(self.world.context, attached)
            await self.say(record, Ready(spark_app_id="a", versions={}))
            for durable in attached.welcome.durable:
                given = agent.ledger[durable.number]
                await self.say_printed(record, durable.number, given.printed, durable.offset)
                await self.say_end(record, durable.number, given)

    async def output_one(self, session: SessionId, fate: Fate) -> None:
        record = await self.get(session)
        agent = self.agents[record.driver]
        async with agent.link:
            if (running := agent.running()) is None:
                return
            number, given = running
            before = len(given.printed)
            given.printed += f"line {before}\n"
            self.printed[record.first_repl, number] = given.printed
            await self.say_printed(record, number, given.printed, before, fate)

    async def finish_one(self, session: SessionId, outcome: Outcome, fate: Fate) -> None:
        record = await self.get(session)
        agent = self.agents[record.driver]
        async with agent.link:
            if (running := agent.running()) is not None:
                number, given = running
                given.outcome = outcome
                await self.say_end(record, number, given, fate)

    async def say_printed(
        self, record: Session, number: int, printed: str, offset: int, fate: Fate = "arrives"
    ) -> None:
        if text := printed[offset:]:
            message = Output(repl=record.first_repl, number=number, seq=1, offset=offset, text=text)
            await self.say(record, message, fate)

    async def say_end(
        self, record: Session, number: int, given: Given, fate: Fate = "arrives"
    ) -> None:
        if given.outcome is not None:
            size = len(given.printed)
            message = Finished(
                repl=record.first_repl, number=number, seq=1, size=size, outcome=given.outcome
            )
            await self.say(record, message, fate)

    async def say(self, record: Session, message: Any, fate: Fate = "arrives") -> None:
        """Send a message if the link is open. One that is lost breaks the link."""
        if fate == "is lost":
            self.world.links.close(record.driver)
        for _ in range(2 if fate == "arrives twice" else 1):
            if self.world.links.is_open(record.driver):
                await report(self.world.context, record, message, self.agents[record.driver].found)

    # The rules.

    @initialize()
    def begin(self) -> None:
        self.do(self.world.begin())

    @precondition(lambda self: len(self.shown) < 3)
    @rule(target=sessions, ready=st.sampled_from([True, True, False]))
    def create(self, ready: bool) -> SessionId:
        [view] = self.do(
            create_session(self.world.context, self.world.admin, *self.world.place, CreateSession())
        )
        created: SessionId = view.session.id
        if ready:
            self.do(self.world.settle(created))
            self.do(self.dial_in(created))
            self.do(self.submit_one(created))
        return created

    def work(self, session: SessionId, name: str, *given: Any) -> Coroutine[Any, Any, Any]:
        match name:
            case "reconcile":
                return self.world.reconciler.step(session)
            case "dial":
                return self.dial_in(session)
            case _:
                made: Coroutine[Any, Any, Any] = getattr(self, f"{name}_one")(session, *given)
                return made

    @rule(session=sessions, action=ACTIONS)
    def one(self, session: SessionId, action: tuple[Any, ...]) -> None:
        self.do(self.work(session, *action))

    @rule(session=sessions, fate=FATES)
    def output(self, session: SessionId, fate: Fate) -> None:
        self.do(self.output_one(session, fate))

    @rule(session=sessions, outcome=OUTCOMES, fate=FATES)
    def finish(self, session: SessionId, outcome: Outcome, fate: Fate) -> None:
        self.do(self.finish_one(session, outcome, fate))

    @rule(session=sessions)
    def submit_and_dial(self, session: SessionId) -> None:
        self.do(self.submit_one(session), self.dial_in(session))

    @rule(
        session=sessions,
        actions=st.lists(ACTIONS, min_size=2, max_size=4),
        seed=st.integers(0, 2**16),
    )
    def at_once(self, session: SessionId, actions: Iterable[tuple[Any, ...]], seed: int) -> None:
        self.store.chance = self.launcher.chance = random.Random(seed)
        # Steps of one session never overlap: the work queue sees to that.
        stepped = [action for action in actions if action == ("reconcile",)]
        others = [action for action in actions if action != ("reconcile",)]
        self.do(*(self.work(session, *action) for action in [*stepped[:1], *others]))
        self.store.chance = self.launcher.chance = None

    @rule(session=sessions)
    def break_link(self, session: SessionId) -> None:
        self.world.links.close(self.driver_of(session))

    @rule()
    def restart_gateway(self) -> None:
        self.world.links.open.clear()
        self.world.reconciler = self.world.restarted_reconciler()

    @rule(session=sessions)
    def die(self, session: SessionId) -> None:
        driver = self.driver_of(session)
        if driver in self.world.launcher.alive:
            self.world.links.close(driver)
            self.world.launcher.die(driver, DriverEnd(signal=9))

    @rule(minutes=st.integers(1, 10))
    def wait(self, minutes: int) -> None:
        self.world.clock.advance(timedelta(minutes=minutes))

    # The invariants.

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
    def what_was_acknowledged_has_ended(self) -> None:
        assert self.acknowledged <= set(self.final)

    @invariant()
    def what_ended_well_has_its_whole_output(self) -> None:
        for key, statement in self.final.items():
            if statement.ending is not None and statement.ending.ok:
                text = statement.ending.text
                if text is None:
                    place = (statement.session, statement.repl, statement.number)
                    text = self.world.outputs._streams.get((place, "text"), b"").decode()
                assert text == self.printed.get(key, "")

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
        sessions = self.records.sessions
        drivers = {session.driver for session in sessions}
        assert set(self.world.launcher.alive) <= drivers
        assert self.world.launcher.launches <= len(drivers) == len(sessions)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
