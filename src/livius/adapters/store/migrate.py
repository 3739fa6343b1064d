"""Migrates a database to the present schema."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from livius.adapters.store.schema import SchemaMismatch

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine) -> None:
    """Bring the database to the present schema, in one transaction.

    Raises:
        SchemaMismatch: it is newer than this version of Livius.
    """
    with engine.begin() as connection:
        config = alembic_config(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        present = MigrationContext.configure(connection).get_current_revision()
        if present is not None and present not in known:
            raise SchemaMismatch(
                f"The database has revision {present}, which this version of Livius does not know. "
                "It was made by a newer version, or before the first release: use that one for it."
            )
        command.upgrade(config, "head")
