"""An activity's conf as one table, and its tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from livius.portal.labels import N_
from livius.portal.pages.activity import BASE, find, show, version_of
from livius.portal.pages_base import PageRequest, Portal
from livius.usecases import sessions
from livius.usecases.conf_table import Source, conf_table

_SOURCES: Final[Mapping[Source, str]] = {
    Source.SESSION: N_("Session"),
    Source.ENVIRONMENT: N_("Environment"),
    Source.WORKSPACE: N_("Workspace"),
    Source.GATEWAY: N_("Livius"),
    Source.SPARK: N_("Spark"),
}
_OUR_TAGS: Final = (sessions.WITHOUT_EFFECT_TAG, sessions.SIZES_TAG)


def routes(portal: Portal) -> Sequence[Route]:
    """Return the route of the configuration."""
    return [portal.get(f"{BASE}/configuration", configuration)]


async def configuration(request: PageRequest) -> Response:
    """Show the requested, effective and default values of each key, and where they come from."""
    view = await find(request, whole=True)
    record = view.activity.session
    return await show(
        request,
        "activity_configuration.html",
        view,
        tab="configuration",
        seen=version_of(view),
        rows=await conf_table(request.context, record),
        sources=_SOURCES,
        tags={name: value for name, value in record.tags.items() if name not in _OUR_TAGS},
    )
