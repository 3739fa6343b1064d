"""Lists of activities in every order, page by page, in every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.world import World
from livius.domain.activity import Activity, Order, Position, sorted_by
from livius.domain.driver import Driver
from livius.domain.ids import DriverId, new_id
from livius.ports.store import ActivityQuery, Store
from livius.usecases.sessions import CreateSession, create_session


async def fill(store: Store, names: list[str]) -> World:
    """Put a session of each name into a store; two submitters take turns."""
    world = await World().begin()
    await store.add_workspace(world.workspace, world.admin.oid)  # type: ignore[arg-type]
    await store.add_lakehouse(world.lakehouse)
    for number, name in enumerate(names):
        world.clock.advance(timedelta(seconds=1))
        view = await create_session(
            world.context, world.admin, *world.place, CreateSession(name=name)
        )
        session = replace(view.session, submitter_name=("zoe", "Bob")[number % 2])
        driver = Driver(
            id=DriverId(new_id()),
            session=session.id,
            secret_hash=None,
            created_at=session.created_at,
        )
        await store.add_session(replace(session, driver=driver.id), driver)
    return world


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_of_any_order_show_each_activity_once(
    store: Store, order: Order, descending: bool
) -> None:
    names = ["b", "B", "a", "é", "c", "a", "Z"]
    world = await fill(store, names)
    query = ActivityQuery(
        workspaces=frozenset({world.workspace.id}), order=order, descending=descending, limit=2
    )
    seen: list[Activity] = []
    while page := await store.activities(query):
        seen += page
        last = page[-1]
        query = replace(
            query,
            after=Position(last.session.created_at, last.session.id, sorted_by(last, order)),
        )
    assert len({one.session.id for one in seen}) == len(seen) == len(names)

    def key(one: Activity) -> tuple[str, str]:
        moment = one.session.created_at.isoformat() if order is Order.STARTED else ""
        return (moment or sorted_by(one, order), one.session.id)

    assert seen == sorted(seen, key=key, reverse=descending)
