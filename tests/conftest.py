"""What all tests share."""

import os

from hypothesis import settings

# On CI the same examples each time: what a new one finds is no fault of the change under test.
# A busy machine is no fault either: each test has its timeout, no example one of its own.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
