"""Uploads of files into a lakehouse (roles as for running code)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from livius.domain.audit import Action, AuditEntry, shortened
from livius.domain.contents import parts_of
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.domain.permissions import WRITE_DATA
from livius.domain.principal import Principal
from livius.usecases.access import enter
from livius.usecases.audit_throttle import present_actor
from livius.usecases.context import Context


async def upload_file(
    context: Context,
    caller: Principal,
    workspace: str,
    lakehouse: str,
    path: str,
    chunks: AsyncIterator[bytes],
    *,
    replace: bool = False,
) -> int:
    """Store a file below ``Files/``, in a folder that exists; return its size in bytes.

    Raises:
        LiviusError: and nothing is stored; a file that had the name is as before.
    """
    place = (await enter(context, caller, workspace, lakehouse, WRITE_DATA)).lakehouse
    parts = parts_of(path)
    if not parts or not path.isprintable():
        raise Invalid("InvalidInput", Message("A file needs a name of printable characters."))
    size = await context.uploads.put(
        place.workspace,
        place.id,
        parts,
        chunks,
        replace=replace,
        check_disk=context.capacity.check_disk,
    )
    await context.store.note(
        AuditEntry(
            at=context.clock.now(),
            action=Action.FILE_UPLOAD,
            workspace=place.workspace,
            lakehouse=place.id,
            result="stored",
            actor=present_actor(caller),
            target=shortened("/".join(parts)),
            detail=f"{size} bytes",
        )
    )
    return size
