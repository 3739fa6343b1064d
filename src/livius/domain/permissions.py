"""The rights that each operation of the API needs: the one table of them.

A delegated call needs scopes *and* a role; an application that acts for itself needs the role
(Fabric contract 8.2). The scopes are Fabric's. Where Fabric accepts one of several, so do we; the
scopes that the embedded authority issues come first, and errors name those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livius.domain.errors import Forbidden
from livius.domain.lakehouse import MAY_RUN, Role
from livius.domain.messages import Message
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.tokens import FABRIC, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A right of a caller.

    ``scopes``: a delegated token needs one of each group. ``roles``: the caller needs one of them
    in the workspace. The code that reads a session checks whether it is the caller's own.
    """

    scopes: tuple[tuple[str, ...], ...]
    roles: frozenset[Role] = frozenset(Role)


_READ: Final = (
    Scope.LAKEHOUSE_READ,
    "Lakehouse.ReadWrite.All",
    "Item.Read.All",
    "Item.ReadWrite.All",
)
_READ_ENVIRONMENT: Final = ("Environment.Read.All", "Environment.ReadWrite.All")
_WRITE: Final = (Scope.LAKEHOUSE_EXECUTE, "Lakehouse.ReadWrite.All", "Item.ReadWrite.All")
_EXECUTE: Final = (Scope.LAKEHOUSE_EXECUTE,)
_LIVY: Final = (Scope.CODE_FABRIC,)
"""Fabric requires it for every operation of the Livy API."""
_STORAGE: Final = (Scope.CODE_STORAGE,)

_READ_WORKSPACE: Final = (*_READ, "Workspace.Read.All", "Workspace.ReadWrite.All")
_WRITE_WORKSPACE: Final = (Scope.LAKEHOUSE_EXECUTE, "Workspace.ReadWrite.All")

LIST_WORKSPACES: Final = Right(scopes=(_READ_WORKSPACE,))
CREATE_WORKSPACE: Final = Right(scopes=(_WRITE_WORKSPACE,))
MANAGE: Final = Right(scopes=(_WRITE_WORKSPACE,), roles=frozenset({Role.ADMIN}))
"""Assign roles in a workspace, rename and delete it."""
SEE_ROLES: Final = Right(scopes=(_READ_WORKSPACE,), roles=frozenset({Role.ADMIN, Role.MEMBER}))
LOOK: Final = Right(scopes=(_READ,))
"""See a workspace's lakehouses and their tables."""
READ_DATA: Final = Right(scopes=(_READ, _STORAGE), roles=MAY_RUN)
"""See rows of tables, and files."""
WRITE_DATA: Final = Right(scopes=(_WRITE, _STORAGE), roles=MAY_RUN)
"""Change files and tables: upload, make folders, delete."""
SEE_ENVIRONMENT: Final = Right(scopes=((*_READ, *_READ_ENVIRONMENT),))
"""See a workspace's environments, with what is staged and published."""
CHANGE_ENVIRONMENT: Final = Right(scopes=((*_WRITE, "Environment.ReadWrite.All"),), roles=MAY_RUN)
"""Create, change, publish and delete environments."""
CHANGE: Final = Right(scopes=(_WRITE,), roles=MAY_RUN)
"""Create, rename and delete lakehouses, and load tables."""
SEE_OPERATION: Final = Right(scopes=((*_READ, *_READ_ENVIRONMENT),))
"""See a long-running operation on an item."""
MONITOR: Final = Right(scopes=(_READ_WORKSPACE,))
"""See the monitoring record of everybody's sessions."""
LIST_SESSIONS: Final = Right(scopes=(_READ, _LIVY))
READ_SESSION: Final = Right(scopes=(_READ, _LIVY))
"""See one's own session with its conf, code and outputs."""
RUN: Final = Right(scopes=(_EXECUTE, _LIVY, _STORAGE), roles=MAY_RUN)
"""Create a session or a statement: code that works on the lakehouse's files."""
STEER: Final = Right(scopes=(_EXECUTE, _LIVY), roles=MAY_RUN)
"""Cancel, delete and keep alive one's own sessions and statements."""


def check_scopes(caller: Principal, right: Right) -> None:
    """Refuse a delegated call whose token lacks a scope. An application's own token has none.

    Raises:
        Forbidden: the message names each scope that is missing.
    """
    if caller.kind is PrincipalKind.APP:
        return
    missing = [group[0] for group in right.scopes if caller.scopes.isdisjoint(group)]
    if missing:
        named = " and ".join(missing)
        raise Forbidden(
            "InsufficientScopes",
            Message(
                "The access token lacks the scope %(named)s. Get a token for %(scopes)s as "
                "well; the client application must be allowed it.",
                named=named,
                scopes=" ".join(f"{FABRIC}/{one}" for one in missing),
            ),
        )


def check_role(role: Role, right: Right) -> None:
    """Refuse a caller whose role lacks the right.

    Raises:
        Forbidden: the role does not include the right; the message names the least that does.
    """
    if role not in right.roles:
        least = [one for one in Role if one in right.roles][-1]
        raise Forbidden(
            "InsufficientWorkspaceRole",
            Message(
                "The role %(role)s does not include this. Ask an Admin of the workspace for the"
                " role %(least)s.",
                role=Message(role),
                least=Message(least),
            ),
        )
