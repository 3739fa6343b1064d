"""What drivers report of their sessions and statements.

A driver runs its user's code, so nothing that it says is believed beyond its own session: each
message is checked against the repl of the driver that the link's secret proved, and against what
that repl runs. A driver that breaks a rule loses its session (`SessionLost`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from msgspec import Raw, Struct

from livius.domain.audit import Action, entry
from livius.domain.conf_secrets import hide
from livius.domain.driver import Event as DriverEvent
from livius.domain.ids import DriverId, ReplId, StatementNumber
from livius.domain.jobs import SparkJob, SparkStage, StatementJobs
from livius.domain.repl import ACCEPTING, Repl
from livius.domain.session import Session
from livius.domain.statement import ACTIVE, Ending, Event
from livius.domain.tokens import moment
from livius.ports.notifications import OutputGrew, StatementsChanged
from livius.usecases.context import Context
from livius.usecases.dispatch import note_end, pump, send_run
from livius.usecases.driver_link import rule_broken, session_of
from livius.usecases.driver_requests import stop
from livius.usecases.repls import note_abandoned
from livius_agent.text import tail
from livius_agent.wire import (
    LARGEST_DATA,
    LONGEST_ERROR,
    Ack,
    Beat,
    Completed,
    Failing,
    Finished,
    FromAgent,
    Heap,
    Job,
    Jobs,
    Output,
    Progress,
    Ready,
    ReplClosed,
    ReplReady,
    Stage,
    Warmed,
    WireError,
    check_data,
    check_values,
    type_of,
)

_SMALL: Final = 64 * 1024
_LARGEST_COUNTED: Final = 1024 * 1024
"""The largest data whose rows are counted: the parts of larger ones would take too much memory."""
"""Bytes of JSON that are read on the event loop; of more a thread takes care."""

_LIMIT_MARGIN: Final = 256
"""Bytes beyond the limit that a driver, which cuts its output itself, needs to say so."""

_LOG_BYTES: Final = 64 * 1024
_MOST_STAGES: Final = 50
_LONGEST_WORD: Final = 200
_LONGEST_DESCRIPTION: Final = 500
_HEAP_EVERY: Final = timedelta(seconds=3)
_HEAP_STEP: Final = 0.02
"""The share of the heap that is worth a write."""

_MOST_CONF: Final = 2_000
_LONGEST_VALUE: Final = 10_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class LinkMemory:
    """What one link has found out about its driver, so as not to ask the store each time."""

    repls: dict[str, Repl] = field(default_factory=dict)
    running: set[tuple[ReplId, int]] = field(default_factory=set)
    heap: Heap | None = None
    heap_at: datetime | None = None


async def report(
    context: Context, session: Session, message: FromAgent, memory: LinkMemory | None = None
) -> None:
    """Take one message of a session's driver. Repeats are harmless.

    ``memory`` is the link's.

    Raises:
        SessionLost: the message breaks a rule.
    """
    known = LinkMemory() if memory is None else memory
    match message:
        case Output() | Progress() | Jobs() | Finished():
            repl = await _repl(context, session, message.repl, known)
            await _report_statement(context, session, repl, message, known.running)
            if isinstance(message, Jobs):
                await _take_heap(context, session, message.heap, known)
        case Ready():
            await _ready(context, session, message)
        case ReplReady():
            repl = await _repl(context, session, message.repl, known)
            await context.store.repl_opened(repl.id)
            context.notifications.notify(session.id)
            await pump(context, repl.driver, repl.id)
        case ReplClosed():
            repl = await _repl(context, session, message.repl, known)
            await _repl_closed(context, session, repl, message.reason)
        case Failing():
            # The process is about to end; the reconciler sees that and finds the reason here.
            await context.store.annotate_session(
                session.id, end_reason=message.reason, log=tail(message.log, _LOG_BYTES)
            )
            context.wake(session.driver)
        case Beat():
            await _beat(context, session, message, known)
        case Completed():
            context.completions.answered(session.driver, message)
        case Warmed():
            pass  # it is being bound
        case _:
            raise rule_broken(f"it sent {type_of(message)} where that is out of place")


async def _take_heap(
    context: Context, session: Session, heap: Heap | None, known: LinkMemory
) -> None:
    """Store a driver's heap where it is another one than was stored, and not too often."""
    now = context.clock.now()
    if heap is None or (known.heap_at is not None and now - known.heap_at < _HEAP_EVERY):
        return
    before = known.heap
    if before is not None and abs(heap.used - before.used) < heap.limit * _HEAP_STEP:
        return
    known.heap, known.heap_at = heap, now
    await context.store.set_heap(session.id, used=heap.used, limit=heap.limit)


async def _beat(context: Context, session: Session, message: Beat, known: LinkMemory) -> None:
    if message.busy:
        await context.store.touch(session.id, at=context.clock.now())
    await _take_heap(context, session, message.heap, known)


async def report_pooled(context: Context, driver: DriverId, message: FromAgent) -> None:
    """Take one message of a driver that has no session yet.

    Raises:
        SessionLost: such a driver does not say that.
    """
    match message:
        case Warmed():
            await context.store.move_driver(driver, DriverEvent.WARMED, at=context.clock.now())
        case Failing():
            _log.warning("pool_driver_failing", driver=driver, reason=message.reason)
            context.wake(driver)
        case Beat():
            pass
        case _:
            raise rule_broken(f"it sent {type_of(message)} without having a session")


async def _repl(context: Context, session: Session, repl: str, known: LinkMemory) -> Repl:
    """Return a repl of the driver's.

    Raises:
        SessionLost: the driver has no such repl.
    """
    found = known.repls.get(repl)
    if found is None:
        found = await context.store.repl(ReplId(repl))
        if found is None or found.driver != session.driver:
            raise rule_broken("it spoke of a repl that is not its own")
        known.repls[repl] = found
    return found


async def _repl_closed(context: Context, session: Session, repl: Repl, reason: str | None) -> None:
    ended = await context.store.close_repl(
        repl.id,
        at=context.clock.now(),
        reason=reason,
        ending=Ending(ok=False, ename="ReplEnded", evalue=reason or "The repl was closed."),
    )
    note_abandoned(context, ended or ())
    context.notifications.notify(StatementsChanged(session.id))
    context.notifications.notify(session.id)


async def _ready(context: Context, session: Session, message: Ready) -> None:
    now = context.clock.now()
    moved = await context.store.move_driver(
        session.driver,
        DriverEvent.READIED,
        at=now,
        last_active_at=now,
        spark_app_id=message.spark_app_id,
        ui_url=message.ui_url,
        versions=message.versions,
    )
    if moved is None and await session_of(context, session.driver) is None:
        return  # another driver has taken its place
    await context.store.set_effective_conf(session.id, _conf(message))
    if moved is not None:
        took, pooled = now - session.created_at, moved[0].pooled
        context.meter.session_ready(took, pooled=pooled)
        seconds = round(took.total_seconds(), 3)
        _log.info("session_ready", session=session.id, seconds=seconds, pooled=pooled)
    context.notifications.notify(session.id)
    context.conf_secrets.pop(session.id, None)
    context.wake(session.driver)
    await pump(context, session.driver, session.first_repl)


def _conf(message: Ready) -> dict[str, str]:
    """Return the conf as reported: no more of it than any Spark has, and without secrets."""
    pairs = list(message.conf.items())[:_MOST_CONF]
    return hide({key[:_LONGEST_VALUE]: value[:_LONGEST_VALUE] for key, value in pairs})


async def _report_statement(
    context: Context,
    session: Session,
    repl: Repl,
    message: Output | Progress | Jobs | Finished,
    running: set[tuple[ReplId, int]],
) -> None:
    number = StatementNumber(message.number)
    match message:
        case Output():
            if await _runs(context, repl, number, running):
                await _take_output(context, repl, number, message)
        case Progress():
            share = min(1.0, max(0.0, message.value))
            await context.store.set_progress(repl.id, number, share)
            context.notifications.notify(StatementsChanged(session.id))
        case Jobs():
            await context.store.set_jobs(repl.id, number, _jobs(message))
            context.notifications.notify(StatementsChanged(session.id))
        case Finished():
            is_open = await _is_active(context, repl, number, running)
            running.discard((repl.id, number))
            if is_open:
                await _finished(context, session, repl, number, message)
            else:
                if message.stop:  # which a gateway that was killed may not have come to
                    await stop(context, session, repl.id)
                # Its end is stored already. The agent may forget the statement.
                _acknowledge(context, repl, message, offset=message.size, finished=True)


async def _is_active(
    context: Context, repl: Repl, number: StatementNumber, running: set[tuple[ReplId, int]]
) -> bool:
    if (repl.id, number) not in running:
        statement = await context.store.statement(repl.id, number)
        if statement is None or statement.phase not in ACTIVE:
            return False
        running.add((repl.id, number))
    return True


async def _runs(
    context: Context, repl: Repl, number: StatementNumber, running: set[tuple[ReplId, int]]
) -> bool:
    """Tell whether a statement's output is to be taken; it is not while its repl or session ends.

    Raises:
        SessionLost: they go on, and the statement does not run.
    """
    if await _is_active(context, repl, number, running):
        return True
    present = await context.store.session(repl.session)
    now = await context.store.repl(repl.id)
    accepts = now is not None and now.phase in ACCEPTING
    if accepts and present is not None and present.accepts_statements:
        raise rule_broken(f"it sent output of statement {number}, which does not run")
    return False


async def _take_output(
    context: Context, repl: Repl, number: StatementNumber, message: Output
) -> None:
    data = message.text.encode()
    is_text = message.stream == "text"
    if not is_text and message.offset + len(data) > LARGEST_DATA:
        raise rule_broken(f"the data of statement {number} has more than {LARGEST_DATA} bytes")
    size = await context.outputs.write(
        repl.session,
        repl.id,
        number,
        offset=message.offset,
        data=data,
        most=_most(context) if is_text else LARGEST_DATA,
        stream=message.stream,
    )
    _acknowledge(context, repl, message, offset=size, finished=False)
    if is_text:
        context.notifications.notify(OutputGrew(repl.id, number))


def _most(context: Context) -> int:
    """Return how many bytes of a statement's text are kept."""
    return context.rules.output_limit + _LIMIT_MARGIN


def _jobs(message: Jobs) -> StatementJobs:
    """Return what a driver says of its jobs, as much of it as an honest one would say."""
    return StatementJobs(
        total=max(message.total, len(message.jobs)),
        jobs=tuple(_job(job) for job in message.jobs),
    )


def _job(job: Job) -> SparkJob:
    return SparkJob(
        id=job.id,
        name=job.name[:_LONGEST_WORD],
        status=job.status[:_LONGEST_WORD],
        tasks=job.tasks,
        done=job.done,
        active=job.active,
        failed=job.failed,
        skipped=job.skipped,
        started_at=moment(job.started),
        ended_at=moment(job.ended),
        description=None if job.description is None else job.description[:_LONGEST_DESCRIPTION],
        stages=tuple(_stage(stage) for stage in job.stages[-_MOST_STAGES:]),
    )


def _stage(stage: Stage) -> SparkStage:
    return SparkStage(
        id=stage.id,
        attempt=stage.attempt,
        name=stage.name[:_LONGEST_WORD],
        status=stage.status[:_LONGEST_WORD],
        tasks=stage.tasks,
        done=stage.done,
        active=stage.active,
        failed=stage.failed,
        started_at=moment(stage.started),
        ended_at=moment(stage.ended),
        input_bytes=stage.input_bytes,
        input_rows=stage.input_rows,
        output_bytes=stage.output_bytes,
        output_rows=stage.output_rows,
    )


async def _finished(
    context: Context, session: Session, repl: Repl, number: StatementNumber, message: Finished
) -> None:
    size, text = await _rest(context, repl, number, message)
    data_size = await _data_size(context, repl, number, message)
    if size < min(message.size, _most(context)) or data_size < message.data_size:
        # Some output is missing, which only a lost message explains: the redial repeats it.
        _log.warning("output_incomplete", session=session.id, number=number, has=size)
        context.links.close(repl.driver)
        return
    ending = replace(await _ending(context, repl, number, message), text=text)
    event = Event.STOPPED if message.outcome == "cancelled" else Event.FINISHED
    now = context.clock.now()
    moved, following = await context.store.end_statement(
        repl.id,
        number,
        event,
        at=now,
        ending=ending,
        audit=entry(session, Action.STATEMENT_END, at=now, result=message.outcome),
        claim=not message.stop and context.links.is_open(repl.driver),
    )
    if moved is not None:
        note_end(context.meter, moved, message.outcome)
    context.notifications.notify((repl.id, number), moved)
    context.notifications.notify(StatementsChanged(session.id))
    if message.stop:
        await stop(context, session, repl.id)
    # Where nothing moved, the end was known already: acknowledged all the same.
    _acknowledge(context, repl, message, offset=size, finished=True)
    if following is not None:
        send_run(context, following)


async def _rest(
    context: Context, repl: Repl, number: StatementNumber, message: Finished
) -> tuple[int, str | None]:
    """Take the output that came with the end. Return its whole size, and itself where it is short.

    A short one that came whole is kept in the record: no file is written for it, and none read.
    """
    raw = message.text.encode()
    if len(raw) == message.size <= context.rules.inline_bytes:
        return message.size, message.text
    if not raw:
        return await context.outputs.size(repl.session, repl.id, number), None
    size = await context.outputs.write(
        repl.session,
        repl.id,
        number,
        offset=max(0, message.size - len(raw)),
        data=raw,
        most=_most(context),
    )
    return size, None


async def _data_size(
    context: Context, repl: Repl, number: StatementNumber, message: Finished
) -> int:
    if not message.data_size:
        return 0
    return await context.outputs.size(repl.session, repl.id, number, stream="data")


async def _ending(
    context: Context, repl: Repl, number: StatementNumber, message: Finished
) -> Ending:
    ok = message.outcome == "ok"
    data, elsewhere, rows = None, False, None
    if ok:
        try:
            data, elsewhere, rows = await _data(context, repl, number, message)
        except WireError as error:
            raise rule_broken(f"of statement {number}, {error}") from error
    return Ending(
        ok=ok,
        with_text=message.with_text,
        data_elsewhere=elsewhere,
        data=data,
        ename=None if ok else (message.ename or "Error")[:_LONGEST_WORD],
        evalue=None if ok else message.evalue or "",
        traceback=tail(message.traceback, LONGEST_ERROR),
        rows=rows,
    )


async def _data(
    context: Context, repl: Repl, number: StatementNumber, message: Finished
) -> tuple[bytes | None, bool, int | None]:
    """Return an ending's data as it came, or that it lies with the outputs; and its rows.

    Raises:
        WireError: it is no JSON object.
    """
    if message.data_size:
        sent = await context.outputs.read_data(repl.session, repl.id, number)
        has_members = await asyncio.to_thread(check_data, sent)
        return None, has_members, await asyncio.to_thread(_count_rows, sent)
    raw = bytes(message.data)
    if raw in (b"null", b"{}"):
        return None, False, None
    if len(raw) > context.rules.inline_bytes:
        if has_members := await asyncio.to_thread(check_data, raw):
            await context.outputs.write_data(repl.session, repl.id, number, raw)
        return None, has_members, await asyncio.to_thread(_count_rows, raw)
    if len(raw) > _SMALL:
        await asyncio.to_thread(check_values, raw)
        return raw, False, await asyncio.to_thread(_count_rows, raw)
    check_values(raw)
    return raw, False, _count_rows(raw)


class _Table(Struct):
    """What SQL returns; its rows are counted and not parsed."""

    schema: Raw
    data: list[Raw]


class _Values(Struct):
    table: _Table = msgspec.field(name="application/json")


_TABLE: Final = msgspec.json.Decoder(_Values)


def _count_rows(data: bytes) -> int | None:
    """Return how many rows a statement's data has; None if it is large or no table of SQL's."""
    if len(data) > _LARGEST_COUNTED:
        return None
    try:
        return len(_TABLE.decode(data).table.data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _acknowledge(
    context: Context, repl: Repl, message: Output | Finished, *, offset: int, finished: bool
) -> None:
    context.links.send(
        repl.driver,
        Ack(
            repl=message.repl,
            number=message.number,
            offset=offset,
            finished=finished,
            stream=message.stream if isinstance(message, Output) else "text",
        ),
    )
