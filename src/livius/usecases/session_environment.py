"""The environment of a new session: the one that its conf names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livius.domain.environment import EnvironmentVersion, PublishState
from livius.domain.errors import Invalid, NotFound
from livius.domain.ids import EnvironmentId, SessionId, WorkspaceId, parse_id
from livius.domain.messages import Message
from livius.domain.session import Phase, Session
from livius.usecases.context import Context

_FIELD: Final = "conf"


async def environment_of_session(
    context: Context, workspace: WorkspaceId, asked: str | None, *, is_named: bool
) -> EnvironmentVersion | None:
    """Return the version with which a new session starts; None: with none.

    ``asked`` is the id in the session's conf, or without ``is_named`` the workspace's default.
    While the first publish runs, it is the version that this is to make.

    Raises:
        Invalid: there is no such environment in the workspace, or nothing of it is published.
    """
    if asked is None:
        return None
    try:
        identity = EnvironmentId(parse_id(asked, what="Environment"))
    except NotFound:
        raise _not_found(asked) from None
    environment = await context.store.environment(identity)
    if environment is None or environment.workspace != workspace:
        raise _not_found(asked)
    version = environment.published or environment.latest
    publish = None if version is None else await context.store.publish(version)
    if publish is not None and (publish.state is PublishState.SUCCEEDED or publish.is_on_its_way):
        return publish.version
    why = Message("It was never published.") if publish is None else publish.why
    text = (
        Message(
            "The environment %(name)s has no published version. %(why)s Publish it, or leave the "
            "key out.",
            name=environment.name,
            why=why,
        )
        if is_named
        else Message(
            "The workspace's Spark settings give sessions the environment %(name)s, which has no "
            "published version. %(why)s Publish it, or have an Admin choose another default.",
            name=environment.name,
            why=why,
        )
    )
    raise Invalid("EnvironmentNotPublished", text, field=_FIELD if is_named else None)


async def packaged_sessions(context: Context, sessions: Sequence[Session]) -> frozenset[SessionId]:
    """Return those of these sessions that wait for the first publish of their environment."""
    waiting = [
        one for one in sessions if one.phase is Phase.REQUESTED and one.environment is not None
    ]
    on_their_way = set()
    for version in {one.environment for one in waiting if one.environment is not None}:
        publish = await context.store.publish(version)
        if publish is not None and publish.is_on_its_way:
            on_their_way.add(version)
    return frozenset(one.id for one in waiting if one.environment in on_their_way)


def _not_found(asked: str) -> Invalid:
    return Invalid(
        "EnvironmentNotFound",
        Message(
            "There is no environment %(environment)s in the session's workspace. Name one of the "
            "workspace by its id, or leave the key out to use the default runtime.",
            environment=asked[:64],
        ),
        field=_FIELD,
    )
