"""A driver where the machine has neither Java 17 nor a way to show the lakehouse at its place.

Livius brings Java 21 then. `Thread.stop`, which could end a loop on Java 17, is gone there.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark.test_cancel import IN_SCALA, SCALA, assert_still, begin, cancelled
from spark.test_mount import PLACE
from support.clients import java_21
from support.gateway import AS_INSTALLED, Gateway, RemoteSession, by_runtime, runtime_folder

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def session() -> Iterator[RemoteSession]:
    """A session of a gateway whose Java is 21, which shows no lakehouse."""
    settings = {
        **AS_INSTALLED,
        "LIVIUS_JAVA_HOME": str(java_21()),
        "LIVIUS_SHOW_LAKEHOUSE": "false",
        "LIVIUS_CANCEL_GRACE": "PT3S",
    }
    archives = runtime_folder() / "shared-classes"
    with (
        tempfile.TemporaryDirectory(prefix="livius-test-") as folder,
        (archives / ".lock").open("a") as making,
    ):
        # A class archive for this Java takes a minute to make: more than it saves one driver.
        fcntl.flock(making, fcntl.LOCK_EX)
        gateway = Gateway(Path(folder) / "home", settings)
        with gateway.serving(), gateway.client().session() as session:
            yield session


def test_it_is_java_21_where_the_runtime_takes_it(session: RemoteSession) -> None:
    version = session.text('println(System.getProperty("java.version"))', "spark")
    assert version.startswith(by_runtime("17.", "21."))


@pytest.mark.parametrize("code", IN_SCALA.values(), ids=IN_SCALA)
def test_scala_is_interrupted_there_too(session: RemoteSession, tmp_path: Path, code: str) -> None:
    beat = tmp_path / "beat"
    number = begin(session, SCALA + code, "spark", beat)
    assert "interrupted" in cancelled(session, number)
    assert_still(beat, session)


def test_without_the_lakehouse_at_its_place_errors_name_the_path_to_write(
    session: RemoteSession,
) -> None:
    output = session.run(f"open('{PLACE}/Files/x.csv')")
    assert output["ename"] == "FileNotFoundError"
    assert "write Files/x.csv instead" in output["evalue"]
    for code, kind in (
        (f"spark.read.csv('file:{PLACE}/Files/x.csv')", "pyspark"),
        (f"import pandas; pandas.read_csv('{PLACE}/Files/x.csv')", "pyspark"),
        (f'scala.io.Source.fromFile("{PLACE}/Files/x.csv")', "spark"),
        (f"select * from csv.`file:{PLACE}/Files/x.csv`", "sql"),
    ):
        assert "write Files/x.csv instead" in session.run(code, kind)["evalue"], code
