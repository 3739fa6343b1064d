"""The fixtures of all tests."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from support import postgresql
from support.distribution import check_marks, longest_first, share
from support.gateway import DEFAULTS

# On CI the same examples each time: what a new one finds is no fault of the change under test.
# A busy machine is no fault either: each test has its timeout, no example one of its own.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Else each gateway, command and client program compiles its modules for itself, which takes half of
# the time of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell's background jobs inherit that SIGINT is ignored, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Java's second compiler takes half of the time of drivers that live as briefly as those of tests,
# and the collections that a small heap and metaspace need while they grow take a seventh. Without
# that compiler Java keeps little room for code, which a session of many tests fills.
DEFAULTS["LIVIUS_DRIVER_JAVA_OPTIONS"] = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:MetaspaceSize=256m -Xms512m"
)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a PostgreSQL's first database."""
    if not postgresql.IS_INSTALLED:
        pytest.skip("PostgreSQL's programs are not on the PATH")
    with postgresql.cluster() as url:
        yield url


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the random tests take more rounds by hand."""
    parser.addoption("--cancels", type=int, default=2, help="random cancels of each kind of code")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile``: tests that share a gateway stay together, the longest first."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # it sorts by the number of tests
    scheduling = LoadFileScheduling(config, log)
    scheduling._split_scope = share
    return scheduling


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    check_marks(items)
    longest_first(items)
