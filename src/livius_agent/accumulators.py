"""Where Spark's JVM sends the updates of accumulators: a port that strangers can reach, too.

PySpark's own server takes one connection at a time, so that a silent stranger keeps the JVM out,
and prints a traceback into a statement's output for a peer without a token.
"""

from __future__ import annotations

import socketserver
import sys
from typing import Any


def let_strangers_be() -> None:
    """Have PySpark's accumulator server go on beside strangers, and say nothing of them.

    Called before the SparkContext is made. What goes wrong on the JVM's connection, such as in an
    accumulator's own code, is printed as before.
    """
    from pyspark import accumulators

    # The name since PySpark 4, and the one before.
    name = next(
        one for one in ("AccumulatorTCPServer", "AccumulatorServer") if hasattr(accumulators, one)
    )

    class Server(socketserver.ThreadingMixIn, getattr(accumulators, name)):  # type: ignore[misc]
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not _is_strangers(sys.exc_info()[1]):
                super().handle_error(request, client_address)

    setattr(accumulators, name, Server)


def _is_strangers(error: BaseException | None) -> bool:
    return isinstance(error, ConnectionError | UnicodeDecodeError) or (
        isinstance(error, ValueError) and "token to the AccumulatorServer" in str(error)
    )
