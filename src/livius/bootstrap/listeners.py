"""The https port and the loopback http port."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

import uvicorn

import livius_agent.wire
from livius.adapters.listener import Connections, GuardedWebSocket, Server
from livius.api.driver.protocol import LinkProtocol
from livius.domain.intercepted_hosts import is_intercepted
from livius.installation.certificates import Certificates

_LISTENERS_END_WITHIN: Final = 2
KEEP_ALIVE: Final = 75
"""Seconds.

Clients sleep five, ten or thirty between polls; a connection that is closed at the moment of a
request fails the request.
"""


class _WebSocket(GuardedWebSocket, LinkProtocol):
    """An agent's link within the listener's limits."""


def listener(
    app: object, host: str, port: int, certificates: Certificates | None, connections: Connections
) -> Server:
    """Return a listener; with certificates it speaks https."""
    return Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type] # an ASGI application
            host=host,
            port=port,
            ssl_certfile=certificates.leaf_file if certificates else None,
            ssl_keyfile=certificates.leaf_key_file if certificates else None,
            ssl_context_factory=_with_intercepted_hosts(certificates) if certificates else None,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws=_WebSocket,
            ws_max_size=livius_agent.wire.MAX_FRAME_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # the agents' own heartbeats say more
            timeout_graceful_shutdown=_LISTENERS_END_WITHIN,
            timeout_keep_alive=KEEP_ALIVE,
        ),
        connections,
    )


def _with_intercepted_hosts(
    certificates: Certificates,
) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    """Present callers of an intercepted host with its certificate, and others with ours."""

    def make(_config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        own, intercepting = default(), default()
        intercepting.load_cert_chain(certificates.intercept_file, certificates.intercept_key_file)

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None and is_intercepted(name):
                connection.context = intercepting

        own.sni_callback = choose
        return own

    return make
