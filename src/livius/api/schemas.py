"""The shapes of responses, for mypy and the OpenAPI document.

A handler names its shape in its annotation, ``-> Json[Shape]`` (``livius.api.documented``): mypy
checks the code that builds the response, and the OpenAPI document shows the same shape. The wire
tests check every response against the document. At run time shapes cost a response nothing.

A field that is not required is absent where it has no value; none is ever null unless its type says
so.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias

from pydantic import with_config
from typing_extensions import TypedDict

_exact = with_config(extra="forbid")

Result: TypeAlias = Literal["Uncertain", "Succeeded", "Failed", "Cancelled"]
HighConcurrencyState: TypeAlias = Literal[
    "NotStarted",
    "AcquiringHighConcurrencySession",
    "Idle",
    "Dead",
    "Killed",
    "Failed",
    "Deleting",
]
StatementState: TypeAlias = Literal["waiting", "running", "available", "cancelling", "cancelled"]
LivySessionState: TypeAlias = Literal[
    "NotStarted", "InProgress", "Cancelled", "Succeeded", "Failed", "Unknown"
]


@_exact
class Detail(TypedDict):
    """One of several errors."""

    errorCode: str
    message: str


@_exact
class ErrorDocument(TypedDict):
    """Fabric's error envelope."""

    requestId: str
    errorCode: str
    message: str
    isRetriable: bool
    moreDetails: NotRequired[list[Detail]]


OperationStatus: TypeAlias = Literal["NotStarted", "Running", "Succeeded", "Failed"]


@_exact
class OperationErrorDocument(TypedDict):
    """Why an operation failed."""

    errorCode: str
    message: str


@_exact
class OperationDocument(TypedDict):
    """The state of a long-running operation."""

    status: OperationStatus
    createdTimeUtc: str
    lastUpdatedTimeUtc: str
    percentComplete: int
    error: NotRequired[OperationErrorDocument]


@_exact
class MessageDocument(TypedDict):
    """A word of confirmation."""

    msg: str


@_exact
class CandidatesDocument(TypedDict):
    """Names that may stand at a place in code, as classic Livy returns them."""

    candidates: list[str]


@_exact
class AcquisitionState(TypedDict):
    """Fabric's own state of a session."""

    state: str
    errorMessage: str


@_exact
class SessionError(TypedDict):
    """Why a session failed."""

    message: str
    errorCode: str
    source: Literal["System", "User", "Unknown", "Dependency"]


@_exact
class SessionDocument(TypedDict):
    """A Livy session."""

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
    result: Result
    cancellationReason: NotRequired[str]


@_exact
class HighConcurrencyDocument(TypedDict):
    """A high-concurrency session. ``replId`` is null until it is idle."""

    id: str
    state: HighConcurrencyState
    fabricSessionStateInfo: NotRequired[AcquisitionState]
    sessionId: NotRequired[str]
    replId: str | None
    workspaceId: str
    artifactId: str
    creatorId: str
    createdAt: str
    sessionTag: NotRequired[str]
    tags: NotRequired[dict[str, str]]


@_exact
class HighConcurrencyPage(TypedDict):
    """A page of high-concurrency sessions."""

    items: list[HighConcurrencyDocument]
    totalCountOfMatchedItems: int
    pageSize: int


@_exact
class ReplDocument(TypedDict):
    """A repl of a session, with the high-concurrency session that holds it."""

    id: str
    state: Literal["opening", "open", "closing", "closed"]
    createdAt: str
    endedAt: NotRequired[str]
    highConcurrencySessionId: NotRequired[str]
    creatorId: NotRequired[str]
    sessionTag: NotRequired[str]


@_exact
class ReplPage(TypedDict):
    """All repls that a session ever had."""

    items: list[ReplDocument]
    totalCountOfMatchedItems: int


@_exact
class SessionItem(TypedDict):
    """A Livy session in a list."""

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
    tags: NotRequired[dict[str, str]]


@_exact
class SessionPage(TypedDict):
    """A page of Livy sessions, the same under two names."""

    items: list[SessionItem]
    sessions: list[SessionItem]
    totalCountOfMatchedItems: int
    pageSize: int


@_exact
class StatementOutput(TypedDict):
    """A statement's output: ``data`` by MIME type, or an error."""

    status: Literal["ok", "error"]
    execution_count: int
    data: NotRequired[dict[str, Any]]
    ename: NotRequired[str]
    evalue: NotRequired[str]
    traceback: NotRequired[list[str]]
    stdout: NotRequired[str]


@_exact
class StatementDocument(TypedDict):
    """A statement. Times are Unix milliseconds."""

    id: int
    code: str
    kind: Literal["spark", "pyspark", "sql", "sparkr"]
    state: StatementState
    sourceId: NotRequired[str]
    progress: float
    started: NotRequired[int]
    completed: NotRequired[int]
    output: NotRequired[StatementOutput]


@_exact
class StatementPage(TypedDict):
    """A page of statements."""

    statements: list[StatementDocument]
    total_statements: int


@_exact
class StageDocument(TypedDict):
    """A stage of a Spark job."""

    stageId: int
    attemptId: int
    name: str
    status: str
    numTasks: int
    numCompleteTasks: int
    numActiveTasks: int
    numFailedTasks: int


@_exact
class JobDocument(TypedDict):
    """A Spark job."""

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


@_exact
class JobsDocument(TypedDict):
    """A statement's Spark jobs, the last of ``total_jobs``."""

    jobs: list[JobDocument]
    total_jobs: int


@_exact
class LogDocument(TypedDict):
    """A log file. ``length`` is in bytes."""

    fileName: str
    length: int
    lastModified: str
    creationTime: str
    metaData: dict[str, str]


@_exact
class ContainerLog(TypedDict):
    """A log file of a container."""

    containerId: Literal["driver"]
    nodeId: Literal["driver"]
    containerLogMeta: LogDocument


@_exact
class ContainerLogs(TypedDict):
    """The log files of a container."""

    containerId: Literal["driver"]
    nodeId: Literal["driver"]
    containerLogMeta: list[LogDocument]


@_exact
class Reference(TypedDict):
    """An item by its id."""

    workspaceId: str
    itemId: str
    referenceType: Literal["ById"]


@_exact
class Submitter(TypedDict):
    """The submitter of a session."""

    id: str
    type: NotRequired[Literal["User", "ServicePrincipal"]]


@_exact
class Duration(TypedDict):
    """A span of time."""

    value: int
    timeUnit: Literal["Seconds"]


@_exact
class LivySessionDocument(TypedDict):
    """A Livy session as monitoring shows it. Memory is in gigabytes."""

    sparkApplicationId: NotRequired[str]
    state: LivySessionState
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


@_exact
class LivySessionPage(TypedDict):
    """A page of Livy sessions; the last one has no token."""

    value: list[LivySessionDocument]
    continuationToken: str | None
    continuationUri: str | None


@_exact
class AuditDocument(TypedDict):
    """An entry of the audit log."""

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


@_exact
class AuditPage(TypedDict):
    """Entries of the audit log; ``before`` is there if there may be older ones."""

    value: list[AuditDocument]
    before: NotRequired[int]


@_exact
class Continuation(TypedDict):
    """The link from a page to the next one; the last page has none."""

    continuationToken: NotRequired[str]
    continuationUri: NotRequired[str]


@_exact
class CapacityDocument(TypedDict):
    """A capacity."""

    id: str
    displayName: str
    sku: str
    region: str
    state: Literal["Active"]


@_exact
class CapacityPage(Continuation):
    """The capacities that a caller may use."""

    value: list[CapacityDocument]


@_exact
class WorkspaceDocument(TypedDict):
    """A workspace."""

    id: str
    displayName: str
    description: str
    type: Literal["Workspace"]
    capacityId: str


@_exact
class WorkspacePage(Continuation):
    """The caller's workspaces."""

    value: list[WorkspaceDocument]


@_exact
class FolderPage(Continuation):
    """The folders of a workspace. There are none."""

    value: list[dict[str, Any]]


@_exact
class RoleUserDetails(TypedDict):
    """How a user signs in."""

    userPrincipalName: str


@_exact
class RoleApplicationDetails(TypedDict):
    """The sign-in of an application."""

    aadAppId: str


@_exact
class RolePrincipalDocument(TypedDict):
    """A principal with a role; only the id if it is not in the directory."""

    id: str
    type: NotRequired[Literal["User", "ServicePrincipal"]]
    displayName: NotRequired[str]
    userDetails: NotRequired[RoleUserDetails]
    servicePrincipalDetails: NotRequired[RoleApplicationDetails]


@_exact
class RoleDocument(TypedDict):
    """A role that is assigned; its id is the principal's."""

    id: str
    principal: RolePrincipalDocument
    role: Literal["Admin", "Member", "Contributor", "Viewer"]


@_exact
class RolePage(Continuation):
    """The roles in a workspace."""

    value: list[RoleDocument]


@_exact
class ItemDocument(TypedDict):
    """An item of a workspace."""

    id: str
    type: Literal["Lakehouse", "Environment"]
    displayName: str
    description: str
    workspaceId: str


@_exact
class ItemPage(Continuation):
    """A workspace's items."""

    value: list[ItemDocument]


@_exact
class LakehousePaths(TypedDict):
    """Where a lakehouse's data is."""

    oneLakeTablesPath: str
    oneLakeFilesPath: str
    defaultSchema: NotRequired[str]


@_exact
class LakehouseDocument(ItemDocument):
    """A lakehouse."""

    properties: LakehousePaths


@_exact
class LakehousePage(Continuation):
    """A workspace's lakehouses."""

    value: list[LakehouseDocument]


@_exact
class TableDocument(TypedDict):
    """A table."""

    type: Literal["Managed"]
    name: str
    schemaName: NotRequired[str]
    location: str
    format: str


@_exact
class TablePage(Continuation):
    """A page of tables."""

    data: list[TableDocument]


PublishWord: TypeAlias = Literal[
    "Waiting", "Running", "Cancelling", "Cancelled", "Failed", "Success"
]


@_exact
class ComponentDocument(TypedDict):
    """The state of one part of a publish."""

    state: PublishWord


@_exact
class ComponentsDocument(TypedDict):
    """The parts of a publish."""

    sparkLibraries: ComponentDocument
    sparkSettings: ComponentDocument


@_exact
class PublishDocument(TypedDict):
    """The publish that began last; empty before the first one."""

    state: NotRequired[PublishWord]
    targetVersion: NotRequired[str]
    startTime: NotRequired[str]
    endTime: NotRequired[str]
    componentPublishInfo: NotRequired[ComponentsDocument]


@_exact
class EnvironmentProperties(TypedDict):
    """The properties of an environment."""

    publishDetails: PublishDocument


@_exact
class EnvironmentDocument(TypedDict):
    """An environment."""

    id: str
    type: Literal["Environment"]
    displayName: str
    description: str
    workspaceId: str
    properties: EnvironmentProperties


@_exact
class EnvironmentPage(Continuation):
    """A page of a workspace's environments."""

    value: list[EnvironmentDocument]


@_exact
class InstancePoolDocument(TypedDict):
    """The pool of an environment."""

    name: str
    type: Literal["Workspace"]
    id: str


@_exact
class DynamicAllocationDocument(TypedDict):
    """How many executors Spark may have."""

    enabled: bool
    minExecutors: int
    maxExecutors: int


@_exact
class SparkPropertyDocument(TypedDict):
    """One Spark property."""

    key: str
    value: str


@_exact
class SparkComputeDocument(TypedDict):
    """The Spark of an environment: a size that it doesn't set is left out.

    With ``beta=true`` the properties are an object.
    """

    instancePool: InstancePoolDocument
    driverCores: NotRequired[int]
    driverMemory: NotRequired[str]
    executorCores: NotRequired[int]
    executorMemory: NotRequired[str]
    dynamicExecutorAllocation: NotRequired[DynamicAllocationDocument]
    sparkProperties: list[SparkPropertyDocument] | dict[str, str]
    runtimeVersion: str


@_exact
class LibraryDocument(TypedDict):
    """A library: a package with its version, or a custom file."""

    name: str
    libraryType: Literal["Custom", "External"]
    version: NotRequired[str]


@_exact
class LibraryPage(TypedDict):
    """The libraries of an environment."""

    libraries: list[LibraryDocument]


@_exact
class CustomLibraries(TypedDict):
    """The custom files of an environment, by their kinds."""

    wheelFiles: list[str]
    pyFiles: list[str]
    jarFiles: list[str]
    rTarFiles: list[str]


@_exact
class BetaLibraries(TypedDict):
    """The libraries of an environment, with ``beta=true``."""

    customLibraries: CustomLibraries
    environmentYml: str


@_exact
class AutoScaleDocument(TypedDict):
    """How many nodes a pool may have."""

    enabled: bool
    minNodeCount: int
    maxNodeCount: int


@_exact
class SparkPoolDocument(TypedDict):
    """A Spark pool."""

    id: str
    name: str
    type: Literal["Workspace"]
    nodeFamily: Literal["MemoryOptimized"]
    nodeSize: Literal["Small", "Medium", "Large", "XLarge", "XXLarge"]
    autoScale: AutoScaleDocument
    dynamicExecutorAllocation: DynamicAllocationDocument


@_exact
class SparkPoolPage(Continuation):
    """A workspace's pools."""

    value: list[SparkPoolDocument]


@_exact
class AutomaticLogDocument(TypedDict):
    """The automatic log of experiments."""

    enabled: bool


@_exact
class SharedNotebooksDocument(TypedDict):
    """Whether notebooks share sessions."""

    notebookInteractiveRunEnabled: bool
    notebookPipelineRunEnabled: bool


@_exact
class StarterPoolDocument(TypedDict):
    """The sizes of the starter pool."""

    maxNodeCount: int
    maxExecutors: int


@_exact
class PoolSettingsDocument(TypedDict):
    """The pools of a workspace's sessions."""

    customizeComputeEnabled: bool
    defaultPool: InstancePoolDocument
    starterPool: StarterPoolDocument


@_exact
class EnvironmentSettingsDocument(TypedDict):
    """The default environment; an empty name means none."""

    name: str
    runtimeVersion: str


@_exact
class JobSettingsDocument(TypedDict):
    """Admission and idle timeout of sessions."""

    conservativeJobAdmissionEnabled: bool
    sessionTimeoutInMinutes: int


@_exact
class SparkSettingsDocument(TypedDict):
    """A workspace's Spark settings."""

    automaticLog: AutomaticLogDocument
    highConcurrency: SharedNotebooksDocument
    pool: PoolSettingsDocument
    environment: EnvironmentSettingsDocument
    job: JobSettingsDocument
