"""Livius: the Microsoft Fabric Livy API in front of real Apache Spark."""

from importlib.metadata import version
from typing import Final

__version__: Final = version("livius")
