"""Names that are unique in any case: of workspaces, and of things in a workspace."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select


def name_key(name: str) -> str:
    """Return what is unique of a name."""
    return name.lower()


def is_name_taken(
    connection: Connection, table: Table, name: str, *, but: str, workspace: str | None = None
) -> bool:
    """Tell whether another row of the table has the name, in any case.

    ``but`` is the id of the row that may have it. ``workspace``: only rows of it count.
    """
    query = select(table.c.id).where(table.c.name_key == name_key(name), table.c.id != but)
    if workspace is not None:
        query = query.where(table.c.workspace == workspace)
    return connection.execute(query).first() is not None
