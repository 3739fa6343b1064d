"""Finds lakehouses and sessions by name or id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from livius.cli.answers import Failed
from livius.cli.api import Api, NotFound

_LIVE: Final = ("InProgress", "NotStarted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lakehouse:
    """A lakehouse that the caller sees."""

    workspace: str
    id: str
    label: str

    @property
    def name(self) -> str:
        """Its name, which is the last part of the label."""
        return self.label.rpartition("/")[2]

    @property
    def path(self) -> str:
        """Its path in the API."""
        return f"/workspaces/{self.workspace}/lakehouses/{self.id}"

    @property
    def sessions(self) -> str:
        """The path of its sessions in the Livy API."""
        return f"{self.path}/livyapi/versions/2023-12-01/sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session of a lakehouse."""

    lakehouse: Lakehouse
    id: str

    @property
    def path(self) -> str:
        """Its path in the Livy API, which has it until it is deleted."""
        return f"{self.lakehouse.sessions}/{self.id}"

    @property
    def monitoring_path(self) -> str:
        """Its path in the monitoring API, which has it afterwards too."""
        return f"{self.lakehouse.path}/livySessions/{self.id}"

    @property
    def page(self) -> str:
        """The path of its page at the portal."""
        return f"/portal/workspaces/{self.lakehouse.workspace}/activities/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSession(Session):
    """A session and its facts, as the monitoring API has them."""

    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.facts["livyName"])

    @property
    def is_live(self) -> bool:
        """Whether it takes statements, or will."""
        return self.facts["state"] in _LIVE


def find_lakehouse(api: Api, name: str | None) -> Lakehouse:
    """Return the lakehouse of a name, an id or ``workspace/name``; without one, the sample.

    Raises:
        Failed: there is none, or there are several.
    """
    if name is None:
        known = api.connection
        return Lakehouse(workspace=known.workspace_id, id=known.lakehouse_id, label="sample")
    all_of_them = list(_lakehouses(api))
    wanted = name.lower()
    found = [one for one in all_of_them if wanted in (one.id, one.label.lower(), one.name.lower())]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.label for one in all_of_them) or "none"
    if found:
        raise Failed(f"Several lakehouses are called {name}. Name one of: {names}.")
    raise Failed(
        f"There is no lakehouse {name}. These exist: {names}. Create one with: livius lakehouse "
        "create NAME"
    )


def find_session(api: Api, name: str, *, lakehouse: str | None, live: bool) -> FoundSession:
    """Return the session of an id or a name.

    ``live``: only one that has not ended. Else a live one comes before those that have ended, and
    of those the newest.

    Raises:
        Failed: there is none, or several live ones have the name.
    """
    found = [
        one
        for one in list_sessions(api, lakehouse=lakehouse, live=True)
        if name.lower() == one.id or name == one.name
    ]
    if len(found) > 1:  # those that are just being stopped don't count
        found = [one for one in found if _takes_statements(api, one)] or found
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise Failed(f"Several sessions are called {name}. Name one by its id: {ids}.")
    if not found and not live:
        every = list_sessions(api, lakehouse=lakehouse, live=False)
        found = [one for one in every if name.lower() == one.id or name == one.name]
    if not found:
        kind = "live session" if live else "session"
        raise Failed(f"There is no {kind} {name}. See: livius session list")
    return found[0]


def _takes_statements(api: Api, session: Session) -> bool:
    try:
        api.call("GET", session.path, wait=0)
    except NotFound:
        return False
    return True


def list_sessions(api: Api, *, lakehouse: str | None, live: bool) -> Iterator[FoundSession]:
    """Return the sessions that the caller sees, newest first within a workspace."""
    only = find_lakehouse(api, lakehouse).id if lakehouse is not None else None
    filters: Sequence[dict[str, object]] = [{"state": state} for state in _LIVE] if live else [{}]
    for workspace in api.pages("/workspaces"):
        for one in filters:
            path = f"/workspaces/{workspace['id']}/spark/livySessions"
            for facts in api.pages(path, {**one, "maxResults": 1000}):
                item = facts["item"]["itemId"]
                if only in (None, item):
                    place = Lakehouse(
                        workspace=workspace["id"],
                        id=item,
                        label=f"{workspace['displayName']}/{facts['itemName']}",
                    )
                    yield FoundSession(lakehouse=place, id=facts["livyId"], facts=facts)


def _lakehouses(api: Api) -> Iterator[Lakehouse]:
    for workspace in api.pages("/workspaces"):
        for one in api.pages(f"/workspaces/{workspace['id']}/lakehouses"):
            label = f"{workspace['displayName']}/{one['displayName']}"
            yield Lakehouse(workspace=workspace["id"], id=one["id"], label=label)


def find_workspace(api: Api, asked: str | None) -> str:
    """Return the id of a workspace by its name or id; the sample's without either.

    Raises:
        Failed: there is none.
    """
    if asked is None:
        return api.connection.workspace_id
    known = {one["displayName"]: str(one["id"]) for one in api.pages("/workspaces")}
    if asked in known.values():
        return asked
    if asked not in known:
        raise Failed(f"There is no workspace {asked}. There is: {', '.join(known)}.")
    return known[asked]
