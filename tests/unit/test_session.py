"""The session's state table and its projection to Fabric's words, as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.api.fabric.states import session_state
from livius.domain.errors import IllegalTransition
from livius.domain.ids import DriverId, LakehouseId, PrincipalId, ReplId, SessionId, WorkspaceId
from livius.domain.session import (
    FINAL,
    LIVE,
    TRANSITIONS,
    EndCause,
    Event,
    Goal,
    Phase,
    Session,
    sources,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIVY_STATES = {
    "starting", "running", "dead", "success", "killed", "idle", "error", "shutting_down",
    "not_started", "busy", "recovering", "submitting", "not_submitted",
}  # fmt: skip
FABRIC_STATES = {
    "queued", "libraryPackaging", "acquiringSession", "cancelling", "cancelled", "error", "unknown",
}  # fmt: skip


def session(phase: Phase, *, goal: Goal = Goal.RUN, cause: EndCause | None = None) -> Session:
    return Session(
        id=SessionId("s"),
        workspace=WorkspaceId("w"),
        lakehouse=LakehouseId("l"),
        submitter=PrincipalId("p"),
        submitter_name="Ada",
        name="demo",
        runtime="2.0",
        conf={},
        tags={},
        request={},
        goal=goal,
        phase=phase,
        driver=DriverId("d"),
        first_repl=ReplId("r"),
        idle_timeout=timedelta(minutes=20),
        created_at=NOW,
        last_active_at=NOW,
        end_cause=cause,
    )


def test_the_table_names_every_phase() -> None:
    assert set(TRANSITIONS) == set(Phase)


def test_every_phase_can_be_reached() -> None:
    reached = {Phase.REQUESTED}
    for _ in Phase:
        reached |= {target for phase in reached for target in TRANSITIONS[phase].values()}
    assert reached == set(Phase)


@given(st.sampled_from(sorted(LIVE)))
def test_every_live_session_can_be_stopped(phase: Phase) -> None:
    stopping = phase
    if stopping is not Phase.STOPPING:
        stopping = TRANSITIONS[stopping][Event.STOP_BEGUN]
    assert TRANSITIONS[stopping][Event.DRIVER_ENDED] is Phase.STOPPED


@given(st.sampled_from(Phase), st.sampled_from(Event))
def test_an_illegal_event_changes_nothing(phase: Phase, event: Event) -> None:
    present = session(phase)
    if phase in sources(event):
        moved = present.after(event, at=NOW)
        assert moved.phase is TRANSITIONS[phase][event]
        assert moved.times[moved.phase] == NOW
    else:
        with pytest.raises(IllegalTransition):
            present.after(event, at=NOW)


@given(st.sampled_from(Phase), st.sampled_from(Goal), st.booleans(), st.sampled_from(EndCause))
def test_every_combination_has_words_that_fabric_knows(
    phase: Phase, goal: Goal, busy: bool, cause: EndCause
) -> None:
    words = session_state(session(phase, goal=goal, cause=cause), busy=busy)
    assert words.state in LIVY_STATES
    assert words.livy is None or words.livy == words.state
    assert words.fabric in FABRIC_STATES
    assert words.scheduler in {"Queued", "Scheduled", "Ended"}
    assert (words.result == "Uncertain") == (phase not in FINAL)


@given(st.sampled_from(sorted(LIVE)), st.booleans())
def test_a_session_that_is_to_stop_is_never_shown_as_usable(phase: Phase, busy: bool) -> None:
    words = session_state(session(phase, goal=Goal.STOP), busy=busy)
    assert words.state == "shutting_down"


@given(st.lists(st.sampled_from(Event), max_size=10), st.booleans())
def test_the_shown_state_never_goes_back_to_starting(events: list[Event], busy: bool) -> None:
    order = ["not_started", "starting", "idle", "busy", "shutting_down", "killed", "dead"]
    present, shown = session(Phase.REQUESTED), 0
    for event in events:
        try:
            present = present.after(event, at=NOW)
        except IllegalTransition:
            continue
        now_shown = order.index(session_state(present, busy=busy).state)
        assert now_shown >= shown or {order[now_shown], order[shown]} == {"killed", "dead"}
        shown = now_shown
