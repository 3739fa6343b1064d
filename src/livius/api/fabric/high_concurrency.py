"""The routes of high-concurrency sessions (Fabric contract 4); their statements are in `routes`.

The states are PascalCase here, and an absent field is left out, save for ``replId``.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from livius.api.documented import Json
from livius.api.fabric.paths import Here, Id, Skip, Top, offer_token
from livius.api.fabric.requests import HighConcurrencyRequest, read_body_if_any
from livius.api.fabric.responses import waiting_tags
from livius.api.fabric.states import session_state
from livius.api.idempotency import idempotency_key
from livius.api.long_poll import asked_long_poll, note_wait, preferred_wait, unless_gone
from livius.api.moments import to_milliseconds
from livius.api.schemas import (
    HighConcurrencyDocument,
    HighConcurrencyPage,
    HighConcurrencyState,
    MessageDocument,
    ReplDocument,
    ReplPage,
)
from livius.domain.high_concurrency import HighConcurrencySession
from livius.domain.repl import Phase as ReplPhase
from livius.domain.repl import Repl
from livius.domain.session import Goal, Phase
from livius.usecases import high_concurrency, sessions
from livius.usecases.context import Context
from livius.usecases.high_concurrency import HighConcurrencyView

_PATH: Final = "/highConcurrencySessions"
_ENDS: Final[dict[Phase, HighConcurrencyState]] = {
    Phase.FAILED: "Failed",
    Phase.DIED: "Dead",
    Phase.STOPPED: "Killed",
}


def add(routes: APIRouter, context: Context) -> None:
    """Add the routes."""

    @routes.post(_PATH, status_code=202)
    async def acquire(request: Request, here: Here) -> Json[HighConcurrencyDocument]:
        """Acquire a high-concurrency session; poll it by its id, or prefer to wait."""
        await sessions.may_create(context, here.caller, here.workspace, here.lakehouse)
        body = await read_body_if_any(request, HighConcurrencyRequest)
        view = await high_concurrency.acquire(
            context,
            here.caller,
            here.workspace,
            here.lakehouse,
            body.command(),
            body.sessionTag,
            key=await idempotency_key(context, request, here.caller),
        )
        offer_token(context, here, request, view.session.id)
        wait = preferred_wait(request)
        if wait:
            reading = high_concurrency.get(
                context, here.caller, here.workspace, here.lakehouse, view.handle.id, long_poll=wait
            )
            view = await unless_gone(request, reading)
        location = f"{request.url.path}/{view.handle.id}"
        answer = Json(_body(view), status_code=202, headers={"Location": location})
        return answer if wait is None else note_wait(answer, wait)

    @routes.get(_PATH)
    async def list_all(here: Here, top: Top = 100, skip: Skip = 0) -> Json[HighConcurrencyPage]:
        """List the caller's high-concurrency sessions, newest first. Fabric has no such list."""
        page, total = await high_concurrency.list_own(
            context, here.caller, here.workspace, here.lakehouse, skip=skip, top=top
        )
        items = [_body(view) for view in page]
        found: HighConcurrencyPage = {
            "items": items,
            "totalCountOfMatchedItems": total,
            "pageSize": len(items),
        }
        return Json(found)

    @routes.get(_PATH + "/{handle}")
    async def get(here: Here, handle: Id, request: Request) -> Json[HighConcurrencyDocument]:
        """Return a high-concurrency session; one that is being acquired is held for a moment."""
        view = await unless_gone(
            request,
            high_concurrency.get(
                context,
                here.caller,
                here.workspace,
                here.lakehouse,
                handle,
                long_poll=asked_long_poll(request, context.rules.long_poll),
            ),
        )
        return Json(_body(view))

    @routes.delete(_PATH + "/{handle}")
    async def delete(here: Here, handle: Id) -> Json[MessageDocument]:
        """Release a high-concurrency session. Those that share its session go on."""
        await high_concurrency.delete(context, here.caller, here.workspace, here.lakehouse, handle)
        return Json({"msg": "deleted"})

    @routes.get("/sessions/{session}/repls")
    async def repls(here: Here, session: Id) -> Json[ReplPage]:
        """List the repls of a session, with their holders. Fabric has no such list."""
        found = await high_concurrency.repls(context, here.caller, here.session(session))
        page: ReplPage = {
            "items": [_repl(*one) for one in found],
            "totalCountOfMatchedItems": len(found),
        }
        return Json(page)


def _body(view: HighConcurrencyView) -> HighConcurrencyDocument:
    handle, session = view.handle, view.session
    state = _state(view)
    is_ready = state == "Idle"
    body: HighConcurrencyDocument = {
        "id": handle.id,
        "state": state,
        "replId": handle.repl if is_ready else None,
        "workspaceId": handle.workspace,
        "artifactId": handle.lakehouse,
        "creatorId": handle.creator,
        "createdAt": to_milliseconds(handle.created_at),
    }
    if is_ready:
        body["sessionId"] = session.id
    else:
        words = session_state(
            session, busy=False, queued=view.queue is not None, packaging=view.packaging
        )
        reason = view.repl.end_reason or session.end_reason or ""
        body["fabricSessionStateInfo"] = {
            "state": words.fabric,
            "errorMessage": reason if state in ("Dead", "Killed", "Failed") else "",
        }
    if handle.tag is not None:
        body["sessionTag"] = handle.tag
    if tags := waiting_tags(view.queue, view.building):
        body["tags"] = tags
    return body


def _state(view: HighConcurrencyView) -> HighConcurrencyState:
    """Return the word for a handle: its session's end counts first, then its repl's life."""
    session, repl = view.session, view.repl
    if session.phase in _ENDS:
        return _ENDS[session.phase]
    if session.goal is Goal.STOP or repl.phase is ReplPhase.CLOSING:
        return "Deleting"
    if repl.phase is ReplPhase.CLOSED:
        return "Dead"
    if repl.phase is ReplPhase.OPEN:
        return "Idle"
    return "NotStarted" if session.phase is Phase.REQUESTED else "AcquiringHighConcurrencySession"


def _repl(repl: Repl, handle: HighConcurrencySession | None) -> ReplDocument:
    body: ReplDocument = {
        "id": repl.id,
        "state": repl.phase.value,
        "createdAt": to_milliseconds(repl.created_at),
    }
    if repl.ended_at is not None:
        body["endedAt"] = to_milliseconds(repl.ended_at)
    if handle is not None:
        body["highConcurrencySessionId"] = handle.id
        body["creatorId"] = handle.creator
        if handle.tag is not None:
            body["sessionTag"] = handle.tag
    return body
