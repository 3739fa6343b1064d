"""Statements that begin endless Spark jobs in every way, cancelled at random moments.

After each cancel no job and no task of the statement may run, nor begin one later. The test takes a
few rounds of each case; `python -m bench.cancels` takes thousands.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.gateway import RemoteSession, by_runtime
from support.shared import AT_WORK, STILL
from support.waiting import wait_for

PREPARE = """
import _thread, asyncio, threading, time
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.pool import ThreadPool
from pyspark.sql import functions as F
futures, workers = ThreadPoolExecutor(2), ThreadPool(2)
def endless(): return spark.range(10**12).selectExpr('sum(hash(id))').collect()
def busy(): return spark.range(10**12).selectExpr('sum(hash(id)) as id')
def join(thread): thread.start(); thread.join()
from pyspark import inheritable_thread_target
@inheritable_thread_target
def with_properties(): endless()
def stream():
    rate = spark.readStream.format('rate').load()
    return rate.writeStream.format('noop').trigger(processingTime='0.05 seconds').start()
def stopped(): return [query.exception() or query.stop() for query in spark.streams.active]
def own_group(): sc.setJobGroup('mine', 'a group of my own'); endless()
def again():
    while True:
        try: spark.range(1000).selectExpr('sum(hash(id))').collect()
        except Exception: pass
def rest():
    while True: time.sleep(0.01)
async def both(): await asyncio.gather(asyncio.to_thread(endless), asyncio.to_thread(endless))
async def of_the_loop(): await asyncio.get_running_loop().run_in_executor(None, endless)
def few(_): return spark.range(3).count()
list(futures.map(few, range(4))); workers.map(few, range(4))
def broadcast(): spark.range(9).join(F.broadcast(busy()), 'id').collect()
"""

PARALLEL = by_runtime("", "import scala.collection.parallel.CollectionConverters._\n")
"""Scala 2.12's collections are parallel without an import."""

PREPARE_SCALA = f"""
{PARALLEL}import java.util.concurrent.{{Callable, CompletableFuture, Executors}}
import scala.concurrent.{{Await, ExecutionContext, Future}}
import scala.concurrent.duration.Duration
import scala.concurrent.ExecutionContext.Implicits.global
val pool = Executors.newFixedThreadPool(2)
def endless() = spark.range(1000000000000L).selectExpr("sum(hash(id))").collect()
def few() = spark.range(3).count()
val warm = (1 to 8).map(_ => Future(few())).map(Await.result(_, Duration.Inf)).sum
def handed[A](work: => A) = pool.submit(new Callable[A] {{ def call() = work }})
val warmed = (1 to 4).map(_ => handed(few())).map(_.get).sum
"""

CASES = {
    "the statement itself": ("pyspark", "endless()"),
    "a plain thread": ("pyspark", "join(threading.Thread(target=endless))"),
    "a thread left alone": ("pyspark", "threading.Thread(target=endless).start(); rest()"),
    "a thread of a thread": (
        "pyspark",
        "join(threading.Thread(target=lambda: join(threading.Thread(target=endless))))",
    ),
    "a timer": ("pyspark", "join(threading.Timer(0.02, endless))"),
    "a bare thread": ("pyspark", "_thread.start_new_thread(endless, ()); rest()"),
    "a thread with a job group of its own": (
        "pyspark",
        "join(threading.Thread(target=own_group))",
    ),
    "a thread with properties of an earlier statement": (
        "pyspark",
        "join(threading.Thread(target=with_properties))",
    ),
    "a thread that tries again and again": ("pyspark", "join(threading.Thread(target=again))"),
    "a pool of the statement": (
        "pyspark",
        "with ThreadPoolExecutor(2) as own: wait([own.submit(endless) for _ in range(6)])",
    ),
    "a pool of an earlier statement": (
        "pyspark",
        "wait([futures.submit(endless) for _ in range(4)])",
    ),
    "multiprocessing's pool of an earlier statement": (
        "pyspark",
        "workers.map(lambda _: endless(), range(4))",
    ),
    "asyncio's threads": ("pyspark", "await both()"),
    "asyncio's executor": ("pyspark", "await of_the_loop()"),
    "an adaptive query": (
        "pyspark",
        "busy().union(busy()).groupBy('id').count().orderBy('id').collect()",
    ),
    "a broadcast": ("pyspark", "broadcast()"),
    "a broadcast of a thread": (
        "pyspark",
        "join(threading.Thread(target=broadcast))",
    ),
    "a table for pandas": ("pyspark", "busy().toPandas()"),
    "a streaming query": ("pyspark", "stream(); rest()"),
    "SQL with a subquery": ("sql", "select (select sum(hash(id)) from range(1000000000000)) as a"),
    "SQL with a join": (
        "sql",
        ("select * from range(9) "
        "join (select sum(hash(id)) id from range(1000000000000)) b using (id)"),
    ),
    "Scala itself": ("spark", "endless()"),
    "Scala's thread": (
        "spark",
        "val one = new Thread(() => endless()); one.start(); one.join()",
    ),
    "Scala's future": ("spark", "Await.result(Future(endless()), Duration.Inf)"),
    "Scala's futures in line": (
        "spark",
        "(1 to 8).map(_ => Future(endless())).foreach(Await.ready(_, Duration.Inf))",
    ),
    "Scala's pool of an earlier statement": (
        "spark",
        "(1 to 4).map(_ => handed(endless())).foreach(_.get)",
    ),
    "Scala's completable future": ("spark", "CompletableFuture.supplyAsync(() => endless()).get"),
    "Scala's parallel collection": ("spark", "(1 to 4).par.foreach(_ => endless())"),
}  # fmt: skip

USABLE = {
    "pyspark": ("[*futures.map(few, range(4)), *workers.map(few, range(4))]", str([3] * 8)),
    "sql": ("'sql'", "'sql'"),
    "spark": (
        (
            "println((1 to 4).map(_ => Future(few()) -> handed(few()))"
            ".map { case (one, other) => Await.result(one, Duration.Inf) + other.get }.sum)"
        ),
        "24",
    ),
}
"""The work that the pools must still do for the next statement."""

CLEAR = "sc.cancelAllJobs()"
MOMENTS = ((0.0, 0.12), (0.0, 0.02), (0.05, 0.4))
"""From how many seconds after it is sent to how many a statement is cancelled."""


@dataclass
class Tally:
    """The results of the rounds."""

    rounds: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def count(self, case: str) -> None:
        self.rounds[case] = self.rounds.get(case, 0) + 1


def prepare(session: RemoteSession, *, scala: bool = True) -> None:
    """Define what the cases call."""
    assert session.run(PREPARE)["status"] == "ok"
    if scala:
        output = session.run(PREPARE_SCALA, "spark")
        assert output["status"] == "ok", output


def one_round(session: RemoteSession, case: str, chance: random.Random) -> Iterator[str]:
    """Cancel one statement at a random moment; yield a sentence for each fault."""
    kind, code = CASES[case]
    moment = chance.uniform(*chance.choice(MOMENTS))
    number = session.submit(code, kind)
    time.sleep(moment)
    session.cancel(number)
    when = f"{case}, cancelled {moment * 1000:.0f} ms after it was sent"
    ended = session.wait(number, 60)
    if ended["state"] != "cancelled":
        yield f"{when}: {ended['state']}, {ended['output']}"
    elif "Create a new session" in ended["output"]["evalue"]:
        yield f"{when}: {ended['output']['evalue']}"
    elif "variables are lost" in ended["output"]["evalue"]:
        yield f"{when}: {ended['output']['evalue']}"
        prepare(session, scala=False)
    code, expected = USABLE[kind]
    output = session.run(code, "pyspark" if kind == "sql" else kind)
    if output["status"] != "ok" or output["data"]["text/plain"] != expected:
        yield f"{when}: the next statement's work fails: {output}"
    if (streams := session.text("stopped()")) not in ("[]", "[None]"):
        yield f"{when}: its streaming query failed: {streams}"
    found = session.text(AT_WORK)
    if found != STILL:
        try:
            wait_for(lambda: session.text(AT_WORK) == STILL, seconds=3, what="nothing runs")
            if not found.startswith("(0,"):
                yield f"{when}: a job outlived its cancel for a moment: {found}"
        except AssertionError:
            yield f"{when}: goes on: {session.text(AT_WORK)}"
            session.run(CLEAR)
            wait_for(lambda: session.text(AT_WORK) == STILL, seconds=30, what="all is cleared")
