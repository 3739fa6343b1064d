"""The composition root: builds the adapters, wires the core, owns every task of the gateway.

Order of a start: store, identity, recovery, listeners, ``connection.json``. Order of an end:
drivers (unless they are to go on), metastore, listeners, store. A service that dies ends the
process with an error, because a gateway whose loops are dead must not go on answering.
"""

from livius.bootstrap.serving import serve

__all__ = ["serve"]
