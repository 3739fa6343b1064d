"""The schema that the migrations make is the one that the code has."""

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from livius.adapters.store import SchemaMismatch, open_store
from livius.adapters.store.dialects import Dialect, Postgresql, Sqlite
from livius.adapters.store.engine import open_database
from livius.adapters.store.migrate import alembic_config, migrate
from livius.adapters.store.schema import METADATA
from support import postgresql

NewDatabase = Callable[[], Dialect]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    if request.param == "postgresql":
        cluster = request.getfixturevalue("cluster")
        return lambda: Postgresql(postgresql.new_database(cluster))
    numbers = count()
    return lambda: Sqlite(f"sqlite:///{tmp_path / f'{next(numbers)}.db'}")


def test_migrations_make_exactly_the_schema(new_database: NewDatabase) -> None:
    from_scratch = new_database()
    open_database(from_scratch).close()
    created, migrated = from_scratch.open(), new_database().open()
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
    if connection.dialect.name == "postgresql":
        return {query: sorted(map(str, connection.execute(text(query)))) for query in OF_POSTGRESQL}
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


OF_POSTGRESQL = (
    """
    SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """
    SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
)
"""A database's schema, without the order of columns."""


def test_migrating_twice_changes_nothing(new_database: NewDatabase) -> None:
    engine = new_database().open()
    migrate(engine)
    migrate(engine)
    engine.dispose()


def test_names_of_before_get_their_keys(new_database: NewDatabase) -> None:
    engine = new_database().open()
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0003")
        add = "INSERT INTO workspaces (id, name, created_at) VALUES (:id, :name, '2026-01-01')"
        connection.execute(text(add), [{"id": "1", "name": "Ä"}, {"id": "2", "name": "B"}])
    migrate(engine)
    with engine.begin() as connection:
        keys = connection.execute(text("SELECT id, name_key FROM workspaces ORDER BY id")).all()
    assert keys == [("1", "ä"), ("2", "b")]
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE workspaces SET name_key = 'b'"))
    engine.dispose()


def test_drivers_of_before_follow_their_sessions(new_database: NewDatabase) -> None:
    engine = new_database().open()
    phases = ("requested", "ready", "stopping", "died")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0004")
        for number, phase in enumerate(phases):
            values = {
                "id": f"s{number}",
                "repl": f"r{number}",
                "driver": f"d{number}",
                "phase": phase,
                "goal": "stop" if phase == "stopping" else "run",
            }
            connection.execute(text(SESSION_OF_BEFORE), values)
            connection.execute(text(DRIVER_OF_BEFORE), values)
    migrate(engine)
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT phase, goal, owner, runtime, first_repl FROM drivers ORDER BY id")
        ).all()
    assert found == [
        ("requested", "run", "session", "2.0", "r0"),
        ("ready", "run", "session", "2.0", "r1"),
        ("ending", "end", "session", "2.0", "r2"),
        ("ended", "run", "session", "2.0", "r3"),
    ]
    engine.dispose()


SESSION_OF_BEFORE = """
INSERT INTO sessions (id, workspace, lakehouse, submitter, submitter_name, name, runtime, conf,
  tags, request, goal, phase, driver, first_repl, idle_seconds, created_at, last_active_at, times,
  log, versions)
VALUES (:id, 'w', 'l', 'p', 'Ada', 'n', '2.0', '{}', '{}', '{}', :goal, :phase, :driver, :repl, 60,
  '2026-01-01', '2026-01-01', '{}', '[]', '{}')
"""
DRIVER_OF_BEFORE = (
    "INSERT INTO drivers (id, session, created_at) VALUES (:driver, :id, '2026-01-01')"
)


def test_outlines_of_before_are_made_of_what_was_stored(new_database: NewDatabase) -> None:
    engine = new_database().open()
    ends = ('{"ok": true, "text": null}', '{"ok": false}', None)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0015")
        session = {"id": "s", "repl": "r", "driver": "d", "phase": "ready", "goal": "run"}
        connection.execute(text(SESSION_OF_BEFORE), session)
        for number, ending in enumerate(ends):
            values = {
                "number": number,
                "ending": ending,
                "phase": "available" if ending else "running",
            }
            connection.execute(text(STATEMENT_OF_BEFORE), values)
        connection.execute(text(JOBS_OF_BEFORE), {"jobs": SOME_JOBS})
    migrate(engine)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT ok FROM statements ORDER BY number")).scalars()
        assert [None if ok is None else bool(ok) for ok in found] == [True, False, None]
        counts = text("SELECT total, failed, cancelled FROM statement_jobs")
        assert connection.execute(counts).all() == [(9, 2, 1)]
    engine.dispose()


STATEMENT_OF_BEFORE = """
INSERT INTO statements (repl, number, session, driver, kind, code, phase, created_at, progress,
  ending)
VALUES ('r', :number, 's', 'd', 'sql', '1', :phase, '2026-01-01', 0, :ending)
"""
JOBS_OF_BEFORE = (
    "INSERT INTO statement_jobs (repl, number, session, jobs) VALUES ('r', 0, 's', :jobs)"
)
SOME_JOBS = """
{"total": 9, "jobs": [
  {"status": "FAILED"}, {"status": "FAILED"}, {"status": "CANCELLED"}, {"status": "SUCCEEDED"}]}
"""


def test_a_database_of_a_newer_version_is_refused_untouched(new_database: NewDatabase) -> None:
    engine = new_database().open()
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
    old = Sqlite(f"sqlite:///{tmp_path / 'old.db'}").open()
    with old.begin() as connection:
        command.ensure_version(alembic_config(connection))
    old.dispose()
    with monkeypatch.context() as patch:
        # A new database and a present one are opened without it; one of before can't be.
        patch.setitem(sys.modules, "livius.adapters.store.migrate", None)
        for _ in range(2):
            open_store(tmp_path / "livius.db").close()
        with pytest.raises(ImportError):
            open_store(tmp_path / "old.db")
    open_store(tmp_path / "old.db").close()


def test_the_audit_log_of_a_migrated_database_is_not_rewritten(new_database: NewDatabase) -> None:
    engine = new_database().open()
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit (at, kept_until, action, result, times) "
                "VALUES ('2026-01-01', '9999-01-01 00:00:00', 'sign_in', 'ok', 1)"
            )
        )
    for rewrite in ("UPDATE audit SET result = 'x'", "DELETE FROM audit"):
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text(rewrite))
    engine.dispose()
