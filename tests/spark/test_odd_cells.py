"""Odd Python cells break nothing: after each the next statement works, with the same variables."""

import psutil
import pytest

from support.gateway import Client, Gateway, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def odd(client: Client) -> "RemoteSession":
    """One session for all of this, so that each cell has the trouble of those before it."""
    session = client.create(name="odd")
    session.wait_idle(300)
    session.text("kept = 41")
    return session


@pytest.fixture(autouse=True)
def goes_on(odd: RemoteSession):  # type: ignore[no-untyped-def]
    yield
    output = odd.run("kept + spark.range(1).count()")
    assert output.get("data") == {"text/plain": "42"}, output


def refused(session: RemoteSession, code: str) -> tuple[str, str]:
    output = session.run(code)
    assert output["status"] == "error", output
    return output["ename"], output["evalue"]


@pytest.mark.parametrize("code", ["", "   \n\t", "# only a comment", "pass", "'''text'''\nNone"])
def test_nothing_much(odd: RemoteSession, code: str) -> None:
    assert odd.text(code) == ""


@pytest.mark.parametrize(
    "code", ["exit()", "quit()", "import sys; sys.exit(3)", "raise SystemExit", "exit(1)"]
)
def test_leaving_is_refused(odd: RemoteSession, code: str) -> None:
    assert refused(odd, code) == (
        "ExitRefused",
        "exit() does nothing here. Delete the session to end it.",
    )


@pytest.mark.parametrize(
    "code",
    ["def f(", "if True:", "x = [1,", "'''open", " x = 1\n  y = 2", "1 +", "\u2028(", "f(\0)"],
)
def test_broken_code(odd: RemoteSession, code: str) -> None:
    ename, evalue = refused(odd, code)
    assert ename in ("SyntaxError", "IndentationError", "ValueError")
    assert evalue


@pytest.mark.parametrize(
    "code", ["input()", "import getpass; getpass.getpass()", "import sys; next(iter(sys.stdin))"]
)
def test_nobody_is_there_to_type(odd: RemoteSession, code: str) -> None:
    assert refused(odd, code)[0] in ("EOFError", "StopIteration")


@pytest.mark.parametrize("code", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_the_debugger_is_refused(odd: RemoteSession, code: str) -> None:
    assert "debugger" in refused(odd, code)[1]


def test_endless_recursion(odd: RemoteSession) -> None:
    assert refused(odd, "def down(): return down()\ndown()")[0] == "RecursionError"


def test_five_megabytes_of_code(odd: RemoteSession) -> None:
    assert odd.text(f"long = '{'x' * 5_000_000}'\nlen(long)") == "5000000"
    assert odd.text("'x' * 5_000 in ''.join(In)") == "False"


def test_unicode(odd: RemoteSession) -> None:
    assert odd.text("größe = '😀 שלום e\\u0301'; print(größe)") == "😀 שלום e\u0301"


def test_an_endless_print_is_cancelled(odd: RemoteSession) -> None:
    number = odd.submit("while True: print('again')")
    wait_for(lambda: odd.statement(number)["state"] == "running", seconds=60, what="it runs")
    odd.cancel(number)
    assert odd.wait(number)["state"] == "cancelled"


def test_stopping_spark_does_nothing(odd: RemoteSession) -> None:
    for code in ("spark.stop()", "sc.stop()", "spark.sparkContext.stop()"):
        assert "does nothing here" in odd.text(code)


def test_get_or_create_gives_the_repls_session(odd: RemoteSession) -> None:
    odd.run("create database if not exists odd_one; use odd_one", "sql")
    assert (
        odd.text(
            "from pyspark.sql import SparkSession\n"
            "made = SparkSession.builder.appName('x').config('spark.sql.shuffle.partitions', 3)"
            ".getOrCreate()\n"
            "plain = SparkSession.builder.getOrCreate()\n"
            "(made is spark, plain is spark, SparkSession.getActiveSession()._jsparkSession"
            ".equals(spark._jsparkSession), made.catalog.currentDatabase(),"
            " spark.conf.get('spark.sql.shuffle.partitions'))"
        )
        == "(True, True, True, 'odd_one', '3')"
    )
    odd.run("use default; drop database odd_one", "sql")


def test_streams_taken_away_are_put_back(odd: RemoteSession) -> None:
    for code in (
        "import sys; sys.stdout = None",
        "sys.stdout.close(); sys.stderr.close()",
        "del sys.stdout",
        "_ = sys.stdout.detach()",
        "import os; os.close(1); os.close(2)",
    ):
        odd.run(code)
        assert odd.text("import sys; print('seen'); print('too', file=sys.stderr)") == "seen\ntoo"
    odd.text("import io; real = sys.stdout; sys.stdout = io.StringIO()")
    assert odd.text("print('elsewhere'); 5") == "5"
    odd.text("sys.stdout = real")


def test_names_that_everybody_needs_come_back(odd: RemoteSession) -> None:
    odd.text("del spark, sc, sql")
    assert odd.text("sc.defaultParallelism > 0, sql('select 1').count()") == "(True, 1)"
    odd.text("print = len")
    assert odd.text("print('four'), spark.range(1).count()") == "(4, 1)"
    odd.text("del print")


def test_folder_and_environment_stay_as_they_were_set(odd: RemoteSession) -> None:
    odd.text("import os; os.makedirs('/tmp/' + os.environ['LIVIUS_DRIVER'][-8:], exist_ok=True)")
    odd.text("before = os.getcwd(); os.chdir('/tmp/' + os.environ['LIVIUS_DRIVER'][-8:])")
    odd.text("os.rmdir(os.getcwd()); os.environ['MINE'] = '1'")
    assert odd.text("os.environ['MINE']") == "'1'"
    odd.text("os.chdir(before)")


def test_an_interrupt_that_is_ignored_can_not_be_ignored_for_ever(odd: RemoteSession) -> None:
    odd.text("import signal; _ = signal.signal(signal.SIGINT, signal.SIG_IGN)")
    number = odd.submit("while True: pass")
    wait_for(lambda: odd.statement(number)["state"] == "running", seconds=60, what="it runs")
    odd.cancel(number)
    assert odd.wait(number)["state"] == "cancelled"


def test_threads_that_outlive_their_cell_print_later(odd: RemoteSession) -> None:
    odd.text(
        "import threading\ngo = threading.Event(); gone = threading.Event()\n"
        "def late(): go.wait(60); print('late'); gone.set()\nthreading.Thread(target=late).start()"
    )
    assert odd.text("go.set(); gone.wait(60); None") == "late"


def test_children_that_go_on_printing(odd: RemoteSession) -> None:
    odd.text(
        "import subprocess\nloop = 'while :; do echo on; sleep 0.1; done'\n"
        "child = subprocess.Popen(['sh', '-c', loop], start_new_session=True)"
    )
    wait_for(lambda: "on" in odd.text("1"), seconds=60, what="the child is heard")
    odd.text("child.kill(); _ = child.wait()")


def test_a_forked_child_does_not_answer_for_its_parent(odd: RemoteSession) -> None:
    text = odd.text("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint(pid == 0)")
    assert sorted(text.splitlines()) == ["False", "True"]


def test_processes(odd: RemoteSession) -> None:
    assert odd.text(
        "import multiprocessing\ndef double(n): return 2 * n\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(double, [1, 2]))"
    ) == "[2, 4]"  # fmt: skip
    assert odd.text(
        "import math\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.map(math.sqrt, [4]))"
    ) == "[2.0]"  # fmt: skip
    assert odd.text("import pickle; pickle.loads(pickle.dumps(double))(2)") == "4"


def test_asyncio(odd: RemoteSession) -> None:
    assert odd.text("import asyncio\nawait asyncio.sleep(0, 'awaited')") == "'awaited'"
    assert odd.text("asyncio.run(asyncio.sleep(0, 'run'))") == "'run'"
    odd.text("async def later(): return 5")
    assert odd.text("await later()") == "5"


def test_settings_of_python_that_reach_far(odd: RemoteSession) -> None:
    assert odd.text(
        "import logging; logging.basicConfig(level='INFO', force=True); logging.info('told')"
    ) == "INFO:root:told"  # fmt: skip
    odd.text("import warnings; old = warnings.filters[:]; warnings.simplefilter('error')")
    assert odd.text("display(spark.range(1)); spark.sql('select 1').count()").endswith("1")
    odd.text("warnings.filters[:] = old; import gc, tracemalloc; tracemalloc.start(); gc.disable()")
    # Left at INFO, py4j would tell later cells of each connection that it has to replace.
    odd.text("tracemalloc.stop(); gc.enable(); logging.root.handlers.clear()")
    odd.text("logging.root.setLevel('WARNING')")


def test_a_streaming_query_runs_and_calls_python(odd: RemoteSession) -> None:
    odd.text(
        "seen = []\n"
        "query = (spark.readStream.format('rate').option('rowsPerSecond', 10).load().writeStream"
        ".foreachBatch(lambda batch, number: seen.append(batch.count()))"
        ".trigger(processingTime='100 milliseconds').start())"
    )
    wait_for(lambda: odd.text("len(seen) > 2") == "True", seconds=120, what="batches", every=0.5)
    assert odd.text("display(spark.readStream.format('rate').load())").startswith("DataFrame[")
    odd.text("query.stop()")


def test_packages_belong_to_the_session(odd: RemoteSession) -> None:
    odd.text("%pip install -q toolz")
    assert odd.text("import sys, toolz; toolz.__file__.startswith(sys.prefix)") == "False"
    assert odd.text(
        "from pyspark.sql.functions import udf\n"
        "spark.range(1).select(udf(lambda n: __import__('toolz').__version__)('id'))"
        ".first()[0] == toolz.__version__"
    ) == "True"  # fmt: skip
    assert "toolz" in odd.text("%pip list")
    assert "outside environment" in odd.text("!pip uninstall -y numpy")
    assert "leave --target out" in refused(odd, "%pip install --target x toolz")[1]
    assert refused(odd, "%pip install -q ./nothing-here")[0] == "PipFailed"
    assert "Successfully uninstalled" in odd.text("!python -m pip uninstall -y toolz")


def test_five_hundred_statements_leave_no_trace(odd: RemoteSession) -> None:
    def memory() -> int:
        text = odd.text("import psutil; psutil.Process().memory_info().rss // 1024")
        return int(text)

    for _ in range(20):
        odd.text("'x' * 1_000_000; 1")
    start = memory()
    numbers = [odd.submit("bytes(1_000_000)[:5]; [0] * 100_000") for _ in range(500)]
    odd.wait(numbers[-1], 300)
    assert odd.text("len(Out) <= 21") == "True"
    assert memory() - start < 60_000


DEATHS = [
    "import os; os._exit(1)",
    "import ctypes; ctypes.string_at(0)",
    "import os; os.kill(os.getpid(), 9)",
]


@pytest.mark.parametrize("code", DEATHS)
def test_an_end_of_the_process_is_told_and_the_next_one_is_fresh(
    odd: RemoteSession, code: str
) -> None:
    ename, evalue = refused(odd, code)
    assert ename == "ReplEnded"
    assert "the next statement starts a fresh one" in evalue
    assert refused(odd, "kept")[0] == "NameError"
    odd.text("kept = 41")


def test_with_the_session_its_packages_are_gone(odd: RemoteSession, gateway: Gateway) -> None:
    folders = list(gateway.home.glob("drivers/*/work/*.packages"))
    assert folders
    assert psutil.pid_exists(int(odd.text("import os; os.getpid()")))
    with odd.client.session() as other:
        folder = other.text("import os; os.environ['VIRTUAL_ENV']").strip("'")
    wait_for(
        lambda: (
            not any(folder == str(one) for one in gateway.home.glob("drivers/*/work/*.packages"))
        ),
        seconds=60,
        what="the folder is gone",
    )
