"""A session that tests share, replaced as soon as one of them has broken it."""

import contextlib
from collections.abc import Callable, Iterator

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
    ) -> None:
        """``prepare`` is called with each new session."""
        self._client = client
        self._patience = patience
        self._prepare = prepare
        self._session: RemoteSession | None = None

    @contextlib.contextmanager
    def used(self) -> Iterator[RemoteSession]:
        """Lend the session to a test.

        Raises:
            AssertionError: at the end, if the test leaves it broken; the next test gets a new one.
        """
        if self._session is None:
            self._session = self._client.create(name="shared")
            self._session.wait_idle()
            if self._prepare is not None:
                self._prepare(self._session)
        session = self._session
        try:
            yield session
        finally:
            try:
                check(session, self._patience)
            except BaseException:
                self.end()
                raise

    def end(self) -> None:
        """Delete the session, if there is one."""
        if self._session is not None:
            self._session.delete()
            self._session = None


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
