"""Requests of a session's own code.

The driver is hostile: it learns about its own session only, and the gateway decides what. No
request ends the link: an error is the response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final

import structlog

from livius.domain.audit import Action, AuditEntry, actor, entry, shortened
from livius.domain.errors import Forbidden, Invalid, LiviusError
from livius.domain.ids import ReplId
from livius.domain.session import EndCause, Session
from livius.usecases.context import Context
from livius.usecases.repls import close_by_code
from livius_agent.wire import LONGEST_ASK, AgentRequest, Answer

_PRODUCT: Final = "Livius"
_KEY_VAULT: Final = "keyvault"
_LONGEST_NAME: Final = 1000
_ALL_TOKENS: Final = (
    "What a session's code may get is what the token that created it and those that brought it "
    "statements all allow."
)

_log = structlog.get_logger(__name__)


async def answer(context: Context, session: Session, ask: AgentRequest) -> None:
    """Respond to a request on the driver's link. No request makes it raise."""
    try:
        body = await _body(context, session, ask)
    except LiviusError as error:
        _log.info("ask_refused", session=session.id, what=ask.what, code=error.code)
        reply = Answer(id=ask.id, error=error.message, code=error.code)
    except Exception:  # noqa: BLE001 - the link goes on
        _log.exception("ask_failed", session=session.id, what=ask.what)
        reply = Answer(
            id=ask.id, error="The gateway failed; its log says why.", code="InternalServerError"
        )
    else:
        reply = Answer(id=ask.id, body=body)
    context.links.send(session.driver, reply)


async def _body(context: Context, session: Session, ask: AgentRequest) -> Mapping[str, Any]:
    repl = await _repl(context, session, ask)
    if sum(len(name) + len(value) for name, value in ask.arguments.items()) > LONGEST_ASK:
        raise Forbidden("TooLarge", f"A question has at most {LONGEST_ASK} characters.")
    match ask.what:
        case "context":
            return await _context(context, session, repl)
        case "token":
            asked, what = _asked_token(context, session, ask), _target(ask, "audience")
            return {"value": await _recorded(context, session, Action.SESSION_TOKEN, what, asked)}
        case "secret":
            asked, what = _secret(context, session, ask), _target(ask, "vault", "name")
            return {"value": await _recorded(context, session, Action.SECRET_READ, what, asked)}
        case "stop":
            await stop(context, session, repl)
            return {}


async def _repl(context: Context, session: Session, ask: AgentRequest) -> ReplId:
    """Return the repl whose code asks; code that works for none is taken for the first one's.

    Raises:
        Forbidden: the driver has no such repl.
    """
    if ask.repl in ("", session.first_repl):
        return session.first_repl
    found = await context.store.repl(ReplId(ask.repl))
    if found is None or found.driver != session.driver:
        raise Forbidden("ReplMismatch", "The driver spoke of a repl that is not its own.")
    return found.id


async def _recorded(
    context: Context, session: Session, action: Action, target: str, given: Awaitable[str]
) -> str:
    """Grant or refuse a request, and record it."""
    try:
        value = await given
    except LiviusError as error:
        await context.throttle.note(_asked(context, session, action, target, error.code))
        raise
    await context.throttle.note(_asked(context, session, action, target, "ok"))
    return value


def _asked(
    context: Context, session: Session, action: Action, target: str, result: str
) -> AuditEntry:
    """Return the entry for a request of session code; the actor is the token principal."""
    by = None
    if session.token_principal is not None:
        by = actor(session.token_principal, address=None, request_id=None)
    return entry(
        session, action, at=context.clock.now(), result=result, by=by, target=shortened(target)
    )


def _target(ask: AgentRequest, *names: str) -> str:
    """Return the subject of a request, which is still unchecked, for the audit log."""
    text = "/".join(ask.arguments.get(name, "") for name in names)
    return "".join(one if one.isprintable() else "?" for one in shortened(text))


async def _asked_token(context: Context, session: Session, ask: AgentRequest) -> str:
    return await _token(context, session, _argument(ask, "audience"))


async def _secret(context: Context, session: Session, ask: AgentRequest) -> str:
    vault, name = _argument(ask, "vault"), _argument(ask, "name")
    token = await _token(context, session, _KEY_VAULT)
    return await context.vaults.secret(vault, name, token=token)


def _argument(ask: AgentRequest, name: str) -> str:
    value = ask.arguments.get(name, "")
    if not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise Invalid(
            "InvalidInput", f"The {name} is a text of 1 to {_LONGEST_NAME} printable characters."
        )
    return value


async def _token(context: Context, session: Session, audience: str) -> str:
    """Return a token of the session's present token principal, which may have changed meanwhile."""
    now = await context.store.session(session.id)
    if now is None or not now.accepts_statements:
        raise Forbidden("SessionEnded", "The session is ending and gets no further tokens.")
    if now.token_principal is None:
        raise Forbidden(
            "TokensWithheld",
            "Code of somebody else than its submitter was run in this session, or it is older than "
            "tokens are, so its code gets none. Create a new session.",
        )
    if now.token_principal.client_id is None:
        raise Forbidden(
            "TokensWithheld",
            "The session was created with a personal access token, by which no other tokens can be "
            "had. Create it with a token of an authority.",
        )
    try:
        return await context.tokens.issue(session.id, now.token_principal, audience)
    except Forbidden as error:
        raise Forbidden(error.code, f"{error.message} {_ALL_TOKENS}") from error


async def _context(context: Context, session: Session, repl: ReplId) -> Mapping[str, Any]:
    """Return ``notebookutils.runtime.context``: Fabric's keys, with true values only.

    None stands for things that a session of the Livy API doesn't have, such as a notebook.
    """
    workspace = await context.store.workspace(session.workspace)
    lakehouse = await context.store.lakehouse(session.lakehouse)
    workspace_name = None if workspace is None else workspace.name
    return {
        "currentWorkspaceId": session.workspace,
        "currentWorkspaceName": workspace_name,
        "defaultLakehouseId": session.lakehouse,
        "defaultLakehouseName": None if lakehouse is None else lakehouse.name,
        "defaultLakehouseWorkspaceId": session.workspace,
        "defaultLakehouseWorkspaceName": workspace_name,
        "currentNotebookId": None,
        "currentNotebookName": None,
        "currentRunId": None,
        "parentRunId": None,
        "rootRunId": None,
        "isForPipeline": False,
        "isForInteractive": True,
        "isReferenceRun": False,
        "activityId": session.id,
        "clusterId": session.driver,
        "environmentId": None,
        "poolName": None,
        "hcReplId": repl if session.is_shared else None,
        "userId": session.submitter,
        "userName": session.submitter_name,
        "productType": _PRODUCT,
    }


async def stop(context: Context, session: Session, repl: ReplId) -> None:
    """End a session at the request of its own code; of a shared one, that code's repl alone."""
    if session.is_shared:
        await close_by_code(context, session, repl)
        return
    await context.store.request_stop(
        session.id,
        end_cause=EndCause.STOPPED_BY_CODE,
        end_reason="The session's own code stopped it: notebookutils.session.stop().",
    )
    context.notifications.notify(session.id)
    context.wake(session.driver)
