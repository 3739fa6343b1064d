"""Cuts what an agent says to what a gateway takes, and says where something was cut.

An honest driver may have anything to say: an error whose text is a whole plan, a thousand stages.
A gateway that is sent more than `livius_agent.wire` allows ends the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from livius_agent.text import cut, json_bytes, tail
from livius_agent.wire import LONGEST_ERROR, MOST_JOBS, Failing, Finished, Job, Jobs, Ready

_NAME: Final = 1000
_REASON: Final = 5000
_LOG_LINES: Final = 100
_LOG: Final = 128 * 1024
_CONF: Final = 512 * 1024
_LEFT_OUT: Final = "livius.conf.leftOut"
_VALUE: Final = 10_000
_JOBS: Final = 512 * 1024
_STAGE: Final = 500
"""Bytes of a stage as JSON without its name, at most."""


def finished(message: Finished) -> Finished:
    """Cut an error: the beginning of its text, and the end of its traceback."""
    half = LONGEST_ERROR // 2
    return replace(
        message,
        ename=None if message.ename is None else message.ename[:_NAME],
        evalue=None if message.evalue is None else cut(message.evalue, half),
        traceback=tail(message.traceback, half),
    )


def failing(message: Failing) -> Failing:
    """Cut a driver's last words."""
    return replace(
        message,
        reason=cut(message.reason, _REASON),
        log=tail([line[:_VALUE] for line in message.log[-_LOG_LINES:]], _LOG),
    )


def ready(message: Ready) -> Ready:
    """Cut the conf: no value is long, and the last keys go first. A key of ours says how many."""
    return replace(message, conf=_pairs(message.conf))


def jobs(message: Jobs) -> Jobs:
    """Leave out the stages of the earlier jobs where there are too many."""
    room, kept = _JOBS, list[Job]()
    for job in reversed(message.jobs[-MOST_JOBS:]):
        stages = tuple(replace(stage, name=cut(stage.name, _NAME)) for stage in job.stages)
        room -= sum(_size(stage.name) + _STAGE for stage in stages)
        if room < 0:
            stages = ()
        name = cut(job.name, _NAME)
        if left := len(job.stages) - len(stages):
            name = f"{name} [{left} stages left out]"
        described = None if job.description is None else cut(job.description, _NAME)
        kept.append(replace(job, name=name, description=described, stages=stages))
    return replace(message, jobs=tuple(reversed(kept)))


def _pairs(conf: Mapping[str, str]) -> dict[str, str]:
    room, kept = _CONF, dict[str, str]()
    for key, value in conf.items():
        shown = cut(value, _VALUE)
        room -= _size(key) + _size(shown)
        if room < 0:
            kept[_LEFT_OUT] = f"{len(conf) - len(kept)} keys are left out: the conf is too large."
            break
        kept[key] = shown
    return kept


def _size(text: str) -> int:
    return len(json_bytes(text))
