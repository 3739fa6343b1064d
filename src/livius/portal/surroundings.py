"""Where on the site an error happened, and who can help: a page of an error keeps its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from livius.domain.errors import Forbidden, LiviusError, NotFound
from livius.domain.principal import Principal
from livius.portal.labels import N_
from livius.usecases import catalog, roles
from livius.usecases.context import Context

_MISSING: Final[Mapping[str, str]] = {
    "Workspace": N_("There is no such workspace"),
    "Session": N_("There is no such activity"),
    "Item": N_("There is no such lakehouse"),
    "Environment": N_("There is no such environment"),
    "Path": N_("There is no such file or table"),
    "Statement": N_("There is no such statement"),
    "User": N_("There is no such user"),
    "Application": N_("There is no such application"),
}
"""Titles, by the beginning of the code of a `NotFound`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The places above a page that can't be shown; ``admins`` can give the caller rights there.

    ``path`` is None for a label that is no link. ``title`` is empty where the status says enough.
    """

    place: str = ""
    crumbs: Sequence[tuple[str, str]] = ()
    admins: Sequence[str] = ()
    owners: Sequence[str] = ()
    title: str = ""


async def surroundings_of(
    context: Context, caller: Principal, where: Mapping[str, str], error: LiviusError, root: str
) -> Surroundings:
    """Return what the caller may know of an error's surroundings. ``where``: the parameters."""
    title = ""
    if isinstance(error, NotFound):
        title = _MISSING.get(error.code.removesuffix("NotFound"), "")
    workspace = where.get("workspace")
    if error.code == "OwnersOnly":
        crumbs = [(N_("Settings"), f"{root}/settings")]
        return Surroundings(place="settings", crumbs=crumbs, owners=await _owner_names(context))
    if workspace is None:
        return Surroundings(title=title)
    of_hub = "session" in where
    crumbs = [(N_("Monitoring hub"), f"{root}/monitor")] if of_hub else []
    crumbs = crumbs or [(N_("Workspaces"), f"{root}/workspaces")]
    admins: Sequence[str] = ()
    try:
        found, _role = await catalog.get_workspace(context, caller, workspace)
        path = f"{root}/workspaces/{found.id}"
        if not of_hub:
            crumbs.append((found.name, path))
        if isinstance(error, Forbidden):
            admins = await admin_names(context, caller, workspace)
        if "lakehouse" in where and not of_hub:
            one = await catalog.get_lakehouse(context, caller, workspace, where["lakehouse"])
            crumbs.append((one.name, f"{path}/lakehouses/{one.id}"))
    except LiviusError:
        pass  # the places that are known so far are the way back
    return Surroundings(
        place="monitor" if of_hub else "workspaces", crumbs=crumbs, admins=admins, title=title
    )


async def _owner_names(context: Context) -> Sequence[str]:
    found = await context.directory.users() if context.directory is not None else ()
    return [one.name for one in found if one.oid in context.rules.owners]


async def admin_names(context: Context, caller: Principal, workspace: str) -> Sequence[str]:
    """Return the names of a workspace's Admins; of unknown ones the object ids."""
    return [
        one.known.name if one.known else one.principal
        for one in await roles.list_admins(context, caller, workspace)
    ]
