"""How SQL text is cut into statements: as Spark's own lexer and parser read it."""

import json
import random

import pytest

from support.gateway import RemoteSession, by_runtime
from support.marks import IS_SPARK_4, of_spark_4

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

SCRIPTS = (
    "begin end",
    "BEGIN SELECT 1; SELECT 2; END",
    "begin\n  declare x int default 1;\n  while x < 3 do set x = x + 1; end while;\nend",
    "begin a: begin if 1 = 1 then select case when true then 2 end; end if; end a; end",
    "-- a; b\n/* begin; /* c; */ */ begin begin select ';'; end; select 8 >> 1; end",
    "begin declare exit handler for sqlexception begin select 'caught'; end; select 1; end",
    "begin case when 1 = 1 then select 1; else select 2; end case; end",
    "begin for row as select 1 as a do select row.a; end for; end",
    "begin repeat select 1; until true end repeat; end",
)
SINGLE = (
    r"select r'a\' as p, 'x;y' as q",
    r'select R"b\", ";" as c',
    r"select 'it\'s; ' as a, 'it''s;' as b",
    'select ";" as `a;b`',
    "select 1 /* ; /* nested ; */ ; */ -- ; end\n + 1",
    "select array(1)[0] as begin",
    "select '🐘;🦆' as `🦆;`",
    "set livius.test.text = begin",
    "create or replace temp view v as select ';' as x",
    "values (';'), ('begin')",
    *(SCRIPTS if IS_SPARK_4 else ()),
)
CUT = """
import json
from livius_agent.notebook import repl
def cut(text):
    return [one.partition("\\n")[2] for one in iter(repl().script(text).next, None)]
"""


def cut(session: RemoteSession, *texts: str) -> list[list[str]]:
    """The statements of each text."""
    session.text(CUT)
    given = f"json.loads({json.dumps(texts)!r})"
    found: list[list[str]] = json.loads(
        session.text(f"print(json.dumps([cut(text) for text in {given}]))")
    )
    return found


def test_what_spark_parses_as_one_statement_is_one(session: RemoteSession) -> None:
    session.text(
        "import json\n"
        "parser = spark._jsparkSession.sessionState().sqlParser()\n"
        f"for text in json.loads({json.dumps(SINGLE)!r}): parser.parsePlan(text)"
    )
    assert cut(session, *SINGLE) == [[text] for text in SINGLE]


@of_spark_4("SQL scripts")
def test_quoted_names_are_read_as_the_session_reads_them(session: RemoteSession) -> None:
    setting = "set spark.sql.ansi.doubleQuotedIdentifiers"
    script = 'begin select 1 as "a;b"; end; select 2'
    try:
        assert session.rows(f"{setting} = true; {script}") == [[2]]
        # As text, it is no name.
        assert session.run(f"{setting} = false; {script}", "sql")["status"] == "error"
    finally:
        session.run("reset spark.sql.ansi.doubleQuotedIdentifiers", "sql")


def test_joined_statements_are_cut_where_they_were_joined(session: RemoteSession) -> None:
    chance = random.Random(7)
    filling = ("", " ", "\n", "\t \n", "-- c; d\n", "/* e; f */", "/* g; /* h; */ */")
    texts, expected = [], []
    for _ in range(200):
        chosen = chance.choices(SINGLE, k=chance.randint(1, 6))
        pieces = [
            "".join(chance.choices(filling, k=3)) + one + "\n" + chance.choice(filling)
            for one in chosen
        ]
        texts.append(";".join(pieces) + chance.choice(("", ";", "; ;\n", "; -- end")))
        expected.append([pieces[0], *(piece.lstrip() for piece in pieces[1:])])
    assert cut(session, *texts) == expected


@of_spark_4("SQL scripts")
def test_a_script_stands_between_other_statements(session: RemoteSession) -> None:
    assert session.rows("begin select 1; end; select 2") == [[2]]
    assert session.rows("select 1; -- then\nbegin select 3; select 4; end;") == [[4]]
    assert session.rows("begin declare x int = 1; set x = x + 1; select x; end") == [[2]]


def test_a_statement_is_read_with_the_settings_of_those_before_it(session: RemoteSession) -> None:
    script = by_runtime("", "begin select ${livius.test.n}; end; ")
    code = f"set livius.test.n = 5; {script}select ${{livius.test.n}} + 1"
    assert session.rows(code) == [[6]]


@of_spark_4("SQL scripts")
def test_a_script_that_spark_cannot_read_is_left_whole_for_its_error(
    session: RemoteSession,
) -> None:
    broken = ["begin selec 1; end; select 2", "begin select 1;"]
    assert cut(session, *broken) == [[text] for text in broken]
    output = session.run("select 1;\nbegin selec 1; end; select 2", "sql")
    assert output["evalue"].startswith("[PARSE_SYNTAX_ERROR]")
    assert "begin selec 1; end; select 2" in output["evalue"]
    assert output["traceback"][0] == "In statement 2 of 2, at line 2:\n"


def test_a_comment_without_an_end_is_left_whole_for_its_error(session: RemoteSession) -> None:
    assert cut(session, "/* open ; select 1") == [["/* open ; select 1"]]
    unclosed = session.run("select 1; /* open", "sql")
    assert unclosed["evalue"].startswith("[UNCLOSED_BRACKETED_COMMENT]")


def test_an_error_has_its_place_in_the_whole_text(session: RemoteSession) -> None:
    assert "(line 4, pos 2)" in session.run("\n-- one\n\n  selec 1;\n", "sql")["evalue"]


@pytest.mark.parametrize(
    "before", [" " * 100_000, "\n" * 100_000, "-- x\n" * 20_000, "/* x */" * 20_000]
)
def test_any_length_of_nothing_may_come_first(session: RemoteSession, before: str) -> None:
    assert session.rows(f"{before}select 1; {before}select 2") == [[2]]
    asked = f"spark.sql({before!r} + 'select 3').first()[0]"
    assert session.text(asked) == "3"
    assert session.run(f"{before}optimize nowhere vorder", "sql")["evalue"].startswith("[TABLE_OR")


def test_queries_before_the_last_are_run(session: RemoteSession) -> None:
    output = session.run("select 1;\n\nselect raise_error('stop'); select 3", "sql")
    assert output["evalue"].startswith(
        by_runtime("java.lang.RuntimeException: stop", "[USER_RAISED_EXCEPTION] stop")
    )
    assert output["traceback"][0] == "In statement 2 of 3, at line 3:\n"
    magic = session.run("%%sql\nselect raise_error('stop'); select 3")
    assert magic["status"] == "error"


def test_a_comment_before_a_statement_does_not_move_the_line_of_its_error(
    session: RemoteSession,
) -> None:
    output = session.run("select 1;\n\n-- one\n-- two\nselec 2", "sql")
    assert output["traceback"][0] == "In statement 2 of 2, at line 3:\n"
    assert "(line 3, pos 0)" in output["evalue"]


def test_of_commands_before_the_last_no_rows_are_fetched(session: RemoteSession) -> None:
    """Fetching took five times as long as the commands."""
    many = "; ".join(f"set livius.test.n{number} = {number}" for number in range(20))
    counted = session.text(
        "from livius_agent import sql\n"
        "fetched = []\n"
        "rows_of, sql.rows_of = sql.rows_of, lambda *given: fetched.append(1) or rows_of(*given)\n"
        f"try: sql.run_sql(spark, {many!r}, 10, print)\n"
        "finally: sql.rows_of = rows_of\n"
        "len(fetched)"
    )
    assert counted == "1"
