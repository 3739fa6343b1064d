"""The audit log in the database: in the act's own transaction, and not to be rewritten."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from livius.adapters.store import SqlStore, open_store
from livius.domain.audit import Action, AuditRecord, entry
from livius.ports.store import AuditQuery
from support.records import WORKSPACE, make

EVERY = AuditQuery(workspace=WORKSPACE, limit=100)


def open_sql(tmp_path: Path, *, keep: timedelta) -> SqlStore:
    return SqlStore(open_store(tmp_path / "livius.db"), keep_audit=keep)


async def add(store: SqlStore) -> None:
    session, driver = make()
    created = entry(session, Action.SESSION_CREATE, at=datetime.now(UTC), result="accepted")
    await store.add_session(session, driver, audit=created)
    assert AuditRecord(number=1, entry=created) in await store.audit(EVERY)


@pytest.mark.parametrize(
    "rewrite",
    [
        "UPDATE audit SET result = 'x'",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT * FROM audit",
    ],
)
async def test_the_database_refuses_to_rewrite_it(tmp_path: Path, rewrite: str) -> None:
    store = open_sql(tmp_path, keep=timedelta(days=1))

    def work(connection: Connection) -> None:
        connection.execute(text(rewrite))

    try:
        await add(store)
        with pytest.raises(IntegrityError, match="audit log is"):
            await store._transactions.run(work)
        assert len(await store.audit(EVERY)) == 1
        await store.forget_audit(datetime.now(UTC) + timedelta(hours=1))
        assert len(await store.audit(EVERY)) == 1
    finally:
        store.close()


async def test_what_is_past_keeping_goes(tmp_path: Path) -> None:
    store = open_sql(tmp_path, keep=timedelta(seconds=-1))
    try:
        await add(store)
        await store.forget_audit(datetime.now(UTC))
        assert await store.audit(EVERY) == []
    finally:
        store.close()


async def test_an_act_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    store = open_sql(tmp_path, keep=timedelta(days=1))
    session, driver = make()
    created = entry(session, Action.SESSION_CREATE, at=datetime.now(UTC), result="accepted")
    try:
        await store.add_session(session, driver, audit=created)
        with pytest.raises(IntegrityError):
            await store.add_session(session, driver, audit=created)
        assert len(await store.audit(EVERY)) == 1
    finally:
        store.close()
