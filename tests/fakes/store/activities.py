"""Sessions as monitoring sees them, in dictionaries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fakes.store.records import Records
from livius.domain.activity import Activity, Order, Position, activity_state, sorted_by
from livius.domain.ids import (
    PrincipalId,
    SessionId,
    WorkspaceId,
)
from livius.domain.session import Session
from livius.ports.store import ActivityQuery, FoundActivity


class MemoryActivities(Records):
    def _activity(self, session: Session) -> Activity:
        return Activity(
            session=session,
            state=activity_state(session),
            lakehouse_name=self._lakehouse_names.get(session.lakehouse, ""),
            workspace_name=(
                self._workspaces[session.workspace].name
                if session.workspace in self._workspaces
                else ""
            ),
        )

    async def activities(self, query: ActivityQuery) -> Sequence[Activity]:
        def is_wanted(one: Activity) -> bool:
            session = one.session
            created, ended = session.created_at, session.ended_at
            after = query.after
            return (
                session.workspace in query.workspaces
                and query.lakehouse in (None, session.lakehouse)
                and (query.states is None or one.state in query.states)
                and query.submitter in (None, session.submitter)
                and (query.submitted_from is None or created >= query.submitted_from)
                and (query.submitted_until is None or created <= query.submitted_until)
                and (query.ended_from is None or (ended is not None and ended >= query.ended_from))
                and (
                    query.ended_until is None or (ended is not None and ended <= query.ended_until)
                )
                and (query.text is None or query.text.lower() in session.name.lower())
                and (after is None or is_beyond(key(one), position(after)))
            )

        def key(one: Activity) -> tuple[Any, str]:
            is_time = query.order is Order.STARTED
            return (
                one.session.created_at if is_time else sorted_by(one, query.order),
                one.session.id,
            )

        def position(after: Position) -> tuple[Any, str]:
            return (after.created_at if query.order is Order.STARTED else after.key, after.id)

        def is_beyond(one: tuple[Any, str], end: tuple[Any, str]) -> bool:
            return one < end if query.descending else one > end

        found = [one for one in map(self._activity, self._sessions.values()) if is_wanted(one)]
        found.sort(key=key, reverse=query.descending)
        return found[: query.limit]

    async def find_activity(
        self, workspace: WorkspaceId, session: SessionId | None, principal: PrincipalId
    ) -> FoundActivity:
        found = self._sessions.get(session) if session else None
        is_here = found is not None and found.workspace == workspace
        return FoundActivity(
            workspace=self._workspaces.get(workspace),
            role=self._roles.get((workspace, principal)),
            activity=self._activity(found) if found and is_here else None,
        )

    async def first_started_at(self, session: SessionId) -> datetime | None:
        started = [
            statement.started_at
            for statement in self._statements.values()
            if statement.session == session and statement.started_at is not None
        ]
        return min(started, default=None)
