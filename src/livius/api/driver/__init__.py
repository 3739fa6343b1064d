"""Where agents dial in."""

from livius.api.driver.routes import router

__all__ = ["router"]
