"""An error says what happened, whichever way a query fails and whichever language it is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.gateway import RemoteSession, by_runtime
from support.marks import IS_SPARK_4
from support.repls import RemoteRepl
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

MOST_LINES = 150 if IS_SPARK_4 else 190
"""Of Java, in a traceback: a chain of causes, each cut. Spark 3.5's has one more."""

SETUP = """
set spark.sql.ansi.enabled = true;
create or replace table err_checked (id int, v string);
alter table err_checked add constraint positive check (id > 0);
create or replace table err_target (id int not null, v string);
insert into err_target values (1, 'a')
"""
CLEANUP = "drop table err_checked; drop table err_target; reset spark.sql.ansi.enabled"
WITH_TABLES = ("query", "begins")
"""Of tests with these arguments some need the tables."""

MERGE = "merge into err_target t using {source} s on {on} when matched then update set v = s.v"


@pytest.fixture(autouse=True)
def tables(request: pytest.FixtureRequest) -> Iterator[None]:
    if not set(WITH_TABLES) & set(request.fixturenames):
        yield
        return
    session: RemoteSession = request.getfixturevalue("session")
    assert session.run(SETUP, "sql")["status"] == "ok"
    yield
    session.run(CLEANUP, "sql")


@dataclass(frozen=True)
class Query:
    """A query that fails, how the error's text begins, and what PySpark makes of it."""

    text: str
    begins: str
    python: str


def of_a_job(name: str) -> str:
    """Return what PySpark makes of an error of a job: Spark 3.5 wraps it."""
    return by_runtime("Py4JJavaError", name)


QUERIES = {
    "a text that is no SQL": Query("selekt 1", "[PARSE_SYNTAX_ERROR]", "ParseException"),
    "an unknown table": Query(
        "select * from err_nowhere", "[TABLE_OR_VIEW_NOT_FOUND]", "AnalysisException"
    ),
    "an unknown column": Query(
        "select nope from err_target", "[UNRESOLVED_COLUMN.WITH_SUGGESTION]", "AnalysisException"
    ),
    "a table that exists": Query(
        "create table err_target (id int)", "[TABLE_OR_VIEW_ALREADY_EXISTS]", "AnalysisException"
    ),
    "a missing path": Query(
        "select * from parquet.`Files/err_nowhere`", "[PATH_NOT_FOUND]", "AnalysisException"
    ),
    "a division": Query(
        "select 1 / id from range(1)", "[DIVIDE_BY_ZERO]", of_a_job("ArithmeticException")
    ),
    "an overflow": Query(
        "select 2147483647 + cast(id as int) + 1 from range(1)",
        "[ARITHMETIC_OVERFLOW]",
        "ArithmeticException",
    ),
    "a cast": Query(
        "select cast(concat('x', id) as int) from range(1)",
        "[CAST_INVALID_INPUT]",
        of_a_job("NumberFormatException"),
    ),
    "an index": Query(
        "select array(1)[id + 1] from range(1)",
        "[INVALID_ARRAY_INDEX]",
        of_a_job("ArrayIndexOutOfBoundsException"),
    ),
    "an error of the query's own": Query(
        "select raise_error('mine')",
        by_runtime("java.lang.RuntimeException: mine", "[USER_RAISED_EXCEPTION]"),
        of_a_job("SparkRuntimeException"),
    ),
    "a table made of a division": Query(
        "create table err_made as select 1 / id as x from range(1)",
        "[DIVIDE_BY_ZERO]",
        of_a_job("ArithmeticException"),
    ),
    "a CHECK constraint": Query(
        "insert into err_checked values (-1, 'a')",
        "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES]",
        "Py4JJavaError",
    ),
    "a NOT NULL constraint": Query(
        "insert into err_target values (null, 'a')",
        "[DELTA_NOT_NULL_CONSTRAINT_VIOLATED]",
        "Py4JJavaError",
    ),
    "a MERGE with an unknown column": Query(
        MERGE.format(source="(select 1 id, 'b' v)", on="t.id = s.nope"),
        "[DELTA_MERGE_UNRESOLVED_EXPRESSION]",
        "AnalysisException",
    ),
    "a MERGE with several rows for one": Query(
        MERGE.format(source="(select explode(array(1, 1)) id, 'b' v)", on="t.id = s.id"),
        "[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE]",
        "UnsupportedOperationException",
    ),
}
if IS_SPARK_4:  # before, Delta's error has no class
    QUERIES["a missing version"] = Query(
        "select * from err_target version as of 999",
        "[DELTA_VERSION_NOT_FOUND]",
        "AnalysisException",
    )

KINDS = {
    "sql": "{text}",
    "pyspark": 'spark.sql("""{text}""").collect()',
    "spark": 'spark.sql("""{text}""").collect()',
}


def check(output: dict[str, Any], begins: str) -> None:
    """An error's text begins so; Java is at the traceback's end, no longer than its bound."""
    assert output["status"] == "error", output
    assert output["evalue"].startswith(begins), output["evalue"]
    text = "\n".join(output["traceback"])
    assert "livius_agent" not in text
    assert "at livius." not in text
    java = [at for at, line in enumerate(text.splitlines()) if line.startswith("  at ")]
    assert len(java) < MOST_LINES, text
    if java and text.startswith("Traceback"):
        assert text.index("\nJava stack:\n") < text.index("\n  at "), text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_that_fails(session: RemoteSession, kind: str, query: Query) -> None:
    output = session.run(KINDS[kind].format(text=query.text), kind)
    check(output, query.begins)
    assert output["ename"] == (query.python if kind == "pyspark" else "Error")
    text = "\n".join(output["traceback"])
    assert "  at org.apache.spark" in text
    assert kind == "spark" or "more lines)" in text


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_python_code_catches_it_by_its_class(session: RemoteSession, query: Query) -> None:
    caught = session.text(
        "import pyspark.errors, py4j.protocol\n"
        f"expected = getattr(pyspark.errors, {query.python!r}, py4j.protocol.Py4JJavaError)\n"
        f"try: spark.sql({query.text!r}).collect()\n"
        "except expected as error: print(type(error).__name__, str(error)[:500])"
    )
    assert caught.startswith(query.python)
    assert query.begins in caught


@pytest.mark.parametrize("query", [QUERIES["a MERGE with an unknown column"]])
def test_deltas_errors_say_what_they_are(session: RemoteSession, query: Query) -> None:
    asked = by_runtime("getErrorClass()", "getCondition()")
    message = by_runtime("error", "error.getMessage()")
    said = session.text(
        "from pyspark.errors import AnalysisException\n"
        f"try: spark.sql({query.text!r})\n"
        "except AnalysisException as error:\n"
        f"    print(error.{asked}, error.getSqlState(), {message})"
    )
    assert said.startswith("DELTA_MERGE_UNRESOLVED_EXPRESSION 42601 [DELTA_MERGE_UNRESOLVED")


PYTHON_SETUP = """
import threading, pandas
from pyspark.sql.functions import udf, pandas_udf
def bad(n): raise ValueError("bad value")
@pandas_udf("long")
def bad_series(numbers: pandas.Series) -> pandas.Series: raise ValueError("bad value")
def stream(how):
    query = how(spark.readStream.format("rate").load()).start()
    query.awaitTermination(60)
def cancelled(act):
    threading.Timer(0.5, sc.cancelAllJobs).start()
    act(spark.range(10**12).selectExpr("sum(hash(id))"))
division = spark.range(1).selectExpr("1 / id as x")
"""

OF_PYTHON = "An exception was thrown from the Python worker"

IN_PYTHON = {
    "a function": ("spark.range(2).select(udf(bad)('id')).collect()", OF_PYTHON),
    "a pandas function": ("spark.range(2).select(bad_series('id')).collect()", OF_PYTHON),
    "an RDD": ("sc.parallelize([1, 2]).map(bad).collect()", OF_PYTHON),
    "a partition": ("spark.range(2).foreach(bad)", OF_PYTHON),
    "a function whose rows become pandas": (
        "spark.range(2).select(udf(bad)('id')).toPandas()",
        OF_PYTHON,
    ),
    "toPandas": ("division.toPandas()", "[DIVIDE_BY_ZERO]"),
    "a local iterator": ("list(division.toLocalIterator())", "[DIVIDE_BY_ZERO]"),
    "a write": ("division.write.format('noop').mode('append').save()", "[DIVIDE_BY_ZERO]"),
    "a file that is gone": (
        (
            "import os\n"
            "spark.range(9).write.mode('overwrite').parquet('Files/err_gone')\n"
            "gone = spark.read.parquet('Files/err_gone'); files = gone.inputFiles()\n"
            "for file in files: os.remove(file.removeprefix('file://'))\n"
            "gone.collect()"
        ),
        by_runtime(
            "org.apache.spark.SparkFileNotFoundException", "[FAILED_READ_FILE.FILE_NOT_EXIST]"
        ),
    ),
    "a stream": (
        "stream(lambda rows: rows.selectExpr('1 / (value - value)').writeStream.format('noop'))",
        "[STREAM_FAILED]",
    ),
    "a batch of a stream": (
        "stream(lambda rows: rows.writeStream.foreachBatch(lambda batch, number: bad(number)))",
        "[STREAM_FAILED]",
    ),
    "a query in a batch of a stream": (
        (
            "def insert(batch, n): spark.sql(\"insert into err_checked values (-1, 'a')\")\n"
            "stream(lambda rows: rows.writeStream.foreachBatch(insert))"
        ),
        "[STREAM_FAILED]",
    ),
    "jobs that the code cancels": (
        "cancelled(lambda rows: rows.collect())",
        by_runtime("org.apache.spark.SparkException: Job ", "[SPARK_JOB_"),
    ),
    "an error of Java": (
        "sc._jvm.java.util.ArrayDeque().removeFirst()",
        "java.util.NoSuchElementException",
    ),
    "a method that is not there": ("sc._jvm.java.util.ArrayList().nope()", "py4j.Py4JException"),
}
if IS_SPARK_4:
    IN_PYTHON["toArrow"] = "division.toArrow()", "[DIVIDE_BY_ZERO]"
    IN_PYTHON["jobs that the code cancels, as Arrow"] = (
        "cancelled(lambda rows: rows.toArrow())",
        "[SPARK_JOB_",
    )


@pytest.mark.parametrize(("code", "begins"), IN_PYTHON.values(), ids=IN_PYTHON)
def test_python_that_fails(session: RemoteSession, code: str, begins: str) -> None:
    session.text(PYTHON_SETUP)
    output = session.run(code)
    check(output, begins)
    text = "\n".join(output["traceback"])
    assert text.startswith('Traceback (most recent call last):\n\n  File "<cell'), text


SCALA_SETUP = """
val division = spark.range(1).selectExpr("1 / id as x")
def bad(n: Long): Long = throw new IllegalStateException("bad value")
"""

IN_SCALA = {
    "a function": (
        'spark.range(2).select(udf((n: Long) => bad(n)).apply($"id")).collect()',
        "[FAILED_EXECUTE_UDF]",
    ),
    "an RDD": (
        "sc.parallelize(Seq(1, 2)).map(n => bad(n)).collect()",
        "java.lang.IllegalStateException: bad value",
    ),
    "a dataset": ("spark.range(2).map(n => bad(n)).collect()", "java.lang.IllegalStateException"),
    "a write": ('division.write.format("noop").mode("append").save()', "[DIVIDE_BY_ZERO]"),
    "a future": (
        (
            "import scala.concurrent._, ExecutionContext.Implicits.global\n"
            "Await.result(Future(division.collect()), duration.Duration.Inf)"
        ),
        "[DIVIDE_BY_ZERO]",
    ),
    "a stream": (
        (
            'spark.readStream.format("rate").load().selectExpr("1 / (value - value)")\n'
            '  .writeStream.format("noop").start().awaitTermination(60000)'
        ),
        "[STREAM_FAILED]",
    ),
    "a batch of a stream": (
        (
            'spark.readStream.format("rate").load().writeStream\n'
            "  .foreachBatch((_: org.apache.spark.sql.DataFrame, n: Long) => { bad(n); () })\n"
            "  .start().awaitTermination(60000)"
        ),
        "[STREAM_FAILED]",
    ),
    "a missing file": ('scala.io.Source.fromFile("/nowhere")', "java.io.FileNotFoundException"),
}


@pytest.mark.parametrize(("code", "begins"), IN_SCALA.values(), ids=IN_SCALA)
def test_scala_that_fails(session: RemoteSession, code: str, begins: str) -> None:
    session.text(SCALA_SETUP, "spark")
    check(session.run(code, "spark"), begins)


LINES = """
frame = spark.createDataFrame([('1,a',), ('2,b,c',)])
frame.coalesce(1).write.mode('overwrite').text('Files/err_lines')
lines = spark.read.csv('Files/err_lines', schema='id int, name string', mode='FAILFAST')
lines.createOrReplaceTempView('err_lines')
spark.sql("create table if not exists err_ints (n int) using delta")
"""
UNFIT = "create or replace table err_saved using delta as select * from err_lines"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (UNFIT, "sql", "[MALFORMED_CSV_RECORD]"),
        (f'spark.sql("{UNFIT}")', "spark", "[MALFORMED_CSV_RECORD]"),
        (
            "lines.write.mode('overwrite').saveAsTable('err_saved')",
            "pyspark",
            "[MALFORMED_CSV_RECORD]",
        ),
        ("insert into err_ints values ('none')", "sql", "[CAST_INVALID_INPUT]"),
    ],
)
def test_a_write_that_fails_gives_the_reason(
    session: RemoteSession, code: str, kind: str, reason: str
) -> None:
    session.text(LINES)
    output = session.run(code, kind)
    check(output, "[")
    assert reason in output["evalue"], output["evalue"]


def test_texts_that_are_very_long_are_cut(session: RemoteSession) -> None:
    frames = 'throw new RuntimeException("x" + "\\n\\tat a.b(C.java:1)" * 100000)'
    assert session.run(frames, "spark")["evalue"] == (
        "java.lang.RuntimeException: x\n  ... (100000 lines of a Java stack)"
    )
    value = session.run('throw new RuntimeException("x" * 1000000)', "spark")["evalue"]
    assert len(value) < 101_000
    assert "more characters" in value


COUNT = """
from livius_agent import java_errors as _errors
class _Counting:
    calls = 0
    inner = _errors._repl
    def failure(self, origin):
        _Counting.calls += 1
        return self.inner.failure(origin)
_errors._repl = _Counting()
"""


def test_the_jvm_is_asked_once_about_an_error(session: RemoteSession) -> None:
    session.text(COUNT)
    try:
        session.run("spark.sql('selec')")
        assert session.text("_Counting.calls") == "1"
    finally:
        session.text("_errors._repl = _Counting.inner")


@pytest.mark.parametrize(("causes", "is_cut"), [(9, False), (15, True)])
def test_a_stack_says_that_causes_are_left_out(
    session: RemoteSession, causes: int, is_cut: bool
) -> None:
    code = (
        f"throw (1 to {causes}).foldLeft(new RuntimeException("
        '"cause 0"))((cause, at) => new RuntimeException("cause " + at, cause))'
    )
    traceback = "".join(session.run(code, "spark")["traceback"])
    assert traceback.count("Caused by: ") == 9
    assert ("further causes are left out" in traceback) == is_cut


CONFLICT = """
import pathlib, tempfile, threading, time
from delta.exceptions import ConcurrentAppendException, ConcurrentDeleteReadException
marks = pathlib.Path(tempfile.mkdtemp()); began = str(marks / "began"); go = str(marks / "go")
def wait(number):
    import os, time
    open(began, "w").close()
    while not os.path.exists(go): time.sleep(0.01)
    return number
_ = spark.udf.register("err_wait", wait, "int")
spark.sql("create or replace table err_contended as select 1 id, 2 other")
def late():
    global caught
    try: spark.sql("update err_contended set id = err_wait(id)")
    except (ConcurrentAppendException, ConcurrentDeleteReadException) as error: caught = error
writer = threading.Thread(target=late); writer.start()
while not (marks / "began").exists() and writer.is_alive(): time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("earlier", "name"),
    [
        ("update err_contended set other = 3", "ConcurrentAppendException"),
        ("delete from err_contended", "ConcurrentDeleteReadException"),
    ],
)
def test_deltas_conflicts_have_their_classes(
    session: RemoteSession, earlier: str, name: str
) -> None:
    """Two writers of one table: the later commit is refused."""
    session.text(CONFLICT)
    session.text(f"spark.sql({earlier!r}); (marks / 'go').touch(); writer.join()")
    output = session.run("raise caught")
    check(output, "[DELTA_CONCURRENT_")
    assert output["ename"] == name
    session.run("drop table err_contended", "sql")


def test_a_traceback_has_no_frames_of_ours(session: RemoteSession) -> None:
    for code in (
        "%sql select * from err_nowhere",
        "%%sql\nselect * from err_nowhere",
        "%%pyspark\n1 / 0",
        "%json 1 / 0",
        "%time 1 / 0",
        "notebookutils.fs.ls('Files/err_nowhere')",
        "%pip install ./nothing-here",
        "input()",
        "exit()",
        "def f(",
        "%nope",
        (
            "try:\n    %sql select * from err_nowhere\nexcept Exception as error:\n"
            "    raise RuntimeError('outer') from error"
        ),
        "try:\n    %sql select * from err_nowhere\nexcept Exception:\n    1 / 0",
        "raise ExceptionGroup('two', [ValueError(1), TypeError(2)])",
        "class Shown:\n    def _repr_html_(self): input()\nShown()",
        (
            "import concurrent.futures\n"
            "with concurrent.futures.ThreadPoolExecutor() as pool:\n"
            "    pool.submit(input).result()"
        ),
        "raise KeyboardInterrupt('mine')",
        "import signal; signal.raise_signal(signal.SIGINT)",
    ):
        output = session.run(code)
        assert output["status"] == "error", code
        assert "livius_agent" not in "\n".join(output["traceback"]), output
        assert "interactiveshell" not in "\n".join(output["traceback"]), output


def test_a_threads_traceback_has_no_frames_of_ours(session: RemoteSession) -> None:
    said = session.text(
        "import threading\ndef fails(): 1 / 0\n"
        "thread = threading.Thread(target=fails); thread.start(); thread.join()"
    )
    assert "ZeroDivisionError" in said
    assert "livius_agent" not in said


def test_a_process_that_can_not_start_says_why(fresh: RemoteRepl) -> None:
    folder = Path(fresh.text("import os; print(os.getcwd())"))
    fresh.run("os._exit(1)")
    away = folder.rename(folder.with_name("away"))
    try:
        output = fresh.run("1 + 1")
    finally:
        away.rename(folder)
    assert output["ename"] == "ReplEnded"
    assert "The Python process of this session failed: FileNotFoundError" in output["stdout"]
    assert "livius_agent" not in output["stdout"]
    assert fresh.text("1 + 1") == "2"


def test_a_chain_of_errors_is_shown_whole(session: RemoteSession) -> None:
    output = session.run(
        "try: spark.sql('select * from err_nowhere')\n"
        "except Exception as error: raise RuntimeError('outer') from error"
    )
    text = "".join(output["traceback"])
    assert output["evalue"] == "outer"
    assert text.index("[TABLE_OR_VIEW_NOT_FOUND]") < text.index("RuntimeError: outer")
    assert text.index("RuntimeError: outer") < text.index("  at org.apache.spark")


def test_an_error_keeps_its_text_where_pyspark_itself_shows_the_java_stack(
    session: RemoteSession,
) -> None:
    session.text("spark.conf.set('spark.sql.pyspark.jvmStacktrace.enabled', True)")
    output = session.run("spark.sql('select * from err_nowhere')")
    check(output, "[TABLE_OR_VIEW_NOT_FOUND]")
    session.text("spark.conf.unset('spark.sql.pyspark.jvmStacktrace.enabled')")


OWN_INTERRUPTS = {
    "raised": ("raise KeyboardInterrupt('mine')", "KeyboardInterrupt", "mine"),
    "a signal": (
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
        "KeyboardInterrupt",
        "",
    ),
    "a signal to the group": (
        "import subprocess, time\nsubprocess.run('kill -INT 0', shell=True); time.sleep(60)",
        "KeyboardInterrupt",
        "",
    ),
    "from a thread": (
        (
            "import _thread, threading, time\n"
            "threading.Timer(0.2, _thread.interrupt_main).start()\n"
            "for _ in range(600): time.sleep(0.1)"
        ),
        "KeyboardInterrupt",
        "",
    ),
    "an exit": ("import sys\nsys.exit('no data')", "ExitRefused", "no data\nexit() does nothing"),
}


@pytest.mark.parametrize(("code", "name", "text"), OWN_INTERRUPTS.values(), ids=OWN_INTERRUPTS)
def test_an_interrupt_of_the_codes_own_is_an_error(
    session: RemoteSession, code: str, name: str, text: str
) -> None:
    session.text(
        "import threading, time\nover = threading.Event(); counted = []\n"
        "def count():\n    while not over.is_set(): counted.append(1); time.sleep(0.01)"
    )
    threads = "bystander = threading.Thread(target=count); bystander.start()\n"
    ended = session.wait(session.submit(threads + code))
    assert ended["state"] == "available"
    output = ended["output"]
    assert (output["ename"], output["evalue"][: len(text)]) == (name, text)
    assert f'File "<cell {ended["id"]}>"' in "".join(output["traceback"])
    assert session.text("print(bystander.is_alive()); over.set(); bystander.join()") == "True"


SCALA_INTERRUPTS = {
    "thrown": 'throw new InterruptedException("mine")',
    "its own thread": "Thread.currentThread.interrupt(); Thread.sleep(60000)",
    "from a thread": """
val me = Thread.currentThread
new Thread(() => { Thread.sleep(200); me.interrupt() }).start()
while (true) {}
""",
}


@pytest.mark.parametrize("code", SCALA_INTERRUPTS.values(), ids=SCALA_INTERRUPTS)
def test_an_interrupt_of_scalas_own_is_an_error(session: RemoteSession, code: str) -> None:
    ended = session.wait(session.submit(code, "spark"))
    assert ended["state"] == "available"
    assert ended["output"]["evalue"].startswith("java.lang.InterruptedException: ")
    assert session.text("1 + 1", "spark").endswith(": Int = 2")


def test_a_cancelled_spark_action_prints_nothing(session: RemoteSession) -> None:
    endless = "spark.range(10**12).selectExpr('sum(hash(id))').collect()"
    number = session.submit(f"print('before')\n{endless}")
    wait_for(lambda: session.printed(number) == "before\n", seconds=60, what="the code runs")
    session.cancel(number)
    ended = session.wait(number)
    assert ended["state"] == "cancelled"
    assert ended["output"]["stdout"] == "before\n"
    assert session.text("import logging; logging.root.handlers") == "[]"


CONFIGURE = {
    "pyspark": "%%configure -f\n{}",
    "sql": "-- more memory\n%%configure\n{}",
    "spark": "\n%%configure\n{}",
}


@pytest.mark.parametrize(("kind", "code"), CONFIGURE.items())
def test_configure_says_where_its_settings_go(session: RemoteSession, kind: str, code: str) -> None:
    output = session.run(code, kind)
    assert output["status"] == "error"
    assert "request that creates a session" in output["evalue"]


MARKED = {"pyspark": "\ufeff1 + 1", "sql": "\ufeffselect 2", "spark": "\ufeff\nprintln(1 + 1)"}


@pytest.mark.parametrize(("kind", "code"), MARKED.items())
def test_a_byte_order_mark_before_code_is_no_code(
    session: RemoteSession, kind: str, code: str
) -> None:
    output = session.run(code, kind)
    assert output["status"] == "ok", output
