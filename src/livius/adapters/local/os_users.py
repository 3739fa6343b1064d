"""The operating system users of processes and files.

With the launch ``single-user`` all belong to the gateway's own user. With ``per-user`` each
principal has a number as its drivers' uid, each workspace one as its files' group, and the
metastore one of its own. A number is a uid and the gid of its own group. The store has them; none
is ever used for another owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from livius.domain.ids import PrincipalId, WorkspaceId
from livius.ports.store import UidAllocator

WORKSPACES: Final = 4096
"""How many of the numbers are for workspaces: the last ones.

The metastore is in all of their groups from its start, so that a new workspace needs no new
metastore; a process can't be in many more groups.
"""


@dataclass(frozen=True, slots=True)
class OsUser:
    """An operating system user: its number, which is its own group's too, and further groups."""

    number: int
    groups: Sequence[int] = ()


_HISTORY: Final = "history server"
"""The owner of that number; principals have other ids."""


class OsUsers(Protocol):
    """The OS users. None stands for the gateway's own user."""

    async def principal(
        self, principal: PrincipalId, workspaces: Iterable[WorkspaceId] = ()
    ) -> OsUser | None:
        """Return the user of a principal's drivers, in these workspaces' groups."""
        ...

    async def workspace(self, workspace: WorkspaceId) -> OsUser | None:
        """Return the user whose group a workspace's files belong to."""
        ...

    async def metastore(self) -> OsUser | None:
        """Return the metastore's user."""
        ...

    async def history(self) -> OsUser | None:
        """Return the user of Spark's History Server."""
        ...


class SharedOsUser:
    """Implements `OsUsers` for ``single-user``."""

    async def principal(
        self, principal: PrincipalId, workspaces: Iterable[WorkspaceId] = ()
    ) -> None:
        """See `OsUsers`."""

    async def workspace(self, workspace: WorkspaceId) -> None:
        """See `OsUsers`."""

    async def metastore(self) -> None:
        """See `OsUsers`."""

    async def history(self) -> None:
        """See `OsUsers`."""


class PerPrincipalOsUsers:
    """Implements `OsUsers` for ``per-user``. ``numbers`` is the range of numbers."""

    def __init__(self, store: UidAllocator, numbers: range) -> None:
        self._store = store
        self._known: dict[str, int] = {}
        self._metastore = numbers[0]
        self._principals = numbers[1:-WORKSPACES]
        self._workspaces = numbers[-WORKSPACES:]

    async def principal(
        self, principal: PrincipalId, workspaces: Iterable[WorkspaceId] = ()
    ) -> OsUser:
        """See `OsUsers`."""
        groups = [await self._number(one, self._workspaces) for one in sorted(workspaces)]
        return OsUser(await self._number(principal, self._principals), groups)

    async def workspace(self, workspace: WorkspaceId) -> OsUser:
        """See `OsUsers`."""
        return OsUser(await self._number(workspace, self._workspaces))

    async def _number(self, owner: str, among: range) -> int:
        if owner not in self._known:
            self._known[owner] = await self._store.number_of(owner, among)
        return self._known[owner]

    async def metastore(self) -> OsUser:
        """See `OsUsers`."""
        return OsUser(self._metastore, self._workspaces)

    async def history(self) -> OsUser:
        """See `OsUsers`. It reads what drivers wrote, so it is nobody else."""
        return OsUser(await self._number(_HISTORY, self._principals))


def give(path: Path, user: OsUser | None) -> None:
    """Make the user the owner of a path. Only for paths that no other user can have made."""
    if user is not None:
        os.chown(path, user.number, user.number, follow_symlinks=False)


def share(path: Path, user: OsUser | None, mode: int) -> None:
    """Give a user's group the mode's permissions on a path that stays ours."""
    if user is not None:
        os.chown(path, -1, user.number, follow_symlinks=False)
        path.chmod(mode)
