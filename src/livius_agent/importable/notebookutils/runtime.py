"""Where and for whom this session runs."""

from typing import Any

from livius_agent import notebook as _notebook


def _context() -> dict[str, Any]:
    """Where and for whom this session runs: ids and names as they are now."""
    return _notebook.ask("context")


def __getattr__(name: str) -> Any:
    if name == "context":
        return _context()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def help(method: str = "") -> None:
    """List the attributes."""
    del method
    print(f"context\n    {_context.__doc__}")
