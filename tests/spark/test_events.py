"""Streams of events with real Spark: the page's commands as pasted, and how soon text arrives."""

import statistics
import subprocess
import time

import pytest

from support.documents import blocks
from support.gateway import ROOT, Gateway, RemoteSession

pytestmark = pytest.mark.spark

PRINTS = 20
CODE = f"""
import time
for _ in range({PRINTS}):
    time.sleep(0.1)
    print(time.time(), flush=True)
"""


@pytest.mark.timeout(400)
def test_the_commands_of_the_page_print_what_it_says(gateway: Gateway) -> None:
    [block] = blocks(ROOT / "docs" / "how-to" / "follow-output.md", "bash")
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + block.code],
        cwd=ROOT,
        env=gateway.environment | {"NO_PROXY": "localhost", "no_proxy": "localhost"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert block.is_printed(done.stdout), done.stdout


def test_text_arrives_the_moment_that_it_is_printed(session: RemoteSession) -> None:
    number = session.submit(CODE)
    delays, text = [], ""
    for name, data in session.events(number):
        if name == "output":
            delays.append(time.time() - float(data["text"].splitlines()[-1]))
            text += data["text"]
    assert len(text.splitlines()) == PRINTS
    assert statistics.median(delays) < 0.1


def test_a_query_shows_its_progress(session: RemoteSession) -> None:
    session.text("import time")
    number = session.submit(
        "spark.sparkContext.parallelize(range(6), 6).foreach(lambda _: time.sleep(1))"
    )
    seen = [data for name, data in session.events(number) if name == "progress"]
    shares = [data["progress"] for data in seen]
    assert shares == sorted(shares)
    assert any(0 < share < 1 for share in shares), shares
    [job] = seen[-1]["jobs"]
    assert job["numTasks"] == 6
    assert job["stages"]
