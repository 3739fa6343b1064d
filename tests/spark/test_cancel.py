"""A cancelled statement has stopped: nothing of it runs when it becomes `cancelled`.

Each piece of code beats: it makes a file grow for as long as it runs.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cancels import CASES, PARALLEL, PREPARE, one_round, prepare
from support.gateway import AS_INSTALLED, Client, Gateway, RemoteSession, by_runtime
from support.shared import AT_WORK, STILL, SharedSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]

PYTHON = """
import ctypes, os, subprocess, threading, time
def beat():
    fd = os.open({beat!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, b'.')
    os.close(fd)
def beats():
    while True:
        beat(); time.sleep(0.01)
shell = 'while :; do printf . >> {beat}; sleep 0.02; done'
"""

IN_PYTHON = {
    "a busy loop": "while True: beat()",
    "a loop that sleeps": "beats()",
    "a sleep": "beat(); time.sleep(1000)",
    "a child process": "subprocess.run(['sh', '-c', shell])",
    "a shell command": "!{{shell}}\nbeats()",
    "a pool of threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool:
    for _ in range(8): pool.submit(beats)
""",
    "a thread": "threading.Thread(target=beats, daemon=True).start(); time.sleep(1000)",
    "a call into the JVM": "beat(); sc._jvm.java.lang.Thread.sleep(1000000)",
    "a catastrophic pattern": (
        "subprocess.Popen(['sh', '-c', shell]); import re; re.match('(a+)+$', 'a' * 60 + 'b')"
    ),
    "a Spark job": "beat(); spark.range(10**12).selectExpr('sum(hash(id))').collect()",
    "a Spark job of a thread": """
def count(): beat(); spark.range(10**12).selectExpr('sum(hash(id))').collect()
thread = threading.Thread(target=count); thread.start(); thread.join()
""",
    "Python in a Spark job": """
def forever(_):
    import time
    while True:
        open({beat!r}, 'a').write('.'); time.sleep(0.01)
sc.parallelize([1], 1).map(forever).collect()
""",
    "a job that is tried again and again": """
while True:
    try: beat(); spark.range(10**12).selectExpr('sum(hash(id))').collect()
    except Exception: pass
""",
}

SCALA = """
import java.nio.file._; import java.nio.file.StandardOpenOption._
def beat(): Unit = Files.write(Paths.get("{beat}"), Array[Byte](46), CREATE, APPEND)
"""

IN_SCALA = {
    "while": "while (true) {{ beat() }}",
    "do while": "do {{ beat() }} while (true)",
    "recursion": "def go(n: Long): Long = {{ beat(); go(n + 1) }}\ngo(0)",
    "an endless iterator": "Iterator.continually(1).foreach(_ => beat())",
    "a lazy list": by_runtime("Stream", "LazyList")
    + ".from(1).map {{ i => beat(); i }}.foreach(_ => ())",
    "nested for": "for (i <- 1 to 1000000; j <- 1 to 1000000) {{ beat() }}",
    "a sleep": "locally {{ beat(); Thread.sleep(1000000) }}",
    "a thread": "new Thread(() => while (true) beat()).start()\nThread.sleep(1000000)",
    "a future": """
import scala.concurrent._, ExecutionContext.Implicits.global
Await.result(Future(while (true) beat()), duration.Duration.Inf)
""",
    "a Spark job": 'beat(); spark.range(1000000000000L).selectExpr("sum(hash(id))").show()',
    "tasks": "sc.parallelize(Seq(1), 1).foreach(_ => while (true) {{ beat() }})",
}

STUBBORN = {
    "Python that goes on": """
while True:
    try:
        beats()
    except BaseException:
        pass
""",
    "a thread that goes on": """
def stubborn():
    while True:
        try: beats()
        except BaseException: pass
threading.Thread(target=stubborn, daemon=True).start(); time.sleep(1000)
""",
    "a hang in C": """
subprocess.Popen(['sh', '-c', shell], start_new_session=True)
lock, libc = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
libc.pthread_mutex_lock(lock); libc.pthread_mutex_lock(lock)
""",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Java's second compiler works too: it may leave out a loop's checks for an interrupt."""
    settings = {**AS_INSTALLED, "LIVIUS_CANCEL_GRACE": "PT3S"}
    with Gateway(tmp_path_factory.mktemp("cancel") / "home", settings).serving() as started:
        yield started


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Client:
    return gateway.client()


@pytest.fixture(scope="module")
def shared(client: Client) -> Iterator[SharedSession]:
    sessions = SharedSession(client)
    yield sessions
    sessions.end()


@pytest.fixture
def beat(tmp_path: Path) -> Path:
    return tmp_path / "beat"


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def jobs(session: RemoteSession) -> str:
    return session.text("len(sc.statusTracker().getActiveJobsIds())")


def cancelled(session: RemoteSession, number: int) -> str:
    """Cancel a statement, wait for its end, and return it."""
    session.cancel(number)
    ended = session.wait(number, 60)
    assert ended["state"] == "cancelled"
    assert ended["output"]["status"] == "error"
    said: str = ended["output"]["evalue"]
    return said


def begin(session: RemoteSession, code: str, kind: str, beat: Path) -> int:
    number = session.submit(code.format(beat=str(beat)), kind)
    wait_for(lambda: size(beat), seconds=60, what="the code runs")
    return number


def assert_still(beat: Path, session: RemoteSession) -> None:
    """The beat has stopped, and two statements later it still has."""
    at_the_end = size(beat)
    assert jobs(session) == "0"
    session.text("import time; time.sleep(0.1)")
    assert size(beat) == at_the_end


@pytest.mark.parametrize("code", IN_PYTHON.values(), ids=IN_PYTHON)
def test_python_is_interrupted_and_keeps_its_variables(
    session: RemoteSession, beat: Path, code: str
) -> None:
    session.text("kept = 'a value'")
    number = begin(session, PYTHON + code, "pyspark", beat)
    assert "interrupted" in cancelled(session, number)
    assert_still(beat, session)
    assert session.text("kept") == "'a value'"


@pytest.mark.parametrize("code", IN_SCALA.values(), ids=IN_SCALA)
def test_scala_is_interrupted_and_keeps_its_variables(
    session: RemoteSession, beat: Path, code: str
) -> None:
    session.text("val kept = 42", "spark")
    number = begin(session, SCALA + code, "spark", beat)
    assert "interrupted" in cancelled(session, number)
    assert_still(beat, session)
    assert session.text("println(kept)", "spark") == "42"


def test_a_query_is_cancelled(session: RemoteSession) -> None:
    number = session.submit("select sum(hash(id)) from range(1000000000000)", "sql")
    wait_for(
        lambda: session.statement(number)["progress"] or session.statement(number)["started"],
        seconds=60,
        what="the query runs",
    )
    assert "interrupted" in cancelled(session, number)
    assert jobs(session) == "0"


@pytest.mark.parametrize(
    "code",
    [
        "begin()",
        "import threading; one = threading.Thread(target=begin); one.start(); one.join()",
    ],
    ids=["by the statement", "by a thread of its"],
)
def test_a_job_that_is_only_just_begun_is_not_forgotten(
    session: RemoteSession, beat: Path, code: str
) -> None:
    """Adaptive queries begin their jobs from threads of Spark's, after who asked has given up."""
    session.text(
        "def begin():\n"
        "    open(mark, 'w').write('.')\n"
        "    spark.range(10**12).selectExpr('sum(hash(id))').collect()"
    )
    for moment in range(10):
        mark = beat.with_name(f"beat-{moment}")
        number = begin(session, f"mark = {str(mark)!r}; {code}", "pyspark", mark)
        time.sleep(moment / 100)  # the moments are what is tested
        said = cancelled(session, number)
        assert "interrupted" in said
        assert jobs(session) == "0", f"{moment}: {said}"
        wait_for(lambda: session.text(AT_WORK) == STILL, seconds=5, what="no task goes on")


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_python_that_does_not_stop_loses_its_process(
    session: RemoteSession, beat: Path, code: str
) -> None:
    session.text("lost = 1")
    session.run("create temp view kept as select 2 a", "sql")
    number = begin(session, PYTHON + code, "pyspark", beat)
    assert "Python process was ended. Its variables are lost" in cancelled(session, number)
    assert_still(beat, session)
    assert session.run("lost")["ename"] == "NameError"
    assert session.rows("select * from kept") == [[2]]
    session.run("drop view kept", "sql")


UNSTOPPABLE = {
    "it catches the interrupt and goes on": (
        "while (true) try {{ while (true) beat() }} catch {{ case _: InterruptedException => }}"
    ),
    "Java code that never looks": """
locally {{
  beat()
  java.math.BigInteger.ONE.shiftLeft(300000).nextProbablePrime()
}}
""",
}


@pytest.mark.parametrize("code", UNSTOPPABLE.values(), ids=UNSTOPPABLE)
def test_scala_that_does_not_stop_ends_the_driver_and_the_session_says_so(
    client: Client, beat: Path, code: str
) -> None:
    with client.session() as session:
        number = begin(session, SCALA + code, "spark", beat)
        waiting = session.submit("1", "pyspark")
        assert "driver was ended" in cancelled(session, number)
        at_the_end = size(beat)
        ended = session.wait(waiting, 30)
        assert ended["state"] == "available"
        assert "did not stop" in ended["output"]["evalue"]
        body = wait_for(
            lambda: found if (found := session.get())["state"] == "dead" else None,
            seconds=30,
            what="the session is dead",
        )
        assert "did not stop" in body["errorInfo"][0]["message"]
        assert size(beat) == at_the_end
        assert session.statement(number)["state"] == "cancelled"


def test_one_that_waits_is_cancelled_at_once_and_never_runs(
    session: RemoteSession, beat: Path
) -> None:
    number = session.submit("import time; time.sleep(0.5)")
    waiting = session.submit(f"open({str(beat)!r}, 'w').close()")
    session.cancel(waiting)
    assert session.statement(waiting)["state"] == "cancelled"
    assert "before it started" in session.statement(waiting)["output"]["evalue"]
    assert session.wait(number)["state"] == "available"
    session.text("1")
    assert not beat.exists()


def test_one_that_has_ended_stays_as_it_is(session: RemoteSession) -> None:
    number = session.submit("6 * 7")
    ended = session.wait(number)
    session.cancel(number)
    assert session.statement(number) == ended


def test_one_that_is_compiled_has_no_effect(session: RemoteSession, beat: Path) -> None:
    cases = "\n".join(
        f"  case class C{i}(a: Int, b: String, c: Seq[C{i - 1}])" for i in range(1, 40)
    )
    code = f"object Many {{\n  case class C0(a: Int)\n{cases}\n}}\n{SCALA}\nbeat()"
    number = session.submit(code.replace("{beat}", str(beat)), "spark")
    wait_for(lambda: session.statement(number)["state"] == "running", seconds=30, what="it runs")
    cancelled(session, number)
    assert not beat.exists()


def test_a_cancel_at_once_and_twice(session: RemoteSession) -> None:
    for kind, code in (("pyspark", "while True: pass"), ("spark", "while (true) {}")):
        number = session.submit(code, kind)
        session.cancel(number)
        assert "cancelled" in cancelled(session, number)
    assert session.text("1 + 1") == "2"


def test_one_that_waits_for_the_session_to_start(client: Client, beat: Path) -> None:
    session = client.create()
    number = session.submit(f"open({str(beat)!r}, 'w').close()")
    session.cancel(number)
    assert session.statement(number)["state"] == "cancelled"
    after = session.submit("'after'")
    assert session.wait(after)["output"]["data"]["text/plain"] == "'after'"
    assert not beat.exists()
    running = session.submit("while True: pass")
    session.cancel(running)
    assert session.delete() == 200
    assert session.client.call("GET", f"{session.path}/statements/{running}").status_code == 404


def test_each_statement_ends_once_and_its_effects_agree_with_how(
    session: RemoteSession, tmp_path: Path
) -> None:
    """Many short statements, each cancelled at some moment: no cancel hits a neighbour."""
    moments = random.Random(20)
    wanted, unwanted = [], []
    for i in range(60):
        kind = moments.choice(("pyspark", "pyspark", "spark"))
        mark, after = tmp_path / f"{i}", tmp_path / f"{i}-after"
        pause = moments.choice((0, 0, 2, 10))
        if kind == "spark":
            touch = "java.nio.file.Files.createFile(java.nio.file.Paths.get"
            code = f'{touch}("{mark}")); Thread.sleep({pause}); {touch}("{after}"))'
        else:
            code = f"import time; open({str(mark)!r}, 'x'); time.sleep({pause / 1000}); "
            code += f"open({str(after)!r}, 'x')"
        number = session.submit(code, kind)
        if moments.random() < 0.5:
            wait_for(
                lambda: mark.exists() or moments.random() < 0.2,  # noqa: B023 - used at once
                seconds=30,
                what="the statement runs, or a moment passes",
                every=0.002,
            )
            session.cancel(number)
            unwanted.append((number, mark, after))
        else:
            wanted.append((number, mark, after))
    for number, mark, after in wanted:
        ended = session.wait(number)
        assert (ended["state"], ended["output"]["status"]) == ("available", "ok"), ended
        assert mark.exists()
        assert after.exists()
    for number, _, after in unwanted:
        ended = session.wait(number)
        assert ended["state"] == ("available" if after.exists() else "cancelled"), ended
        assert session.statement(number) == ended


@pytest.fixture(scope="module")
def prepared(client: Client) -> Iterator[SharedSession]:
    """A session that has the cases' definitions. To compile them takes longer than a case."""
    sessions = SharedSession(client, prepare=prepare)
    yield sessions
    sessions.end()


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_a_cancelled_statement_goes_on_or_begins_later(
    prepared: SharedSession, case: str, request: pytest.FixtureRequest
) -> None:
    """Each way of beginning Spark jobs, cancelled at random moments: see `bench.cancels`."""
    with prepared.used() as session:
        for seed in range(request.config.getoption("--cancels")):
            assert list(one_round(session, case, random.Random(f"{case} {seed}"))) == []


LATE = """
import _thread, os, sys, threading, time
waits, goes = os.pipe()
def late():
    global thread
    thread = threading.get_ident()
    open({beat!r}, 'w').write('.')
    try: os.read(waits, 1)
    finally: print('it prints'); raise ValueError('it dies')
{start}; time.sleep(1000)
"""

LATE_SCALA = """
import java.nio.file.{{Files, Paths}}, java.util.concurrent.CountDownLatch
val go = new CountDownLatch(1)
class Late(work: Runnable) extends Thread(work) {{
  override def getUncaughtExceptionHandler = {{
    Files.write(Paths.get("{beat}"), Array[Byte](46)); go.await(); super.getUncaughtExceptionHandler
  }}
}}
"""


@pytest.mark.parametrize(
    "start", ["threading.Thread(target=late).start()", "_thread.start_new_thread(late, ())"]
)
def test_what_a_thread_of_a_cancelled_statement_prints_after_it_is_in_no_other_output(
    session: RemoteSession, beat: Path, start: str
) -> None:
    number = session.submit(LATE.format(beat=str(beat), start=start))
    wait_for(lambda: size(beat), seconds=60, what="the thread waits in C code")
    assert "interrupted" in cancelled(session, number)
    let_go = "os.write(goes, b'.')\nwhile thread in sys._current_frames(): time.sleep(0.01)\n'next'"
    assert session.text(let_go) == "'next'"


@pytest.mark.parametrize(
    "death",
    [
        'new Late(() => sys.error("it dies"))',
        'new Late(null) { override def run() = sys.error("it dies") }',
    ],
)
def test_what_a_scala_thread_of_a_cancelled_statement_dies_of_is_in_no_other_output(
    session: RemoteSession, beat: Path, death: str
) -> None:
    session.text(LATE_SCALA.format(beat=beat), "spark")
    number = session.submit(f"val late = {death}\nlate.start()\nThread.sleep(1000000)", "spark")
    wait_for(lambda: size(beat), seconds=60, what="the thread ends")
    assert "interrupted" in cancelled(session, number)
    assert session.text('go.countDown(); late.join(); println("next")', "spark") == "next"
    died = 'val one = new Thread(() => sys.error("it died")); one.start(); one.join()'
    assert 'Exception in thread "Thread-' in session.text(died, "spark")


def test_a_cancel_leaves_the_jobs_of_an_earlier_statements_thread_alone(
    session: RemoteSession,
) -> None:
    session.text(PREPARE + "threading.Thread(target=endless).start()\n0")
    wait_for(lambda: jobs(session) == "1", seconds=30, what="the thread's job runs")
    number = session.submit("join(threading.Thread(target=endless))")
    wait_for(
        lambda: session.statement(number)["progress"] or session.statement(number)["started"],
        seconds=30,
        what="the statement runs",
    )
    assert "interrupted" in cancelled(session, number)
    assert jobs(session) == "1"
    session.run("sc.cancelAllJobs()")
    wait_for(lambda: jobs(session) == "0", seconds=30, what="it has ended")


STREAM = """
from pyspark.sql import SparkSession
import time
counted = []
def count(batch, number): counted.append(batch.count())
source = spark.readStream.format('rate').option('rowsPerSecond', 100).load()
query = source.writeStream.foreachBatch(count).trigger(processingTime='0.1 seconds').start()
while len(counted) < 2: time.sleep(0.01)
open({mark!r}, 'w').write('.')
while True: time.sleep(0.01)
"""


def test_a_streaming_query_outlives_the_cancel_of_its_statement(
    session: RemoteSession, beat: Path
) -> None:
    number = session.submit(STREAM.format(mark=str(beat)))
    wait_for(lambda: size(beat), seconds=60, what="the query has counted")
    assert "interrupted" in cancelled(session, number)
    session.text("before = len(counted); 0")
    wait_for(
        lambda: session.text("query.isActive and len(counted) > before + 1") == "True",
        seconds=30,
        what="the query goes on",
    )
    assert session.text("query.exception() is None") == "True"
    session.run("query.stop()")


POOLS_OF_NOBODY = """
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
import threading, time
helpers, workers, go = ThreadPoolExecutor(2), ThreadPool(1), threading.Event()
counted, called = [], []
def few(_): return spark.range(3).count()
def count(batch, number):
    go.wait()
    counted.append(list(helpers.map(few, range(2))))
def call(): return workers.apply_async(int, callback=lambda _: called.append(few(0)))
rate = spark.readStream.format('rate').load()
query = rate.writeStream.foreachBatch(count).trigger(processingTime='0.1 seconds').start()
0
"""


def test_a_pool_that_works_for_no_statement_goes_on_after_a_cancel(
    session: RemoteSession, beat: Path
) -> None:
    """A streaming query's pool and the callbacks of one, which begin during the statement."""
    assert session.run(POOLS_OF_NOBODY)["status"] == "ok"
    code = "go.set(); call()\nwhile not (counted and called): time.sleep(0.01)\nbeats()"
    number = begin(session, PYTHON + code, "pyspark", beat)
    assert "interrupted" in cancelled(session, number)
    session.text("before = len(counted); call(); 0")
    wait_for(
        lambda: session.text("len(called) > 1, len(counted) > before + 1") == "(True, True)",
        seconds=30,
        what="both go on",
    )
    assert session.text("query.isActive and query.exception() is None") == "True"
    session.run("query.stop(); helpers.shutdown(); workers.terminate()")


SHARED_STAGE = """
import threading, time
def slow(number):
    import time
    time.sleep(0.3)
    return number % 2, number
grouped = sc.parallelize(range(24), 24).map(slow).groupByKey(2)
found = []
thread = threading.Thread(target=lambda: found.append(grouped.count()))
thread.start()
0
"""


def test_a_cancel_leaves_a_stage_alone_that_another_job_needs(
    session: RemoteSession, beat: Path
) -> None:
    assert session.run(SHARED_STAGE)["status"] == "ok"
    wait_for(lambda: jobs(session) == "1", seconds=30, what="the thread's job runs")
    code = "threading.Thread(target=grouped.count).start()\n"
    code += "while len(sc.statusTracker().getActiveJobsIds()) < 2: time.sleep(0.01)\nbeats()"
    said = cancelled(session, begin(session, PYTHON + code, "pyspark", beat))
    assert "not stopped yet" not in said
    wait_for(lambda: session.text("found") == "[2]", seconds=60, what="the other job ends well")


AS_GIVEN = """
import java.util.concurrent._, java.util.concurrent.atomic._
val one: Runnable = () => (); val other: Runnable = () => ()
val reference = new AtomicReference[Runnable](one)
println("found " + (reference.compareAndSet(one, other) && (reference.get eq other)))
val map = new ConcurrentHashMap[Runnable, Integer]; map.put(one, 1)
println("found " + (map.get(one)))
val queue = new LinkedBlockingQueue[Runnable]; queue.put(one)
println("found " + (queue.contains(one) && (queue.take eq one)))
val done = new LinkedBlockingQueue[Int]; val go = new CountDownLatch(1)
class Task(val rank: Int) extends Runnable with Comparable[Task] {
  def run() = done.put(rank)
  def compareTo(other: Task) = rank.compareTo(other.rank)
}
val ranked = new ThreadPoolExecutor(1, 1, 0, TimeUnit.SECONDS, new PriorityBlockingQueue[Runnable])
ranked.execute(new Task(0) { override def run() = go.await() })
for (rank <- Seq(3, 1, 2)) ranked.execute(new Task(rank))
go.countDown()
println("found " + ((1 to 3).map(_ => done.take).mkString))
ranked.shutdown()
"""


def test_objects_that_are_not_handed_to_threads_stay_what_they_are(session: RemoteSession) -> None:
    printed = session.text(AS_GIVEN, "spark").splitlines()
    found = [line.removeprefix("found ") for line in printed if line.startswith("found ")]
    assert found == ["true", "1", "true", "123"], printed


FRESH = f"""
{PARALLEL}import java.util.concurrent._, scala.jdk.CollectionConverters._
def few() = spark.range(3).count()
def calls[A](work: => A) = Seq.fill(2)(new Callable[A] {{ def call() = work }}).asJava
"""
HANDED = {
    "invokeAll": ("val fresh = Executors.newFixedThreadPool(2)", "fresh.invokeAll(calls({}))"),
    "a completed future": (
        "val fresh = Executors.newFixedThreadPool(2)",
        # Scala 2.12 finds no function of Java's in a function among overloads of a generic method.
        by_runtime(
            "CompletableFuture.completedFuture(1).thenApplyAsync[Long]("
            "((_: Int) => {}): java.util.function.Function[Int, Long], fresh).get",
            "CompletableFuture.completedFuture(1).thenApplyAsync[Long]((_: Int) => {}, fresh).get",
        ),
    ),
    "a parallel stream": ("", "(1 to 8).asJava.parallelStream.mapToLong(_ => {}).sum"),
    "a parallel collection": ("", "(1 to 8).par.map(_ => {}).sum"),
}


@pytest.mark.parametrize("case", HANDED)
def test_threads_that_a_cancelled_statement_has_started_work_for_the_next_one(
    session: RemoteSession, beat: Path, case: str
) -> None:
    """The next one hands over in a way that the compiler plugin does not know."""
    before, handing = HANDED[case]
    session.run(FRESH + before, "spark")
    endless = 'beat(); spark.range(1000000000000L).selectExpr("sum(hash(id))").collect(); few()'
    code = SCALA + handing.replace("{}", f"{{{{ {endless} }}}}")
    number = begin(session, code, "spark", beat)
    assert "interrupted" in cancelled(session, number)
    assert_still(beat, session)
    assert session.run(handing.replace("{}", "few()"), "spark")["status"] == "ok"
    unseen = """
import java.util.concurrent.RecursiveTask
class Count extends RecursiveTask[Long] { def compute() = few() }
println((1 to 8).map(_ => ForkJoinPool.commonPool.submit(new Count)).map(_.get).sum)
"""
    assert session.text(unseen, "spark").endswith("24")


def test_a_statement_says_so_where_tasks_do_not_stop(session: RemoteSession, beat: Path) -> None:
    """A task that waits for the other end of a pipe never looks whether it should stop."""
    pipe = beat.with_name("pipe")
    os.mkfifo(pipe)
    held = '(id: Long) => {{ beat(); new java.io.FileInputStream("{pipe}").close(); id }}'
    code = SCALA + f'spark.udf.register("held", {held})'
    session.text(code.format(beat=beat, pipe=pipe), "spark")
    number = begin(session, "spark.range(1).selectExpr('held(id)').collect()", "pyspark", beat)
    try:
        assert "have not stopped yet" in cancelled(session, number)
    finally:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    # Spark counts no tasks of a stage that was cancelled, but its executor does.
    wait_for(lambda: session.text(AT_WORK) == STILL, seconds=30, what="it has ended")
