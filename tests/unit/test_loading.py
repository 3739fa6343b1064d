"""Files that are to be loaded: what they are, and what they are called."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.cli.lakehouse.actions import _explained
from livius.cli.lakehouse.load_table import delta_names
from livius.cli.lakehouse.loading import CannotLoad, Load, Wanted, look, readable, statement
from livius.cli.work.statements import StatementFailed


def planned(source: Path, **asked: object) -> Load:
    defaults = {"table": None, "mode": "error", "format": None, "header": True, "delimiter": None}
    return look(Wanted(source=source, **{**defaults, **asked}))  # type: ignore[arg-type]


def write(path: Path, text: str = "a,b\n1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "form", "options"),
    [
        ("a.csv", "a\n1\n", "csv", {"sep": ",", "header": "true"}),
        ("a.CSV.gz", "a\n1\n", "csv", {"sep": ","}),
        ("a.tsv", "a\n1\n", "csv", {"sep": "\t"}),
        ("a.jsonl", '{"a":1}\n{"a":2}\n', "json", {"multiLine": "false"}),
        ("a.json", '{"a":1}\n{"a":2}\n', "json", {"multiLine": "false"}),
        ("a.json", '{"a":1}', "json", {"multiLine": "false"}),
        ("a.json", '[{"a":1},\n{"a":2}]', "json", {"multiLine": "true"}),
        ("a.json.gz", '{\n "a": 1\n}\n', "json", {"multiLine": "true"}),
        ("a.parquet", "PAR1", "parquet", {}),
    ],
)
def test_what_a_file_is_is_seen(
    tmp_path: Path, name: str, text: str, form: str, options: dict[str, str]
) -> None:
    found = planned(write(tmp_path / name, text))
    assert found.format == form
    assert options.items() <= found.options.items()


def test_what_the_user_says_counts(tmp_path: Path) -> None:
    file = write(tmp_path / "export.txt", "1;2\n")
    found = planned(file, format="csv", header=False, delimiter=";", table="t")
    assert (found.format, found.table) == ("csv", "t")
    assert (found.options["header"], found.options["sep"]) == ("false", ";")


@pytest.mark.parametrize(
    ("name", "table"),
    [("Trips 2022 (final).csv", "trips_2022_final"), ("a.b.csv.gz", "a_b"), ("_x_.csv", "x"),
     ("2022.csv", "2022"), ("Übersicht.csv", "bersicht")],
)  # fmt: skip
def test_a_table_is_named_after_its_file(tmp_path: Path, name: str, table: str) -> None:
    assert planned(write(tmp_path / name)).table == table


def test_a_folder_has_one_kind_of_file(tmp_path: Path) -> None:
    for name in ("a.csv", "deep/b.csv", "_SUCCESS", ".hidden/x.json", "_temporary/y.json"):
        write(tmp_path / "sales" / name)
    found = planned(tmp_path / "sales")
    assert (found.table, found.format) == ("sales", "csv")
    assert found.options["recursiveFileLookup"] == "true"
    write(tmp_path / "sales" / "c.json")
    with pytest.raises(CannotLoad, match=r"\.csv, \.json"):
        planned(tmp_path / "sales")


def test_folders_that_are_columns_are_left_to_spark(tmp_path: Path) -> None:
    write(tmp_path / "sales" / "year=2026" / "a.parquet", "PAR1")
    assert planned(tmp_path / "sales").options == {}


def test_a_delta_table_is_known_by_its_log(tmp_path: Path) -> None:
    write(tmp_path / "t" / "_delta_log" / f"{0:020}.json", "{}")
    write(tmp_path / "t" / "a.parquet", "PAR1")
    assert planned(tmp_path / "t").format == "delta"


def test_what_can_not_be_loaded_says_why(tmp_path: Path) -> None:
    for source, why in (
        (tmp_path / "nowhere.csv", "no file or folder"),
        (write(tmp_path / "empty.csv", ""), "is empty"),
        (write(tmp_path / "what.xyz"), "--format"),
        (write(tmp_path / "()()" / "@@@.csv"), "--table"),
    ):
        with pytest.raises(CannotLoad, match=why):
            planned(source)
    (tmp_path / "none").mkdir()
    with pytest.raises(CannotLoad, match="is empty"):
        planned(tmp_path / "none")
    (tmp_path / "torn.json.gz").write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(CannotLoad, match="unpacked"):
        planned(tmp_path / "torn.json.gz")
    for name in ("A", "a-b", "a.b", "", "x" * 129):
        with pytest.raises(CannotLoad, match="small letters"):
            planned(write(tmp_path / "a.csv"), table=name)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "dangling"
    folder.mkdir()
    (folder / "gone.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CannotLoad, match=r"gone\.csv can't be read: No such file"):
        planned(folder)


def test_a_name_that_spark_takes_for_a_pattern_is_read_by_another(tmp_path: Path) -> None:
    odd = write(tmp_path / "a [1]*.csv")
    with readable(odd) as path:
        assert path != odd
        assert path.read_text() == odd.read_text()
        assert not set("[]*?{},") & set(str(path))
    assert not os.path.lexists(path.parent)
    plain = write(tmp_path / "a b.csv")
    with readable(plain) as path:
        assert path == plain


def test_no_name_breaks_out_of_the_statement(tmp_path: Path) -> None:
    evil = write(tmp_path / """x'"'''\\"); import os #.csv""")
    code = statement(planned(evil, table="t"), evil)
    compile(code, "statement", "exec")
    last = code.splitlines()[-1]
    assert last.startswith("print(json.dumps(load(spark, json.loads(")


def test_names_that_delta_takes_stay() -> None:
    names = ["id", "Größe", "a.b", "a-b", "_x", "名前"]
    assert delta_names(names) == names


def test_names_that_delta_can_not_have_are_made_of_underscores() -> None:
    old = ["Full Name", "amount (EUR)", "full_name", "  ", "a;b", "A=B", "x\n"]
    new = ["Full_Name", "amount_EUR", "full_name_2", "column_4", "a_b", "A_B_2", "x"]
    assert delta_names(old) == new


@given(st.lists(st.text(max_size=10), max_size=20))
def test_any_names_become_different_ones_that_delta_takes(names: list[str]) -> None:
    found = delta_names(names)
    assert len(found) == len({name.lower() for name in found}) == len(names)
    assert not any(set(name) & set(" ,;{}()\n\t=") for name in found)
    assert all(found)


def test_the_help_teaches_with_examples() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("livius"), "lakehouse", "load", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "livius lakehouse load trips.parquet" in done.stdout
    assert all(word in done.stdout for word in ("--mode", "--no-header", "--delimiter", "append"))


def test_of_an_error_within_errors_the_cause_is_told() -> None:
    value = (
        "An error occurred while calling o78.saveAsTable.\n"
        ": org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed. SQLSTATE: 58030\n"
        "\tat org.apache.spark.X(X.scala:1)\n"
        "Caused by: E: [MALFORMED_RECORD.WITHOUT_SUGGESTION] Bad: [2,b]. SQLSTATE: 22023\n"
        "\tat y\n"
    )
    explained = _explained(StatementFailed("Py4JJavaError", value))
    assert explained == (
        "Nothing was loaded. [MALFORMED_RECORD.WITHOUT_SUGGESTION] Bad: [2,b]. "
        "A line does not fit the others. Correct it, or see --delimiter and --format."
    )
    assert _explained(StatementFailed("Refused", "Because.")) == "Because."
    assert _explained(StatementFailed("OSError", "no\nmore")) == "Nothing was loaded. no"
