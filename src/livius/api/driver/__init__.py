"""The endpoint of agents."""

from livius.api.driver.routes import router

__all__ = ["router"]
