"""The schema that the migrations make is the one that the code has."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text

from livius.adapters.store import SchemaMismatch, open_store
from livius.adapters.store.engine import open_engine
from livius.adapters.store.migrate import migrate
from livius.adapters.store.rows import session_row
from livius.adapters.store.schema import METADATA, SESSIONS
from livius.domain.session import Phase
from support.records import NOW, make


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    migrated = open_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    created = open_engine(f"sqlite:///{tmp_path / 'created.db'}")
    migrate(migrated)
    METADATA.create_all(created)
    with migrated.connect() as one, created.connect() as other:
        context = MigrationContext.configure(one, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        query = text(
            "SELECT type, name, tbl_name FROM sqlite_master "
            "WHERE name != 'alembic_version' AND tbl_name != 'alembic_version' ORDER BY 1, 2"
        )
        assert one.execute(query).all() == other.execute(query).all()
    migrated.dispose()
    created.dispose()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'livius.db'}")
    migrate(engine)
    migrate(engine)
    engine.dispose()


def test_sessions_of_before_are_sorted_by_their_duration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'livius.db'}")
    migrate(engine)
    session, _driver = make()
    ended = replace(session, phase=Phase.STOPPED, times={Phase.STOPPED: NOW + timedelta(seconds=3)})
    other, _driver = make()
    with engine.begin() as connection:
        for one in (ended, other):
            connection.execute(insert(SESSIONS).values(session_row(one)))
        keys = select(SESSIONS.c.duration_key).order_by(SESSIONS.c.id)
        expected = connection.execute(keys).all()
        connection.execute(text("ALTER TABLE sessions DROP COLUMN duration_key"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(keys).all() == expected
    assert ("0000000000003000",) in expected
    engine.dispose()


def test_a_database_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'livius.db'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="newer"):
        migrate(engine)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    assert found == "9999"
    engine.dispose()


def test_opening_knows_without_alembic_whether_there_is_something_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path / "livius.db").close()
    with monkeypatch.context() as patch:
        # A present database is opened without it; one that isn't can't be.
        patch.setitem(sys.modules, "livius.adapters.store.migrate", None)
        open_store(tmp_path / "livius.db").close()
        with pytest.raises(ImportError):
            open_store(tmp_path / "other.db")
