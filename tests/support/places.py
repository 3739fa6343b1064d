"""More users, workspaces and lakehouses than the sample."""

import asyncio
from datetime import UTC, datetime

import jwt

from livius.adapters.store import SqlStore, open_store
from livius.domain.ids import LakehouseId, PrincipalId, WorkspaceId, new_id
from livius.domain.lakehouse import Lakehouse, Workspace
from support.gateway import Gateway


def _store(gateway: Gateway) -> SqlStore:
    return SqlStore(open_store(gateway.home / "livius.db", synchronous="NORMAL"))


def sample_principal(gateway: Gateway) -> PrincipalId:
    """The principal of the test's client."""
    _, _, token = str(gateway.client().http.headers["Authorization"]).partition(" ")
    claims: dict[str, str] = jwt.decode(token, options={"verify_signature": False})
    return PrincipalId(claims["oid"])


def add_workspace(gateway: Gateway, name: str, admin: PrincipalId) -> WorkspaceId:
    """A new workspace whose one member is given."""
    store = _store(gateway)
    workspace = Workspace(id=WorkspaceId(new_id()), name=name, created_at=datetime.now(UTC))
    try:
        asyncio.run(store.add_workspace(workspace, admin))
    finally:
        store.close()
    return workspace.id


def add_lakehouse(gateway: Gateway, workspace: WorkspaceId, name: str) -> LakehouseId:
    """A new lakehouse."""
    store = _store(gateway)
    lakehouse = Lakehouse(
        id=LakehouseId(new_id()),
        workspace=workspace,
        name=name,
        database=f"{name.lower()}_{new_id()[:4]}",
        created_at=datetime.now(UTC),
    )
    try:
        asyncio.run(store.add_lakehouse(lakehouse))
    finally:
        store.close()
    return lakehouse.id


def add_user(gateway: Gateway, name: str) -> PrincipalId:
    """A new user of the embedded authority, made by the command."""
    printed = gateway.livius("identity", "user", "create", name)
    [line] = [line for line in printed.splitlines() if line.startswith("Object id")]
    return PrincipalId(line.split()[-1])
