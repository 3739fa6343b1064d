"""The conf policy: which Spark conf a caller may set, and the effect of Fabric's own keys.

Fates of a key, the first that fits:

* refused: it would let a caller leave the sandbox before any code of the session runs, or change
  what the operator decided. The error names the key and the reason, and nothing is started.
* taken by Livius: the idle timeout, an environment, a runtime, a pool.
* without effect: Fabric's own keys, sizes on a local master, keys that Spark doesn't read. They are
  recorded, and a tag names them.
* passed to Spark, once its value could be right: a number where Spark needs one, a path in the
  lakehouse, a class of Spark's own.

Keys are compared in lower case, because Hadoop and some of Spark's readers ignore it. What a
session's own code sets is not policed: it runs as the driver does anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from livius.domain.conf_rules import (
    CLASSES,
    EXCEPTIONS,
    FABRIC_CLASSES,
    FORMS,
    OWN_PACKAGES,
    PATHS,
    REFUSALS,
    SET_HERE,
    SIZED_ON_CLUSTERS,
    WITHOUT_EFFECT,
    Form,
    Refusal,
)
from livius.domain.errors import Invalid
from livius.domain.messages import Message
from livius.domain.session import Sizes

MAX_KEYS: Final = 500
MAX_KEY_CHARS: Final = 256
MAX_VALUE_CHARS: Final = 16_384
IDLE_TIMEOUT: Final = "spark.livy.session.idle.timeout"
ENVIRONMENT_DETAILS: Final = "spark.fabric.environmentDetails"
ENVIRONMENT_ID: Final = "spark.fabric.environment.id"
RUNTIME: Final = "spark.livius.runtime"
"""Fabric has no key for it: there, a workspace or an environment has a runtime."""
POOL_NAME: Final = "spark.fabric.pool.name"
SHORTEST_IDLE: Final = timedelta(seconds=1)
LONGEST_IDLE: Final = timedelta(days=14)
"""Fabric's own upper bound."""

_TAKEN: Final = frozenset(
    key.lower() for key in (IDLE_TIMEOUT, ENVIRONMENT_DETAILS, ENVIRONMENT_ID, POOL_NAME, RUNTIME)
)
_SET_HERE: Final = {key.lower(): value for key, value in SET_HERE.items()}
_KEY: Final = re.compile(r"[A-Za-z0-9_.$-]+", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,9})\s*(ms|s|m|min|h|d)?", re.IGNORECASE | re.ASCII)
_UNITS: Final[Mapping[str, timedelta]] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_FORM_PATTERNS: Final[Mapping[Form, re.Pattern[str]]] = {
    form: re.compile(pattern, re.IGNORECASE | re.ASCII)
    for form, pattern in {
        Form.COUNT: r"0*[1-9]\d{0,8}",
        Form.NUMBER: r"\d{1,9}",
        Form.SWITCH: "true|false",
        Form.DURATION: r"\d{1,12}(us|ms|s|m|min|h|d)?",
        Form.BYTES: r"-1|\d{1,15}([kmgtp]?b?)",
        Form.MEMORY: r"[1-9]\d{0,5}\s*[mgt]b?",
    }.items()
}
_SHORT_NAME: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_LAKEHOUSE_PATH: Final = re.compile(
    r"(?:\./)?(?:Files|Tables)(?:/[^\x00-\x1f]*)?|abfss://[^\x00-\x1f]+", re.IGNORECASE
)
_STEP_UP: Final = re.compile(r"(?:\.|%2e){2}", re.IGNORECASE)
_MAX_CORES: Final = 256
_MAX_EXECUTORS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfDecision:
    """A caller's conf after the policy. ``without_effect`` names accepted keys that do nothing."""

    conf: Mapping[str, str]
    idle_timeout: timedelta | None
    environment: str | None
    runtime: str | None = None
    pool: str | None = None
    without_effect: tuple[str, ...] = field(default=())


def apply_conf_policy(conf: Mapping[str, str], *, local: bool) -> ConfDecision:
    """Sort a caller's conf into keys for Spark, keys that Livius takes, and keys without effect.

    ``local`` means that Spark runs inside the driver, where sizes have no effect.

    Raises:
        Invalid: a key that may not be set, or a value that can't work; ``field`` names it.
    """
    if len(conf) > MAX_KEYS:
        raise Invalid(
            "InvalidInput", f"conf has more than {MAX_KEYS} keys; send fewer.", field="conf"
        )
    passed: dict[str, str] = {}
    idle: timedelta | None = None
    environment: str | None = None
    runtime: str | None = None
    pool: str | None = None
    without_effect: list[str] = []
    for key, value in conf.items():
        plain = _plain_key(key, value)
        if _SET_HERE.get(plain) == value:
            continue
        _refuse(key, plain)
        _check_value(key, plain, value)
        if plain == IDLE_TIMEOUT:
            idle = parse_duration(value, field=f"conf.{key}")
        elif plain == RUNTIME:
            runtime = value.strip()
        elif plain == POOL_NAME.lower():
            pool = value
        elif plain in _TAKEN:
            environment = _environment_id(key, value)
        elif _does_nothing(key, plain, value, local=local):
            without_effect.append(key)
        else:
            passed[key] = value
    return ConfDecision(
        conf=passed,
        idle_timeout=idle,
        environment=environment,
        runtime=runtime,
        pool=pool,
        without_effect=tuple(without_effect),
    )


def _plain_key(key: str, value: str) -> str:
    """Return the key in lower case; refuse a text that is no key."""
    where = f"conf.{key[:100]}"
    if not _KEY.fullmatch(key) or len(key) > MAX_KEY_CHARS:
        raise Invalid(
            "InvalidInput",
            f"The conf key {key[:100]!r} has other characters than plain letters, digits, dots, "
            f"dashes, underscores and dollar signs, or more than {MAX_KEY_CHARS}. Correct it.",
            field=where,
        )
    if "\0" in value or len(value) > MAX_VALUE_CHARS:
        raise Invalid(
            "InvalidInput",
            f"The value of {key} holds a NUL or more than {MAX_VALUE_CHARS} characters.",
            field=where,
        )
    return key.lower()


def _refuse(key: str, plain: str) -> None:
    refusal = refusal_of(plain)
    if refusal is not None:
        raise Invalid(
            "SparkConfNotAllowed",
            f"The conf key {key} can't be set by a session: {refusal.why}. {refusal.instead}.",
            field=f"conf.{key}",
        )


def refusal_of(key: str) -> Refusal | None:
    """Return the reason why a key can't be set, or None if it can."""
    plain = key.lower()
    # Spark reads some keys without their prefix, and hands keys with Hadoop's on without it.
    spellings = (plain, f"spark.{plain}", plain.removeprefix("spark.hadoop."))
    if _matches(plain, EXCEPTIONS):
        return None
    return next(
        (one for one in REFUSALS if any(_matches(text, one.patterns) for text in spellings)), None
    )


def is_ruled(key: str) -> bool:
    """Tell whether a rule names the key: it is refused, does nothing, or its value is checked."""
    plain = key.lower()
    return refusal_of(key) is not None or _matches(
        plain, (*EXCEPTIONS, *WITHOUT_EFFECT, *CLASSES, *PATHS, *SIZED_ON_CLUSTERS)
    )


def is_size(key: str) -> bool:
    """Tell whether a key asks for memory, cores or executors."""
    return _matches(key.lower(), SIZED_ON_CLUSTERS)


def _matches(plain: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(plain, pattern) for pattern in patterns)


def _does_nothing(key: str, plain: str, value: str, *, local: bool) -> bool:
    return (
        # Spark itself reads keys with exactly this beginning.
        not key.startswith("spark.")
        or _matches(plain, tuple(WITHOUT_EFFECT))
        or value in FABRIC_CLASSES
        or (local and _matches(plain, SIZED_ON_CLUSTERS))
    )


def why_without_effect(key: str, value: str) -> Message:
    """Return the reason why a key that `apply_conf_policy` accepted does nothing."""
    plain = key.lower()
    if not key.startswith("spark."):
        return Message("Spark reads only keys that begin with spark.")
    if plain == POOL_NAME.lower():
        return Message("The workspace's Spark settings choose the pool.")
    if _matches(plain, SIZED_ON_CLUSTERS):
        return Message("Spark runs in the driver here, and the operator decides its size.")
    if value in FABRIC_CLASSES:
        return Message("A class that only Fabric has")
    subject = next(
        (one for pattern, one in WITHOUT_EFFECT.items() if fnmatchcase(plain, pattern)), ""
    )
    return Message("For %(subject)s", subject=subject)


def _check_value(key: str, plain: str, value: str) -> None:
    """Refuse a value that could not work, or that would reach out of the lakehouse."""
    form = FORMS.get(plain)
    if form is not None and not _FORM_PATTERNS[form].fullmatch(value.strip()):
        raise Invalid(
            "InvalidInput",
            f"The value of {key} is {form}, not {value[:60]!r}.",
            field=f"conf.{key}",
        )
    if _matches(plain, CLASSES) and not all(map(_is_own_class, value.split(","))):
        raise Invalid(
            "SparkConfNotAllowed",
            f"The value of {key} names a class that is not Spark's, Hadoop's or Delta's own. Such "
            "code can only be loaded by the session's statements.",
            field=f"conf.{key}",
        )
    if _matches(plain, PATHS) and not _is_inside(value.strip()):
        raise Invalid(
            "SparkConfNotAllowed",
            f"The value of {key} is a path outside the lakehouse. Name one below Files/ or "
            "Tables/, or an abfss:// address of a lakehouse.",
            field=f"conf.{key}",
        )


def _is_own_class(text: str) -> bool:
    name = text.strip()
    return bool(_SHORT_NAME.fullmatch(name)) or name.startswith(OWN_PACKAGES)


def _is_inside(value: str) -> bool:
    """Tell whether a path is in a lakehouse. A few path-like keys are switches."""
    if value.lower() in ("", "true", "false"):
        return True
    return bool(_LAKEHOUSE_PATH.fullmatch(value)) and not _STEP_UP.search(value)


def parse_duration(text: str, *, field: str) -> timedelta:
    """Return an idle timeout such as ``20m``, ``90s``, ``1h`` or ``1200`` (seconds).

    Raises:
        Invalid: not a duration, less than a second, or more than 14 days.
    """
    match = _DURATION.fullmatch(text.strip())
    duration = int(match[1]) * _UNITS[(match[2] or "s").lower()] if match else timedelta()
    if not SHORTEST_IDLE <= duration <= LONGEST_IDLE:
        raise Invalid(
            "InvalidInput",
            f"{field} is not a duration between 1s and 14d. Write it like 20m, 90s or 2h.",
            field=field,
        )
    return duration


def _environment_id(key: str, value: str) -> str:
    """Return the id in ``spark.fabric.environmentDetails`` (JSON) or ``….environment.id``.

    People copy the documentation's sample with its stray quotes, so anything that holds an id in
    quotes or alone is read.
    """
    if key.lower() == ENVIRONMENT_ID:
        return value.strip()
    try:
        details = json.loads(value)
    except ValueError:
        details = None
    if isinstance(details, dict) and isinstance(details.get("id"), str):
        return str(details["id"]).strip()
    match = re.search(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value)
    if match:
        return match[0]
    raise Invalid(
        "InvalidInput",
        f'The value of {key} is JSON text that holds an id, like {{"id": "<environment id>"}}.',
        field=f"conf.{key}",
    )


def check_sizes(sizes: Sizes) -> None:
    """Refuse sizes that no Spark could have.

    Raises:
        Invalid: ``field`` names the size.
    """
    for name, memory in (
        ("driverMemory", sizes.driver_memory),
        ("executorMemory", sizes.executor_memory),
    ):
        if memory is not None and not _FORM_PATTERNS[Form.MEMORY].fullmatch(memory.strip()):
            raise Invalid("InvalidInput", f"{name} is {Form.MEMORY}.", field=name)
    for name, count, most in (
        ("driverCores", sizes.driver_cores, _MAX_CORES),
        ("executorCores", sizes.executor_cores, _MAX_CORES),
        ("numExecutors", sizes.num_executors, _MAX_EXECUTORS),
    ):
        if count is not None and not 1 <= count <= most:
            raise Invalid("InvalidInput", f"{name} is a whole number from 1 to {most}.", field=name)


def sizes_as_conf(sizes: Sizes) -> dict[str, str]:
    """Return the sizes of a create request as Spark's conf keys.

    The driver's memory is left out: a driver is a process of the server, and a setting sizes it.
    """
    asked = {
        "spark.executor.memory": sizes.executor_memory,
        "spark.executor.cores": sizes.executor_cores,
        "spark.executor.instances": sizes.num_executors,
    }
    return {key: str(value) for key, value in asked.items() if value is not None}
