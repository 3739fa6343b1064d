"""A session that tests share, replaced as soon as one of them has broken it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import requests

from support.gateway import Client, RemoteSession
from support.waiting import wait_for

AT_WORK = """
def _at_work():
    from pyspark import SparkContext
    context = SparkContext._active_spark_context
    status = context._jsc.sc().statusTracker()
    jobs = len(list(status.getActiveJobIds()))
    tasks = sum(one.numRunningTasks() for one in status.getExecutorInfos())
    return jobs, tasks, context._jvm.livius.Driver.running().isBusy()
_at_work()
"""
STILL = "(0, 0, False)"
"""No jobs, no tasks, no streams."""


class SharedSession:
    """One session at a time, begun when a test first wants it."""

    def __init__(
        self,
        client: Client,
        patience: float = 15,
        prepare: Callable[[RemoteSession], None] | None = None,
        conf: Mapping[str, str] | None = None,
    ) -> None:
        """``prepare`` is called with each new session; ``conf`` is the sessions'."""
        self._client = client
        self._patience = patience
        self._prepare = prepare
        self._conf = dict(conf or {})
        self._session: RemoteSession | None = None

    @contextlib.contextmanager
    def used(self) -> Iterator[RemoteSession]:
        """Lend the session to a test.

        Raises:
            AssertionError: at the end, if the test leaves it broken; the next test gets a new one.
        """
        if self._session is None:
            self._session = self._begun()
        session = self._session
        try:
            yield session
        finally:
            try:
                check(session, self._patience)
            except BaseException:
                self.end()
                raise

    def _begun(self) -> RemoteSession:
        session = self._client.create(name="shared", conf=self._conf)
        try:
            session.wait_idle()
            if self._prepare is not None:
                self._prepare(session)
        except BaseException:
            session.delete()  # the next test begins another
            raise
        return session

    def end(self) -> None:
        """Delete the session, if there is one."""
        if self._session is not None:
            self._session.delete()
            self._session = None


class Spares:
    """Ready sessions that tests no longer need, for tests that end one: a driver is dear."""

    MOST = 2
    """They need memory."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ready: list[RemoteSession] = []

    def leave(self, session: RemoteSession) -> None:
        """Keep a ready session, or delete it if there are enough."""
        if len(self._ready) < self.MOST:
            self._ready.append(session)
        else:
            assert session.delete() == 200

    @contextlib.contextmanager
    def taken(self) -> Iterator[RemoteSession]:
        """A ready session for a test that may do with it whatever it likes."""
        session = self._ready.pop() if self._ready else self._client.create()
        try:
            session.wait_idle()
            yield session
        finally:
            session.delete()

    def end(self) -> None:
        """Delete those that are left."""
        while self._ready:
            self._ready.pop().delete()


def check(session: RemoteSession, patience: float) -> None:
    """Assert that nothing is left that works, so that the next statement finds the session free."""
    try:
        session.wait_idle(patience)
        found = [""]

        def still() -> bool:
            found.append(session.run(AT_WORK, seconds=patience)["data"]["text/plain"])
            return found[-1] == STILL

        wait_for(still, seconds=patience, what="nothing works in the session", every=0.1)
    except (AssertionError, KeyError, requests.RequestException) as error:
        raise AssertionError(f"the test left the shared session broken: {error}") from error
