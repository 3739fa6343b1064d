"""The statement's state table, as properties."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.api.fabric.states import statement_state
from livius.domain.errors import IllegalTransition
from livius.domain.ids import DriverId, ReplId, SessionId, StatementNumber
from livius.domain.statement import ACTIVE, FINAL, OPEN, TRANSITIONS, Event, Kind, Phase, Statement
from livius.domain.statement import sources as sources_of

ANY_PHASE = st.sampled_from(Phase)
ANY_EVENT = st.sampled_from(Event)


def statement(phase: Phase) -> Statement:
    return Statement(
        session=SessionId("s"),
        repl=ReplId("r"),
        driver=DriverId("d"),
        number=StatementNumber(0),
        kind=Kind.PYSPARK,
        code="1",
        source_id=None,
        phase=phase,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_the_table_names_every_phase() -> None:
    assert set(TRANSITIONS) == set(Phase)


def test_every_phase_can_be_reached() -> None:
    reached = {Phase.WAITING}
    for _ in Phase:
        reached |= {target for phase in reached for target in TRANSITIONS[phase].values()}
    assert reached == set(Phase)


@given(ANY_PHASE, st.lists(ANY_EVENT, max_size=8))
def test_a_final_phase_is_never_left(phase: Phase, events: list[Event]) -> None:
    present = statement(phase)
    ended_as: Phase | None = None
    for event in events:
        try:
            present = present.after(event)
        except IllegalTransition:
            continue
        assert ended_as is None
        ended_as = present.phase if present.phase in FINAL else None


@given(ANY_PHASE, ANY_EVENT)
def test_an_illegal_event_changes_nothing(phase: Phase, event: Event) -> None:
    present = statement(phase)
    if phase in sources_of(event):
        assert present.after(event).phase is TRANSITIONS[phase][event]
    else:
        with pytest.raises(IllegalTransition):
            present.after(event)
        assert present == statement(phase)


@given(ANY_PHASE)
def test_every_open_statement_can_be_cancelled_and_abandoned(phase: Phase) -> None:
    assert (phase in OPEN) == (Event.ABANDONED in TRANSITIONS[phase])
    if phase in OPEN and phase is not Phase.CANCELLING:
        assert Event.CANCEL_REQUESTED in TRANSITIONS[phase]


def test_only_active_statements_have_code_that_can_finish() -> None:
    assert sources_of(Event.FINISHED) == ACTIVE


@given(ANY_PHASE)
def test_every_phase_has_a_word_on_the_wire_and_it_is_never_error(phase: Phase) -> None:
    assert statement_state(phase) in {"waiting", "running", "available", "cancelling", "cancelled"}
