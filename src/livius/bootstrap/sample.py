"""The first records of every installation: a tenant, a workspace, a lakehouse."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Final

from livius.adapters.clock import SystemClock
from livius.adapters.local.lakehouses import LocalLakehouses
from livius.domain.ids import (
    LakehouseId,
    PrincipalId,
    TenantId,
    WorkspaceId,
    new_id,
)
from livius.domain.lakehouse import (
    Lakehouse,
    Role,
    RoleAssignment,
    Workspace,
    database_name,
)
from livius.installation.home import Home
from livius.ports.store import Store

SAMPLE_TABLE: Final = "green_tripdata_2022"
_SAMPLE_NAME: Final = "sample"


@dataclass(frozen=True, slots=True)
class Sample:
    """The workspace and lakehouse that every installation begins with."""

    workspace: Workspace
    lakehouse: Lakehouse


def tenant_of(paths: Home) -> TenantId:
    """Return the installation's tenant; the first start makes it up."""
    if not paths.tenant_file.exists():
        paths.tenant_file.write_text(new_id(), encoding="ascii")
    return TenantId(paths.tenant_file.read_text(encoding="ascii").strip())


async def ensure_place(
    store: Store, clock: SystemClock, admins: tuple[PrincipalId, PrincipalId]
) -> Sample:
    """Return the first workspace and lakehouse; the first start makes them, with two Admins."""
    workspaces = await store.list_workspaces()
    if workspaces:
        workspace = workspaces[0]
    else:
        workspace = Workspace(id=WorkspaceId(new_id()), name=_SAMPLE_NAME, created_at=clock.now())
        await store.add_workspace(workspace, admins[0])
        await store.assign_role(
            RoleAssignment(workspace=workspace.id, principal=admins[1], role=Role.ADMIN)
        )
    lakehouses = await store.list_lakehouses(workspace.id)
    if lakehouses:
        return Sample(workspace, lakehouses[0])
    identity = LakehouseId(new_id())
    lakehouse = Lakehouse(
        id=identity,
        workspace=workspace.id,
        name=_SAMPLE_NAME,
        database=database_name(_SAMPLE_NAME, identity, taken=await store.database_names()),
        created_at=clock.now(),
    )
    await store.add_lakehouse(lakehouse)
    return Sample(workspace, lakehouse)


async def copy_table(lakehouses: LocalLakehouses, sample: Sample) -> None:
    """Put the sample table into the sample lakehouse, where the first session finds it by name."""
    with as_file(files("livius") / "sample" / SAMPLE_TABLE) as table:
        await lakehouses.copy_table(sample.workspace.id, sample.lakehouse.id, table)
