"""``livius workspace``: the commands. `roles` and `actions` beside it do what they say."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson
from livius.domain.lakehouse import Role

app = App(
    name="workspace",
    help="""Assign, list and remove roles in a workspace; rename and delete workspaces.

    A Viewer sees lakehouses and the list of sessions; a Contributor and a Member also run code and
    change lakehouses; an Admin also sees and controls the sessions of others. A change takes effect
    with the next request. Users of this machine who may write to the data folder can run these
    commands, with or without a gateway.

    For example: `livius workspace assign 8f0c… Contributor`.""",
)

_Workspace = Annotated[str | None, Parameter(name="--workspace")]


@app.command
def assign(principal: str, role: Role, /, *, workspace: _Workspace = None) -> int:
    """Assign a role to a principal, in place of its present one.

    Parameters
    ----------
    principal
        A user's name or object id, or an application's name, client id or object id.
    role
        Admin, Member, Contributor or Viewer.
    workspace
        Name or id of the workspace; the sample's if left out.
    """
    from livius.cli.workspace.roles import assign as run

    return run(principal, role, workspace=workspace)


@app.command(name="list")
def list_all(*, workspace: _Workspace = None, as_json: AsJson = False) -> int:
    """List the roles: principal, role and workspace.

    Parameters
    ----------
    workspace
        Name or id of the workspace; all workspaces if left out.
    """
    from livius.cli.workspace.roles import list_all as run

    return run(workspace=workspace, as_json=as_json)


@app.command
def remove(principal: str, /, *, workspace: _Workspace = None) -> int:
    """Remove a principal's role. Its sessions keep running until an Admin ends them.

    Parameters
    ----------
    principal
        A user's name or object id, or an application's name, client id or object id.
    workspace
        Name or id of the workspace; the sample's if left out.
    """
    from livius.cli.workspace.roles import remove as run

    return run(principal, workspace=workspace)


@app.command
def rename(workspace: str, name: str, /) -> int:
    """Rename a workspace. Its id and addresses stay the same.

    Parameters
    ----------
    workspace
        Name or id of the workspace.
    name
        The new name: 1 to 256 printable characters, unlike any other workspace's.
    """
    from livius.cli.workspace.actions import rename as run

    return run(workspace, name)


@app.command
def delete(workspace: str, /, *, yes: bool = False) -> int:
    """Delete a workspace with its lakehouses and roles, and end the sessions in it.

    The files stay in the data folder. The command lists what it will delete and asks you first.

    Parameters
    ----------
    workspace
        Name or id of the workspace.
    yes
        Don't ask first.
    """
    from livius.cli.workspace.actions import delete as run

    return run(workspace, yes=yes)
