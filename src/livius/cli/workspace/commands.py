"""``livius workspace``: the commands. `roles` and `actions` beside it do what they say."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from livius.cli.parameters import AsJson
from livius.domain.lakehouse import Role

app = App(
    name="workspace",
    help="""Say who may do what in a workspace: assign, list and remove roles; rename, delete.

    A Viewer sees what there is and who runs what; a Contributor and a Member also run code and
    change lakehouses; an Admin also sees and steers everybody's sessions. A change counts from the
    next request on. Whoever may write the data folder may do this, with or without a gateway.

    For example: `livius workspace assign 8f0c… Contributor`.""",
)

_Workspace = Annotated[str | None, Parameter(name="--workspace")]


@app.command
def assign(principal: str, role: Role, /, *, workspace: _Workspace = None) -> int:
    """Give a principal a role, in place of the one it has.

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
    """List who has which role.

    Parameters
    ----------
    workspace
        Name or id of the workspace; all of them if left out.
    as_json
        Print the same for a program to read.
    """
    from livius.cli.workspace.roles import list_all as run

    return run(workspace=workspace, as_json=as_json)


@app.command
def remove(principal: str, /, *, workspace: _Workspace = None) -> int:
    """Take a principal's role away. Its sessions run on, and are for the Admins to end.

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
    """Call a workspace something else. Its id stays, and with it every address.

    Parameters
    ----------
    workspace
        Name or id of the workspace.
    name
        1 to 256 printable characters, not those of another workspace.
    """
    from livius.cli.workspace.actions import rename as run

    return run(workspace, name)


@app.command
def delete(workspace: str, /, *, yes: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Delete a workspace with its lakehouses and roles, and end the sessions in it.

    The files stay in the data folder. It says what goes and asks, unless told yes.

    Parameters
    ----------
    workspace
        Name or id of the workspace.
    yes
        Don't ask.
    """
    from livius.cli.workspace.actions import delete as run

    return run(workspace, yes=yes)
