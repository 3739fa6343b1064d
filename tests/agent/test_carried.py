"""Threads and the work of pools carry their statement, and end with it."""

import _thread
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.thread import BrokenThreadPool
from multiprocessing.pool import ThreadPool
from typing import Any

import pytest

from livius_agent import carried, tasks
from livius_agent.threads import StartedThreads
from support.waiting import wait_for


@pytest.fixture(scope="session")
def installed() -> None:
    carried.install()


@pytest.fixture
def statement(installed: None) -> Iterator[Callable[[str], carried.Statement]]:
    """The code that begins a statement with this name."""

    def begin(name: str) -> carried.Statement:
        statement = carried.Statement(name)
        carried.run(statement)
        return statement

    yield begin
    carried.run(None)


def current(*_: Any) -> str | None:
    statement = carried.current()
    return statement.group if statement is not None else None


def in_thread(start: Callable[[Callable[[], None]], object]) -> str | None:
    found: list[str | None] = []
    start(lambda: found.append(current()))
    wait_for(lambda: found, seconds=10, what="the thread has looked")
    return found[0]


def test_threads_carry_the_statement_that_started_them(
    statement: Callable[[str], carried.Statement],
) -> None:
    statement("first")
    assert current() == "first"
    assert in_thread(lambda look: threading.Thread(target=look).start()) == "first"
    assert in_thread(lambda look: threading.Timer(0, look).start()) == "first"
    assert in_thread(lambda look: _thread.start_new_thread(look, ())) == "first"
    assert in_thread(lambda look: _thread.start_new_thread(
        lambda: threading.Thread(target=look).start(), ()
    )) == "first"  # fmt: skip


def test_a_thread_goes_on_with_its_statement_while_the_next_one_runs(
    statement: Callable[[str], carried.Statement],
) -> None:
    statement("first")
    begun = threading.Event()
    found: list[str | None] = []

    def look() -> None:
        begun.wait()
        found.append(current())

    thread = threading.Thread(target=look)
    thread.start()
    statement("second")
    begun.set()
    thread.join()
    assert found == ["first"]


def test_work_of_a_pool_carries_the_statement_that_handed_it_over(
    statement: Callable[[str], carried.Statement],
) -> None:
    async def in_the_loop() -> list[str | None]:
        loop = asyncio.get_running_loop()
        return [await asyncio.to_thread(current), await loop.run_in_executor(None, current)]

    statement("first")
    with ThreadPoolExecutor(2) as futures, ThreadPool(2) as workers:
        for name in ("first", "second"):
            statement(name)
            assert set(futures.map(current, range(20))) == {name}
            assert set(workers.map(current, range(20))) == {name}
            assert set(workers.imap_unordered(current, range(20))) == {name}
            assert workers.apply(current) == name
            assert asyncio.run(in_the_loop()) == [name, name]


def test_work_that_waits_in_a_pool_is_not_begun_once_its_statement_is_cancelled(
    statement: Callable[[str], carried.Statement],
) -> None:
    begun: list[str | None] = []
    over = threading.Event()
    with ThreadPoolExecutor(1) as futures, ThreadPool(1) as workers:
        statement("first")
        future, result = futures.submit(over.wait), workers.apply_async(over.wait)
        second = statement("second")
        late_future = futures.submit(begun.append, "future")
        late_result = workers.apply_async(begun.append, ("result",))
        second.cancelled = True
        over.set()
        assert [future.result(10), result.get(10)] == [True, True]
        wait_for(late_future.cancelled, seconds=10, what="it is cancelled")
        with pytest.raises(carried.WorkCancelled):
            late_result.get(10)
        assert begun == []
        statement("third")
        assert [futures.submit(current).result(10), workers.apply(current)] == ["third"] * 2


# Python itself prints nothing of a thread that ends so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_threads_of_an_interrupted_statement_end_and_earlier_ones_go_on(
    statement: Callable[[str], carried.Statement],
) -> None:
    over = threading.Event()
    count = [0, 0]

    def work(index: int) -> None:
        while not over.is_set():
            count[index] += 1
            time.sleep(0.001)

    statement("first")
    before = threading.Thread(target=work, args=(0,))
    before.start()
    old = ThreadPoolExecutor(2)
    kept = old.submit(work, 0)
    workers = ThreadPool(2)
    threads = StartedThreads()
    threads.begin(statement("second"))
    mine = threading.Thread(target=work, args=(1,))
    mine.start()
    blocked = threading.Thread(target=over.wait, daemon=True)
    blocked.start()
    pool = ThreadPoolExecutor(1)
    queued = [pool.submit(work, 1) for _ in range(3)]
    queued += [old.submit(work, 1) for _ in range(3)]
    results = workers.map_async(work, [1] * 4)
    wait_for(lambda: count[1], seconds=10, what="it works")
    threads.interrupt()
    threads.end()
    try:
        wait_for(lambda: not mine.is_alive(), seconds=10, what="the statement's thread has ended")
        for one in queued:
            wait_for(one.done, seconds=10, what="no work of the statement is left in a pool")
        with pytest.raises(carried.WorkCancelled):
            results.get(10)
        statement("third")
        assert workers.map_async(current, range(4)).get(10) == ["third"] * 4
        assert pool.submit(lambda: "usable").result(10) == "usable"
        assert old.submit(lambda: "usable").result(10) == "usable"
        assert not kept.done()
        seen = count[0]
        wait_for(lambda: count[0] > seen, seconds=10, what="the earlier thread goes on")
    finally:
        over.set()
        before.join()
        blocked.join()
        pool.shutdown()
        old.shutdown()
        workers.terminate()


# Python itself prints nothing of a thread that ends so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_prepares_the_threads_of_a_pool_ends_with_its_statement(
    statement: Callable[[str], carried.Statement],
) -> None:
    over = threading.Event()
    found: list[str | None] = []

    def prepare() -> None:
        found.append(current())
        while not over.is_set():
            time.sleep(0.001)

    threads = StartedThreads()
    threads.begin(statement("first"))
    pool, workers = ThreadPoolExecutor(1, initializer=prepare), ThreadPool(1, prepare)
    future = pool.submit(current)
    try:
        wait_for(lambda: found == ["first"] * 2, seconds=10, what="both prepare")
        threads.interrupt()
        threads.end()
        with pytest.raises(BrokenThreadPool):
            future.result(10)
        statement("second")
        assert workers.apply_async(current).get(10) == "second"
        assert found == ["first"] * 2
    finally:
        over.set()
        pool.shutdown()
        workers.terminate()


@pytest.fixture
def begun_late(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Has the system begin threads when this is called, and not before."""
    begin, waiting = _thread.start_new_thread, list[Any]()

    def begin_later(*thread: Any) -> int:
        waiting.append(thread)
        return 0

    monkeypatch.setattr(threading, "_start_new_thread", begin_later)

    def begin_all() -> None:
        for thread in waiting:
            begin(*thread)

    return begin_all


def test_a_thread_that_the_system_begins_after_the_end_of_its_cancelled_statement_does_nothing(
    statement: Callable[[str], carried.Statement],
    begun_late: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> None:
        threads.interrupt()
        raise KeyboardInterrupt

    did: list[str] = []
    thread = threading.Thread(target=did.append, args=("a thread",))
    threads = StartedThreads()
    threads.begin(statement("first"))
    with monkeypatch.context() as waiting:
        waiting.setattr(thread._started, "wait", interrupted)  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt):
            thread.start()
    threads.end()
    threads.begin(statement("second"))
    begun_late()
    wait_for(thread._started.is_set, seconds=10, what="it begins")  # type: ignore[attr-defined]
    thread.join(10)
    assert (did, thread.is_alive()) == ([], False)


def test_a_statement_that_ends_by_itself_leaves_its_threads(
    statement: Callable[[str], carried.Statement],
) -> None:
    over = threading.Event()
    threads = StartedThreads()
    threads.begin(statement("first"))
    mine = threading.Thread(target=over.wait)
    mine.start()
    threads.end()
    assert mine.is_alive()
    over.set()
    mine.join()


def test_asyncio_tasks_of_a_cancelled_statement_end_and_earlier_ones_are_left() -> None:
    seen: list[str] = []
    left: list[asyncio.Task[None]] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append(name)

    async def leave() -> None:
        try:
            await wait("leaves")
        finally:
            raise SystemExit

    async def interrupted() -> None:
        left.extend(map(asyncio.create_task, (wait("inner"), leave())))
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    loop = asyncio.new_event_loop()
    earlier = loop.create_task(wait("earlier"))
    before = tasks.unfinished(loop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(interrupted())
    tasks.end_new(loop, before)
    assert sorted(seen) == ["inner", "leaves"]
    assert tasks.unfinished(loop) == {earlier}
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"
    assert [one.done() for one in left] == [True, True]
    earlier.cancel()
    loop.run_until_complete(asyncio.wait({earlier}))
    loop.close()
