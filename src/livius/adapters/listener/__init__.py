"""The gateway's listeners, and limits that keep strangers from filling them.

Uvicorn speaks HTTP. This package adds limits that it lacks: on connections, in all and of one
address, on the time in which a peer sends a request, and on the size of a request's head.
"""

from livius.adapters.listener.connections import (
    Connections,
    raise_descriptor_limit,
    within_descriptors,
)
from livius.adapters.listener.protocols import GuardedWebSocket
from livius.adapters.listener.server import Server

__all__ = [
    "Connections",
    "GuardedWebSocket",
    "Server",
    "raise_descriptor_limit",
    "within_descriptors",
]
