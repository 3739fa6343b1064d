"""The outputs of Python statements: rich display, magics, errors, and printed text."""

import base64
from typing import Any

import pytest

from support.gateway import RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

TABLE = "application/vnd.livy.table.v1+json"


def data(session: RemoteSession, code: str) -> dict[str, Any]:
    output = session.run(code)
    assert output["status"] == "ok", output
    bundle: dict[str, Any] = output["data"]
    return bundle


def is_png(text: str) -> bool:
    return base64.b64decode(text, validate=False).startswith(b"\x89PNG")


def test_several_displays_and_the_last_value_come_in_order(session: RemoteSession) -> None:
    shown = data(session, "display(1); print(2); display('three')\n4")
    assert shown == {"text/plain": "1\n2\n'three'\n4"}


def test_a_displayed_spark_frame_is_a_bounded_table_and_a_bare_one_is_not_run(
    session: RemoteSession,
) -> None:
    frame = "spark.sql(\"select id, '<b>' as t, interval '1' day as i from range(1001)\")"
    shown = data(session, f"display({frame})")
    assert shown["text/plain"].splitlines()[1] == "| id|  t|               i|"
    assert shown["text/plain"].endswith("only showing top 20 rows")
    assert shown["text/html"].count("<tr>") == 1001
    assert "&lt;b&gt;" in shown["text/html"]
    assert "only showing top 1000 rows" in shown["text/html"]
    bare = data(session, frame)
    assert list(bare) == ["text/plain"]
    assert bare["text/plain"].startswith("DataFrame[id: bigint")


def test_eager_evaluation_is_obeyed(session: RemoteSession) -> None:
    session.text("spark.conf.set('spark.sql.repl.eagerEval.enabled', True)")
    assert "<td>0</td>" in data(session, "spark.range(1)")["text/html"]
    session.text("spark.conf.unset('spark.sql.repl.eagerEval.enabled')")


def test_html_of_several_frames_is_joined(session: RemoteSession) -> None:
    shown = data(
        session, "import pandas as pd\ndisplay(pd.DataFrame({'a': [1]}))\npd.DataFrame({'b': [2]})"
    )
    assert shown["text/html"].index("<th>a</th>") < shown["text/html"].index("<th>b</th>")


def test_figures_come_without_asking_and_are_closed(session: RemoteSession) -> None:
    assert session.text("import sys; 'matplotlib' in sys.modules or 'no'") in ("True", "'no'")
    shown = data(session, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone")
    assert is_png(shown["image/png"])
    assert "text/html" not in shown
    assert session.text("plt.get_fignums()") == "[]"
    assert is_png(data(session, "plt.plot([2, 1]); plt.show(); print('after')")["image/png"])
    two = data(session, "plt.figure(); plt.plot([1]); plt.figure(); plt.plot([2]); None")
    assert two["text/html"].count("<img") == 2
    failed = session.run(r"plt.title('$\\badmath$'); None")
    assert "badmath" in failed["evalue"]


def test_a_backend_set_by_hand_and_livys_matplot(session: RemoteSession) -> None:
    session.text("import matplotlib, matplotlib.pyplot as plt\nmatplotlib.use('agg')")
    assert "image/png" not in data(session, "plt.plot([1, 2]); None")
    assert is_png(data(session, "%matplot plt")["image/png"])
    assert session.run("%matplot plt")["evalue"] == "There is no open figure."
    assert is_png(data(session, "%matplotlib inline\nplt.plot([1]); None")["image/png"])


def test_plotly_comes_as_its_own_type_and_as_html(session: RemoteSession) -> None:
    shown = data(session, "import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 2]))")
    assert shown["application/vnd.plotly.v1+json"]["data"][0]["type"] == "scatter"
    assert "plotly" in shown["text/html"]
    again = data(session, "go.Figure(go.Scatter(y=[3])).show()")
    assert again["application/vnd.plotly.v1+json"]["data"][0]["y"] == [3]


def test_magics_of_ipython(session: RemoteSession) -> None:
    assert "Wall time" in session.text("%%time\nsum(range(10))")
    assert "Wall time" in session.text("%time sum(range(10))")
    assert "per loop" in session.text("%timeit -n1 -r1 sum(range(10))")
    assert session.text("%%capture caught\nprint(1); display(2)") == ""
    assert session.text("caught.stdout") == r"'1\n'"
    session.text("%reset -f")
    assert session.text("mine = 1\n%who") == "mine"
    assert session.text("%%bash\necho out; echo err >&2") == "out\nerr"
    assert session.text("!echo a; echo b >&2; read x; echo end") == "a\nb\nend"
    assert session.text("found = !echo x\nfound[0]") == "'x'"
    assert "Signature: len(obj, /)" in session.text("len?")
    assert session.text("%%pyspark\n1 + 1") == "2"
    assert "kind spark" in session.run("%%spark\n1")["evalue"]
    assert session.run("%no_such_magic")["ename"] == "UsageError"


def test_sql_in_a_python_cell_is_a_table(session: RemoteSession) -> None:
    shown = data(session, "%%sql\n-- two\nselect 1 as a; select 'x;y' as b")
    assert "|  b|" in shown["text/plain"]
    assert "<td>x;y</td>" in shown["text/html"]
    assert data(session, "%%sql\ncreate or replace temp view in_cell as select 1") == {
        "text/plain": ""
    }
    assert "[PARSE_SYNTAX_ERROR]" in session.run("%%sql\nselec 1")["evalue"]


def test_livys_json_and_table(session: RemoteSession) -> None:
    session.text("rows = [{'a': 1, 'b': 'x'}, {'a': None, 'b': 'y'}]; odd = {'n': float('nan')}")
    assert data(session, "%json odd")["application/json"] == {"n": "NaN"}
    assert data(session, "%table rows")[TABLE] == {
        "headers": [{"name": "a", "type": "BIGINT_TYPE"}, {"name": "b", "type": "STRING_TYPE"}],
        "data": [[1, "x"], [None, "y"]],
    }
    assert data(session, "%table [[1, 2.5]]")[TABLE]["headers"] == [
        {"name": "0", "type": "BIGINT_TYPE"},
        {"name": "1", "type": "DOUBLE_TYPE"},
    ]
    frame = data(session, "frame = spark.range(2)\n%table frame")[TABLE]
    assert frame["data"] == [[0], [1]]
    assert session.run("%table [[1], ['x']]")["ename"] == "ValueError"
    assert session.run("%json")["evalue"] == "Name a variable."


def test_a_traceback_begins_at_the_users_line_and_has_its_newlines(session: RemoteSession) -> None:
    number = session.submit("def inner():\n    1 / 0\ninner()")
    output = session.wait(number)["output"]
    lines = output["traceback"]
    assert lines[0] == "Traceback (most recent call last):\n"
    assert lines[1].startswith(f'  File "<cell {number}>", line 3, in <module>\n    inner()\n')
    assert lines[-1] == "ZeroDivisionError: division by zero\n"


def test_a_syntax_error_has_line_and_caret(session: RemoteSession) -> None:
    output = session.run("x = 1\ny = = 2")
    assert output["ename"] == "SyntaxError"
    text = "".join(output["traceback"])
    assert "line 2" in text
    assert "    y = = 2\n        ^\n" in text


def test_chained_and_grouped_errors(session: RemoteSession) -> None:
    chained = session.run("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('k') from e")
    text = "".join(chained["traceback"])
    assert "ZeroDivisionError" in text
    assert "direct cause" in text
    grouped = session.run("raise ExceptionGroup('many', [ValueError(1), TypeError(2)])")
    assert grouped["ename"] == "ExceptionGroup"
    assert "TypeError: 2" in "".join(grouped["traceback"])


def test_errors_in_the_users_own_texts(session: RemoteSession) -> None:
    output = session.run(
        "class Mute(Exception):\n    def __str__(self): raise ValueError(1)\nraise Mute"
    )
    assert (output["ename"], output["evalue"]) == (
        "Mute",
        "(the error has no text: its __str__ fails)",
    )
    shy = session.run("class Shy:\n    def __repr__(self): 1 / 0\nShy()")
    assert "ZeroDivisionError" in str(shy)
    long = session.run("raise ValueError('x' * 10_000_000)")
    assert len(long["evalue"]) < 200_000
    assert "more characters" in long["evalue"]


def test_a_warning_is_told_once(session: RemoteSession) -> None:
    text = session.text("import warnings; warnings.warn('careful')")
    # The plotly of 1.3 puts lines between the two.
    assert " ".join(text.split()).count("UserWarning: careful") == 1


def test_everything_printed_comes_in_order(session: RemoteSession) -> None:
    text = session.text(
        "import ctypes, os, subprocess, sys\n"
        "c = ctypes.CDLL(None)\n"
        "print('python'); c.puts(b'c'); print('err', file=sys.stderr)\n"
        "subprocess.run(['echo', 'child']); os.write(1, b'raw\\n')\n"
        "print('10%', end='\\r'); print('100%'); os.write(1, b'bad \\xff\\n')\n"
        "print('half \\ud800'); _ = c.printf(b'no newline')"
    )
    assert text == ("python\nc\nerr\nchild\nraw\n10%\r100%\nbad \ufffd\nhalf \\ud800\nno newline")


def test_a_print_of_eighty_megabytes(session: RemoteSession) -> None:
    text = session.text("print('0123456789' * 8_000_000); print('end')")
    assert len(text) == 80_000_004
    assert text.endswith("789\nend")


def test_animations_keep_the_last_picture_only(session: RemoteSession) -> None:
    shown = data(
        session,
        "from IPython.display import HTML, clear_output\n"
        "for i in range(3):\n    clear_output(wait=True); display(HTML(f'<i>{i}</i>'))",
    )
    assert shown["text/html"] == "<i>2</i>"
    updated = data(
        session, "h = display(HTML('<b>old</b>'), display_id=True); h.update(HTML('<b>new</b>'))"
    )
    assert updated["text/html"] == "<b>new</b>"


def test_results_and_code_are_numbered_as_statements_are_and_not_kept_for_ever(
    session: RemoteSession,
) -> None:
    number = session.submit("'kept for a while'")
    session.wait(number)
    assert session.text(f"Out[{number}], In[{number}]").startswith("('kept for a while'")
    for _ in range(25):
        session.submit("1")
    assert session.text(f"{number} in Out, len(Out) <= 21") == "(False, True)"


def test_the_process_holds_no_secret(session: RemoteSession) -> None:
    text = session.text(
        "import os\n"
        "[name for name in os.environ if any(w in name for w in ('SECRET', 'TOKEN', 'PASSWORD'))]"
    )
    assert text == "[]"
    assert session.text("b'SECRET' in open(f'/proc/{os.getpid()}/environ', 'rb').read()") == "False"


def test_names_of_live_objects_complete_code_and_disturb_nothing(session: RemoteSession) -> None:
    def names(code: str, kind: str = "pyspark") -> list[str]:
        answer = session.client.call(
            "POST", f"{session.path}/completion", json={"code": code, "kind": kind}
        )
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()["candidates"]
        return found

    session.run(
        "import pandas\nlive_frame = spark.range(3)\nlive_table = pandas.DataFrame({'a b': [1]})"
    )
    assert names("x = live_") == ["live_frame", "live_table"]
    assert names("live_frame.selectEx") == ["selectExpr"]
    assert names("live_frame.select('id').filter('id > 1').tail") == ["tail"]
    assert names("spark.read.cs") == ["csv"]
    assert "repartition" in names("spark.sql('select (1)').")
    assert names("live_table['a") == ["a b"]
    assert names("from pyspark.sql.functions import to_js") == ["to_json"]
    assert names("live_", kind="spark") == names("sel", kind="sql") == []
    number = session.submit("import time\nfor live_step in range(60): time.sleep(0.05)\nlive_step")
    for _ in range(20):
        assert names("live_") == []
    assert session.wait(number)["output"]["data"]["text/plain"] == "59"
    assert "live_step" in names("live_")
