"""Livius: the Microsoft Fabric Livy API in front of real Apache Spark."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Look the version up when somebody asks for it: that takes longer than many a command."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("livius")
