"""Which Spark conf a caller may set, and what Fabric's own keys mean here.

Three fates of a key:

* refused: it would let a caller leave the sandbox, or change what the operator decided. The error
  names the key and the reason, and nothing is started.
* taken by Livius: the idle timeout, an environment.
* passed to Spark, if it begins with ``spark.``; else kept in the record and told to be without
  effect.

Keys are compared in lower case: Spark reads some of them case-insensitively.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from livius.domain.errors import Invalid
from livius.domain.session import Sizes

MAX_KEYS: Final = 500
MAX_VALUE_CHARS: Final = 16_384

_MASTER: Final = "the server's settings decide where Spark runs"
_CODE: Final = "it would load code into the driver before any of its checks"
_FILES: Final = "paths on the server's machine can't be named from outside"
_CREDENTIALS: Final = "credentials of the server are not the caller's to set"
_LISTEN: Final = "the driver listens on loopback only"
_HOUSE: Final = "Livius sets it, and a session could not work with another value"

_REFUSED: Final[tuple[tuple[str, str], ...]] = (
    ("spark.master", _MASTER),
    ("spark.submit.deploymode", _MASTER),
    ("spark.submit.*", _FILES),
    ("spark.app.id", _HOUSE),
    ("spark.home", _FILES),
    ("spark.local.dir", _FILES),
    ("*.extrajavaoptions", _CODE),
    ("*.defaultjavaoptions", _CODE),
    ("*.extraclasspath", _CODE),
    ("*.extralibrarypath", _CODE),
    ("*.userclasspathfirst", _CODE),
    ("spark.plugins*", _CODE),
    ("spark.extralisteners", _CODE),
    ("spark.sql.extensions", _CODE),
    ("spark.sql.queryexecutionlisteners", _CODE),
    ("spark.sql.streaming.streamingquerylisteners", _CODE),
    ("spark.sql.catalog.*", _CODE),
    ("spark.sql.catalogimplementation", _HOUSE),
    ("spark.sql.hive.metastore.*", _CODE),
    ("spark.sql.warehouse.dir", _FILES),
    ("spark.sql.artifact.isolation.*", _HOUSE),
    ("spark.repl.*", _HOUSE),
    ("spark.driver.host", _LISTEN),
    ("spark.driver.bindaddress", _LISTEN),
    ("spark.driver.port", _LISTEN),
    ("spark.blockmanager.port", _LISTEN),
    ("spark.driver.blockmanager.port", _LISTEN),
    ("spark.ui.*", _LISTEN),
    ("spark.driver.log.*", _FILES),
    ("spark.executor.logs.*", _FILES),
    ("spark.eventlog.*", _FILES),
    ("spark.history.*", _FILES),
    ("spark.log.structuredlogging.*", _HOUSE),
    ("spark.metrics.*", _CODE),
    ("spark.authenticate*", _CREDENTIALS),
    ("spark.ssl.*", _CREDENTIALS),
    ("spark.kerberos.*", _CREDENTIALS),
    ("spark.security.*", _CREDENTIALS),
    ("spark.pyspark.*", _CODE),
    ("spark.executorenv.*", _CODE),
    ("spark.yarn.*", _MASTER),
    ("spark.kubernetes.*", _MASTER),
    ("spark.mesos.*", _MASTER),
    ("spark.jars*", _FILES),
    ("spark.files", _FILES),
    ("spark.archives", _FILES),
    ("spark.hadoop.fs.*.impl", _CODE),
    ("spark.hadoop.fs.defaultfs", _HOUSE),
    ("spark.hadoop.hive.metastore.*", _HOUSE),
    ("spark.hadoop.javax.jdo.*", _CODE),
    ("spark.hadoop.hadoop.security.*", _CREDENTIALS),
)

_IDLE_TIMEOUT: Final = "spark.livy.session.idle.timeout"
_ENVIRONMENT: Final = ("spark.fabric.environmentdetails", "spark.fabric.environment.id")
_NO_EFFECT: Final = ("spark.fabric.*", "spark.livy.*", "spark.highconcurrency.*")

_SIZED_ON_CLUSTERS: Final = re.compile(
    r"spark\.(driver|executor)\.(memory|cores)|spark\.cores\.max"
)
"""On a local master there is one JVM, and a setting sizes it."""

_DURATION: Final = re.compile(r"\s*(\d{1,9})\s*(ms|s|m|min|h|d)?\s*", re.IGNORECASE)
_UNITS: Final[Mapping[str, timedelta]] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LONGEST_IDLE: Final = timedelta(days=14)  # Fabric's own upper bound
_MEMORY: Final = re.compile(r"([1-9]\d{0,5})\s*([mgt])b?", re.IGNORECASE)
_MAX_CORES: Final = 256
_MAX_EXECUTORS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policed:
    """A caller's conf after the policy. ``without_effect`` names accepted keys that do nothing."""

    conf: Mapping[str, str]
    idle_timeout: timedelta | None
    environment: str | None
    without_effect: tuple[str, ...] = field(default=())


def police(conf: Mapping[str, str], *, local: bool) -> Policed:
    """Sort a caller's conf into what Spark gets, what Livius takes, and what does nothing.

    ``local`` tells that Spark runs inside the driver alone, where sizes can't be obeyed.

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
    without_effect: list[str] = []
    for key, value in conf.items():
        plain = _plain_key(key, value)
        if plain == _IDLE_TIMEOUT:
            idle = parse_duration(value, field=f"conf.{key}")
        elif plain in _ENVIRONMENT:
            environment = _environment_id(key, value)
        elif (
            any(fnmatchcase(plain, pattern) for pattern in _NO_EFFECT)
            or not plain.startswith("spark.")
            or (local and _SIZED_ON_CLUSTERS.fullmatch(plain))
        ):
            without_effect.append(key)
        else:
            passed[key] = value
    return Policed(
        conf=passed,
        idle_timeout=idle,
        environment=environment,
        without_effect=tuple(without_effect),
    )


def _plain_key(key: str, value: str) -> str:
    """Return the key in lower case, or refuse it."""
    where = f"conf.{key[:100]}"
    if not key.isascii() or not key.isprintable() or key != key.strip() or " " in key or "=" in key:
        raise Invalid(
            "InvalidInput",
            "A conf key holds only plain letters, digits, dots, dashes and underscores.",
            field=where,
        )
    if "\0" in value or len(value) > MAX_VALUE_CHARS:
        raise Invalid(
            "InvalidInput",
            f"The value of {key} holds a NUL or more than {MAX_VALUE_CHARS} characters.",
            field=where,
        )
    plain = key.lower()
    for pattern, reason in _REFUSED:
        # Spark knows some keys without their prefix too, so both spellings are refused.
        if fnmatchcase(plain, pattern) or fnmatchcase(f"spark.{plain}", pattern):
            raise Invalid(
                "SparkConfNotAllowed",
                f"The conf key {key} can't be set by a session: {reason}. Leave it out.",
                field=where,
            )
    return plain


def parse_duration(text: str, *, field: str) -> timedelta:
    """Return an idle timeout such as ``20m``, ``90s``, ``1h`` or ``1200`` (seconds).

    Raises:
        Invalid: not a duration, zero, or more than 14 days.
    """
    match = _DURATION.fullmatch(text)
    duration = int(match[1]) * _UNITS[(match[2] or "s").lower()] if match else timedelta()
    if not timedelta() < duration <= _LONGEST_IDLE:
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
    if key.lower() == _ENVIRONMENT[1]:
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
        if memory is not None and not _MEMORY.fullmatch(memory.strip()):
            raise Invalid(
                "InvalidInput",
                f"{name} is a whole number with a unit, such as 512m, 28g or 56g.",
                field=name,
            )
    for name, count, most in (
        ("driverCores", sizes.driver_cores, _MAX_CORES),
        ("executorCores", sizes.executor_cores, _MAX_CORES),
        ("numExecutors", sizes.num_executors, _MAX_EXECUTORS),
    ):
        if count is not None and not 1 <= count <= most:
            raise Invalid("InvalidInput", f"{name} is a whole number from 1 to {most}.", field=name)
