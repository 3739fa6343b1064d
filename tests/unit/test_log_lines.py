"""Levels of log lines, and the lines that belong together."""

import pytest

from livius.domain.log_lines import LONGEST, Level, begins, read_lines


@pytest.mark.parametrize(
    ("line", "level", "name"),
    [
        ("26/11/30 09:45:59 INFO SparkContext: ERROR is only a word", Level.INFO, "INFO"),
        ("26/11/30 09:45:59 WARN Utils: slow", Level.WARN, "WARN"),
        ("26/11/30 09:45:59 ERROR Executor: Exception in task", Level.ERROR, "ERROR"),
        ("2026-11-30 09:45:59,123 - py4j.java_gateway - ERROR - no", Level.ERROR, "ERROR"),
        ("[2026-11-30 09:45:59] DEBUG x", Level.DEBUG, "DEBUG"),
        ("09:45:59.123 [main] WARN  o.a.s.Utils - slow", Level.WARN, "WARN"),
        ("ERROR:root:no", Level.ERROR, "ERROR"),
        ("WARNING: Using incubator modules", Level.WARN, "WARNING"),
        ("[CRITICAL] down", Level.ERROR, "CRITICAL"),
        ('{"ts":"2026","level":"WARN","msg":"slow"}', Level.WARN, "WARN"),
        ('{"event": "refused", "level": "error", "status": 500}', Level.ERROR, "error"),
        ("Traceback (most recent call last):", Level.ERROR, None),
        ('Exception in thread "main" java.lang.Error', Level.ERROR, None),
        ("2026-01-01T00:00:00.0Z statement 3 (sql) available, with an error", Level.ERROR, None),
        ("2026-01-01T00:00:00.0Z session failed: out of memory", Level.ERROR, None),
    ],
)
def test_a_line_has_the_level_that_it_names(line: str, level: Level, name: str | None) -> None:
    found = begins(line)
    assert found is not None
    assert found[0] is level
    assert name == (found[1] and line[slice(*found[1])])


@pytest.mark.parametrize(
    "line",
    ["", "an ERROR was seen", "the level is INFO", "INFORMATION: x", "{", "errors: 0", "x\0y"],
)
def test_a_print_has_none(line: str) -> None:
    assert begins(line) is None


def test_a_stack_trace_belongs_to_its_entry() -> None:
    text = (
        b"26/11/30 09:45:59 ERROR Executor: Exception in task 0.0\n"
        b"java.lang.ArithmeticException: / by zero\n"
        b"\tat java.base/x(Y.java:1)\n"
        b"Caused by: java.io.IOException\n"
        b"\t... 12 more\n"
        b"26/11/30 09:46:00 INFO Executor: next\n"
        b"Traceback (most recent call last):\n"
        b'  File "<cell 1>", line 1\n'
        b"ValueError: no\n"
        b"printed\n"
        b"  indented\n"
    )
    lines = list(read_lines(text, 100))
    assert [(one.level, one.is_more) for one in lines] == [
        (Level.ERROR, False),
        *[(Level.ERROR, True)] * 4,
        (Level.INFO, False),
        (Level.ERROR, False),
        *[(Level.ERROR, True)] * 2,
        (None, False),
        (None, False),
    ]
    assert lines[0].offset == 100
    assert lines[1].offset == 100 + text.index(b"java.lang")
    assert text[lines[-1].offset - 100 :] == b"  indented\n"


def test_odd_bytes_are_lines_too() -> None:
    lines = list(read_lines(b"\xff\rx\r\n\n\x00", 0))
    assert [one.text for one in lines] == ["�\rx", "", "\0"]
    [long] = read_lines(b"z" * 1_000_000, 0)
    assert len(long.text) == LONGEST
    assert long.cut == 1_000_000 - LONGEST
