"""The contract of stores: portal sessions."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fakes.world import principal
from livius.adapters.store import SqlStore, open_store
from livius.domain.accounts import User
from livius.domain.ids import PrincipalId, new_id
from livius.domain.portal_session import IDLE, LONGEST, PortalSession
from livius.domain.principal import Principal
from livius.ports.store import Store
from support.records import NOW


def portal_session(caller: Principal, minute: int = 0) -> PortalSession:
    at = NOW + timedelta(minutes=minute)
    return PortalSession(key=new_id(), caller=caller, began_at=at, seen_at=at)


async def add(
    store: Store, *portal_sessions: PortalSession, of_one: int = 50, most: int = 1000
) -> None:
    for one in portal_sessions:
        await store.add_portal_session(one, most_of_one=of_one, most=most)


async def there(store: Store, *portal_sessions: PortalSession) -> list[bool]:
    return [await store.portal_session(one.key) is not None for one in portal_sessions]


async def test_a_portal_session_is_found_as_it_was_touched_and_forgotten(store: Store) -> None:
    ada, bo = portal_session(principal("Ada")), portal_session(principal("Bo"))
    await add(store, ada, bo)
    assert await store.portal_session(ada.key) == ada
    assert await store.portal_session("unknown") is None
    later = NOW + timedelta(minutes=5)
    await store.touch_portal_session(ada.key, at=later)
    assert await store.portal_session(ada.key) == replace(ada, seen_at=later)
    assert await store.portal_session(bo.key) == bo
    await store.remove_portal_session(ada.key)
    await store.remove_portal_session(ada.key)
    await store.touch_portal_session(ada.key, at=later)
    assert await there(store, ada, bo) == [False, True]


async def test_of_too_many_those_that_were_idle_for_longest_go(store: Store) -> None:
    ada, bo = principal("Ada"), principal("Bo")
    of_bo = portal_session(bo)
    of_ada = [portal_session(ada, minute) for minute in range(1, 5)]
    await add(store, of_bo, *of_ada[:3], of_one=3)
    await store.touch_portal_session(of_ada[0].key, at=NOW + timedelta(hours=1))
    await add(store, of_ada[3], of_one=3)
    assert await there(store, of_bo, *of_ada) == [True, True, False, True, True]
    newest = portal_session(principal("Cy"), 10)
    await add(store, newest, most=3)
    assert await there(store, of_bo, *of_ada, newest) == [False, True, False, False, True, True]


async def test_those_that_are_over_are_forgotten(store: Store) -> None:
    idle, long, going_on = (portal_session(principal()) for _ in range(3))
    long, going_on = replace(long, seen_at=NOW + LONGEST), replace(going_on, began_at=NOW + IDLE)
    going_on = replace(going_on, seen_at=NOW + LONGEST)
    await add(store, idle, long, going_on)
    await store.forget_portal_sessions(NOW + IDLE)
    assert await there(store, idle, long, going_on) == [True, True, True]
    await store.forget_portal_sessions(NOW + IDLE + timedelta(seconds=1))
    assert await there(store, idle, long, going_on) == [False, True, True]
    await store.forget_portal_sessions(NOW + LONGEST + timedelta(seconds=1))
    assert await there(store, idle, long, going_on) == [False, False, True]


async def test_a_user_who_is_removed_or_gets_another_password_has_no_portal_session(
    tmp_path: Path,
) -> None:
    store = SqlStore(open_store(tmp_path / "livius.db"))
    users = [
        User(
            oid=PrincipalId(new_id()),
            username=name,
            name=name,
            password_hash="x",
            created_at=NOW,
        )
        for name in ("ada", "bo", "cy")
    ]
    portal_sessions = [portal_session(principal(one.name, one.oid)) for one in users]
    try:
        for user in users:
            await store.add_user(user)
        await add(store, *portal_sessions)
        assert await store.remove_user(users[0].oid)
        assert not await store.remove_user(users[0].oid)
        assert await store.set_password(users[1].oid, "y")
        assert await there(store, *portal_sessions) == [False, False, True]
    finally:
        store.close()


async def test_portal_sessions_outlive_the_store(tmp_path: Path) -> None:
    kept = portal_session(principal())
    store = SqlStore(open_store(tmp_path / "livius.db"))
    await add(store, kept)
    store.close()
    store = SqlStore(open_store(tmp_path / "livius.db"))
    assert await store.portal_session(kept.key) == kept
    store.close()
