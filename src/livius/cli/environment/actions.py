"""``livius environment list``, ``create``, ``show`` and ``publish``, through the public API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from livius.cli.answers import Failed
from livius.cli.api import Api, NotFound
from livius.cli.console import out, print_json
from livius.cli.work.interrupts import Interrupted
from livius.cli.work.opening import Command
from livius.cli.work.places import find_workspace
from livius.cli.work.running import exit_status

_LISTS: Final = (".txt", ".yml", ".yaml")
_LOOK_EVERY: Final = 0.3


def list_all(*, as_json: bool) -> int:
    """List environments."""

    def work(command: Callable[[], Command]) -> None:
        found = list(_environments(command().api))
        if as_json:
            print_json(found)
            return
        for one in found:
            out.print(f"{one['workspaceName']}/{one['displayName']}", markup=False)
            out.print(f"  id       {one['id']}")
            out.print(f"  publish  {_state(one)}")

    return exit_status(work)


def create(name: str, *, workspace: str | None, description: str) -> int:
    """Create an environment."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        body = {"displayName": name, "description": description}
        place = find_workspace(api, workspace)
        made = api.call("POST", f"/workspaces/{place}/environments", body=body)
        out.print(f"Created the environment {name}.", markup=False)
        out.print(f"  id  {made['id']}")
        out.print(f"Put libraries into it: livius environment publish {name} FILES", markup=False)

    return exit_status(work)


def show(name: str, *, as_json: bool) -> int:
    """Show an environment."""

    def work(command: Callable[[], Command]) -> None:
        api = command().api
        one = _find(api, name)
        path = _path(one)
        shown = {
            **one,
            "staged": api.call("GET", f"{path}/staging/libraries")["libraries"],
            "published": _published(api, path),
            "log": _log(api, path),
        }
        if as_json:
            print_json(shown)
            return
        out.print(f"{one['workspaceName']}/{one['displayName']}", markup=False)
        out.print(f"  id         {one['id']}")
        out.print(f"  publish    {_state(one)}")
        for title in ("staged", "published"):
            named = ", ".join(map(_library, shown[title])) or "nothing"
            out.print(f"  {title:<9}  {named}", markup=False)
        out.print(shown["log"].rstrip(), markup=False)

    return exit_status(work)


def publish(name: str, files: Sequence[Path]) -> int:
    """Stage files, publish, and wait."""

    def work(command: Callable[[], Command]) -> None:
        contents = _read(files)
        api = command().api
        one = _find(api, name)
        path = _path(one)
        for file, content in contents.items():
            is_list = file.suffix.lower() in _LISTS
            where = "importExternalLibraries" if is_list else quote(file.name, safe="")
            api.send("POST", f"{path}/staging/libraries/{where}", content)
        api.send("POST", f"{path}/staging/publish", b"")
        try:
            _follow(api, path)
        except (Interrupted, KeyboardInterrupt):
            api.call("POST", f"{path}/staging/cancelPublish", body={})
            raise
        state = api.call("GET", path)["properties"]["publishDetails"]["state"]
        if state != "Success":
            raise Failed(f"The publish of {one['displayName']} ended as {state}; see above.")
        out.print(
            f"Published {one['displayName']}. Use it with: "
            f"livius run FILE --conf spark.fabric.environment.id={one['id']}",
            markup=False,
        )

    return exit_status(work)


def _read(files: Sequence[Path]) -> dict[Path, bytes]:
    """Return the contents of the files, before anything is sent.

    Raises:
        Failed: one can't be read, or there are two lists.
    """
    lists = [str(file) for file in files if file.suffix.lower() in _LISTS]
    if len(lists) > 1:
        raise Failed(f"Name one list of packages only, not {' and '.join(lists)}.")
    try:
        return {file: file.read_bytes() for file in files}
    except OSError as error:
        raise Failed(f"{error.filename} can't be read: {error.strerror}.") from error


def _follow(api: Api, path: str) -> None:
    """Print the log of the publish until it has ended."""
    seen = ""
    while True:
        details = api.call("GET", path)["properties"]["publishDetails"]
        log = _log(api, path)
        out.print(log.removeprefix(seen), end="", markup=False)
        seen = log
        if "endTime" in details:
            return
        time.sleep(_LOOK_EVERY)


def _environments(api: Api) -> Iterator[dict[str, Any]]:
    for workspace in api.pages("/workspaces"):
        for one in api.pages(f"/workspaces/{workspace['id']}/environments"):
            yield {**one, "workspaceName": workspace["displayName"]}


def _find(api: Api, name: str) -> dict[str, Any]:
    """Return an environment by its name or id.

    Raises:
        Failed: there is none, or there are several of the name.
    """
    every = list(_environments(api))
    found = [one for one in every if name == one["id"] or name == one["displayName"]]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(one["id"] for one in found)
        raise Failed(f"Several workspaces have an environment {name}. Name one by its id: {ids}.")
    known = ", ".join(one["displayName"] for one in every) or "none"
    raise Failed(
        f"There is no environment {name}. There is: {known}. Create it with: "
        f"livius environment create {name}"
    )


def _path(environment: dict[str, Any]) -> str:
    return f"/workspaces/{environment['workspaceId']}/environments/{environment['id']}"


def _state(environment: dict[str, Any]) -> str:
    details = environment["properties"]["publishDetails"]
    return str(details.get("state", "never published"))


def _published(api: Api, path: str) -> list[dict[str, Any]]:
    try:
        libraries: list[dict[str, Any]] = api.call("GET", f"{path}/libraries")["libraries"]
    except NotFound:
        return []
    return libraries


def _log(api: Api, path: str) -> str:
    try:
        return api.read(f"{path}/staging/publish/log", {}).decode()
    except NotFound:
        return ""


def _library(library: dict[str, Any]) -> str:
    return " ".join(filter(None, (library["name"], library.get("version"))))
