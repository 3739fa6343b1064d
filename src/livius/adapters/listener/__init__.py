"""The ports that the gateway listens at, and what keeps strangers from filling them.

Uvicorn speaks HTTP; what it has no limits for is here: how many connections there are, in all and
of one address, how long a peer may take to send a request, and how large a request's head may be.
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
