"""The front page and the health routes."""

from livius.api.home.routes import Facts, router

__all__ = ["Facts", "router"]
