"""Scala as spark-shell gives it, in the form that Livy's clients know."""

import re
import time
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from support.gateway import Client, RemoteSession, by_runtime
from support.waiting import wait_for

ENDED = ("dead", "killed", "error", "success")

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]


def scala(session: RemoteSession, code: str) -> str:
    return session.text(code, "spark")


def failed(session: RemoteSession, code: str) -> tuple[str, str]:
    """The error of a statement, and its traceback."""
    output = session.run(code, "spark")
    assert (output["status"], output["ename"]) == ("error", "Error"), output
    assert "data" not in output
    return output["evalue"], "\n".join(output["traceback"])


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("val a = 1", "a: Int = 1"),
        ('val a = 1; val b = "x"', "a: Int = 1\nb: String = x"),
        ("var v = 1.5", "v: Double = 1.5"),
        ("val (l, r) = (1, true)", "l: Int = 1\nr: Boolean = true"),
        ("def twice(n: Int) = n * 2", by_runtime("twice: (n: Int)Int", "def twice(n: Int): Int")),
        ("case class P(n: Int, s: String)", by_runtime("defined class P", "class P")),
        ("lazy val slow = 7", "slow: Int = <lazy>"),
        ("()", ""),
        ("val nothing = ()", ""),
        ("println(1)\nprintln(2)", "1\n2"),
        ('if (true) println("one")\nelse println("other")', "one"),
        ("Seq(1, 2)\n  .map(_ + 1)\n  .sum == 5 // leading dots", "res: Boolean = true"),
        ('val text = """two\nlines"""', "text: String = \ntwo\nlines"),
        ("null", "res: Null = null"),
        ("val s: String = null", "s: String = null"),
        ('val grüße = "жизнь 🎉"; println(grüße)', "grüße: String = жизнь 🎉\nжизнь 🎉"),
        ("Option.empty[Int]", "res: Option[Int] = None"),
        ("import scala.util.Try", "import scala.util.Try"),
    ],
)
def test_values_are_shown_with_name_and_type(session: RemoteSession, code: str, shown: str) -> None:
    said = scala(session, code)
    assert re.sub(r"^res\d+:", "res:", said) == shown or said.endswith(shown), said


def test_classes_and_what_they_make(session: RemoteSession) -> None:
    said = scala(
        session,
        """
case class Point(x: Int, y: Int) { def +(other: Point) = Point(x + other.x, y + other.y) }
object Point { val origin = Point(0, 0); implicit class Far(p: Point) { def far = p.x + p.y } }
import Point.Far
println(Point.origin + Point(1, 2), (Point(3, 4)).far)
val many = spark.createDataset(Seq(Point(1, 2), Point(3, 4)))
println(many.map(_.x).reduce(_ + _))
val named = many.filter(_.y > 2).as("a").joinWith(many.as("b"), $"a.x" === $"b.x").collect().toList
""",
    )
    assert "(Point(1,2),7)" in said
    assert "\n4\n" in said
    assert said.endswith("List((Point(3,4),Point(3,4)))")
    assert scala(session, 'case class Point(name: String)\nprintln(Point("new"))').endswith(
        "Point(new)"
    )
    assert scala(session, 'println(Point("again").name)') == "again"


def test_udfs_implicits_reflection_and_confs(session: RemoteSession) -> None:
    assert scala(session, "val plus = udf((n: Long) => n + 1)").startswith("plus: ")
    counted = 'spark.range(3).select(plus($"id").as("n")).agg(sum("n")).head.getLong(0)'
    assert scala(session, f"println({counted})") == "6"
    assert scala(session, 'spark.udf.register("twice", (n: Int) => n * 2)').startswith("res")
    assert session.rows("select twice(21)") == [[42]]
    assert scala(session, 'implicit class Shout(s: String) { def loud = s + "!" }') == by_runtime(
        "defined class Shout", "class Shout"
    )
    assert scala(session, 'println("hi".loud)') == "hi!"
    reflected = "scala.reflect.runtime.universe.typeOf[List[Int]]"
    assert scala(session, f"println({reflected})") == "List[Int]"
    scala(session, 'spark.conf.set("spark.sql.shuffle.partitions", "3")')
    assert session.rows("set spark.sql.shuffle.partitions")[0][1] == "3"
    scala(session, 'spark.conf.unset("spark.sql.shuffle.partitions")')


def test_compile_errors_have_line_text_and_caret(session: RemoteSession) -> None:
    value, _ = failed(session, 'val fine = 1\nval broken: Int = "text"\n')
    assert value.splitlines() == [
        "<console>:2: error: type mismatch;",
        ' found   : String("text")',
        " required: Int",
        'val broken: Int = "text"',
        "                  ^",
    ]
    value, _ = failed(session, "object Wrong {\n  def a = nothing1\n  def b = nothing2\n}")
    assert "<console>:2: error: not found: value nothing1\n  def a = nothing1\n          ^" in value
    assert "<console>:3: error: not found: value nothing2" in value
    assert scala(session, "1 + 1").endswith(": Int = 2")


def test_runtime_errors_begin_at_the_users_frame_and_name_their_causes(
    session: RemoteSession,
) -> None:
    scala(session, 'def inner(n: Int): Int = throw new IllegalStateException("inner")')
    value, traceback = failed(
        session,
        'try inner(1) catch { case e: Exception => throw new RuntimeException("outer", e) }',
    )
    assert value == "java.lang.RuntimeException: outer"
    assert "Caused by: java.lang.IllegalStateException: inner" in traceback
    # Scala 2.12 counts lines from those that it puts before the cell.
    assert by_runtime("at inner(<console>:", "at inner(<console>:1)") in traceback
    assert "livius." not in traceback
    assert "scala.tools.nsc" not in traceback
    assert failed(session, "throw new Exception")[0] == "java.lang.Exception"
    assert failed(session, "throw null")[0].startswith("java.lang.NullPointerException")
    assert failed(session, 'assert(1 > 2, "no")')[0].endswith(
        "AssertionError: assertion failed: no"
    )
    assert (
        "[INVALID_INDEX_OF_ZERO]"
        in failed(
            session, 'spark.sql("select element_at(array(id), int(id)) from range(1)").collect()'
        )[0]
    )
    silent = 'throw new Exception { override def getMessage = throw new Error("twice") }'
    assert "Exception" in failed(session, silent)[0]
    assert scala(session, "1 + 1").endswith(": Int = 2")


def test_what_was_done_before_a_failure_stays(session: RemoteSession) -> None:
    output = session.run(
        'val before = 1\nprintln(before)\nsys.error("stop")\nval after = 2', "spark"
    )
    assert output["stdout"] == "before: Int = 1\n1\n"
    assert scala(session, "before").endswith(": Int = 1")
    assert "not found: value after" in failed(session, "after")[0]


def test_json_and_table_magics_of_livy(session: RemoteSession) -> None:
    scala(
        session,
        """
case class Row1(n: Int, s: String, o: Option[Double])
val rows = Seq(Row1(1, "a", None), Row1(2, null, Some(1.5)))
""",
    )
    output = session.run("val more = rows.size\n%json rows", "spark")
    assert output["data"]["application/json"] == [
        {"n": 1, "s": "a", "o": None},
        {"n": 2, "s": None, "o": 1.5},
    ]
    assert output["data"]["text/plain"] == "more: Int = 2"
    table = session.run("%table rows", "spark")["data"]["application/vnd.livy.table.v1+json"]
    assert table == {
        "headers": [
            {"name": "n", "type": "BIGINT_TYPE"},
            {"name": "s", "type": "STRING_TYPE"},
            {"name": "o", "type": "DOUBLE_TYPE"},
        ],
        "data": [[1, "a", None], [2, None, 1.5]],
    }
    frame = session.run('%table spark.range(2).withColumn("d", current_date())', "spark")
    table = frame["data"]["application/vnd.livy.table.v1+json"]
    assert [head["type"] for head in table["headers"]] == ["BIGINT_TYPE", "DATE_TYPE"]
    nested = session.run(
        '%json Map("a" -> Array(1, 2), "b" -> Map("c" -> BigDecimal("1.50")))', "spark"
    )
    assert nested["data"]["application/json"] == {"a": [1, 2], "b": {"c": "1.50"}}
    assert "not found: value nowhere" in failed(session, "%json nowhere")[0]
    assert "holds both" in failed(session, '%table Seq(Seq(1), Seq("a"))')[0]


def test_display_gives_html_and_text(session: RemoteSession) -> None:
    output = session.run('display(spark.range(2))\ndisplayHTML("<b>bold</b>")', "spark")
    assert output["data"]["text/plain"].splitlines()[1] == "| id|"
    assert "<td>1</td>" in output["data"]["text/html"]
    assert output["data"]["text/html"].endswith("<b>bold</b>")
    assert "text/html" not in session.run("1 + 1", "spark")["data"]


def test_a_very_long_value_is_cut_and_says_so(session: RemoteSession) -> None:
    said = scala(session, 'val long = "x" * 1000000')
    assert len(said) < 100_000
    assert "more" in said[-80:], said[-200:]
    assert len(scala(session, 'println("x" * 1000000)')) == 1_000_000


def test_output_of_java_code_threads_and_child_processes(session: RemoteSession) -> None:
    said = scala(
        session,
        """
System.out.println("from Java")
System.err.println("from Java's errors")
val thread = new Thread(() => println("from a thread")); thread.start(); thread.join()
import scala.sys.process._
"echo from a child".!
print("no newline")
""",
    )
    for part in (
        "from Java\n",
        "from Java's errors",
        "from a thread",
        "from a child",
        "no newline",
    ):
        assert part in said


def test_logs_and_executors_prints_go_to_the_drivers_log(session: RemoteSession) -> None:
    said = scala(
        session,
        """
for (n <- 1 to 100) org.slf4j.LoggerFactory.getLogger("mine").error(s"a log line $n")
sc.parallelize(1 to 100, 4).foreach(n => println(s"from a task $n"))
println("done")
""",
    )
    assert said.splitlines()[-1] == "done"
    assert "a log line" not in said
    assert "from a task" not in said


def test_a_thread_that_outlives_its_statement_prints_into_the_next(session: RemoteSession) -> None:
    scala(
        session,
        """
val go = new java.util.concurrent.CountDownLatch(1)
val late = new Thread(() => { go.await(); println("late") }); late.start()
""",
    )
    assert "late" in scala(session, "go.countDown(); late.join()").splitlines()


def test_no_session_is_made_beside_the_own_one(session: RemoteSession) -> None:
    got = "org.apache.spark.sql.SparkSession.builder().getOrCreate()"
    assert scala(session, f"println({got} eq spark)") == "true"
    session.text("spark.sql('create database if not exists aside')")
    session.text("spark.catalog.setCurrentDatabase('aside')")
    try:
        assert scala(session, f"println({got}.catalog.currentDatabase)") == "aside"
        python = "SparkSession.builder.getOrCreate().catalog.currentDatabase()"
        assert session.text(f"from pyspark.sql import SparkSession; print({python})") == "aside"
        assert session.rows("select current_database()") == [["aside"]]
        inside = (
            f"val t = new Thread(() => println({got}.catalog.currentDatabase)); t.start(); t.join()"
        )
        assert "aside" in scala(session, inside)
    finally:
        session.text("spark.catalog.setCurrentDatabase('sample')")


@pytest.mark.parametrize("code", ["", "  \n\t\n", "// only a comment", "/* two\nlines */", ";"])
def test_a_cell_without_code_does_nothing(session: RemoteSession, code: str) -> None:
    answer = session.client.call(
        "POST", f"{session.path}/statements", json={"code": code, "kind": "spark"}
    )
    if answer.status_code == 200:
        assert session.wait(answer.json()["id"])["output"]["status"] == "ok"
    else:
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("val x = (1 + ", "incomplete"),
        ("def f() = {\n  1", "incomplete"),
        ('val s = """never closed', "incomplete"),
        ("val = 3", "error"),
        (") 1 (", "error"),
        ("print(1)\0", "NUL"),
        ("%%pyspark\nprint(1)", "send this code with the kind pyspark"),
        ("%sql select 1", "send this code with the kind sql"),
        ("%%configure\n{}", "request that creates a session"),
        (":paste", ":paste is a command of spark-shell"),
        (":help", "spark-shell"),
        ("scala.io.StdIn.readLine()", "nobody is there to type"),
        ("System.in.read()", "nobody is there to type"),
        ("def deep(n: Int): Int = 1 + deep(n + 1); deep(0)", "StackOverflowError"),
        ("???", "NotImplementedError"),
    ],
)
def test_odd_cells_give_a_clear_error_and_the_next_one_works(
    session: RemoteSession, code: str, reason: str
) -> None:
    value, _ = failed(session, code)
    assert reason in value
    assert scala(session, "1 + 1").endswith(": Int = 2")


def test_cells_that_are_too_large(session: RemoteSession) -> None:
    value, _ = failed(session, "val n = 1\n" * 500_000)
    assert "takes at most" in value
    value, _ = failed(session, 'val s = "' + "x" * 70_000 + '"')
    assert "too large" in value.lower() or "too long" in value.lower(), value
    array = "val many = Array(" + ", ".join(str(n) for n in range(20_000)) + ")"
    value, _ = failed(session, array)
    assert "too large" in value.lower(), value[:500]
    assert scala(session, "1 + 1").endswith(": Int = 2")


def test_the_shared_spark_stays_open(session: RemoteSession) -> None:
    for code in ("spark.stop()", "sc.stop()", "spark.close()"):
        assert "belongs to the driver and stays open" in scala(session, code)
    assert scala(session, "println(spark.range(3).count())") == "3"


def test_a_cancelled_endless_print_has_stopped(session: RemoteSession) -> None:
    number = session.submit('while (true) println("again")', "spark")
    session.cancel(number)
    assert session.wait(number, 60)["state"] == "cancelled"
    assert scala(session, "1 + 1").endswith(": Int = 2")


class Background(NamedTuple):
    """Scala code that begins work, checks that it goes on, and ends it."""

    begin: str
    works: str
    end: str


IN_THE_BACKGROUND = {
    "a streaming query": Background(
        """
@volatile var rows = 0L
val stream = spark.readStream.format("rate").option("rowsPerSecond", 5).load().writeStream
  .foreachBatch((batch: org.apache.spark.sql.DataFrame, _: Long) => rows += batch.count())
  .start()
""",
        "rows > 0",
        "stream.stop()",
    ),
    "a job of a thread": Background(
        """
val job = spark.range(1000000000000L).selectExpr("sum(hash(id))")
val thread = new Thread(() => try job.collect() catch { case _: Exception => })
thread.start()
""",
        "sc.statusTracker.getActiveJobIds.nonEmpty",
        "sc.cancelAllJobs()",
    ),
}


def test_work_in_the_background_keeps_its_session_alive(client: Client) -> None:
    """Each kind of work has its own session; the test waits for both at the same time."""
    conf = {"spark.livy.session.idle.timeout": "10s"}
    with ExitStack() as stack:
        kept = {}
        for name, work in IN_THE_BACKGROUND.items():
            kept[name] = stack.enter_context(client.session(name=name, conf=conf))
            scala(kept[name], work.begin)
        # A beat reports it every five seconds; without, the sessions would have ended by then.
        since = time.monotonic()
        wait_for(lambda: time.monotonic() - since > 18, seconds=30, what="the idle time and more")
        for name, session in kept.items():
            assert session.get()["state"] in ("idle", "busy"), name
            assert scala(session, f"println({IN_THE_BACKGROUND[name].works})") == "true", name
            scala(session, IN_THE_BACKGROUND[name].end)
        for name, session in kept.items():
            wait_for(
                lambda: session.get()["state"] in ENDED,  # noqa: B023 - used at once
                seconds=60,
                what=f"the idle session with {name} ends",
                every=0.5,
            )


MEMORY = """
System.gc()
val beans = java.lang.management.ManagementFactory.getMemoryPoolMXBeans.toArray.toSeq
  .map(_.asInstanceOf[java.lang.management.MemoryPoolMXBean])
val meta = beans.filter(_.getName.contains("Metaspace")).map(_.getUsage.getUsed).sum / 1024
val heap = java.lang.management.ManagementFactory.getMemoryMXBean.getHeapMemoryUsage.getUsed / 1024
println(s"$heap $meta")
"""
STATEMENTS = 100


def test_statements_grow_the_driver_little(session: RemoteSession) -> None:
    """Measured: see docs/explanation/how-it-works.md."""

    def memory() -> list[int]:
        return [int(n) for n in scala(session, MEMORY).splitlines()[-1].split()]

    scala(session, MEMORY)
    heap, meta = memory()
    for n in range(STATEMENTS):
        session.submit(f"val n{n % 7} = {n}; def f{n % 5}(x: Int) = x + n{n % 7}", "spark")
    session.wait(session.submit("1", "spark"), 200)
    heap_after, meta_after = memory()
    per_heap, per_meta = (heap_after - heap) / STATEMENTS, (meta_after - meta) / STATEMENTS
    assert per_heap < 200, (heap, heap_after)
    assert per_meta < 200, (meta, meta_after)
