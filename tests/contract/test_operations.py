"""The contract of stores: long-running operations."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from livius.domain.audit import Action, AuditEntry
from livius.domain.ids import OperationId, PrincipalId, WorkspaceId, new_id
from livius.domain.operation import Event, Goal, Operation, OperationKind, Phase
from livius.ports.store import AuditQuery, Store
from support.records import NOW

LATER = NOW + timedelta(minutes=1)


def operation(minute: int = 0, **fields: Any) -> Operation:
    at = NOW + timedelta(minutes=minute)
    made = Operation(
        id=OperationId(new_id()),
        kind=OperationKind.PUBLISH_ENVIRONMENT,
        workspace=WorkspaceId(new_id()),
        item=new_id(),
        requested_by=PrincipalId(new_id()),
        request={"mode": "Overwrite"},
        created_at=at,
        updated_at=at,
    )
    return replace(made, **fields)


async def test_an_operation_is_found_as_it_was_moved(store: Store) -> None:
    made = operation()
    assert await store.add_operation(made)
    assert await store.operation(made.id) == made
    assert await store.operation(OperationId(new_id())) is None
    running = await store.move_operation(made.id, Event.STARTED, at=LATER)
    assert running == replace(made, phase=Phase.RUNNING, updated_at=LATER)
    moved = await store.move_operation(made.id, Event.PROGRESSED, at=LATER, percent=40)
    assert moved is not None
    assert (moved.phase, moved.percent) == (Phase.RUNNING, 40)
    done = await store.move_operation(
        made.id, Event.SUCCEEDED, at=LATER, percent=100, result={"a": [1]}
    )
    assert done == await store.operation(made.id)
    assert done is not None
    assert (done.phase, done.percent, done.result) == (Phase.SUCCEEDED, 100, {"a": [1]})


@pytest.mark.parametrize("event", [Event.STARTED, Event.PROGRESSED, Event.FAILED])
async def test_a_late_event_changes_nothing(store: Store, event: Event) -> None:
    made = operation(phase=Phase.SUCCEEDED)
    await store.add_operation(made)
    assert await store.move_operation(made.id, event, at=LATER, percent=1) is None
    assert await store.operation(made.id) == made


async def test_an_item_has_one_operation_of_a_kind_that_is_alone(store: Store) -> None:
    first = operation()
    audit = AuditEntry(at=NOW, action=Action.OPERATION_CANCEL, result="ok", target=first.id)
    assert await store.add_operation(first, alone=True)
    again = operation(item=first.item)
    assert not await store.add_operation(again, alone=True, audit=audit)
    assert await store.operation(again.id) is None
    assert await store.audit(AuditQuery(limit=9)) == []
    assert await store.add_operation(operation(), alone=True)
    assert await store.add_operation(operation(item=first.item))
    await store.move_operation(first.id, Event.FAILED, at=LATER)


async def test_a_workspace_has_so_many_live_ones_of_a_kind(store: Store) -> None:
    first = operation()
    audit = AuditEntry(at=NOW, action=Action.TABLE_LOAD, result="accepted", target="t")
    place: dict[str, Any] = {"workspace": first.workspace}
    others = (
        operation(),
        operation(kind=OperationKind.LOAD_TABLE, **place),
        operation(phase=Phase.FAILED, **place),
    )
    for one in (first, *others):
        await store.add_operation(one)
    done = await asyncio.gather(
        *(store.add_operation(operation(**place), most=3, audit=audit) for _ in range(9))
    )
    assert sorted(done) == [False] * 7 + [True] * 2
    assert len(await store.audit(AuditQuery(limit=9))) == 2
    await store.move_operation(first.id, Event.FAILED, at=LATER)
    assert await store.add_operation(operation(**place), most=3)
    assert not await store.add_operation(operation(**place), most=3)


async def test_live_operations_come_oldest_first(store: Store) -> None:
    second, first = operation(2), operation(1)
    ended = operation(phase=Phase.FAILED)
    for one in (second, ended, first):
        await store.add_operation(one)
    assert await store.live_operations() == [first, second]


async def test_it_is_cancelled_once_and_not_after_its_end(store: Store) -> None:
    made, ended = operation(), operation(phase=Phase.FAILED)
    audit = AuditEntry(at=NOW, action=Action.OPERATION_CANCEL, result="ok", target=made.id)
    for one in (made, ended):
        await store.add_operation(one)
    assert await store.cancel_operation(ended.id, at=LATER, audit=audit) is None
    cancelled = await store.cancel_operation(made.id, at=LATER, audit=audit)
    assert cancelled == replace(made, goal=Goal.CANCEL, updated_at=LATER)
    assert await store.cancel_operation(made.id, at=LATER, audit=audit) is None
    assert len(await store.audit(AuditQuery(limit=9))) == 1


async def test_only_ended_ones_are_forgotten(store: Store) -> None:
    old, live, new = operation(phase=Phase.FAILED), operation(), operation(5, phase=Phase.SUCCEEDED)
    for one in (old, live, new):
        await store.add_operation(one)
    await store.forget_operations(LATER)
    assert [await store.operation(one.id) for one in (old, live, new)] == [None, live, new]
