"""Sessions, repls, statements, drivers and the pool in any order of events: the invariants hold.

The machine plays callers, drivers, time, links and a gateway that is killed, over the real store,
route, use cases, reconciler, ledger and agent's link. Frames are delayed, sent twice and lost with
their link; those of an old link may arrive after those of a new one. Some events overlap: each of
them yields to the others before and after every call of a port, as it does with a real database or
process, and the gateway may be killed in the middle of them.

At the end of each example everything arrives and all drivers go on: nothing may wait for ever.
"""

import asyncio
import contextlib
import dataclasses
import inspect
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, select
from starlette.routing import WebSocketRoute

from fakes.scripted_driver import Outcome, ScriptedDriver, Wire
from fakes.store import in_line_store
from fakes.world import (
    FakeLinks,
    MemoryOutputs,
    ScriptedLauncher,
    World,
    submit_statement,
    with_rules,
)
from livius.adapters.links import LinkTable
from livius.adapters.store import SqlStore
from livius.adapters.store.rows import driver_of, repl_of, session_of, statement_of
from livius.adapters.store.schema import DRIVERS, REPLS, SESSIONS, STATEMENTS
from livius.api.driver.routes import router
from livius.api.fabric.states import session_state
from livius.domain.conf import ENVIRONMENT_ID
from livius.domain.driver import LIVE as LIVE_DRIVERS
from livius.domain.driver import Driver, DriverEnd
from livius.domain.environment import Environment
from livius.domain.errors import Conflict, Exhausted, LiviusError
from livius.domain.ids import DriverId, ReplId, SessionId
from livius.domain.repl import LIVE as LIVE_REPLS
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.session import FINAL, EndCause, Goal, Phase, Session
from livius.domain.statement import ACTIVE, OPEN, Statement
from livius.domain.statement import FINAL as STATEMENT_FINAL
from livius.ports.capacity import Occupancy
from livius.reconcile.pool import WarmPools
from livius.reconcile.queue import SessionQueue
from livius.usecases import high_concurrency
from livius.usecases.access import SessionPath
from livius.usecases.sessions import CreateSession, create_session, delete_session
from livius.usecases.statements import cancel_statement
from livius_agent.wire import Run
from support.records import published, warm_environment

pytestmark = pytest.mark.timeout(600)

EXAMPLES: Final = int(os.environ.get("LIVIUS_TEST_LIVES", "80"))
WIRE_ORDER: Final = ("not_started", "starting", "idle", "shutting_down", "killed", "dead")
REPL_ORDER: Final = (ReplPhase.OPENING, ReplPhase.OPEN, ReplPhase.CLOSING, ReplPhase.CLOSED)
MOST_DOORS: Final = 6
LONGEST_WAIT: Final = 120
"""In seconds: more than a lost driver is given to dial again, and then to be bound."""
CONFS: Final[tuple[dict[str, str], ...]] = (
    {},
    {},
    {"spark.sql.my.password": "p"},
    {"spark.task.cpus": "1"},
)
OUTCOMES: Final[tuple[Outcome, ...]] = ("ok", "ok", "error", "cancelled")
TEXTS: Final = ("a line\n", "x" * 700 + "\n")
Key = tuple[str, int]
Action = tuple[str, int, int]

ACTIONS = st.tuples(
    st.sampled_from(
        # More of what makes work, less of what ends all of it.
        ["submit", "acquire"] * 8
        + ["print", "finish", "cancel", "step", "up", "down", "advance"] * 5
        + ["release", "break_link", "dial", "create"] * 3
        + ["delete", "die", "stop", "look", "admit", "end_idle", "end_unwanted", "end_orphans"]
        + ["shrink", "publish", "forget_versions"]
    ),
    st.integers(0, 5),
    st.integers(0, 3),
)


class Records:
    """All records, read again when one has changed."""

    def __init__(self) -> None:
        self._changes = -1
        self.sessions: dict[SessionId, Session] = {}
        self.statements: dict[Key, Statement] = {}
        self.repls: dict[ReplId, Repl] = {}
        self.drivers: dict[DriverId, Driver] = {}

    def read(self, connection: Connection) -> None:
        changes = connection.connection.driver_connection.total_changes  # type: ignore[union-attr]
        if changes == self._changes:
            return
        self._changes = changes
        statements = map(statement_of, connection.execute(select(STATEMENTS)))
        self.sessions = {s.id: s for s in map(session_of, connection.execute(select(SESSIONS)))}
        self.statements = {(s.repl, s.number): s for s in statements}
        self.repls = {r.id: r for r in map(repl_of, connection.execute(select(REPLS)))}
        self.drivers = {d.id: d for d in map(driver_of, connection.execute(select(DRIVERS)))}


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
        for _ in range(Yielding.chance.randrange(4) if Yielding.chance else 0):
            await asyncio.sleep(0)


class Memory:
    """The pool's view of the machine's memory, and how many sessions may have a driver."""

    is_short = False
    most = 100

    def admit(self, found: Occupancy) -> None:
        if found.drivers >= self.most:
            raise Exhausted("TooManyRequestsForCapacity", "full")

    def has_room(self, *, more: int, starting: int) -> bool:
        del more, starting
        return not self.is_short

    def check_disk(self) -> None: ...


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = cast("Any", asyncio.new_event_loop())
        self.loop.time = lambda: 0.0  # so that no timeout depends on this machine
        self.folder = Path(tempfile.gettempdir())
        self.launcher = ScriptedLauncher()
        self.world = World(
            store=cast("SqlStore", Yielding(in_line_store())),
            launcher=cast("ScriptedLauncher", Yielding(self.launcher)),
            outputs=cast("MemoryOutputs", Yielding(MemoryOutputs())),
        )
        self.memory = Memory()
        self.pool_size = 0
        self.environments: list[Environment] = []
        self.serving: dict[Wire, asyncio.Task[None]] = {}
        self.due: dict[DriverId, None] = {}
        self.later: dict[DriverId, None] = {}
        self.drivers: dict[DriverId, ScriptedDriver] = {}
        self.doors: list[SessionPath] = []
        self.handles: list[str] = []
        self.accepted: set[Key] = set()
        self.runs: Counter[Key] = Counter()
        self.ran_for: dict[Key, str | None] = {}
        self.printed: dict[Key, str] = {}
        self.final: dict[Key, Statement] = {}
        self.shown: dict[SessionId, int] = {}
        self.opened: dict[ReplId, int] = {}
        self.bound: dict[DriverId, SessionId] = {}
        self.crashes = 0
        self._records = Records()
        self._is_old = True
        self.serve()

    # The gateway.

    def serve(self) -> None:
        """Begin a gateway: what it had in memory is gone."""
        world = self.world
        links = cast("FakeLinks", LinkTable(world.clock))
        world.links, world.conf_secrets = links, {}
        world.context = dataclasses.replace(
            with_rules(
                world,
                pool="f" if self.pool_size else None,
                environment_drivers="f" if self.environments else None,
                queue=2,
                beat=timedelta(days=1),
            ),
            capacity=self.memory,
            links=links,
            conf_secrets=world.conf_secrets,
        )
        self.pool = WarmPools(
            store=world.store,
            capacity=self.memory,
            clock=world.clock,
            size=self.pool_size,
            environments=1 if self.environments else 0,
            runtime="2.0",
            fingerprint="f",
            wake=world.woken.append,
        )
        self.queue = SessionQueue(
            store=world.store,
            capacity=self.memory,
            clock=world.clock,
            notifications=world.notifications,
            wake=world.woken.append,
        )
        world.pool_driver_ended = self.pool.driver_ended
        world.reconciler = world.restarted_reconciler()
        self.housekeeping = world.housekeeping(retention=timedelta(days=1))
        [route] = router(world.context).routes
        assert isinstance(route, WebSocketRoute)
        self.attach = cast("Callable[[Wire], Coroutine[Any, Any, None]]", route.endpoint)

    async def crash(self) -> None:
        """Kill the gateway, and start another one."""
        for wire, task in self.serving.items():
            task.cancel()
            wire.is_open_for_gateway = False
            wire.to_gateway.clear()
            wire.to_agent.append(1006)
        if self.serving:
            await asyncio.wait(self.serving.values())
        self.crashes += 1
        self.reap()
        self.later.clear()
        self.world.woken.clear()
        self.serve()
        self.due = {one.id: None for one in await self.world.store.live_drivers()}

    def reap(self) -> None:
        """Forget the links that have ended. Only a killed gateway leaves one with an error."""
        for wire, task in list(self.serving.items()):
            if task.done():
                del self.serving[wire]
                if not task.cancelled():
                    task.result()
                wire.is_open_for_gateway = False

    async def quiet(self) -> None:
        """Let all tasks run until each of them waits."""
        while self.loop._ready:
            await asyncio.sleep(0)

    async def observed(self) -> None:
        """See what has come of it: drivers that were started or ended, and wake-ups."""
        await self.quiet()
        self.reap()
        for driver, spec in self.launcher.alive.items():
            if driver not in self.drivers:
                self.drivers[driver] = ScriptedDriver(spec, self.folder, self.began)
        for driver in [one for one in self.drivers if one not in self.launcher.alive]:
            await self.drivers.pop(driver).end()
        self.due |= dict.fromkeys(self.world.woken)
        self.world.woken.clear()

    def do(self, *works: Coroutine[Any, Any, Any], crash_after: int | None = None) -> None:
        """Do all of it at the same time; kill the gateway after so many turns, if that is given."""

        async def together() -> None:
            tasks = [asyncio.create_task(work) for work in works]
            if crash_after is None:
                await asyncio.gather(*tasks)
            else:
                for _ in range(crash_after):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                for done in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(done, Exception):
                        raise done
                await self.crash()
            await self.observed()

        self.loop.run_until_complete(together())
        self._is_old = True

    @property
    def records(self) -> Records:
        if self._is_old:
            self.loop.run_until_complete(self.world.store._transactions.run(self._records.read))
            self._is_old = False
        return self._records

    # Callers. A refusal is an answer: the invariants find what it breaks.

    def door(self, which: int) -> SessionPath | None:
        return self.doors[which % len(self.doors)] if self.doors else None

    async def create(self, which: int, more: int) -> None:
        if len(self.doors) >= MOST_DOORS:
            return
        with contextlib.suppress(Exhausted, Conflict):  # it is full, or a publish has just ended
            wanted = CreateSession(conf=self.conf(which, more))
            view = await create_session(
                self.world.context, self.world.admin, *self.world.place, wanted
            )
            self.doors.append(self.world.path(view.session.id))

    def conf(self, which: int, more: int) -> dict[str, str]:
        """A session's conf; every other session names an environment, if there is one."""
        conf = CONFS[which % len(CONFS)]
        if not self.environments or more % 2:
            return conf
        return {**conf, ENVIRONMENT_ID: self.environments[which % len(self.environments)].id}

    async def publish(self, which: int, _: int) -> None:
        if self.environments:
            with contextlib.suppress(AssertionError):  # another publish of it runs
                environment = self.environments[which % len(self.environments)]
                await published(self.world.store, environment)

    async def forget_versions(self, *_: int) -> None:
        await self.housekeeping.forget_versions()

    async def acquire(self, which: int, tag: int) -> None:
        if len(self.doors) >= MOST_DOORS:
            return
        with contextlib.suppress(Exhausted, Conflict):
            view = await high_concurrency.acquire(
                self.world.context,
                self.world.admin,
                *self.world.place,
                CreateSession(conf=self.conf(which % 2, tag)),
                "ab"[tag // 3],
            )
            path = self.world.path(view.session.id)
            self.doors.append(dataclasses.replace(path, repl=view.repl.id))
            self.handles.append(view.handle.id)

    async def release(self, which: int, _: int) -> None:
        if self.handles:
            handle = self.handles[which % len(self.handles)]
            with contextlib.suppress(LiviusError):
                await high_concurrency.delete(
                    self.world.context, self.world.admin, *self.world.place, handle
                )

    async def submit(self, which: int, _: int) -> None:
        if (door := self.door(which)) is None:
            return
        with contextlib.suppress(LiviusError):
            view = await submit_statement(
                self.world.context, self.world.admin, door, code="1", kind=None, source_id=None
            )
            self.accepted.add((view.statement.repl, view.statement.number))

    async def cancel(self, which: int, number: int) -> None:
        if (door := self.door(which)) is not None:
            with contextlib.suppress(LiviusError):
                await cancel_statement(self.world.context, self.world.admin, door, str(number))

    async def delete(self, which: int, _: int) -> None:
        if (door := self.door(which)) is not None:
            with contextlib.suppress(LiviusError):
                await delete_session(
                    self.world.context, self.world.admin, dataclasses.replace(door, repl=None)
                )

    # The gateway's own work.

    async def step(self, which: int, _: int) -> None:
        if pending := [*self.due, *self.later]:
            await self.step_of(pending[which % len(pending)])

    async def step_of(self, driver: DriverId) -> bool:
        """Take a step of a driver that was woken, or that wanted another one: of no other."""
        self.due.pop(driver, None)
        self.later.pop(driver, None)
        delay = await self.world.reconciler.step(driver)
        if delay is not None:
            (self.later if delay else self.due)[driver] = None
        return True

    async def look(self, times: int, _: int) -> None:
        for _ in range(times):
            await self.pool.look()

    async def admit(self, *_: int) -> None:
        await self.queue.look()

    async def shrink(self, *_: int) -> None:
        """The memory is short for a moment, so that the pool gives up its drivers."""
        self.memory.is_short = True
        try:
            await self.pool.look()
        finally:
            self.memory.is_short = False

    async def end_idle(self, *_: int) -> None:
        await self.housekeeping.end_idle()

    async def end_unwanted(self, *_: int) -> None:
        await self.housekeeping.end_unwanted()

    async def end_orphans(self, *_: int) -> None:
        await self.housekeeping.end_orphans()

    # Drivers and links.

    def driver(self, which: int) -> ScriptedDriver | None:
        found = list(self.drivers.values())
        return found[which % len(found)] if found else None

    def wires(self) -> Sequence[Wire]:
        own = (one.wire for one in self.drivers.values() if one.wire is not None)
        return list(dict.fromkeys([*self.serving, *own]))

    def began(self, driver: ScriptedDriver, run: Run) -> None:
        self.runs[run.repl, run.number] += 1
        self.ran_for[run.repl, run.number] = driver.session_name

    async def dial(self, which: int, _: int) -> None:
        driver = self.driver(which)
        if driver is not None and driver.wire is None:
            self.dial_of(driver)

    def dial_of(self, driver: ScriptedDriver) -> None:
        wire = driver.dial()
        self.serving[wire] = self.loop.create_task(self.attach(wire))

    async def break_link(self, which: int, _: int) -> None:
        if (driver := self.driver(which)) is not None:
            driver.hang_up()

    async def die(self, which: int, _: int) -> None:
        driver = self.driver(which)
        if driver is not None and driver.id in self.launcher.alive:
            driver.hang_up()
            self.launcher.die(driver.id, DriverEnd(signal=9))

    async def up(self, which: int, most: int) -> None:
        await self.move(which, most, up=True)

    async def down(self, which: int, most: int) -> None:
        await self.move(which, most, up=False)

    async def move(self, which: int, most: int, *, up: bool) -> None:
        if wires := self.wires():
            wire = wires[which % len(wires)]
            wire.move(up=up, most=most or 99, twice=most == 2)

    async def advance(self, which: int, times: int) -> None:
        for _ in range(times + 1):
            if (driver := self.driver(which)) is not None:
                await driver.advance()

    async def print(self, which: int, text: int) -> None:
        if (driver := self.driver(which)) is not None:
            await driver.print(text, TEXTS[text % 2])
            self.printed |= driver.printed

    async def finish(self, which: int, outcome: int) -> None:
        if (driver := self.driver(which)) is not None:
            await driver.finish(which, OUTCOMES[outcome])

    async def stop(self, which: int, _: int) -> None:
        if (driver := self.driver(which)) is not None:
            await driver.finish(which, "ok", stop=True)

    async def flow(self, *, newest_first: bool = False) -> None:
        """Let all that is under way arrive, and all that was woken be done."""
        self.due |= self.later
        self.later.clear()
        dialled: set[DriverId] = set()
        for _ in range(200):
            moved = False
            for driver in list(self.drivers.values()):
                if driver.refused >= 3:
                    self.launcher.die(driver.id, DriverEnd(code=0))
                elif driver.wire is None and driver.id not in dialled:
                    dialled.add(driver.id)  # once: an agent pauses before it dials again
                    self.dial_of(driver)
                    moved = True
                moved |= await driver.advance()
                await driver.talk()
            wires = self.wires()
            for wire in reversed(wires) if newest_first else wires:
                moved |= wire.move(up=True, most=99)
                moved |= wire.move(up=False, most=99)
            await self.observed()
            for one in list(self.due):
                moved |= await self.step_of(one)
            await self.observed()
            if not moved:
                return
        raise AssertionError("it never comes to rest")

    # The rules.

    @initialize(
        size=st.integers(0, 2),
        environments=st.integers(0, 2),
        is_warm=st.booleans(),
        room=st.sampled_from([1, 2, 100]),
    )
    def begin(self, size: int, environments: int, is_warm: bool, room: int) -> None:
        self.do(self.world.begin())
        self.pool_size, self.memory.most = size, room
        for _ in range(environments):
            self.do(self.add_environment())
        self.serve()
        for _ in range(size + environments if is_warm else 0):
            self.do(self.look(3, 0))
            self.do(self.flow())

    async def add_environment(self) -> None:
        made = warm_environment(self.world.workspace.id)
        await self.world.store.add_environment(made)
        await published(self.world.store, made)
        self.environments.append(made)

    def work(self, action: Action) -> Coroutine[Any, Any, None]:
        name, which, more = action
        made: Coroutine[Any, Any, None] = getattr(self, name)(which, more)
        return made

    @rule(action=ACTIONS)
    def one(self, action: Action) -> None:
        self.do(self.work(action))

    @rule(action=ACTIONS, newest_first=st.booleans())
    def one_and_flow(self, action: Action, newest_first: bool) -> None:
        self.do(self.work(action))
        self.do(self.flow(newest_first=newest_first))

    @rule(
        actions=st.lists(ACTIONS, min_size=2, max_size=5),
        seed=st.integers(0, 2**16),
        # Rarely: the next gateway looks at everything, so it makes up for wake-ups that were lost.
        crash_after=st.sampled_from([None] * 40 + [0, 3, 8, 15, 30]),
    )
    def at_once(self, actions: list[Action], seed: int, crash_after: int | None) -> None:
        self.overlap(actions, seed, crash_after)

    def overlap(self, actions: list[Action], seed: int, crash_after: int | None = None) -> None:
        Yielding.chance = random.Random(seed)
        # Steps of one driver never overlap: the work queue sees to that. Pool and queue are loops.
        stepped = [action for action in actions if action[0] == "step"]
        looked = [action for action in actions if action[0] in ("look", "shrink")]
        admitted = [action for action in actions if action[0] == "admit"]
        others = [action for action in actions if action not in (*stepped, *looked, *admitted)]
        alone = [*stepped[:1], *looked[:1], *admitted[:1]]
        works = [self.work(action) for action in [*alone, *others]]
        self.do(*works, crash_after=crash_after)
        Yielding.chance = None

    @rule(
        which=st.integers(0, 5),
        actions=st.lists(ACTIONS, min_size=1, max_size=4),
        seed=st.integers(0, 2**16),
    )
    def at_a_redial(self, which: int, actions: list[Action], seed: int) -> None:
        """Do something while a driver, whose link is lost, dials in again."""
        self.do(self.break_link(which, 0))
        self.do(self.dial(which, 0))
        driver = self.driver(which)
        if driver is not None and driver.wire is not None:
            last = self.wires().index(driver.wire)
            self.overlap([("up", last, 0), *actions], seed)

    @rule(seconds=st.sampled_from([1, 20, 40, 70, 400, 1500]))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(timedelta(seconds=seconds))

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.drain()
        finally:
            Yielding.chance = None
            self.loop.run_until_complete(self.close())
            self.world.store.close()
            self.loop.close()

    async def close(self) -> None:
        for driver in self.drivers.values():
            await driver.end()
        await self.crash()

    def drain(self) -> None:
        """Let everything go on; nothing may wait for ever, and nothing may be lost."""
        self.check()
        self.memory.most = 100
        for _ in range(LONGEST_WAIT):
            self.do(self.flow(), self.housekeeping.end_unwanted(), self.queue.look())
            self.check()
            if self.is_done():
                break
            for driver in list(self.drivers.values()):
                while driver.running():
                    self.do(driver.finish(0, "ok"))
            self.world.clock.advance(timedelta(seconds=1))
        else:
            raise AssertionError(f"this waits for ever: {self.unfinished()}")
        records = self.records
        for key in self.accepted:
            ending = records.statements[key].ending
            assert ending is not None
            if ending.ok:
                assert self.runs[key] == 1
        for key, statement in records.statements.items():
            repl, session = records.repls[statement.repl], records.sessions[statement.session]
            if repl.phase is ReplPhase.OPEN and session.phase is Phase.READY:
                assert statement.ending is not None
                assert statement.ending.ename in (None, "Theirs", "Cancelled"), key
        self.pool.size = self.pool.environments = 0
        self.do(self.pool.look())
        self.do(self.flow())
        assert not [one for one in self.records.drivers.values() if self.is_free(one)]
        self.check()

    @staticmethod
    def is_free(driver: Driver) -> bool:
        return driver.session is None and driver.phase in LIVE_DRIVERS

    def unfinished(self) -> Sequence[object]:
        records = self.records
        return [
            *(s for s in records.statements.values() if s.phase in OPEN),
            *(
                r
                for r in records.repls.values()
                if r.phase in (ReplPhase.OPENING, ReplPhase.CLOSING)
            ),
            *(
                s
                for s in records.sessions.values()
                if s.phase not in FINAL and (s.goal is Goal.STOP or s.phase is not Phase.READY)
            ),
        ]

    def is_done(self) -> bool:
        return not self.unfinished()

    def check(self) -> None:
        for name in dir(self):
            if name in INVARIANTS:
                getattr(self, name)()

    # The invariants.

    @invariant()
    def a_final_statement_never_changes(self) -> None:
        for key, statement in self.records.statements.items():
            if key in self.final:
                assert statement == self.final[key]
            elif statement.phase in STATEMENT_FINAL:
                assert statement.ending is not None
                self.final[key] = statement

    @invariant()
    def what_was_accepted_is_there(self) -> None:
        assert self.accepted <= set(self.records.statements)

    @invariant()
    def what_ended_well_ran_and_has_its_whole_output(self) -> None:
        for driver in self.drivers.values():
            self.printed |= driver.printed
        for key, statement in self.final.items():
            if statement.ending is not None and statement.ending.ok:
                assert self.runs[key] == 1
                text = statement.ending.text
                if text is None:
                    place = (statement.session, statement.repl, statement.number)
                    text = self.world.outputs._streams.get((place, "text"), b"").decode()
                assert text == self.printed[key]

    @invariant()
    def a_repl_runs_one_statement_at_a_time(self) -> None:
        active = Counter(s.repl for s in self.records.statements.values() if s.phase in ACTIVE)
        assert all(count == 1 for count in active.values())
        assert all(count <= 1 for one in self.drivers.values() for count in one.queued())

    @invariant()
    def no_statement_runs_twice_or_in_a_driver_of_another_session(self) -> None:
        assert all(count == 1 for count in self.runs.values())
        records = self.records
        for key, name in self.ran_for.items():
            assert name == records.sessions[records.statements[key].session].name

    @invariant()
    def an_ended_session_has_nothing_open(self) -> None:
        records = self.records
        for session in records.sessions.values():
            if session.phase in FINAL:
                drivers = [d for d in records.drivers.values() if d.session == session.id]
                assert not [d for d in drivers if d.phase in LIVE_DRIVERS]
                repls = [r for r in records.repls.values() if r.session == session.id]
                assert not [r for r in repls if r.phase in LIVE_REPLS]
        for statement in records.statements.values():
            if statement.phase in OPEN:
                repl = records.repls[statement.repl]
                assert repl.phase in (ReplPhase.OPENING, ReplPhase.OPEN)
                assert statement.driver == repl.driver

    @invariant()
    def a_closed_repl_never_opens_again(self) -> None:
        for repl in self.records.repls.values():
            now = REPL_ORDER.index(repl.phase)
            assert now >= self.opened.get(repl.id, 0)
            self.opened[repl.id] = now

    @invariant()
    def the_shown_state_never_goes_backwards(self) -> None:
        for session in self.records.sessions.values():
            now = WIRE_ORDER.index(session_state(session, busy=False).state)
            assert now >= self.shown.get(session.id, 0)
            self.shown[session.id] = now

    @invariant()
    def a_driver_has_one_session_ever_and_a_session_one_live_driver(self) -> None:
        records = self.records
        for driver in records.drivers.values():
            if driver.session is not None:
                assert self.bound.setdefault(driver.id, driver.session) == driver.session
            else:
                assert driver.id not in self.bound
        live = [d for d in records.drivers.values() if d.session and d.phase in LIVE_DRIVERS]
        assert len(live) == len({d.session for d in live})
        assert all(records.sessions[cast("SessionId", d.session)].driver == d.id for d in live)
        repls = [r for r in records.repls.values() if r.phase in LIVE_REPLS]
        assert all(r.driver == records.sessions[r.session].driver for r in repls)

    @invariant()
    def a_driver_has_the_libraries_of_its_session_and_of_no_other(self) -> None:
        records = self.records
        for driver in records.drivers.values():
            if driver.session is not None:
                assert driver.environment == records.sessions[driver.session].environment
        for one, spec in self.launcher.alive.items():
            launched_with = None if spec.environment is None else spec.environment.id
            assert launched_with == records.drivers[one].environment

    @invariant()
    def no_session_has_a_driver_beyond_the_room(self) -> None:
        drivers = self.records.drivers.values()
        started = [d for d in drivers if d.session and d.phase in LIVE_DRIVERS and d.secret_hash]
        assert len(started) <= self.memory.most

    @invariant()
    def no_driver_outlives_its_record(self) -> None:
        drivers = self.records.drivers
        assert all(drivers[one].phase in LIVE_DRIVERS for one in self.launcher.alive)
        names = {s.driver: s.name for s in self.records.sessions.values()}
        for driver in self.drivers.values():
            assert driver.session_name in (None, names.get(driver.id))

    @invariant()
    def no_honest_driver_is_refused(self) -> None:
        for session in self.records.sessions.values():
            assert session.end_cause is not EndCause.DRIVER_REFUSED, session.end_reason
            is_lost = "has secrets" in (session.end_reason or "")
            assert not is_lost or self.crashes, session.end_reason


INVARIANTS: Final = frozenset(
    name for name, one in vars(Life).items() if hasattr(one, "hypothesis_stateful_invariant")
)

TestLife = Life.TestCase
TestLife.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
