"""Background work of a Scala session doesn't disturb the compiler."""

import random
import time
from collections.abc import Iterator

import pytest

from support.gateway import RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

STARTED = """
import scala.concurrent._, ExecutionContext.Implicits.global
val going = new java.util.concurrent.atomic.AtomicBoolean(true)
val rounds = new java.util.concurrent.atomic.AtomicInteger
val failures = new java.util.concurrent.ConcurrentLinkedQueue[Throwable]
def always(work: Int => Unit) = Future {
  while (going.get)
    try work(rounds.incrementAndGet) catch { case failure: Throwable => failures.add(failure) }
}
"""

IN_THE_BACKGROUND = {
    "names that no class has": """
val loader = Thread.currentThread.getContextClassLoader
always { n =>
  try Class.forName("NoSuch" + n, false, loader)
  catch { case _: ClassNotFoundException => }
}
""",
    "queries": 'always { n => spark.sql(s"select sum(id * $n + $n) from range(9)").collect() }',
    "datasets of a class of the session": """
case class Pair(n: Int, text: String)
always { n =>
  val pairs = spark.createDataset(Seq(Pair(n, "a"), Pair(n + 1, "b"))).filter(_.n >= n)
  assert(pairs.map(_.n).collect().sum == 2 * n + 1)
}
""",
    "interrupts of the thread that runs cells": """
val cells = Thread.currentThread
always { n => if (n % 50 == 0) println(n); cells.interrupt(); Thread.sleep(1) }
""",
}


@pytest.fixture(params=list(IN_THE_BACKGROUND.values()), ids=list(IN_THE_BACKGROUND))
def busy(session: RemoteSession, request: pytest.FixtureRequest) -> Iterator[RemoteSession]:
    session.text(STARTED, "spark")
    session.text(request.param, "spark")
    yield session
    # An interrupt may hit user code: the request was for that.
    session.run("going.set(false)\ngoing.set(false)", "spark")
    session.run("going.set(false)", "spark")
    assert session.text("1 + 1", "spark").endswith(": Int = 2")
    assert session.text("println(rounds.get > 3, failures)", "spark") == "(true,[])"


def test_cells_are_compiled_while_something_runs(busy: RemoteSession) -> None:
    for n in range(15):
        code = f"case class Some{n}(a: Int, b: Seq[String])\nval made{n} = Some{n}({n}, Nil)"
        output = busy.run(code, "spark")
        if output["status"] == "error":
            assert output["evalue"].startswith("java.lang.InterruptedException"), output
        else:
            assert f"made{n}: Some{n} = Some{n}({n},List())" in output["data"]["text/plain"]


LOADERS = """
def loaders: String = {
  val first = Thread.currentThread.getContextClassLoader
  Iterator.iterate(first)(_.getParent).takeWhile(_ != null).map(_.getClass.getName).mkString(" ")
}
@volatile var seen = ""
"""

PLACES = {
    "a cell": "seen = loaders",
    "a thread": "val t = new Thread(() => seen = loaders); t.start(); t.join()",
    "a future": """
import scala.concurrent._, ExecutionContext.Implicits.global
Await.ready(Future { seen = loaders }, duration.Duration.Inf)
""",
    "a task": "seen = sc.parallelize(Seq(1), 1).map(_ => loaders).collect().head",
    "a function of a query": (
        'seen = spark.range(1).select(udf((_: Long) => loaders).apply($"id")).head.getString(0)'
    ),
    "a stream's batch": """
val query = spark.readStream.format("rate").load().writeStream
  .foreachBatch((_: org.apache.spark.sql.DataFrame, _: Long) => seen = loaders).start()
while (seen.isEmpty) Thread.sleep(10)
query.stop()
""",
}


@pytest.mark.parametrize("code", PLACES.values(), ids=PLACES)
def test_no_class_loader_of_user_code_asks_the_compiler(session: RemoteSession, code: str) -> None:
    session.text(LOADERS, "spark")
    session.text(code, "spark")
    seen = session.text("println(seen)", "spark")
    assert "ClassLoader" in seen
    assert "scala." not in seen


def test_no_class_loader_of_python_asks_the_compiler(session: RemoteSession) -> None:
    seen = session.text(
        "def of(loader):\n"
        "    return [loader.getClass().getName(), *of(loader.getParent())] if loader else []\n"
        "def seen(): names.extend(of(sc._jvm.Thread.currentThread().getContextClassLoader()))\n"
        "names = []; seen()\n"
        "import threading; t = threading.Thread(target=seen); t.start(); t.join()\n"
        "print(*names)"
    )
    assert seen.count("java.net.URLClassLoader") == 2
    assert "scala." not in seen


def test_a_cancel_while_something_is_compiled_leaves_the_compiler_as_it_was(
    session: RemoteSession,
) -> None:
    moments = random.Random(15)
    cases = "\n".join(f"  case class C{n}(a: Int, b: Seq[C{n - 1}])" for n in range(1, 15))
    for _ in range(5):
        number = session.submit(f"object Many {{\n  case class C0(a: Int)\n{cases}\n}}", "spark")
        time.sleep(moments.random())  # the moments are what is tested
        session.cancel(number)
        session.wait(number)
        assert session.text("1 + 1", "spark").endswith(": Int = 2")


def test_what_work_of_an_old_pool_shows_is_shown_by_its_statement(session: RemoteSession) -> None:
    session.run(
        "import java.util.concurrent._\nval shows = Executors.newFixedThreadPool(1)", "spark"
    )
    for text in ("first", "second"):
        code = f'shows.submit((() => displayHTML("{text}")): Runnable).get'
        assert session.run(code, "spark")["data"].get("text/html") == text
    session.run("shows.shutdown()", "spark")
