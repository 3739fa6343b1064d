"""The driver on the Java that Livius brings where the machine has none: Java 21.

`Thread.stop`, which could end a loop on Java 17, is gone there.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark.test_cancel import IN_SCALA, SCALA, assert_still, begin, cancelled
from support.clients import java_21
from support.gateway import AS_INSTALLED, Gateway, RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def session() -> Iterator[RemoteSession]:
    """A session of a gateway whose Java is 21."""
    with tempfile.TemporaryDirectory(prefix="livius-test-") as folder:
        gateway = Gateway(
            Path(folder) / "home",
            settings={
                **AS_INSTALLED,
                "LIVIUS_JAVA_HOME": str(java_21()),
                "LIVIUS_CANCEL_GRACE": "PT3S",
            },
        )
        try:
            with gateway.start().client().session() as session:
                yield session
            gateway.stop()
        finally:
            gateway.clean()


def test_it_is_java_21(session: RemoteSession) -> None:
    version = session.text('println(System.getProperty("java.version"))', "spark")
    assert version.startswith("21.")


@pytest.mark.parametrize("code", IN_SCALA.values(), ids=IN_SCALA)
def test_scala_is_interrupted_there_too(session: RemoteSession, tmp_path: Path, code: str) -> None:
    beat = tmp_path / "beat"
    number = begin(session, SCALA + code, "spark", beat)
    assert "interrupted" in cancelled(session, number)
    assert_still(beat, session)
