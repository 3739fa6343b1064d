"""The records in a relational database: SQLite through SQLAlchemy Core, schema by Alembic."""

from livius.adapters.store.engine import open_store
from livius.adapters.store.schema import SchemaMismatch
from livius.adapters.store.store import SqlStore

__all__ = ["SchemaMismatch", "SqlStore", "open_store"]
