"""The Fabric dialect: paths, status codes, bodies and words of the Fabric Livy API."""

from livius.api.fabric.routes import router

__all__ = ["router"]
