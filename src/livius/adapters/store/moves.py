"""The update that an event is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import Table, Update, bindparam, case, update

Event = TypeVar("Event", bound=StrEnum)
Phase = TypeVar("Phase", bound=StrEnum)


def guarded(
    table: Table, transitions: Mapping[Phase, Mapping[Event, Phase]], event: Event
) -> Update:
    """Return the update of the record ``of`` that names the phases which the event may leave.

    It returns the record as it is then, and no row if the record is in another phase.
    """
    leads = {phase: row[event] for phase, row in sorted(transitions.items()) if event in row}
    return (
        update(table)
        .where(table.c.id == bindparam("of"), table.c.phase.in_(leads))
        .values(phase=case(leads, value=table.c.phase))
        .returning(table)
    )
