"""Marks of tests."""

import pytest

from support.gateway import RUNTIME

IS_SPARK_4 = RUNTIME != "1.3"
"""Whether the tests' sessions have Spark 4."""


def of_spark_4(what: str) -> pytest.MarkDecorator:
    """For a test of something that Runtime 1.3 can't have."""
    return pytest.mark.skipif(not IS_SPARK_4, reason=f"Spark 3.5 has no {what}")
