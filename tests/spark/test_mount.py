"""The lakehouse at /lakehouse/default, for a session's own processes."""

import os
from pathlib import Path

import pytest

from support.gateway import RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

PLACE = "/lakehouse/default"
WAS_THERE = Path("/lakehouse").exists()


def test_files_there_are_the_lakehouses_for_every_program(session: RemoteSession) -> None:
    session.text(f"open('{PLACE}/Files/mounted.csv', 'w').write('a,b\\n1,2\\n')")
    assert session.text("open('Files/mounted.csv').read()") == "'a,b\\n1,2\\n'"
    assert session.text(f"import os; sorted(os.listdir('{PLACE}'))") == "['Files', 'Tables']"
    pandas = f"import pandas; int(pandas.read_csv('{PLACE}/Files/mounted.csv').b.sum())"
    assert session.text(pandas) == "2"
    for address in (f"{PLACE}/Files/mounted.csv", f"file:{PLACE}/Files/mounted.csv"):
        read = f"spark.read.option('header', True).csv('{address}').count()"
        assert session.text(read) == "1"
        assert session.rows(f"select count(*) from csv.`{address}`") == [[2]]
    scala = f'println(scala.io.Source.fromFile("{PLACE}/Files/mounted.csv").mkString.trim)'
    assert session.text(scala, "spark") == "a,b\n1,2"
    child = f"import subprocess; subprocess.check_output(['ls', '{PLACE}/Files/mounted.csv'])"
    assert "mounted.csv" in session.text(child)
    udf = (
        "from pyspark.sql.functions import udf\n"
        f"size = udf(lambda _: len(open('{PLACE}/Files/mounted.csv').read()), 'int')\n"
        "spark.range(1).select(size('id')).first()[0]"
    )
    assert session.text(udf) == "8"


def test_an_unknown_file_there_is_told_as_usual(session: RemoteSession) -> None:
    output = session.run(f"open('{PLACE}/Files/not-there.csv')")
    assert output["ename"] == "FileNotFoundError"
    assert "instead" not in output["evalue"]


def test_nothing_of_it_is_on_the_machine(session: RemoteSession) -> None:
    session.text("1")
    mounts = Path("/proc/self/mountinfo").read_text()
    assert PLACE not in mounts
    assert not os.path.ismount(PLACE)
    assert Path("/lakehouse").exists() == WAS_THERE
