"""What all tests share."""

import os

import pytest
from hypothesis import settings

# On CI the same examples each time: what a new one finds is no fault of the change under test.
# A busy machine is no fault either: each test has its timeout, no example one of its own.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the random tests take more rounds by hand."""
    parser.addoption("--cancels", type=int, default=2, help="random cancels of each kind of code")
