"""An entry of the audit log as the API returns it and ``livius audit --json`` prints it."""

from __future__ import annotations

from livius.api.moments import to_milliseconds
from livius.api.schemas import AuditDocument
from livius.domain.audit import Actor, AuditEntry, AuditRecord


def audit_document(record: AuditRecord) -> AuditDocument:
    """Return a record's document. A field without a value is absent."""
    entry = record.entry
    body: AuditDocument = {
        "number": record.number,
        "at": to_milliseconds(entry.at),
        "action": entry.action.value,
        "result": entry.result,
    }
    _add_place(body, entry)
    if entry.target is not None:
        if entry.action.startswith("statement."):
            body["statement"] = entry.target
        else:
            body["target"] = entry.target
    if entry.detail is not None:
        body["detail"] = entry.detail
    if entry.times > 1:
        body["times"] = entry.times
    if entry.code_hash is not None:
        body["codeSha256"] = entry.code_hash
    if entry.code_head is not None:
        body["codeHead"] = entry.code_head
    if entry.actor is not None:
        _add_actor(body, entry.actor)
    return body


def _add_place(body: AuditDocument, entry: AuditEntry) -> None:
    if entry.workspace is not None:
        body["workspaceId"] = entry.workspace
    if entry.lakehouse is not None:
        body["lakehouseId"] = entry.lakehouse
    if entry.session is not None:
        body["sessionId"] = entry.session


def _add_actor(body: AuditDocument, actor: Actor) -> None:
    body["actorKind"] = actor.kind.value
    if actor.id is not None:
        body["actorId"] = actor.id
    if actor.name is not None:
        body["actorName"] = actor.name
    if actor.client_id is not None:
        body["clientId"] = actor.client_id
    if actor.address is not None:
        body["address"] = actor.address
    if actor.request_id is not None:
        body["requestId"] = actor.request_id
