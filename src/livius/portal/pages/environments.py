"""Environments: a workspace's list of them, and the page that stages and publishes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from livius.domain.activity import OVER, Activity, ActivityState
from livius.domain.environment import (
    CORES,
    KEEPS_WARM,
    MEMORY,
    MOST_FILE_BYTES,
    Compute,
    DynamicAllocation,
    Environment,
    file_kind,
)
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.domain.permissions import CHANGE_ENVIRONMENT
from livius.domain.spark_pool import STARTER_POOL, STARTER_POOL_ID
from livius.limits import expect_library
from livius.portal import labels
from livius.portal.events import PageVersion, version_of
from livius.portal.pages import workspaces
from livius.portal.pages.workspaces import crumbs_to, workspace_path
from livius.portal.pages_base import ROOT, Crumb, Live, PageRequest, Portal
from livius.ports.notifications import AnySessionChanged, OperationChanged, Topic
from livius.usecases import catalog, environments, monitoring, publishing, spark_settings
from livius.usecases.environments import EnvironmentPath, EnvironmentView
from livius.usecases.monitoring import Wanted

LIST: Final = f"{workspaces.BASE}/environments"
BASE: Final = f"{LIST}/{{environment}}"
_MOST_SESSIONS: Final = 100
_BEAT: Final = 1.0
"""Seconds between two looks at a publish, whose log has no notification."""


def routes(portal: Portal) -> Sequence[Route]:
    """Return the routes of environments."""
    return [
        portal.get(LIST, list_all),
        portal.post(LIST, create),
        portal.get(BASE, show),
        portal.get(f"{BASE}/live", live, passive=True),
        portal.get(f"{BASE}/publish", publish_part, passive=True),
        portal.post(f"{BASE}/publish", publish),
        portal.post(f"{BASE}/publish/cancel", cancel_publish),
        portal.post(f"{BASE}/about", change_about),
        portal.post(f"{BASE}/compute", change_compute),
        portal.post(f"{BASE}/libraries", change_libraries),
        portal.upload(f"{BASE}/files", stage_file),
        portal.post(f"{BASE}/files/remove", unstage_file),
        portal.get(f"{BASE}/delete", ask_to_delete),
        portal.post(f"{BASE}/delete", delete),
    ]


def environment_path(one: Environment) -> str:
    """Return the path of an environment's page."""
    return f"{ROOT}/workspaces/{one.workspace}/environments/{one.id}"


def _named(request: PageRequest) -> EnvironmentPath:
    return EnvironmentPath(request.path("workspace"), request.path("environment"))


async def list_all(request: PageRequest) -> Response:
    """Show a workspace's environments, each with the state of its publish."""
    found = await environments.list_environments(
        request.context, request.caller, request.path("workspace")
    )
    return await workspaces.show(
        request,
        "workspace_environments.html",
        tab="environments",
        rows=[(one.environment, _state(one), environment_path(one.environment)) for one in found],
    )


def _state(view: EnvironmentView) -> labels.State | None:
    return labels.PUBLISH[view.publish.state] if view.publish is not None else None


async def create(request: PageRequest) -> Response:
    """Create an environment, and redirect to it."""
    made = await environments.create_environment(
        request.context,
        request.caller,
        request.path("workspace"),
        request.sent("name").strip(),
        request.sent("description").strip(),
    )
    return request.go(environment_path(made.environment))


async def show(request: PageRequest) -> Response:
    """Show an environment: its publish, what is staged, and its sessions."""
    context, caller = request.context, request.caller
    view = await environments.get_environment(context, caller, _named(request))
    environment = view.environment
    workspace, role = await catalog.get_workspace(context, caller, environment.workspace)
    staged = await environments.staged_libraries(context, caller, _named(request))
    published = (
        await publishing.published_version(context, caller, _named(request))
        if environment.published is not None
        else None
    )
    return request.page(
        "environment.html",
        title=environment.name,
        place="workspaces",
        crumbs=crumbs_to(
            request,
            workspace,
            Crumb(request.tr("Environments"), f"{workspace_path(workspace)}/environments"),
            Crumb(environment.name),
        ),
        live=Live(f"{environment_path(environment)}/live", _version(view)),
        may_change=role in CHANGE_ENVIRONMENT.roles,
        published=published,
        warm=None
        if published is None
        else labels.WARM_DRIVER[await publishing.warm_driver(context, published)],
        files=[(name, file_kind(name).is_of_r) for name in staged.files],
        requirements="\n".join(map(str, staged.libraries)),
        properties=_lines(environment.compute.properties),
        keeps_warm=environment.compute.keeps_warm,
        runtimes=sorted(context.runtimes.names()),
        sizes={"cores": CORES, "memory": MEMORY},
        pools=await _pools(request, environment),
        most=MOST_FILE_BYTES,
        sessions=await _sessions(request, environment),
        **_publish_values(view),
    )


async def _pools(request: PageRequest, environment: Environment) -> Mapping[str, str]:
    """Return the names of the pools that can be chosen by their ids; "" is the default one."""
    found = await spark_settings.get_spark_configuration(
        request.context, request.caller, environment.workspace
    )
    default = STARTER_POOL if found.default_pool is None else found.default_pool.name
    pools: dict[str, str] = {
        "": request.tr("The workspace's: %(name)s", name=default),
        STARTER_POOL_ID: STARTER_POOL,
        **{one.id: one.name for one in found.pools},
    }
    if environment.compute.pool is not None:
        pools.setdefault(environment.compute.pool, request.tr("A pool that was deleted"))
    return pools


def _publish_values(view: EnvironmentView) -> dict[str, Any]:
    return {
        "environment": view.environment,
        "path": environment_path(view.environment),
        "publish": view.publish,
        "progress": _state(view),
    }


def _lines(properties: Mapping[str, str]) -> str:
    """Return the properties that the form has as text: one has a box of its own."""
    return "\n".join(
        f"{key}={value}" for key, value in sorted(properties.items()) if key != KEEPS_WARM
    )


async def _sessions(request: PageRequest, environment: Environment) -> Sequence[Activity]:
    """Return the live sessions that have the published version or the latest."""
    found = await monitoring.list_activities(
        request.context,
        request.caller,
        environment.workspace,
        Wanted(states=frozenset(ActivityState) - OVER),
        limit=_MOST_SESSIONS,
    )
    versions = {environment.published, environment.latest} - {None}
    return [one for one in found.activities if one.session.environment in versions]


async def live(request: PageRequest) -> Response:
    """Stream changes of the publish."""

    async def looker() -> PageVersion:
        return _version(
            await environments.get_environment(request.context, request.caller, _named(request))
        )

    return request.stream(looker)


def _version(view: EnvironmentView) -> PageVersion:
    publish = view.publish
    topics: tuple[Topic, ...] = (AnySessionChanged(),)
    if publish is None:
        return PageVersion(versions={"publish": "none"}, topics=topics)
    percent = publish.operation.percent if publish.operation is not None else 100
    shown = f"{publish.version.id} {publish.state} {percent} {len(publish.version.log)}"
    topics = (*topics, OperationChanged(publish.version.operation))
    if not publish.is_on_its_way:
        return PageVersion(versions={"publish": version_of(shown)}, topics=topics)
    return PageVersion(versions={"publish": version_of(shown)}, topics=topics, beat=_BEAT)


async def publish_part(request: PageRequest) -> Response:
    """Return the publish with its progress and log."""
    view = await environments.get_environment(request.context, request.caller, _named(request))
    _workspace, role = await catalog.get_workspace(
        request.context, request.caller, view.environment.workspace
    )
    return request.fragment(
        "_environment_publish.html",
        may_change=role in CHANGE_ENVIRONMENT.roles,
        **_publish_values(view),
    )


async def publish(request: PageRequest) -> Response:
    """Begin to publish what is staged."""
    await publishing.publish(request.context, request.caller, _named(request))
    return _back(request)


async def cancel_publish(request: PageRequest) -> Response:
    """Cancel the publish that runs."""
    await publishing.cancel_publish(
        request.context, request.caller, _named(request), long_poll=request.context.rules.long_poll
    )
    return _back(request)


def _back(request: PageRequest) -> Response:
    named = _named(request)
    return request.go(f"{ROOT}/workspaces/{named.workspace}/environments/{named.environment}")


async def change_about(request: PageRequest) -> Response:
    """Change its name or description."""
    await environments.change_environment(
        request.context,
        request.caller,
        _named(request),
        name=request.sent("name").strip(),
        description=request.sent("description").strip(),
    )
    return _back(request)


async def change_compute(request: PageRequest) -> Response:
    """Stage the Spark that the form has."""
    properties = {**_read_properties(request.sent("properties"))}
    if request.sent("warm"):
        properties[KEEPS_WARM] = "true"
    pool = request.sent("pool")
    present = await environments.get_environment(request.context, request.caller, _named(request))
    removed = dict.fromkeys(present.environment.compute.properties)
    await environments.change_compute(
        request.context,
        request.caller,
        _named(request),
        changes=_read_compute(request, present.environment.compute),
        properties={**removed, **properties},
        pool=(lambda found: found.pool_of(pool)) if pool else None,
    )
    return _back(request)


def _read_compute(request: PageRequest, present: Compute) -> Mapping[str, object]:
    dynamic = None
    if request.sent("dynamic"):
        least, most = request.sent_number("least"), request.sent_number("most")
        least = 1 if least is None else least
        dynamic = DynamicAllocation(enabled=True, least=least, most=least if most is None else most)
    return {
        "runtime": request.sent("runtime") or present.runtime,
        "driver_cores": request.sent_number("driver_cores"),
        "driver_memory": request.sent("driver_memory") or None,
        "executor_cores": request.sent_number("executor_cores"),
        "executor_memory": request.sent("executor_memory") or None,
        "dynamic": dynamic,
        "pool": None,
    }


def _read_properties(text: str) -> Mapping[str, str]:
    """Return the properties of a text with one ``key=value`` in each line.

    Raises:
        Invalid: a line has none.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, sign, value = line.partition("=")
        if not sign or not key.strip():
            raise Invalid(
                "InvalidInput",
                Message(
                    "A Spark property is key=value, one in each line; this is none: %(line)s.",
                    line=repr(line[:100]),
                ),
            )
        found[key.strip()] = value.strip()
    return found


async def change_libraries(request: PageRequest) -> Response:
    """Stage the packages that the form lists, in place of the present ones."""
    await environments.import_libraries(
        request.context, request.caller, _named(request), request.sent("requirements")
    )
    return _back(request)


async def stage_file(request: PageRequest) -> Response:
    """Stage the body as a custom library."""
    name = request.asked("path")
    environment = await environments.may_stage(
        request.context, request.caller, _named(request), name
    )
    expect_library(request.http.scope)
    await environments.stage_file(request.context, environment, name, request.http.stream())
    return Response(status_code=201, headers={"Cache-Control": "no-store"})


async def unstage_file(request: PageRequest) -> Response:
    """Remove a staged custom library."""
    await environments.unstage_file(
        request.context, request.caller, _named(request), request.sent("name")
    )
    return _back(request)


async def ask_to_delete(request: PageRequest) -> Response:
    """Ask, and say what stays."""
    view = await environments.get_environment(request.context, request.caller, _named(request))
    return request.fragment(
        "_environment_delete.html",
        environment=view.environment,
        path=environment_path(view.environment),
        sessions=await _sessions(request, view.environment),
    )


async def delete(request: PageRequest) -> Response:
    """Delete it, and redirect to the list."""
    await environments.delete_environment(request.context, request.caller, _named(request))
    return request.go(f"{ROOT}/workspaces/{request.path('workspace')}/environments")
