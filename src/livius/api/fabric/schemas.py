"""The shapes of answers, for the OpenAPI document. The wire tests hold every answer against them.

Nothing is built through these, so that they cost an answer nothing. A field that is not required is
left out where there is nothing to say; none is ever null but where that is written.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

_EXACT: Final = ConfigDict(extra="forbid")


class Detail(TypedDict):
    """One of several things that are wrong."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    errorCode: str
    message: str


class ErrorDocument(TypedDict):
    """Fabric's error envelope."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    requestId: str
    errorCode: str
    message: str
    isRetriable: bool
    moreDetails: NotRequired[list[Detail]]


class MessageDocument(TypedDict):
    """A word of confirmation."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    msg: str


class AcquisitionState(TypedDict):
    """Fabric's own state of a session."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    state: str
    errorMessage: str


class SessionError(TypedDict):
    """Why a session failed."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    message: str
    errorCode: str
    source: Literal["System", "User", "Unknown", "Dependency"]


class SessionDocument(TypedDict):
    """A Livy session."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    name: str
    appId: NotRequired[str]
    appInfo: dict[str, str]
    workspaceId: str
    artifactId: str
    jobType: Literal["SparkSession"]
    submitterId: str
    submitterName: str
    state: str
    livyInfo: NotRequired[dict[str, Any]]
    fabricSessionStateInfo: AcquisitionState
    schedulerInfo: dict[str, str]
    pluginInfo: dict[str, str]
    errorInfo: list[SessionError]
    log: list[str]
    tags: dict[str, str]
    result: Literal["Uncertain", "Succeeded", "Failed", "Cancelled"]
    cancellationReason: NotRequired[str]


class SessionItem(TypedDict):
    """A Livy session in a list."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    name: str
    appId: NotRequired[str]
    workspaceId: str
    artifactId: str
    submitterId: str
    submitterName: str
    submittedAt: str
    startedAt: NotRequired[str]
    endedAt: NotRequired[str]
    schedulerState: str
    pluginState: str
    livyState: str
    state: str
    result: str
    errorSource: NotRequired[str]
    errorCode: NotRequired[str]
    isJobTimedOut: bool


class SessionPage(TypedDict):
    """A page of Livy sessions, the same under two names."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    items: list[SessionItem]
    sessions: list[SessionItem]
    totalCountOfMatchedItems: int
    pageSize: int


class StatementOutput(TypedDict):
    """What a statement gave: ``data`` by MIME type, or an error."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    status: Literal["ok", "error"]
    execution_count: int
    data: NotRequired[dict[str, Any]]
    ename: NotRequired[str]
    evalue: NotRequired[str]
    traceback: NotRequired[list[str]]
    stdout: NotRequired[str]


class StatementDocument(TypedDict):
    """A statement. Times are Unix milliseconds."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: int
    code: str
    kind: Literal["spark", "pyspark", "sql", "sparkr"]
    state: Literal["waiting", "running", "available", "cancelling", "cancelled"]
    sourceId: NotRequired[str]
    progress: float
    started: NotRequired[int]
    completed: NotRequired[int]
    output: NotRequired[StatementOutput]


class StatementPage(TypedDict):
    """A page of statements."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    statements: list[StatementDocument]
    total_statements: int


class StageDocument(TypedDict):
    """A stage of a Spark job."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    stageId: int
    attemptId: int
    name: str
    status: str
    numTasks: int
    numCompleteTasks: int
    numActiveTasks: int
    numFailedTasks: int


class JobDocument(TypedDict):
    """A Spark job."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    jobId: int
    name: str
    status: str
    submissionTime: NotRequired[str]
    completionTime: NotRequired[str]
    numTasks: int
    numCompletedTasks: int
    numActiveTasks: int
    numFailedTasks: int
    numSkippedTasks: int
    stages: list[StageDocument]


class JobsDocument(TypedDict):
    """A statement's Spark jobs, the last of ``total_jobs``."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    jobs: list[JobDocument]
    total_jobs: int


class Reference(TypedDict):
    """An item by its id."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    workspaceId: str
    itemId: str
    referenceType: Literal["ById"]


class Submitter(TypedDict):
    """Who submitted it."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    type: NotRequired[Literal["User", "ServicePrincipal"]]


class Duration(TypedDict):
    """A span of time."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: int
    timeUnit: Literal["Seconds"]


class LivySessionDocument(TypedDict):
    """A Livy session as monitoring shows it. Memory is in gigabytes."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    sparkApplicationId: NotRequired[str]
    state: Literal["NotStarted", "InProgress", "Cancelled", "Succeeded", "Failed", "Unknown"]
    livyId: str
    origin: Literal["SubmittedJob", "PendingJob"]
    attemptNumber: int
    maxNumberOfAttempts: int
    livyName: str
    submitter: Submitter
    consumerId: Submitter
    item: Reference
    creatorItem: Reference
    itemName: str
    itemType: Literal["Lakehouse"]
    jobType: Literal["SparkSession"]
    submittedDateTime: str
    startDateTime: NotRequired[str]
    endDateTime: NotRequired[str]
    queuedDuration: Duration
    runningDuration: Duration
    totalDuration: Duration
    jobInstanceId: str
    isHighConcurrency: bool
    cancellationReason: NotRequired[str]
    operationName: str
    runtimeVersion: str
    livySessionItemResourceUri: str
    driverMemory: NotRequired[int]
    driverCores: NotRequired[int]
    executorMemory: NotRequired[int]
    executorCores: NotRequired[int]
    numExecutors: NotRequired[int]
    isDynamicAllocationEnabled: bool
    dynamicAllocationMaxExecutors: NotRequired[int]


class LivySessionPage(TypedDict):
    """A page of Livy sessions; the last one has no token."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: list[LivySessionDocument]
    continuationToken: str | None
    continuationUri: str | None


class AuditDocument(TypedDict):
    """An entry of the audit log."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    number: int
    at: str
    action: str
    result: str
    workspaceId: NotRequired[str]
    lakehouseId: NotRequired[str]
    sessionId: NotRequired[str]
    statement: NotRequired[str]
    target: NotRequired[str]
    detail: NotRequired[str]
    times: NotRequired[int]
    codeSha256: NotRequired[str]
    codeHead: NotRequired[str]
    actorId: NotRequired[str]
    actorName: NotRequired[str]
    actorKind: NotRequired[Literal["user", "app", "operator", "unproven"]]
    clientId: NotRequired[str]
    address: NotRequired[str]
    requestId: NotRequired[str]


class AuditPage(TypedDict):
    """Entries of the audit log; ``before`` is there if there may be older ones."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: list[AuditDocument]
    before: NotRequired[int]


class WorkspaceDocument(TypedDict):
    """A workspace."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    displayName: str
    description: str
    type: Literal["Workspace"]


class WorkspacePage(TypedDict):
    """The caller's workspaces."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: list[WorkspaceDocument]


class RoleUserDetails(TypedDict):
    """How a user signs in."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    userPrincipalName: str


class RoleApplicationDetails(TypedDict):
    """What an application signs in as."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    aadAppId: str


class RolePrincipalDocument(TypedDict):
    """Who has a role: of one that the directory does not know, the id alone."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    type: NotRequired[Literal["User", "ServicePrincipal"]]
    displayName: NotRequired[str]
    userDetails: NotRequired[RoleUserDetails]
    servicePrincipalDetails: NotRequired[RoleApplicationDetails]


class RoleDocument(TypedDict):
    """A role that is assigned; its id is the principal's."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    principal: RolePrincipalDocument
    role: Literal["Admin", "Member", "Contributor", "Viewer"]


class RolePage(TypedDict):
    """Who has which role in a workspace."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: list[RoleDocument]


class ItemDocument(TypedDict):
    """An item of a workspace."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    id: str
    type: Literal["Lakehouse"]
    displayName: str
    description: str
    workspaceId: str


class ItemPage(TypedDict):
    """A workspace's items."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: list[ItemDocument]


class LakehousePaths(TypedDict):
    """Where a lakehouse's data is."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    oneLakeTablesPath: str
    oneLakeFilesPath: str


class LakehouseDocument(ItemDocument):
    """A lakehouse."""

    properties: LakehousePaths


class LakehousePage(TypedDict):
    """A workspace's lakehouses."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    value: list[LakehouseDocument]


class TableDocument(TypedDict):
    """A table."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    type: Literal["Managed"]
    name: str
    location: str
    format: str


class TablePage(TypedDict):
    """A page of tables; the last one has no token."""

    __pydantic_config__ = _EXACT  # type: ignore[misc]
    data: list[TableDocument]
    continuationToken: NotRequired[str]
    continuationUri: NotRequired[str]
