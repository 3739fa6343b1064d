"""Measurements of Livius against its floor: the same work in plain PySpark.

They start gateways and clients as the tests do, so the tests' helpers are on the path of each.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
