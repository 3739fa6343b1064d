"""Activities, in SQL: a page is found in an index alone, then its few rows are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    UnaryExpression,
    bindparam,
    func,
    or_,
    outerjoin,
    select,
)

from livius.adapters.store.catalog import find_workspace
from livius.adapters.store.engine import Transactions
from livius.adapters.store.rows import session_from
from livius.adapters.store.schema import (
    DELETED_LAKEHOUSES,
    LAKEHOUSES,
    SESSIONS,
    STATEMENTS,
    WORKSPACES,
)
from livius.domain.activity import Activity, Order, activity_state
from livius.domain.ids import PrincipalId, SessionId, WorkspaceId
from livius.ports.store import ActivityQuery, FoundActivity

_LAKEHOUSE_NAME = func.coalesce(LAKEHOUSES.c.name, DELETED_LAKEHOUSES.c.name, "")
_WORKSPACE_NAME = func.coalesce(WORKSPACES.c.name, "")
_PLACES = (
    outerjoin(SESSIONS, LAKEHOUSES, LAKEHOUSES.c.id == SESSIONS.c.lakehouse)
    .outerjoin(DELETED_LAKEHOUSES, DELETED_LAKEHOUSES.c.id == SESSIONS.c.lakehouse)
    .outerjoin(WORKSPACES, WORKSPACES.c.id == SESSIONS.c.workspace)
)
_NAMED = select(
    SESSIONS, _LAKEHOUSE_NAME.label("lakehouse_name"), _WORKSPACE_NAME.label("workspace_name")
).select_from(_PLACES)
_ONE = _NAMED.where(
    SESSIONS.c.workspace == bindparam("workspace"), SESSIONS.c.id == bindparam("session")
)
_KEYS: Final[Mapping[Order, ColumnElement[Any]]] = {
    Order.STARTED: SESSIONS.c.created_at,
    Order.NAME: func.lower(SESSIONS.c.name),
    Order.SUBMITTER: func.lower(SESSIONS.c.submitter_name),
    Order.STATE: SESSIONS.c.state,
    Order.LOCATION: func.lower(_WORKSPACE_NAME.concat(" / ").concat(_LAKEHOUSE_NAME)),
    Order.DURATION: SESSIONS.c.duration_key,
    Order.RUNTIME: SESSIONS.c.runtime,
}


class SqlActivities:
    """Implements `livius.ports.store.Activities`."""

    _transactions: Transactions

    async def activities(self, query: ActivityQuery) -> Sequence[Activity]:
        """See the port."""
        page = (
            select(SESSIONS.c.id)
            .select_from(_PLACES if query.order is Order.LOCATION else SESSIONS)
            .where(*_conditions(query))
            .order_by(*_order(query))
            .limit(query.limit)
        )
        rows = _NAMED.where(SESSIONS.c.id.in_(page)).order_by(*_order(query))
        return await self._transactions.run(lambda connection: _all(connection, rows))

    async def count_activities(self, query: ActivityQuery) -> int:
        """See the port."""
        found = select(SESSIONS.c.id).where(*_conditions(query)).limit(query.limit).subquery()
        counted = select(func.count()).select_from(found)
        return await self._transactions.run(
            lambda connection: int(connection.execute(counted).scalar_one())
        )

    async def find_activity(
        self, workspace: WorkspaceId, session: SessionId | None, principal: PrincipalId
    ) -> FoundActivity:
        """See the port."""
        where = {"workspace": workspace, "session": session, "principal": principal}

        def work(connection: Connection) -> FoundActivity:
            place, role = find_workspace(connection, workspace, principal)
            row = connection.execute(_ONE, where).first() if session is not None else None
            return FoundActivity(
                workspace=place,
                role=role,
                activity=_activity(row._asdict()) if row else None,
            )

        return await self._transactions.run(work)

    async def first_started_at(self, session: SessionId) -> datetime | None:
        """See the port."""
        query = select(func.min(STATEMENTS.c.started_at)).where(STATEMENTS.c.session == session)

        def work(connection: Connection) -> datetime | None:
            found: datetime | None = connection.execute(query).scalar()
            return found

        return await self._transactions.run(work)


def _conditions(query: ActivityQuery) -> Iterator[ColumnElement[bool]]:
    column = SESSIONS.c
    if query.lakehouse is not None:
        yield column.lakehouse == query.lakehouse
    yield column.workspace.in_(sorted(query.workspaces))
    if query.states is not None:
        yield column.state.in_(sorted(query.states))
    if query.submitter is not None:
        yield column.submitter == query.submitter
    for bound, moment in (
        (column.created_at.__ge__, query.submitted_from),
        (column.created_at.__le__, query.submitted_until),
        (column.ended_at.__ge__, query.ended_from),
        (column.ended_at.__le__, query.ended_until),
    ):
        if moment is not None:
            yield bound(moment)
    if query.text is not None:
        yield column.name.icontains(query.text, autoescape=True)
    if query.after is not None:
        after, key = query.after, _KEYS[query.order]
        value = after.created_at if query.order is Order.STARTED else after.key
        # Not a row value alone: with the first condition SQLite starts in the middle of the index.
        if query.descending:
            yield key <= value
            yield or_(key < value, column.id < after.id)
        else:
            yield key >= value
            yield or_(key > value, column.id > after.id)


def _order(query: ActivityQuery) -> Sequence[UnaryExpression[Any]]:
    found = (_KEYS[query.order], SESSIONS.c.id)
    return [key.desc() if query.descending else key.asc() for key in found]


def _all(connection: Connection, query: Select[Any]) -> Sequence[Activity]:
    return [_activity(row._asdict()) for row in connection.execute(query)]


def _activity(values: dict[str, Any]) -> Activity:
    names = {name: values.pop(name) for name in ("lakehouse_name", "workspace_name")}
    session = session_from(values)
    return Activity(session=session, state=activity_state(session), **names)
