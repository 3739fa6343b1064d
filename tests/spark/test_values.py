"""Every type at every place, in all that shows values, against Spark's own text."""

import base64
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from support.gateway import RemoteSession, by_runtime
from support.marks import IS_SPARK_4, of_spark_4

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

TABLE = "application/vnd.livy.table.v1+json"
KINDS = ["pyspark", "spark"]

# As Spark's to_json writes them.
PLAIN = [
    *("true", "cast(null as boolean)", "-128Y", "32767S", "-2147483648", "-9223372036854775808L"),
    *("9223372036854775807L", "cast(null as bigint)"),
    *("float('NaN')", "float('inf')", "float('-inf')", "float('-0.0')", "float(0.1)"),
    *("float('1.4e-45')", "float('3.4028235e38')", "cast(null as float)"),
    *("double('NaN')", "double('inf')", "double('-inf')", "-0.0d", "0.1d", "1e-300d", "1e22d"),
    *("1.7976931348623157e308d", "4.9e-324d", "2e-3d", "cast(null as double)"),
    *(
        "''",
        "'plain'",
        "char(0)",
        r"'a\"b\\\\c\n\t\r'",
        "'\u007f\u0085\u2028'",
        "'台北市 😀 e\u0301'",
    ),
    *("'\ufeff\u200f\u202e'", "repeat('long ', 20000)", "'A' collate UTF8_LCASE"),
    *("'ä' collate UNICODE_CI_AI", "cast('x' as char(3))", "cast('x' as varchar(3))"),
    *("cast(null as string)", "x''", "x'ff00'", "cast('text' as binary)", "cast(null as binary)"),
]
# As they are cast to text.
TEXT = [
    *("date'2024-02-29'", "date'0001-01-01'", "date'-0005-01-01'", "date'1582-10-10'"),
    *("date'9999-12-31'", "date'+294247-01-01'", "cast(null as date)"),
    *("timestamp'2024-01-01 10:00:00.12'", "timestamp'1969-12-31 23:59:59.999999'"),
    *("timestamp'0001-01-01 00:00:00'", "timestamp'1582-10-10 00:00:00'"),
    *("timestamp'-0005-01-01 00:00:00'", "timestamp'+12024-01-01 10:00:00.000001'"),
    *("timestamp'2024-01-01 00:00:00 UTC'", "cast(null as timestamp)"),
    *("timestamp_ntz'2024-01-01 10:00:00.12'", "timestamp_ntz'0001-01-01 00:00:00'"),
    *("timestamp_ntz'+12024-01-01 10:00:00'", "cast(null as timestamp_ntz)"),
    *("time'00:00:00'", "time'23:59:59.999999'", "cast('10:00' as time(0))", "cast(null as time)"),
    *("interval -'1 2:3:4.5' day to second", "interval '1' day", "interval '0' second"),
    *("interval '106751991' day", "cast(null as interval day to second)"),
    *("interval '1-2' year to month", "interval -'178956970-8' year to month"),
    "interval '3' month",
    *("make_interval(1, 2, 3, 4, 5, 6, 7.5)", "make_interval()", "cast(null as interval)"),
]
DECIMALS = [
    "cast('12345678901234567890.123456789' as decimal(38, 9))",
    "cast('-99999999999999999999999999999999999999' as decimal(38, 0))",
    "cast(repeat('9', 38) as decimal(38, 0)) * -1",
    "cast(concat('0.', repeat('0', 37), '1') as decimal(38, 38))",
    *("cast(0 as decimal(20, 18))", "1.50bd", "cast(null as decimal(10, 2))"),
]
# As to_json writes them, too, but for decimals.
VARIANTS = [
    r"""parse_json('{"a": [1, "x", null, true, 1.5, {}], "b": {"c": []}}')""",
    *("parse_json('null')", "parse_json('[]')", "cast(null as variant)", "cast('' as variant)"),
    *("cast(double('NaN') as variant)", "cast(float('-inf') as variant)"),
    *("cast(float(0.1) as variant)", "cast(-0.0d as variant)", "cast(1e300d as variant)"),
    *("cast(9223372036854775807L as variant)", "cast(1.50bd as variant)"),
    "cast(12345678901234567890.123456789bd as variant)",
    'parse_json(\'{"n": 0.12345678901234567890123456789, "m": 1234567890123456789012345}\')',
    *("cast(x'ff00' as variant)", "cast(char(0) as variant)", "cast('台北市 😀' as variant)"),
    *("cast(date'-0005-01-01' as variant)", "cast(timestamp'2024-01-01 10:00:00.5' as variant)"),
    *("cast(timestamp'+12024-01-01 10:00:00' as variant)",),
    *("cast(timestamp_ntz'2024-01-01 10:00:00' as variant)",),
    "to_variant_object(named_struct('n', double('NaN'), 't', array(timestamp'2024-07-01 10:00')))",
]
EMPTY: list[tuple[str, Any]] = [
    ("null", None),
    ("array()", []),
    ("map()", {}),
    ("array(null)", [None]),
]
if not IS_SPARK_4:  # which has neither these types nor collations
    VARIANTS = []
    PLAIN = [leaf for leaf in PLAIN if "collate" not in leaf]
    TEXT = [leaf for leaf in TEXT if not re.match(r"time'|cast\(.* as time\b(?!stamp)", leaf)]
LEAVES = [*PLAIN, *TEXT, *DECIMALS, *VARIANTS]
NO_KEYS = [*VARIANTS, "make_interval(", "cast(null as"]


def as_number(text: str) -> Any:
    """A number that a double holds; else its digits."""
    return float(text) if Decimal(repr(float(text))) == Decimal(text) else text


def as_integer(text: str) -> Any:
    return int(text) if abs(int(text)) < 2**63 or int(float(text)) == int(text) else text


def references(session: RemoteSession) -> dict[str, Any]:
    """Spark's own text of each leaf."""
    wanted = {
        **{leaf: f"to_json(named_struct('c', {leaf}))" for leaf in (*PLAIN, *VARIANTS)},
        **{leaf: f"cast({leaf} as string)" for leaf in (*TEXT, *DECIMALS)},
    }
    [row] = session.rows(f"select {', '.join(wanted.values())}")
    found = dict(zip(wanted, row, strict=True))
    plain = {leaf: json.loads(found[leaf]).get("c") for leaf in PLAIN}
    variants = {
        leaf: json.loads(found[leaf], parse_float=as_number, parse_int=as_integer).get("c")
        for leaf in VARIANTS
    }
    decimals = {leaf: (text := found[leaf]) and f"{Decimal(text):f}" for leaf in DECIMALS}
    return plain | variants | decimals | {leaf: found[leaf] for leaf in TEXT}


def keys(session: RemoteSession, values: dict[str, Any]) -> dict[str, str]:
    """What each leaf is as a map's key: its text, or base64. Spark makes 0.0 of -0.0 there."""
    those = [
        leaf for leaf in values if "-0.0" not in leaf and not any(map(leaf.startswith, NO_KEYS))
    ]
    [row] = session.rows(f"select {', '.join(f'cast({leaf} as string)' for leaf in those)}")
    return {
        leaf: values[leaf] if isinstance(values[leaf], str) else text
        for leaf, text in zip(those, row, strict=True)
    }


@pytest.fixture(params=["Asia/Taipei", "America/St_Johns"])
def expected(session: RemoteSession, request: pytest.FixtureRequest) -> Any:
    """The columns of the view ``matrix`` with what is expected of each, in one time zone."""
    settings = {"spark.sql.session.timeZone": request.param, "spark.sql.timeType.enabled": "true"}
    session.text(f"for setting in {settings}.items(): spark.conf.set(*setting)")
    values = references(session)
    columns: list[tuple[str, Any]] = [
        *values.items(),
        *(
            (f"named_struct('f', {leaf}, 'g', 1)", {"f": value, "g": 1})
            for leaf, value in values.items()
        ),
        *((f"array({leaf}, null)", [value, None]) for leaf, value in values.items()),
        *((f"map('k', {leaf})", {"k": value}) for leaf, value in values.items()),
        *((f"map({leaf}, 1)", {key: 1}) for leaf, key in keys(session, values).items()),
        *(
            (f"array(map(1, named_struct('d', array({leaf}))))", [{"1": {"d": [value]}}])
            for leaf, value in values.items()
        ),
        *EMPTY,
        ("map(array(1, 2), true)", {"[1,2]": True}),
        ("map(struct(1, 'ä'), true)", {'{"col1":1,"col2":"ä"}': True}),
        ("map(x'ff', 1)", {"/w==": 1}),
        ("map('b', 1, 'a', 2, 'c', 3)", {"b": 1, "a": 2, "c": 3}),
        ("named_struct('a', 1, 'a', 2, 'a_2', 3)", {"a": 1, "a_2": 2, "a_2_2": 3}),
        ("cast(x'ff41' as string)", "\ufffdA"),
        ("cast(x'eda080' as string)", "\ufffd"),
    ]
    listed = ", ".join(f"{column} as `_{at}`" for at, (column, _) in enumerate(columns))
    session.text(f"spark.sql({f'select {listed}'!r}).createOrReplaceTempView('matrix')")
    yield columns
    session.text(f"for name in {list(settings)}: spark.conf.unset(name)")


def compare(found: list[Any], expected: list[tuple[str, Any]]) -> None:
    """Compare as text too: 1 and 1.0 and True are equal, and -0.0 and 0.0."""
    wrong = [
        (column, value, given)
        for (column, value), given in zip(expected, found, strict=True)
        if json.dumps(value) != json.dumps(given)
    ]
    assert not wrong


def test_rows_of_sql(session: RemoteSession, expected: list[tuple[str, Any]]) -> None:
    [row] = session.rows("select * from matrix")
    compare(row, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_json_and_table_of_a_frame(
    session: RemoteSession, expected: list[tuple[str, Any]], kind: str
) -> None:
    [row] = data(session, '%json spark.table("matrix")', kind)["application/json"]
    assert list(row) == [f"_{at}" for at in range(len(expected))]
    compare(list(row.values()), expected)
    table = data(session, '%table spark.table("matrix")', kind)[TABLE]
    assert [head["name"] for head in table["headers"]] == list(row)
    compare(table["data"][0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_display_of_a_frame_is_what_show_prints(
    session: RemoteSession, expected: list[tuple[str, Any]], kind: str
) -> None:
    shown = data(session, 'display(spark.table("matrix"))', kind)
    assert shown["text/plain"] == session.text('spark.table("matrix").show()')
    spark_own = session.text("print(spark.table('matrix')._jdf.htmlString(1000, 1000), end='')")
    assert shown["text/html"].rstrip() == spark_own + "\ncells are cut at 1000 characters"


def data(session: RemoteSession, code: str, kind: str = "pyspark") -> dict[str, Any]:
    output = session.run(code, kind)
    assert output["status"] == "ok", output
    bundle: dict[str, Any] = output["data"]
    return bundle


NAMES = "select 1 as a, 'x' as a, named_struct('a', 1, 'a', 2) as s"


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_are_there_twice_lose_nothing(session: RemoteSession, kind: str) -> None:
    code = {
        "pyspark": f"twice = spark.sql({NAMES!r})\nrows = twice.collect()",
        "spark": f'val twice = spark.sql("{NAMES}"); val rows = twice.collect()',
    }[kind]
    session.text(code, kind)
    row = {"a": 1, "a_2": "x", "s": {"a": 1, "a_2": 2}}
    for name in ("twice", "rows"):
        assert data(session, f"%json {name}", kind)["application/json"] == [row], name
        table = data(session, f"%table {name}", kind)[TABLE]
        assert [head["name"] for head in table["headers"]] == ["a", "a", "s"]
        assert [head["type"] for head in table["headers"]] == [
            *("BIGINT_TYPE", "STRING_TYPE", "MAP_TYPE")
        ]
        assert table["data"] == [[1, "x", {"a": 1, "a_2": 2}]], name


def test_two_moments_that_are_written_alike_are_two_keys(session: RemoteSession) -> None:
    session.text("spark.conf.set('spark.sql.session.timeZone', 'America/New_York')")
    hour = "timestamp'2024-11-03 0{}:30:00 UTC'"
    [[found]] = session.rows(f"select map({hour.format(5)}, 5, {hour.format(6)}, 6)")
    session.text("spark.conf.unset('spark.sql.session.timeZone')")
    assert found == {"2024-11-03 01:30:00": 5, "2024-11-03 01:30:00_2": 6}


@pytest.mark.parametrize("kind", KINDS)
def test_collected_values(session: RemoteSession, kind: str) -> None:
    variants = {
        'parse_json(\'{"n": 1.5, "m": 12345678901234567890.123456789}\') as v': (
            {"n": 1.5, "m": "12345678901234567890.123456789"}
        ),
        "cast(double('NaN') as variant) as n": "NaN",
        "cast(timestamp'2024-01-01 10:00' as variant) as t": "2024-01-01 10:00:00+09:00",
    }
    if not IS_SPARK_4:
        variants = {}
    query = (
        f"select {''.join(f'{one}, ' for one in variants)}"
        "cast(0 as decimal(20, 18)) as d, float(0.1) as f, x'ff00' as b, true as o, null as z, "
        "timestamp'2024-01-01 10:00:00.5' as m, array(date'2024-01-01') as s"
    )
    session.text("spark.conf.set('spark.sql.session.timeZone', 'Asia/Tokyo')")
    quoted = f'"""{query}"""'
    made = data(session, f"%json spark.sql({quoted}).collect()", kind)["application/json"]
    frame = data(session, f"%json spark.sql({quoted})", kind)["application/json"]
    session.text("spark.conf.unset('spark.sql.session.timeZone')")
    row = {
        **{one[-1]: value for one, value in variants.items()},
        "d": "0.000000000000000000",
        "f": 0.1,
        "b": "/wA=",
        "o": True,
        "z": None,
        "m": "2024-01-01 10:00:00.5",
        "s": ["2024-01-01"],
    }
    assert frame == [row]
    if kind == "pyspark":  # Python has doubles only, and moments without a zone in its own
        [collected] = made
        assert collected.pop("f") == pytest.approx(row.pop("f"))
        assert collected.pop("m").endswith(":00:00.5")
        assert row.pop("m")
    assert made == [row]


def test_values_of_scala(session: RemoteSession) -> None:
    session.text(
        "val circle = new java.util.ArrayList[Any]; circle.add(circle)\n"
        "case class Cell(a: Option[Int], b: Float, c: BigDecimal)\n"
        'val odd = Seq(Cell(None, 0.1f, BigDecimal("1E+30")), Cell(Some(1), Float.NaN, 0))\n'
        'val keys = Map[Any, Any](1 -> "number", "1" -> "text", BigInt(2).pow(100) -> "large")',
        "spark",
    )
    assert data(session, "%json odd", "spark")["application/json"] == [
        {"a": None, "b": 0.1, "c": "1" + "0" * 30},
        {"a": 1, "b": "NaN", "c": "0"},
    ]
    table = data(session, "%table odd", "spark")[TABLE]
    assert [head["type"] for head in table["headers"]] == [
        *("BIGINT_TYPE", "DOUBLE_TYPE", "DECIMAL_TYPE")
    ]
    assert data(session, "%json keys", "spark")["application/json"] == {
        "1": "number",
        "1_2": "text",
        str(2**100): "large",
    }
    nested = json.dumps(data(session, "%json circle", "spark")["application/json"])
    assert "nested deeper than 100 levels" in nested


@of_spark_4("variants")
def test_what_is_nested_too_deep_is_cut_and_it_is_said(session: RemoteSession) -> None:
    deep = "parse_json(repeat('[', 150) || repeat(']', 150))"
    [[found]] = session.rows(f"select {deep}")
    assert "[nested deeper than 100 levels]" in json.dumps(found)
    assert json.dumps(found).count("[") == 101
    collected = data(session, f'%json spark.sql("select {deep} as v").collect()')
    assert "[nested deeper than 100 levels]" in json.dumps(collected["application/json"])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_left_out_are_told_of(session: RemoteSession, kind: str) -> None:
    for value in ("spark.range(1001)", "sc.parallelize({})"):
        many = value.format("range(1001)" if kind == "pyspark" else "1 to 1001")
        for magic, mime in (("json", "application/json"), ("table", TABLE)):
            shown = data(session, f"%{magic} {many}", kind)
            assert shown["text/plain"] == "The first 1000 rows are given; there are more."
            rows = shown[mime] if magic == "json" else shown[mime]["data"]
            assert len(rows) == 1000
            assert data(session, f"%{magic} spark.range(1000)", kind)["text/plain"] == ""


def test_missing_values_of_pandas(session: RemoteSession) -> None:
    session.text(
        "import numpy as np, pandas as pd\n"
        "frame = pd.DataFrame({'text': ['x', np.nan, None, pd.NA], 'n': [1.5, np.nan, 2, 3],\n"
        "    'i': pd.array([1, None, 2, 3], dtype='Int64'),\n"
        "    't': [pd.Timestamp('2024-01-01 10:00:00.12'), pd.NaT, None, pd.Timestamp(0)]})\n"
        "frame.columns = ['a', 'n', 'a', 't']"
    )
    rows: list[list[Any]] = [
        ["x", 1.5, 1, "2024-01-01 10:00:00.12"],
        [None, None, None, None],
        [None, 2.0, 2, None],
        [None, 3.0, 3, "1970-01-01 00:00:00"],
    ]
    table = data(session, "%table frame")[TABLE]
    assert table["headers"] == [
        {"name": "a", "type": "STRING_TYPE"},
        {"name": "n", "type": "DOUBLE_TYPE"},
        {"name": "a", "type": "BIGINT_TYPE"},
        {"name": "t", "type": "TIMESTAMP_TYPE"},
    ]
    assert table["data"] == rows
    found = data(session, "%json frame")["application/json"]
    assert found == [dict(zip(("a", "n", "a_2", "t"), row, strict=True)) for row in rows]
    assert data(session, "%json frame['n']")["application/json"] == [1.5, None, 2.0, 3.0]
    assert data(session, "%json [frame.iloc[1, 0], pd.NaT, np.float32(0.1), np.int8(1)]")[
        "application/json"
    ] == ["NaN", None, 0.1, 1]
    odd = "[np.datetime64('2024-01-01', 'ns'), np.datetime64('NaT'), np.longdouble(1), np.eye(2)]"
    assert data(session, f"%json {odd}")["application/json"] == [
        *("2024-01-01 00:00:00", None, 1.0, [[1.0, 0.0], [0.0, 1.0]])
    ]


def test_nothing_in_the_argument_of_a_magic_is_expanded(session: RemoteSession) -> None:
    session.text("x = 'expanded'")
    assert data(session, "%json [{'x': 1}, '$x', '{x}', {x}]")["application/json"] == [
        *({"x": 1}, "$x", "{x}", ["expanded"])
    ]
    assert data(session, "%table [{'x': '{x}'}]")[TABLE]["data"] == [["{x}"]]
    assert "{x} $x" in data(session, "%sql select '{x} $x' as a")["text/plain"]


def test_types_of_users(session: RemoteSession) -> None:
    session.text(
        "from pyspark.ml.linalg import Vectors\n"
        "vectors = spark.createDataFrame([(Vectors.dense(1.5, float('nan')),), (None,)], ['v'])\n"
        "vectors.createOrReplaceTempView('values_of_vectors')"
    )
    assert session.rows("select v, array(v) from values_of_vectors") == [
        *(["[1.5,NaN]", ["[1.5,NaN]"]], [None, [None]])
    ]


@of_spark_4("types of places")
def test_types_of_places(session: RemoteSession) -> None:
    session.text("spark.conf.set('spark.sql.geospatial.enabled', 'true')")
    point = "0101000000000000000000F03F0000000000000040"
    for place in ("geom", "geog"):
        code = (
            f"select st_{place}fromwkb(X'{point}') as p, array(st_{place}fromwkb(X'{point}')) as a"
        )
        [[found, listed]] = session.rows(code)
        assert (base64.b64decode(found).hex().upper(), listed) == (point, [found])
        for kind in KINDS:
            shown = data(session, f'%json spark.sql("{code}")', kind)["application/json"]
            assert shown == [{"p": found, "a": listed}]
    session.text("spark.conf.unset('spark.sql.geospatial.enabled')")


WIDE = [
    "'台北市' as c, 1 as n",
    "'ｶﾅ 전각 、' as c, null as n",
    "'👨\u200d👩\u200d👧 e\u0301\u200b\u200f' as c, -0.5 as n",
    r"'a\tb\nc\rd' as c, 'x' as n",
    "repeat('市', 30) as c, repeat('😀', 11) as n",
    "'' as c, '<b>&amp;</b>' as n",
    "1 as `a much longer name than twenty`, 2 as `台北市`",
    "1 as `line\nbreak`, char(0) as z",
    "1 as n where false",
]


@pytest.mark.parametrize("query", WIDE)
def test_every_character_is_as_show_prints_it(session: RemoteSession, query: str) -> None:
    session.text(f"spark.sql({f'select {query}'!r}).createOrReplaceTempView('wide')")
    shown = session.text("spark.table('wide').show()")
    for kind in KINDS:
        assert session.text('display(spark.table("wide"))', kind) == shown
    assert data(session, "%%sql\nselect * from wide")["text/plain"] == shown


@pytest.mark.parametrize("kind", KINDS)
def test_display_runs_a_frame_once(session: RemoteSession, kind: str) -> None:
    code = {
        "pyspark": (
            "runs = sc.accumulator(0)\n"
            "counted = spark.range(3).rdd.map(lambda row: runs.add(1) or row).toDF()\n"
            "before = runs.value; display(counted); print(runs.value - before)"
        ),
        "spark": (
            "val runs = sc.longAccumulator\n"
            "val counted = spark.range(3).as[Long].map { id => runs.add(1); id }\n"
            "display(counted); println(runs.value)"
        ),
    }[kind]
    assert session.text(code, kind).splitlines()[-1] == "3"


@pytest.mark.parametrize("kind", KINDS)
def test_a_summary_of_each_column(session: RemoteSession, kind: str) -> None:
    query = "select * from values (1, 'a', map(1, 2)), (2, null, null), (2, 'b', null) t(a, b, a)"
    option = {"pyspark": "summary=True", "spark": "summary = true"}[kind]
    shown = data(session, f'display(spark.sql("{query}"), {option})', kind)
    lines = shown["text/plain"].splitlines()
    assert [line.strip("|").split("|") for line in lines if line.startswith("|")][4:] == [
        ["column", "        type", "missing", "different", " min", " max"],
        ["     a", "         int", "      0", "        2", "   1", "   2"],
        ["     b", "      string", "      1", "        2", "   a", "   b"],
        ["     a", "map<int,int>", "      2", "     NULL", "NULL", "NULL"],
    ]
    assert shown["text/html"].count("<table") == 2


def test_html_is_shown_and_nothing_beside_it(session: RemoteSession) -> None:
    assert data(session, "displayHTML('<b>1</b>'); displayHTML('<i>2</i>')") == {
        "text/html": "<b>1</b>\n<i>2</i>",
        "text/plain": "",
    }


def test_the_names_of_pysparks_shell_and_of_livy(session: RemoteSession) -> None:
    missing = session.text(
        "import ast, importlib.util\n"
        "def names(body):\n"
        "    for node in body:\n"
        "        if isinstance(node, (ast.Import, ast.ImportFrom)):\n"
        "            yield from (one.asname or one.name for one in node.names)\n"
        "        elif isinstance(node, ast.Assign):\n"
        "            yield from (one.id for one in node.targets if isinstance(one, ast.Name))\n"
        "        elif isinstance(node, ast.If) and 'is_remote' in ast.dump(node.test):\n"
        "            yield from names(node.orelse)\n"
        "        elif isinstance(node, ast.Try):\n"
        "            yield from names(node.body)\n"
        "source = open(importlib.util.find_spec('pyspark.shell').origin).read()\n"
        "of_shell = [name for name in names(ast.parse(source).body) if not name.startswith('_')]\n"
        "assert {'spark', 'sc', 'sql', 'sqlContext', 'sqlCtx', 'SparkSession'} <= {*of_shell}\n"
        "of_livy = ['HiveContext', 'StreamingContext', 'cloudpickle']\n"
        "sorted({*of_shell, *of_livy, 'display', 'displayHTML'} - {*globals()})"
    )
    assert missing == "[]"
    assert session.text("sqlContext.sql('select 1 as a').first().a, sqlCtx is sqlContext") == (
        "(1, True)"
    )
    session.text("del sqlContext, display")
    assert session.text("sqlContext.sparkSession is spark, callable(display)") == "(True, True)"


def test_the_names_of_spark_shell(session: RemoteSession) -> None:
    code = (
        'val one  = sqlContext.sql("select 1").as[Int].first + sql("select 2").as[Int].first\n'
        'val two  = Seq(4).toDF("x").select(max($"x")).as[Int].first\n'
        "one + two + 8 * jarOfObject(sc).size" + by_runtime("", " + SPARK_LOG_SCHEMA.length * 0")
    )
    assert session.text(code, "spark").endswith("Int = 15")


@pytest.mark.parametrize("zone", ["PST", "+8:00"])
def test_a_time_zone_may_have_any_name_that_spark_takes(session: RemoteSession, zone: str) -> None:
    session.text(f"spark.conf.set('spark.sql.session.timeZone', {zone!r})")
    try:
        moment = "cast(timestamp_seconds(0) as string)"
        listed = by_runtime("array", "to_variant_object(array") + "(timestamp_seconds(0))"
        listed += by_runtime("", ")")
        [[shown, [inner], text]] = session.rows(f"select timestamp_seconds(0), {listed}, {moment}")
        assert shown == text
        assert inner.startswith(text)
    finally:
        session.text("spark.conf.unset('spark.sql.session.timeZone')")
