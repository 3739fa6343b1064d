"""The sources of `livius run`: files, notebooks, and errors for others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livius.cli.answers import Failed
from livius.cli.work.sources import read_code
from support.gateway import LIVIUS


def notebook(folder: Path, metadata: dict[str, object], *cells: object) -> str:
    path = folder / "book.ipynb"
    made = [
        cell if isinstance(cell, dict) else {"cell_type": "code", "source": cell, "metadata": {}}
        for cell in cells
    ]
    path.write_text(json.dumps({"nbformat": 4, "metadata": metadata, "cells": made}))
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind"), [("a.py", "pyspark"), ("a.SQL", "sql"), ("a.scala", "spark")]
)
def test_the_name_says_the_language(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf1\r\n")
    [code] = read_code(str(path), None)
    assert (code.text, code.kind) == ("1\r\n", kind)


def test_a_given_language_counts_more_than_the_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("SELECT 1")
    assert read_code(str(tmp_path / "a.txt"), "sql")[0].kind == "sql"


def test_a_notebooks_code_cells_come_in_order_with_their_languages(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        {"language_info": {"name": "python"}},
        {"cell_type": "markdown", "source": "# no code"},
        ["x = 1\n", "x"],
        "",
        "%%sql\nSELECT 1",
        "%%spark\nprintln(1)",
        "%%time\nx",
        {
            "cell_type": "code",
            "source": "SELECT 2",
            "metadata": {"microsoft": {"language": "sparksql"}},
        },
    )
    assert [(code.kind, code.text, code.label) for code in read_code(path, None)] == [
        ("pyspark", "x = 1\nx", "Cell 1 of 6"),
        ("sql", "SELECT 1", "Cell 3 of 6"),
        ("spark", "println(1)", "Cell 4 of 6"),
        ("pyspark", "%%time\nx", "Cell 5 of 6"),
        ("sql", "SELECT 2", "Cell 6 of 6"),
    ]


def test_a_scala_notebook_is_scala(tmp_path: Path) -> None:
    path = notebook(tmp_path, {"kernelspec": {"language": "scala"}}, "println(1)")
    assert [code.kind for code in read_code(path, None)] == ["spark"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "The language of .*Name it: --kind"),
        ("a.py", b"\xff", r"is not UTF-8 text \(byte 0\)"),
        ("a.ipynb", b"{}", "is not a notebook"),
        ("a.ipynb", b"[", "is not a notebook"),
        ("missing/a.py", None, "can't be read: No such file"),
        ("-", None, "Name the language of standard input"),
        ("--knid", None, "There is no option --knid"),
    ],
)
def test_what_cannot_be_run_is_said(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = name if name.startswith("-") else str(tmp_path / name)
    if content is not None:
        Path(path).write_bytes(content)
    with pytest.raises(Failed, match=message):
        read_code(path, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sql", "SELECT 1"], "No gateway serves"),
        (["session", "list"], "No gateway serves"),
        (["sql", "--formt"], "There is no option --formt"),
        (["sql", "SELECT 1", "-o", "missing/a.csv"], "can't be written: No such file"),
        (["run", "missing.py"], "can't be read"),
        (["sql", "SELECT 1", "--file", "a.sql"], "not both"),
    ],
)
def test_what_keeps_a_command_from_running_is_exit_status_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = subprocess.run(
        [LIVIUS, *arguments],
        env={"LIVIUS_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_the_commands_import_little() -> None:
    """Only commands that need slow imports make them: a query takes well below a second."""
    program = (
        "import sys, livius.cli, livius.cli.work.running, livius.cli.work.sessions; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=25, check=True
    )
    heavy = {
        "httpx",
        "requests",
        "pydantic",
        "pydantic_settings",
        "sqlalchemy",
        "pandas",
        "pyarrow",
    }
    assert set(done.stdout.split()) & heavy == set()
