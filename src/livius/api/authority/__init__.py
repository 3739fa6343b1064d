"""The embedded authority's endpoints, in Entra's form."""

from livius.api.authority.elsewhere import elsewhere
from livius.api.authority.routes import router

__all__ = ["elsewhere", "router"]
