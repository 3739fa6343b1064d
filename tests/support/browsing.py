"""The portal over a core of fakes, served on a real socket, and a browser to look at it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import uvicorn
from playwright.sync_api import BrowserContext

from fakes.world import World, principal, submit_statement
from livius import portal
from livius.adapters.identity.certificates import read_certificate
from livius.api.app import create_app
from livius.domain.errors import Unauthenticated
from livius.domain.ids import ReplId, SessionId, StatementNumber
from livius.domain.jobs import SparkJob, StatementJobs
from livius.domain.principal import Principal
from livius.domain.session import EndCause, Event, Phase, Session
from livius.domain.statement import Ending
from livius.domain.statement import Event as StatementEvent
from livius.event_streams import EventStreams
from livius.ports.login_provider import SignedIn
from livius.ports.notifications import OutputGrew, StatementsChanged
from livius.usecases.drivers import report
from livius.usecases.high_concurrency import HighConcurrencyView, acquire, delete
from livius.usecases.identity.presence import anybody
from livius.usecases.portal_sessions import PortalSessions
from livius.usecases.sessions import CreateSession, create_session
from livius.usecases.statements import cancel_statement
from livius_agent.wire import ReplClosed, ReplReady
from support.records import end_session, move_session, with_end
from support.waiting import wait_for

Value = TypeVar("Value")


@dataclass
class People:
    """An authority that signs in whom the test says, and a verifier that knows its tokens."""

    known: dict[str, Principal] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    fails: Exception | None = None
    named: str | None = None

    async def sign_in_url(
        self, *, redirect_uri: str, state: str, nonce: str, challenge: str
    ) -> str:
        self.asked.append(
            {
                "redirect_uri": redirect_uri,
                "state": state,
                "nonce": nonce,
                "challenge": challenge,
            }
        )
        return f"https://authority.test/authorize?state={state}"

    def sign_out_url(self, *, redirect_uri: str, id_token: str = "") -> str | None:
        return redirect_uri + (f"?id_token_hint={id_token}" if id_token else "")

    async def redeem(
        self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str | None
    ) -> SignedIn:
        del issuer
        self.asked.append(
            {"code": code, "redirect_uri": redirect_uri, "verifier": verifier, "nonce": nonce}
        )
        if self.fails is not None:
            raise self.fails
        oid = self.known[code].oid if code in self.known else "nobody"
        return SignedIn(access_token=code, oid=self.named or oid, id_token="an-id-token")

    async def bearer_of(self, token: str) -> Principal:
        if token not in self.known:
            raise Unauthenticated("InvalidToken", "The access token is not valid.")
        return self.known[token]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Site:
    """A served portal. What tests do to its core is done in the thread that serves."""

    world: World
    people: People = field(default_factory=People)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    # A test's acts in the core.

    def session(
        self,
        name: str | None = None,
        caller: Principal | None = None,
        *,
        conf: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        ready: bool = True,
    ) -> Session:
        async def work() -> Session:
            world = self.world
            world.clock.advance(timedelta(seconds=1))
            wanted = CreateSession(
                name=name, conf=conf or {}, tags=tags or {}, request={"conf": conf or {}}
            )
            view = await create_session(world.context, caller or world.admin, *world.place, wanted)
            return await self._make_ready(view.session) if ready else view.session

        return self.do(work())

    async def _make_ready(self, session: Session) -> Session:
        world = self.world
        await world.settle(session.id)
        for event in (Event.DRIVER_ATTACHED, Event.DRIVER_READY):
            world.clock.advance(timedelta(seconds=2))
            await move_session(
                world.store, session.id, event, at=world.clock.now(), **_FACTS[event]
            )
            world.notifications.notify(session.id)
        found = await world.store.session(session.id)
        assert found is not None
        world.links.open.add(found.driver)
        return found

    def acquire(self, tag: str | None = None) -> HighConcurrencyView:
        """Acquire a high-concurrency session whose repl is open, its driver ready."""

        async def work() -> HighConcurrencyView:
            world = self.world
            world.clock.advance(timedelta(seconds=1))
            acquired = await acquire(
                world.context, world.admin, *world.place, CreateSession(request={}), tag
            )
            session = acquired.session
            if session.phase is Phase.REQUESTED:
                session = await self._make_ready(session)
            await report(world.context, session, ReplReady(repl=acquired.repl.id))
            found = await world.store.high_concurrency_session(acquired.handle.id)
            assert found is not None
            return HighConcurrencyView(*found)

        return self.do(work())

    def release(self, held: HighConcurrencyView) -> None:
        """Delete a high-concurrency session, and have the driver close its repl."""

        async def work() -> None:
            world = self.world
            await delete(world.context, world.admin, *world.place, held.handle.id)
            await report(world.context, held.session, ReplClosed(repl=held.repl.id))

        self.do(work())

    def run(
        self,
        session: Session,
        code: str,
        *,
        kind: str = "pyspark",
        text: str = "",
        ending: Ending | None = None,
        caller: Principal | None = None,
        repl: ReplId | None = None,
    ) -> StatementNumber:
        """Submit a statement that prints the text and, where there is an ending, ends so.

        In a shared session it goes to the repl.
        """

        async def work() -> StatementNumber:
            world = self.world
            view = await submit_statement(
                world.context,
                caller or world.admin,
                replace(world.path(session.id), repl=repl),
                code=code,
                kind=kind,
                source_id=None,
            )
            number = view.statement.number
            await self._print(session, number, text, repl)
            world.clock.advance(timedelta(seconds=1.4))
            if ending is not None:
                await self._end(session, number, ending, repl)
            return number

        return self.do(work())

    async def _print(
        self, session: Session, number: StatementNumber, text: str, repl: ReplId | None = None
    ) -> None:
        world, of = self.world, repl or session.first_repl
        size = await world.outputs.size(session.id, of, number)
        await world.outputs.write(
            session.id,
            of,
            number,
            offset=size,
            data=text.encode(),
            most=world.context.rules.output_limit,
        )
        world.notifications.notify(OutputGrew(of, number))

    async def _end(
        self,
        session: Session,
        number: StatementNumber,
        ending: Ending,
        repl: ReplId | None = None,
        event: StatementEvent = StatementEvent.FINISHED,
    ) -> None:
        world, of = self.world, repl or session.first_repl
        await world.store.move_statement(of, number, event, at=world.clock.now(), ending=ending)
        world.notifications.notify((of, number))
        world.notifications.notify(StatementsChanged(session.id))

    def print(self, session: Session, number: StatementNumber, text: str) -> None:
        self.do(self._print(session, number, text))

    def end(
        self,
        session: Session,
        number: StatementNumber,
        ending: Ending,
        repl: ReplId | None = None,
    ) -> None:
        self.do(self._end(session, number, ending, repl))

    def cancel(
        self, session: Session, number: StatementNumber, *, repl: ReplId | None = None
    ) -> None:
        """Have Ada cancel a statement, whose code stops at once."""

        async def work() -> None:
            world = self.world
            path = replace(world.path(session.id), repl=repl)
            await cancel_statement(world.context, world.admin, path, str(number))
            ending = Ending(ok=False, ename="Cancelled", evalue="It was cancelled.")
            await self._end(session, number, ending, repl, event=StatementEvent.STOPPED)

        self.do(work())

    def cancel_waiting(self, session: Session, number: StatementNumber) -> None:
        """Have Ada cancel a statement that waits."""
        world = self.world
        path = world.path(session.id)
        self.do(cancel_statement(world.context, world.admin, path, str(number)))

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""

        async def work() -> None:
            self.world.clock.advance(timedelta(seconds=seconds))

        self.do(work())

    def spark_jobs(
        self,
        session: Session,
        number: StatementNumber,
        *jobs: SparkJob,
        repl: ReplId | None = None,
        total: int | None = None,
    ) -> None:
        """The driver tells of a statement's Spark jobs."""

        async def work() -> None:
            told = StatementJobs(total=len(jobs) if total is None else total, jobs=jobs)
            await self.world.store.set_jobs(repl or session.first_repl, number, told)
            self.world.notifications.notify(StatementsChanged(session.id))

        self.do(work())

    def store_data(self, session: Session, number: StatementNumber, data: bytes) -> None:
        """Store data that is too large for the record."""
        outputs = self.world.outputs
        self.do(outputs.write_data(session.id, session.first_repl, number, data))

    def stopped(self, session: Session, number: StatementNumber, *, traceback: tuple[str]) -> None:
        """The driver says that a statement's code has stopped because of a cancel."""
        ending = Ending(
            ok=False, ename="KeyboardInterrupt", evalue="The cancel", traceback=traceback
        )
        self.do(self._end(session, number, ending, event=StatementEvent.STOPPED))

    def fail(self, session: Session, cause: EndCause, reason: str) -> None:
        async def work() -> None:
            world = self.world
            world.clock.advance(timedelta(seconds=40))
            await end_session(
                world.store,
                session.id,
                at=world.clock.now(),
                end=with_end(
                    Ending(ok=False, ename="SessionEnded", evalue=reason),
                    cause=cause,
                    reason=reason,
                ),
            )
            world.notifications.notify(session.id)

        self.do(work())

    def settle(self, session: SessionId) -> None:
        self.do(self.world.settle(session))


_FACTS: dict[Event, dict[str, Any]] = {
    Event.DRIVER_ATTACHED: {},
    Event.DRIVER_READY: {
        "spark_app_id": "local-1735689600000",
        "versions": {
            "spark": "4.1.0",
            "java": "21.0.4",
            "scala": "2.13.17",
            "python": "3.13.5",
            "delta": "4.2.0",
        },
    },
}


@contextmanager
def site(world: World | None = None) -> Iterator["Served"]:
    """Serve a portal on a free port."""
    found = Site(world or World())
    clock = found.world.clock
    clock.advance(datetime.now(UTC) - clock.now() - timedelta(hours=1))
    thread = threading.Thread(target=found.loop.run_forever, daemon=True)
    thread.start()
    try:
        found.do(found.world.begin())
        served = found.do(_serve(found))
        yield served
        found.loop.call_soon_threadsafe(found.world.notifications.close)
        served.server.should_exit = True
        wait_for(
            lambda: not served.server.started or served.task.done(), seconds=10, what="it ends"
        )
    finally:
        found.loop.call_soon_threadsafe(found.loop.stop)
        thread.join(10)
        found.loop.close()
        found.world.store.close()


@dataclass
class Served:
    site: Site
    portal_app: portal.Portal
    server: _Server
    task: "asyncio.Task[None]"

    @property
    def url(self) -> str:
        return self.site.url + portal.ROOT

    def cookie(self, caller: Principal | None = None) -> tuple[str, str]:
        """The name and value of a portal session's cookie, as signing in would give it."""
        begun = self.portal_app.portal_sessions.begin(caller or self.site.world.admin)
        return self.portal_app.cookie, self.site.do(begun)

    def sign_in(self, context: BrowserContext, caller: Principal | None = None) -> None:
        name, value = self.cookie(caller)
        context.add_cookies([{"name": name, "value": value, "url": self.site.url}])


async def _serve(found: Site) -> Served:
    # The port is known once it is bound, and the portal knows its own address.
    facts = portal.Facts(
        version="0.1.0",
        api="https://localhost:8443",
        http="http://localhost:0",
        authority="https://localhost:8443/2f9c7d3e-0000-4000-8000-000000000000",
        tenant_id="2f9c7d3e-0000-4000-8000-000000000000",
        ca_file="/srv/livius/tls/ca.pem",
        first_query="/srv/livius/bin/python /srv/livius/first_query.py",
        application=portal.OwnApplication(
            client_id="9a1d5c52-0000-4000-8000-000000000000",
            private_key_file="/srv/livius/sample/private_key.pem",
            thumbprint="A" * 40,
        ),
    )
    portal_app = portal.Portal(
        found.world.context,
        facts,
        portal_sessions=PortalSessions(
            found.world.store, found.world.clock, issuer=principal().issuer, present=anybody
        ),
        streams=EventStreams(),
        people=found.people,
        tokens=found.people,
        navigation=portal.NAVIGATION,
        read_certificate=read_certificate,
    )
    app = create_app(
        found.people, (), version="0", mounts={portal.ROOT: portal.create_portal(portal_app)}
    )
    server = _Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
    )
    task = asyncio.get_running_loop().create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    found.port = server.servers[0].sockets[0].getsockname()[1]
    portal_app.facts = replace(facts, http=found.url)
    return Served(found, portal_app, server, task)


__all__ = ["Served", "Site", "principal", "site"]
