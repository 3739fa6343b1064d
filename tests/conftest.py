"""What all tests share."""

import os

from hypothesis import settings

# On CI the same examples each time: what a new one finds is no fault of the change under test.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
