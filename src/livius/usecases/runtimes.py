"""Sessions whose runtime is being built."""

from __future__ import annotations

from livius.domain.session import Goal, Phase, Session
from livius.usecases.context import Context


def build_step(context: Context, session: Session) -> str | None:
    """Return the step of the build that a session waits for; None if it waits for none."""
    if session.phase is not Phase.REQUESTED or session.goal is not Goal.RUN:
        return None
    if context.runtimes.is_built(session.runtime):
        return None
    return context.runtimes.step(session.runtime)
