"""Lists of activities in every order, page by page, in every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.world import World
from livius.domain.activity import Activity, Order, Position, sorted_by
from livius.domain.ids import DriverId, LakehouseId, PrincipalId, new_id
from livius.domain.session import Event
from livius.ports.store import ActivityQuery, Store
from livius.usecases.sessions import CreateSession, create_session
from support.records import move_session, own_driver


async def fill(store: Store, names: list[str]) -> World:
    """Put a session of each name into a store; two submitters take turns."""
    world = await World().begin()
    await store.add_workspace(world.workspace, PrincipalId(world.admin.oid))
    await store.add_lakehouse(world.lakehouse)
    other = replace(world.lakehouse, id=LakehouseId(new_id()), name="Ärger", database="other")
    await store.add_lakehouse(other)
    for number, name in enumerate(names):
        world.clock.advance(timedelta(seconds=1))
        view = await create_session(
            world.context, world.admin, *world.place, CreateSession(name=name)
        )
        session = replace(
            view.session,
            submitter_name=("zoe", "Bob")[number % 2],
            lakehouse=(world.lakehouse, other)[number % 2].id,
            runtime=("2.0", "1.3", "2.0")[number % 3],
        )
        session = replace(session, driver=DriverId(new_id()))
        await store.add_session(session, own_driver(session))
        if number % 3:
            await move_session(
                store,
                session.id,
                Event.DRIVER_ENDED,
                at=session.created_at + timedelta(seconds=7 * number % 5),
            )
    world.store.close()
    return world


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_of_any_order_show_each_activity_once(
    store: Store, order: Order, descending: bool
) -> None:
    names = ["b", "B", "a", "É", "é", "Ł", "c", "a", "Z"]
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


async def test_those_that_run_are_the_longest_and_the_oldest_of_them_first(store: Store) -> None:
    world = await fill(store, ["a", "b", "c", "d"])
    found = await store.activities(
        ActivityQuery(workspaces=frozenset({world.workspace.id}), order=Order.DURATION, limit=10)
    )
    assert [one.session.name for one in found] == ["a", "d", "c", "b"]


async def test_names_are_found_in_whatever_case(store: Store) -> None:
    world = await fill(store, ["Über", "other"])
    found = await store.activities(
        ActivityQuery(workspaces=frozenset({world.workspace.id}), text="ÜBER", limit=10)
    )
    assert [one.session.name for one in found] == ["Über"]
