"""How tests with Spark are distributed, so that all workers end at about the same time."""

from pathlib import Path, PurePosixPath

import pytest

TESTS = Path(__file__).parents[1]

WITH_SPARK = ("fault", "spark")
"""The folders whose tests all have the mark ``spark``; no others have it."""

TOGETHER = ("fault", "per_user")
"""The folders whose files share gateways and drivers."""

LONGEST_FIRST = (
    "tests/spark/test_cancel.py",
    "tests/fault",
    "tests/spark/test_up.py",
    "tests/spark/test_pool.py",
    "tests/spark/per_user",
    "tests/spark/test_scala.py",
    "tests/spark/test_errors.py",
    "tests/spark/test_own_data.py",
    "tests/spark/test_monitoring.py",
    "tests/spark/test_odd_cells.py",
    "tests/spark/test_onelake.py",
    "tests/spark/test_local_trust.py",
    "tests/spark/test_other_machine.py",
    "tests/spark/test_unchanged_programs.py",
    "tests/spark/test_values.py",
)
"""A long file that began last would leave the other workers idle. `--durations` shows the times."""


def share(nodeid: str) -> str:
    """Name the tests that stay on one worker to share a gateway: a file, or a whole folder."""
    file = PurePosixPath(nodeid.partition("::")[0])
    return str(file.parent if file.parent.name in TOGETHER else file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort the longest files to the front; the others keep their order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(share(item.nodeid), len(places)))


def check_marks(items: list[pytest.Item]) -> None:
    """Refuse a test that neither group of `make test` would run.

    Raises:
        pytest.UsageError: its mark and its folder disagree.
    """
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if (item.get_closest_marker("spark") is not None) != (folder in WITH_SPARK):
            raise pytest.UsageError(
                f"{item.nodeid}: tests in {WITH_SPARK}, and no others, are marked spark"
            )
