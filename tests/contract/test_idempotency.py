"""A key is recorded with what its request makes: once, however many ask at once."""

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from livius.adapters.store import SqlStore, open_store
from livius.domain.audit import Action, entry
from livius.domain.errors import Exhausted
from livius.domain.idempotency import VALID_FOR, IdempotencyKey, KeyReused, MadeBefore
from livius.domain.ids import PrincipalId, StatementNumber, new_id
from livius.domain.session import Phase, Session
from livius.ports.capacity import Occupancy
from livius.ports.store import AuditQuery, NewStatement, Store
from support.records import LAKEHOUSE, NOW, WORKSPACE, added, code, end_session, make, with_end

ADA = PrincipalId(new_id())
KEY = IdempotencyKey(principal=ADA, key="a", fingerprint="1", at=NOW)
OTHER_BODY = dataclasses.replace(KEY, fingerprint="2")
AT_ONCE = 16


async def create(store: Store, key: IdempotencyKey | None = KEY) -> str:
    session, driver = make()
    try:
        created = entry(session, Action.SESSION_CREATE, at=NOW, result="ok")
        await store.add_session(session, driver, key=key, audit=created)
    except MadeBefore as made:
        return made.resource
    return session.id


def keyed(session: Session, key: IdempotencyKey = KEY) -> NewStatement:
    return dataclasses.replace(code(session), key=key)


async def submit(store: Store, new: NewStatement) -> str:
    try:
        statement = await store.add_statement(new, claim=True)
    except MadeBefore as made:
        return made.resource
    assert statement is not None
    return str(statement.number)


async def test_of_sixteen_creates_with_one_key_one_makes_the_session(store: Store) -> None:
    made = await asyncio.gather(*(create(store) for _ in range(AT_ONCE)))
    assert len(set(made)) == 1
    found, total = await store.list_sessions(WORKSPACE, LAKEHOUSE, skip=0, top=AT_ONCE)
    assert ([one.id for one in found], total) == ([made[0]], 1)
    assert len(await store.audit(AuditQuery(limit=AT_ONCE))) == 1


async def test_of_sixteen_submits_with_one_key_one_makes_the_statement(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    new = keyed(session)
    made = await asyncio.gather(*(submit(store, new) for _ in range(AT_ONCE)))
    assert set(made) == {"0"}
    _found, total = await store.list_statements(session.first_repl, skip=0, top=AT_ONCE)
    assert total == 1


async def test_only_one_of_them_makes_something_though_transactions_see_each_other(
    read_committed: SqlStore,
) -> None:
    made = await asyncio.gather(*(create(read_committed) for _ in range(AT_ONCE)))
    assert len(set(made)) == len(await read_committed.live_sessions()) == 1
    session = await added(read_committed, phase=Phase.READY)
    new = keyed(session, dataclasses.replace(KEY, key="b"))
    assert set(await asyncio.gather(*(submit(read_committed, new) for _ in range(AT_ONCE)))) == {
        "0"
    }


async def test_of_two_bodies_with_one_key_at_once_one_is_refused(store: Store) -> None:
    done = await asyncio.gather(
        *(create(store, key) for key in (KEY, OTHER_BODY) * 4), return_exceptions=True
    )
    assert sum(isinstance(one, KeyReused) for one in done) == 4
    assert len({one for one in done if isinstance(one, str)}) == 1


async def test_another_body_is_refused_and_changes_nothing(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await submit(store, keyed(session))
    for again in (submit(store, keyed(session, OTHER_BODY)), create(store, OTHER_BODY)):
        with pytest.raises(KeyReused):
            await again
    assert await store.list_statements(session.first_repl, skip=0, top=9) == (
        [await store.statement(session.first_repl, StatementNumber(0))],
        1,
    )
    assert await store.live_sessions() == [session.id]


async def test_each_principal_has_keys_of_its_own(store: Store) -> None:
    another = dataclasses.replace(OTHER_BODY, principal=PrincipalId(new_id()))
    assert await create(store) != await create(store, another)


async def test_a_key_whose_request_was_refused_is_free(store: Store) -> None:
    def full(_: Occupancy) -> bool:
        raise Exhausted("TooManyRequestsForCapacity", "full")

    session, driver = make()
    with pytest.raises(Exhausted):
        await store.add_session(session, driver, admit=full, key=KEY)
    ended = await added(store, phase=Phase.READY)
    await end_session(store, ended.id, at=NOW, end=with_end())
    assert await store.add_statement(keyed(ended), claim=True) is None
    assert await create(store, OTHER_BODY) in await store.live_sessions()


async def test_a_repeat_finds_its_statement_when_the_session_has_ended(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await submit(store, keyed(session))
    await end_session(store, session.id, at=NOW, end=with_end())
    assert await submit(store, keyed(session)) == "0"


async def test_a_key_is_forgotten_after_a_day_and_goes_with_its_session(store: Store) -> None:
    session = await added(store, phase=Phase.READY)
    await submit(store, keyed(session))
    await store.forget_idempotency_keys(NOW + VALID_FOR)
    assert await submit(store, keyed(session)) == "0"
    await store.forget_idempotency_keys(NOW + VALID_FOR + timedelta(seconds=1))
    assert await submit(store, keyed(session)) == "1"
    await end_session(store, session.id, at=NOW, end=with_end())
    await store.remove_session(session.id)
    assert await create(store, OTHER_BODY) in await store.live_sessions()


async def test_a_key_outlives_the_process(tmp_path: Path) -> None:
    made = set()
    for _ in range(2):
        store = SqlStore(open_store(tmp_path / "livius.db"))
        made.add(await create(store))
        store.close()
    assert len(made) == 1
