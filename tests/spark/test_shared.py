"""A test that breaks the session that others share fails alone: the next one gets a new session."""

import pytest

from support.gateway import Client
from support.shared import SharedSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]

LEFT = {
    "a statement that runs": "while True: pass",
    "a job of a thread": (
        "import threading, time\n"
        "job = lambda: spark.range(10**12).selectExpr('sum(hash(id))').collect()\n"
        "threading.Thread(target=job).start()\n"
        "while not sc.statusTracker().getActiveJobsIds(): time.sleep(0.01)"
    ),
}


def use(shared: SharedSession, code: str) -> str:
    """Send code to the session and return that session's id."""
    with shared.used() as session:
        session.submit(code)
        return session.id


def test_a_broken_session_is_noticed_and_replaced(client: Client) -> None:
    shared = SharedSession(client, patience=5)
    ids = [use(shared, "1 + 1")]
    for code in LEFT.values():
        assert use(shared, "1 + 1") == ids[-1]
        with pytest.raises(AssertionError, match="left the shared session broken"):
            use(shared, code)
        ids.append(use(shared, "1 + 1"))
    shared.end()
    assert len(set(ids)) == len(LEFT) + 1
