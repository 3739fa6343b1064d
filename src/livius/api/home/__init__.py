"""The root of all addresses, and the health routes."""

from livius.api.home.routes import Facts, router

__all__ = ["Facts", "router"]
