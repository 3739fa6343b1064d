"""An environment: libraries, Spark properties and sizes that sessions of a workspace can have.

Callers change what is *staged*; a publish makes a version of it, which never changes. A session has
the version with which it started.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from livius.domain.conf import ConfDecision, apply_conf_policy, sizes_as_conf
from livius.domain.conf_secrets import secrets_of
from livius.domain.errors import Invalid
from livius.domain.high_concurrency import LIMIT_KEY
from livius.domain.ids import (
    EnvironmentId,
    EnvironmentVersionId,
    OperationId,
    SparkPoolId,
    WorkspaceId,
)
from livius.domain.messages import Message
from livius.domain.operation import CANCELLED, Goal, Operation, Phase
from livius.domain.runtimes import check_runtime
from livius.domain.session import Sizes

CORES: Final = (4, 8, 16, 32, 64)
MEMORY: Final = ("28g", "56g", "112g", "224g", "400g")
"""The sizes that Fabric's pools have (Fabric contract 7.5)."""
MOST_EXECUTORS: Final = 200
MOST_FILE_BYTES: Final = 100 * 1024 * 1024
MOST_FILES: Final = 100
MOST_LIBRARIES: Final = 500
MOST_REQUIREMENTS_BYTES: Final = 256 * 1024
MOST_LOG_BYTES: Final = 64 * 1024
"""Of the log of one publish; its beginning is cut."""

KEEPS_WARM: Final = "spark.livius.environment.warm"
"""The Spark property of an environment that has a driver with its libraries wait for a session."""

_MAX_NAME: Final = 256
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}", re.ASCII)


class FileKind(StrEnum):
    """The kinds of custom libraries, by the ends of their names."""

    WHEEL = ".whl"
    JAR = ".jar"
    PYTHON = ".py"
    R = ".R"
    R_PACKAGE = ".tar.gz"

    @property
    def is_of_r(self) -> bool:
        """Whether it is for R, which no runtime has: it is kept, and no session can use it."""
        return self in (FileKind.R, FileKind.R_PACKAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicAllocation:
    """How many executors Spark may have, where it may choose."""

    enabled: bool
    least: int = 1
    most: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """The Spark of an environment. None: as of a session without an environment.

    ``pool`` is the workspace's pool that bounds its sessions; it may be gone. ``properties`` are
    Spark properties as they were sent.
    """

    runtime: str
    driver_cores: int | None = None
    driver_memory: str | None = None
    executor_cores: int | None = None
    executor_memory: str | None = None
    dynamic: DynamicAllocation | None = None
    pool: SparkPoolId | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> Sizes:
        """Return the sizes in a session's terms."""
        return Sizes(
            driver_memory=self.driver_memory,
            driver_cores=self.driver_cores,
            executor_memory=self.executor_memory,
            executor_cores=self.executor_cores,
        )

    @property
    def conf(self) -> Mapping[str, str]:
        """Return the conf of its sessions: what is not a size, and what the sizes lack."""
        conf: dict[str, str] = {}
        if self.dynamic is not None and self.dynamic.enabled:
            conf = {
                "spark.dynamicAllocation.enabled": "true",
                "spark.dynamicAllocation.minExecutors": str(self.dynamic.least),
                "spark.dynamicAllocation.maxExecutors": str(self.dynamic.most),
            }
        return {**conf, **self.properties}

    @property
    def keeps_warm(self) -> bool:
        """Whether a driver is to wait for a session."""
        return self.properties.get(KEEPS_WARM, "").strip().lower() == "true"

    def decided_conf(self, *, local: bool) -> ConfDecision:
        """Return the conf of its sessions after the policy, with what its sizes ask for.

        It was checked when it was staged, perhaps by other rules.

        Raises:
            Invalid: it can't be any more.
        """
        conf = {**sizes_as_conf(self.sizes), **self.conf}
        conf.pop(LIMIT_KEY, None)
        return apply_conf_policy(conf, local=local)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A Python package by its name; ``wanted`` is its version specifier, such as ``==2.1``."""

    name: str
    wanted: str = ""

    @property
    def version(self) -> str:
        """The version of a pinned library, else the specifier."""
        return self.wanted.removeprefix("==") if "," not in self.wanted else self.wanted

    def __str__(self) -> str:
        """Write it as a requirement."""
        return f"{self.name}{self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One environment with what is staged; its custom files are in its folder.

    ``published`` is the version that new sessions get; ``latest`` the one whose publish began last.
    """

    id: EnvironmentId
    workspace: WorkspaceId
    name: str
    created_at: datetime
    compute: Compute
    description: str = ""
    libraries: Sequence[Library] = ()
    published: EnvironmentVersionId | None = None
    latest: EnvironmentVersionId | None = None


class PublishState(StrEnum):
    """The state of a publish."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentVersion:
    """What one publish was to make, and made.

    ``files`` are the names of its custom files. ``packages`` are the Python packages that were
    installed over the runtime's. ``operation`` is the publish, whose record may be gone; ``log`` is
    what it printed.
    """

    id: EnvironmentVersionId
    environment: EnvironmentId
    workspace: WorkspaceId
    operation: OperationId
    created_at: datetime
    compute: Compute
    libraries: Sequence[Library] = ()
    files: Sequence[str] = ()
    packages: Sequence[Library] = ()
    published_at: datetime | None = None
    log: str = ""

    @property
    def has_libraries(self) -> bool:
        """Whether a driver without it lacks a library."""
        return bool(self.packages) or not all(file_kind(name).is_of_r for name in self.files)


@dataclass(frozen=True, slots=True)
class Publish:
    """A version with the operation that makes it; None once its record is gone."""

    version: EnvironmentVersion
    operation: Operation | None

    @property
    def state(self) -> PublishState:
        """Return the state of the publish."""
        if self.version.published_at is not None:
            return PublishState.SUCCEEDED
        operation = self.operation
        if operation is None or operation.phase is Phase.SUCCEEDED:
            return PublishState.FAILED
        if operation.phase is Phase.FAILED:
            cancelled = operation.error_code == CANCELLED
            return PublishState.CANCELLED if cancelled else PublishState.FAILED
        if operation.goal is Goal.CANCEL:
            return PublishState.CANCELLING
        is_running = operation.phase is Phase.RUNNING
        return PublishState.RUNNING if is_running else PublishState.WAITING

    @property
    def is_on_its_way(self) -> bool:
        """Whether the version may still be published."""
        return self.state in (PublishState.WAITING, PublishState.RUNNING, PublishState.CANCELLING)

    @property
    def ended_at(self) -> datetime | None:
        """The moment of its end, as far as it is known."""
        if self.version.published_at is not None:
            return self.version.published_at
        if self.operation is None or self.operation.is_live:
            return None
        return self.operation.updated_at

    @property
    def why(self) -> str:
        """Why it failed, for people."""
        reason = self.operation.error_message if self.operation is not None else None
        return reason or "Its record is gone."


def check_environment_name(name: str) -> None:
    """Refuse an empty, endless or unprintable name.

    Raises:
        Invalid: the message has the rule.
    """
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise Invalid(
            "InvalidInput",
            Message(
                "An environment's name has 1 to %(most)s printable characters.", most=_MAX_NAME
            ),
            field="displayName",
        )


def check_compute(compute: Compute, *, runtimes: frozenset[str], local: bool) -> None:
    """Refuse what no session could have.

    Raises:
        Invalid: ``field`` names the part.
    """
    check_runtime(compute.runtime, runtimes, field="runtimeVersion")
    for name, value, among in (
        ("driverCores", compute.driver_cores, CORES),
        ("executorCores", compute.executor_cores, CORES),
        ("driverMemory", compute.driver_memory, MEMORY),
        ("executorMemory", compute.executor_memory, MEMORY),
    ):
        if value is not None and value not in among:
            raise Invalid(
                "InvalidInput",
                Message(
                    "%(name)s is one of %(among)s.",
                    name=name,
                    among=", ".join(map(str, among)),
                ),
                field=name,
            )
    dynamic = compute.dynamic
    if dynamic is not None and not 1 <= dynamic.least <= dynamic.most <= MOST_EXECUTORS:
        raise Invalid(
            "InvalidInput",
            Message(
                "dynamicExecutorAllocation needs 1 <= minExecutors <= maxExecutors <= %(most)s.",
                most=MOST_EXECUTORS,
            ),
            field="dynamicExecutorAllocation",
        )
    _check_properties(compute.properties, local=local)


def _check_properties(properties: Mapping[str, str], *, local: bool) -> None:
    """Put Spark properties through the policy of a session's conf."""
    secret = sorted(secrets_of(properties))
    if secret:
        raise Invalid(
            "SparkConfNotAllowed",
            Message(
                "All members of the workspace see an environment's properties, and %(key)s looks "
                "like a secret. Send it with the session, or put it into a vault.",
                key=secret[0],
            ),
            field=f"sparkProperties.{secret[0]}",
        )
    decided = apply_conf_policy(properties, local=local)
    if decided.environment is not None:
        raise Invalid(
            "SparkConfNotAllowed",
            Message("An environment can't name another environment."),
            field="sparkProperties",
        )


def changed_properties(
    present: Mapping[str, str], changes: Mapping[str, str | None]
) -> Mapping[str, str]:
    """Return properties after changes; None deletes one."""
    merged: dict[str, str | None] = {**present, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def file_kind(name: str) -> FileKind:
    """Return the kind of a custom library.

    Raises:
        Invalid: its name is none that such a file may have.
    """
    kind = next((one for one in FileKind if name.lower().endswith(one.lower())), None)
    if kind is None or not _FILE_NAME.fullmatch(name) or name.lower() == kind.lower():
        raise Invalid(
            "InvalidLibraryName",
            Message(
                "%(name)s can't be a library's name. It has up to 200 plain letters, digits, dots, "
                "dashes, plus signs and underscores, and ends with one of %(ends)s.",
                name=repr(name[:100]),
                ends=", ".join(FileKind),
            ),
            field="libraryName",
        )
    return kind


def with_libraries(environment: Environment, libraries: Sequence[Library]) -> Environment:
    """Return it with these staged in place of the present ones.

    Raises:
        Invalid: there are too many, or one comes twice.
    """
    if len(libraries) > MOST_LIBRARIES:
        raise Invalid(
            "InvalidLibraries",
            Message("An environment has at most %(most)s libraries.", most=MOST_LIBRARIES),
        )
    counted = Counter(library.name for library in libraries)
    twice = next((name for name, times in counted.items() if times > 1), None)
    if twice is not None:
        raise Invalid("InvalidLibraries", Message("The library %(name)s comes twice.", name=twice))
    return replace(environment, libraries=tuple(libraries))
