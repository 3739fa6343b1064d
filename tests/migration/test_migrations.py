"""The schema that the migrations make is the one that the code has."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from livius.adapters.store import SchemaMismatch, open_store
from livius.adapters.store.engine import open_engine
from livius.adapters.store.migrate import alembic_config, migrate
from livius.adapters.store.rows import session_row
from livius.adapters.store.schema import METADATA, SESSIONS
from livius.domain.session import Phase
from support.records import NOW, make


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    migrated = open_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    open_store(tmp_path / "created.db").close()
    created = open_engine(f"sqlite:///{tmp_path / 'created.db'}")
    migrate(migrated)
    with migrated.connect() as one, created.connect() as other:
        context = MigrationContext.configure(one, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert _schema(one) == _schema(other)
        version = text("SELECT version_num FROM alembic_version")
        assert one.execute(version).all() == other.execute(version).all()
    migrated.dispose()
    created.dispose()


def _schema(connection: Connection) -> dict[str, object]:
    """Return what a database is made of, in no order: columns come in that of the migrations."""
    parts = connection.execute(text("SELECT type, name, tbl_name FROM sqlite_master")).all()
    found: dict[str, object] = {"": sorted(map(tuple, parts))}
    for name in sorted(part.name for part in parts if part.type == "table"):
        columns = connection.execute(text(f"PRAGMA table_info({name})")).all()
        keys = connection.execute(text(f"PRAGMA foreign_key_list({name})")).all()
        checks = inspect(connection).get_check_constraints(name)
        found[name] = (
            sorted(tuple(column)[1:] for column in columns),
            sorted(tuple(key)[2:] for key in keys),
            sorted((str(check["name"]), str(check["sqltext"])) for check in checks),
        )
    return found


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'livius.db'}")
    migrate(engine)
    migrate(engine)
    engine.dispose()


def test_sessions_of_before_are_sorted_by_their_duration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'livius.db'}")
    session, _driver = make()
    ended = replace(session, phase=Phase.STOPPED, times={Phase.STOPPED: NOW + timedelta(seconds=3)})
    other, _driver = make()
    expected = {}
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0009")
        for one in (ended, other):
            row = session_row(one)
            expected[one.id] = row.pop("duration_key")
            connection.execute(insert(SESSIONS).values(row))
    migrate(engine)
    with engine.connect() as connection:
        keys = connection.execute(select(SESSIONS.c.id, SESSIONS.c.duration_key)).all()
    assert {row.id: row.duration_key for row in keys} == expected
    assert expected[ended.id] == "0000000000003000"
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
    old = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with old.begin() as connection:
        command.upgrade(alembic_config(connection), "0009")
    old.dispose()
    with monkeypatch.context() as patch:
        # A new database and a present one are opened without it; one of before can't be.
        patch.setitem(sys.modules, "livius.adapters.store.migrate", None)
        for _ in range(2):
            open_store(tmp_path / "livius.db").close()
        with pytest.raises(ImportError):
            open_store(tmp_path / "old.db")
    open_store(tmp_path / "old.db").close()


def test_the_audit_log_moves_whole_and_goes_on_counting(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'livius.db'}")
    kept = (
        "INSERT INTO audit (at, kept_until, action, workspace, lakehouse, session, result) VALUES "
        "('2026-01-01', '{until}', 'session.create', 'w', 'l', 's', 'accepted')"
    )
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0009")
        connection.execute(text(kept.format(until="9999-01-01 00:00:00")))
        connection.execute(text(kept.format(until="2000-01-01 00:00:00")))
        connection.execute(text("DELETE FROM audit WHERE number = 2"))
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit (at, kept_until, action, result, times) "
                "VALUES ('2026-01-01', '9999-01-01 00:00:00', 'sign_in', 'ok', 1)"
            )
        )
        rows = connection.execute(text("SELECT number, action, session, times FROM audit")).all()
    assert [tuple(row) for row in rows] == [(1, "session.create", "s", 1), (3, "sign_in", None, 1)]
    for rewrite in ("UPDATE audit SET result = 'x'", "DELETE FROM audit WHERE number = 1"):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text(rewrite))
    engine.dispose()
