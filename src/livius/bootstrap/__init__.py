"""The composition root: builds the adapters, wires the core, owns every task of the gateway.

Order of a start: store, identity, recovery, listeners, ``connection.json``. Order of an end:
drivers (unless they are to go on), metastore, listeners, store. A service that fails is
started again (`livius.reconcile.services`); only a port that can't be listened at ends the
process.
"""

from livius.bootstrap.lifespan import serve

__all__ = ["serve"]
