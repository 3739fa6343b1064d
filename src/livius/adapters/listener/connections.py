"""All open connections: their number is bounded, and each peer has a deadline.

A connection *waits* while the gateway needs bytes of its peer: a handshake, a request's head or
body, the next request, or the peer's reading of an answer. Then it has a deadline. While the
gateway works on a request, or holds it, the connection has none.

At the limit, a new connection replaces the one that has waited longest among those without an
authenticated caller. So idle connections of strangers, however many, keep nobody out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

_SWEEP_EVERY: Final = 0.5
_FEWEST_OWN: Final = 128
_OWN_SHARE: Final = 4
_IPV6_NETWORK: Final = 64

_log = structlog.get_logger(__name__)


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files as far as the system allows, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # An unlimited number is written as -1.
    return hard if hard != resource.RLIM_INFINITY else 2**31 - 1


def within_descriptors(most: int, descriptors: int) -> int:
    """Return the limit of connections that leaves enough files for the gateway's own needs."""
    return max(1, min(most, descriptors - max(_FEWEST_OWN, descriptors // _OWN_SHARE)))


@dataclass(slots=True, eq=False)
class Connection:
    """One connection. ``known``: a request on it was authenticated."""

    peer: str
    abort: Callable[[], object]
    deadline: float
    known: bool = False


class Connections:
    """The connections of all listeners. For the event loop's thread only.

    At most ``most`` in all and ``most_of_peer`` of one address. ``patience`` is how many seconds a
    peer may take for a request's head, and for a body that does not move; ``keep_alive`` how long
    a connection may be idle between two requests. ``dropped`` is called with the reason for each
    connection that is ended or refused.
    """

    def __init__(
        self,
        *,
        most: int,
        most_of_peer: int,
        patience: float,
        keep_alive: float,
        dropped: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self.most = most
        # One address alone never fills all of the places.
        self.most_of_peer = max(1, min(most_of_peer, most * 3 // 4))
        self.patience = patience
        self.keep_alive = keep_alive
        self._dropped = dropped
        self._open: set[Connection] = set()
        self._of_peer: Counter[str] = Counter()
        # Waiting strangers, in the order in which their waits began.
        self._waiting: dict[Connection, None] = {}

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def admit(self, address: str, abort: Callable[[], object]) -> Connection | None:
        """Return a new connection, which waits; None if there is no place for it."""
        peer = _peer(address)
        if (self._of_peer[peer] >= self.most_of_peer and not self.make_room(peer)) or (
            len(self._open) >= self.most and not self.make_room()
        ):
            self._drop("refused")
            return None
        connection = Connection(peer, abort, time.monotonic() + self.patience)
        self._open.add(connection)
        self._of_peer[peer] += 1
        self._waiting[connection] = None
        return connection

    def make_room(self, peer: str | None = None) -> bool:
        """End the longest waiting stranger, of ``peer`` if given; tell whether there was one."""
        for connection in self._waiting:
            if peer in (None, connection.peer):
                self._end(connection, "displaced")
                return True
        return False

    def note_known(self, connection: Connection) -> None:
        """Mark a connection as authenticated. It keeps its place from now on."""
        connection.known = True
        self._waiting.pop(connection, None)

    def waits(self, connection: Connection, until: float) -> None:
        """Mark a connection as waiting for its peer."""
        connection.deadline = until
        if connection in self._open and not connection.known:
            self._waiting.setdefault(connection)

    def works(self, connection: Connection) -> None:
        """Mark a connection as not waiting: it is the gateway's turn."""
        connection.deadline = math.inf
        self._waiting.pop(connection, None)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        if connection in self._open:
            self._open.discard(connection)
            self._waiting.pop(connection, None)
            self._of_peer[connection.peer] -= 1
            if not self._of_peer[connection.peer]:
                del self._of_peer[connection.peer]

    def sweep(self, now: float) -> None:
        """End the connections whose peers have taken too long."""
        for connection in [one for one in self._open if one.deadline < now]:
            self._end(connection, "late")

    async def run(self) -> None:
        """Sweep repeatedly until cancelled.

        If the event loop was busy when a sweep was due, it has yet to read what peers sent
        meanwhile. So each sweep is as of the moment at which it was due.
        """
        while True:
            due = time.monotonic() + _SWEEP_EVERY
            await asyncio.sleep(_SWEEP_EVERY)
            self.sweep(due)

    def _end(self, connection: Connection, reason: str) -> None:
        """End a connection at once: a close in order would wait for a peer that doesn't read."""
        self.lost(connection)
        connection.abort()
        self._drop(reason)

    def _drop(self, reason: str) -> None:
        self._dropped(reason)
        _log.debug("connection_dropped", reason=reason, open=len(self._open))


def _peer(address: str) -> str:
    """Return the peer's address, or its network for IPv6, where everybody has many addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
    return address
