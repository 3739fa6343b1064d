"""Request bodies (Fabric contract 1.3, 2.2, 7.2, 7.3).

Unknown fields are accepted, wrong types are not. A null field or body counts as left out; a number
may come as text. The core's own rules are in the API document, too (`_rule`), for programs.
Handlers read their bodies themselves, with `read_body`, once they know the caller and its rights:
the framework would parse a stranger's body first.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from livius.domain.environment import DynamicAllocation
from livius.domain.errors import Invalid
from livius.domain.lakehouse import Role
from livius.domain.session import Sizes
from livius.domain.spark_pool import NodeSize, PoolShape, SparkPool
from livius.domain.spark_settings import SparkConfiguration
from livius.domain.table_load import FileFormat, Mode, TableLoad
from livius.usecases.sessions import CreateSession


def _text(value: object) -> object:
    """Read a number or a boolean as its text, as Fabric's own server does for conf."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value


def _rule(**schema: Any) -> Any:
    """Return a field that is documented with the core's rule."""
    return Field(json_schema_extra=schema)


def _without_nulls(value: object) -> object:
    """Treat a null field as left out."""
    if isinstance(value, dict):
        return {name: one for name, one in value.items() if one is not None}
    return value


def _number(value: object) -> object:
    """Read text as a whole number, as templates can write only text."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class _Body(BaseModel):
    """The common base of all bodies."""

    model_config = ConfigDict(extra="ignore")

    _nulls = model_validator(mode="before")(_without_nulls)


def _or_text(digits: str) -> Any:
    """Return a type for whole numbers that accepts text too; ``digits`` is the text's pattern."""
    text = Annotated[str, Field(pattern=rf"^\s*\+?0{{0,5}}({digits})\s*$")]
    return BeforeValidator(_number, json_schema_input_type=int | text)


Text = Annotated[StrictStr, BeforeValidator(_text)]
Pairs = Annotated[
    dict[StrictStr, Text],
    BeforeValidator(_without_nulls, json_schema_input_type=dict[str, Text | None]),
]
Paths = Annotated[list[StrictStr] | None, _rule(maxItems=0, description="Not available yet.")]
Memory = Annotated[StrictStr | None, _rule(pattern=r"^\s*[1-9][0-9]{0,5}\s*[mgtMGT][bB]?\s*$")]
Cores = Annotated[
    Annotated[StrictInt, _or_text("[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-6]")] | None,
    _rule(minimum=1, maximum=256),
]
Executors = Annotated[
    Annotated[StrictInt, _or_text("[1-9][0-9]{0,3}|10000")] | None,
    _rule(minimum=1, maximum=10_000),
]
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
Description = Annotated[StrictStr, _rule(maxLength=256)]
WorkspaceName = Annotated[
    StrictStr, _rule(maxLength=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f]+$")
]
LakehouseName = Annotated[StrictStr, _rule(pattern="^[A-Za-z][A-Za-z0-9_]{0,122}$")]


class SessionRequest(_Body):
    """The body of ``POST …/sessions``; every field is optional."""

    name: Annotated[StrictStr | None, _rule(maxLength=256, pattern=_PRINTABLE)] = None
    conf: Pairs | None = None
    tags: Annotated[Pairs | None, _rule(maxProperties=100, propertyNames={"maxLength": 256})] = None
    driverMemory: Memory = None  # noqa: N815 - the wire's name
    driverCores: Cores = None  # noqa: N815
    executorMemory: Memory = None  # noqa: N815
    executorCores: Cores = None  # noqa: N815
    numExecutors: Executors = None  # noqa: N815
    archives: Paths = None
    jars: Paths = None
    files: Paths = None
    pyFiles: Paths = None  # noqa: N815

    def command(self) -> CreateSession:
        """Return the request in the core's terms."""
        libraries = ("jars", "files", "pyFiles", "archives")
        echo: dict[str, Any] = self.model_dump(
            exclude_none=True, include=set(type(self).model_fields)
        )
        return CreateSession(
            name=self.name,
            conf=self.conf or {},
            tags=self.tags or {},
            sizes=Sizes(
                driver_memory=self.driverMemory,
                driver_cores=self.driverCores,
                executor_memory=self.executorMemory,
                executor_cores=self.executorCores,
                num_executors=self.numExecutors,
            ),
            libraries=tuple(name for name in libraries if getattr(self, name)),
            request=echo,
        )


class HighConcurrencyRequest(SessionRequest):
    """The body of ``POST …/highConcurrencySessions``: a session's, and the tag to share by."""

    sessionTag: Annotated[StrictStr | None, _rule(maxLength=256, pattern=_PRINTABLE)] = None  # noqa: N815


class StatementRequest(BaseModel):
    """The body of ``POST …/statements``. It may be large, so no other field of it is stored."""

    model_config = ConfigDict(extra="ignore")

    code: StrictStr
    kind: Annotated[StrictStr | None, _rule(enum=["pyspark", "spark", "sql", None])] = None
    sourceId: StrictStr | None = None  # noqa: N815 - the wire's name


class CompletionRequest(_Body):
    """The body of ``POST …/completion``, as in classic Livy; ``cursor`` counts characters."""

    code: StrictStr
    kind: Annotated[StrictStr | None, _rule(enum=["pyspark", "spark", "sql", None])] = None
    cursor: Annotated[Annotated[StrictInt, _or_text("[0-9]{1,17}")] | None, _rule(minimum=0)] = None


class NewWorkspace(_Body):
    """The body of ``POST /v1/workspaces``."""

    displayName: WorkspaceName  # noqa: N815 - the wire's name
    description: Description | None = None


class RolePrincipal(_Body):
    """The principal of a role assignment."""

    id: Annotated[StrictStr, _rule(format="uuid")]
    type: Annotated[StrictStr, _rule(enum=["User", "ServicePrincipal"])]


class NewRole(_Body):
    """The body of ``POST …/roleAssignments``."""

    principal: RolePrincipal
    role: Role


class ChangedRole(_Body):
    """The body of ``PATCH …/roleAssignments/{id}``."""

    role: Role


_SOMETHING: Final[dict[str, Any]] = {
    "anyOf": [
        {"required": [name], "properties": {name: {"type": "string"}}}
        for name in ("displayName", "description")
    ]
}


EnvironmentName = WorkspaceName


class NewEnvironment(_Body):
    """The body of ``POST …/environments``."""

    displayName: EnvironmentName  # noqa: N815
    description: Description | None = None


class ChangedEnvironment(_Body):
    """The body of ``PATCH`` of an environment; at least one of the two fields."""

    model_config = ConfigDict(json_schema_extra=_SOMETHING)

    displayName: EnvironmentName | None = None  # noqa: N815
    description: Description | None = None


class InstancePool(_Body):
    """A pool, by its id or name. The starter pool alone may be named as one of the capacity."""

    name: StrictStr | None = None
    type: Literal["Workspace", "Capacity"] | None = None
    id: StrictStr | None = None

    def chosen(self, present: SparkConfiguration) -> SparkPool | None:
        """Return the pool; None: the starter pool.

        Raises:
            Invalid: there is none.
        """
        field = "instancePool"
        found = present.pool_referred(self.name, self.id, field=field)
        if self.type == "Capacity" and found is not None:
            raise Invalid(
                "SparkPoolNotFound",
                f"{found.name} is a pool of the workspace, and this server has no pools of a "
                "capacity. Send the type Workspace.",
                field=field,
            )
        return found


class DynamicExecutors(_Body):
    """How many executors Spark may have."""

    enabled: StrictBool
    minExecutors: Executors = None  # noqa: N815
    maxExecutors: Executors = None  # noqa: N815


class SparkProperty(_Body):
    """One Spark property; without a value it is deleted."""

    key: StrictStr
    value: Text | None = None


class ChangedCompute(_Body):
    """The body of ``PATCH …/staging/sparkcompute``, in the shapes of both versions of the API."""

    instancePool: InstancePool | None = None  # noqa: N815
    driverCores: Cores = None  # noqa: N815
    driverMemory: StrictStr | None = None  # noqa: N815
    executorCores: Cores = None  # noqa: N815
    executorMemory: StrictStr | None = None  # noqa: N815
    dynamicExecutorAllocation: DynamicExecutors | None = None  # noqa: N815
    sparkProperties: dict[StrictStr, Text | None] | list[SparkProperty] | None = None  # noqa: N815
    runtimeVersion: StrictStr | None = None  # noqa: N815

    @property
    def properties(self) -> dict[str, str | None]:
        """Return the changes of properties; None deletes one."""
        given = self.sparkProperties or {}
        if isinstance(given, dict):
            return dict(given)
        return {one.key: one.value for one in given}

    @property
    def changes(self) -> dict[str, Any]:
        """Return the changed fields of `livius.domain.environment.Compute`."""
        found: dict[str, Any] = {
            "runtime": self.runtimeVersion,
            "driver_cores": self.driverCores,
            "driver_memory": self.driverMemory,
            "executor_cores": self.executorCores,
            "executor_memory": self.executorMemory,
        }
        dynamic = self.dynamicExecutorAllocation
        if dynamic is not None:
            least = dynamic.minExecutors or 1
            found["dynamic"] = DynamicAllocation(
                enabled=dynamic.enabled, least=least, most=dynamic.maxExecutors or least
            )
        return {name: value for name, value in found.items() if value is not None}


class RemovedLibrary(_Body):
    """The body of ``POST …/removeExternalLibrary``."""

    name: StrictStr
    version: StrictStr = ""


class CreationPayload(_Body):
    """Options of a new lakehouse."""

    enableSchemas: Annotated[StrictBool, _rule(enum=[True])]  # noqa: N815


class NewLakehouse(_Body):
    """The body of ``POST …/lakehouses``."""

    displayName: LakehouseName  # noqa: N815
    description: Description | None = None
    creationPayload: CreationPayload | None = None  # noqa: N815


class NewItem(NewLakehouse):
    """The body of ``POST …/items``. An environment's name may have more than a lakehouse's."""

    displayName: WorkspaceName  # noqa: N815
    type: Annotated[StrictStr, _rule(enum=["Lakehouse", "Environment"])]


class ChangedWorkspace(_Body):
    """The body of ``PATCH`` of a workspace; at least one of the two fields."""

    model_config = ConfigDict(json_schema_extra=_SOMETHING)

    displayName: WorkspaceName | None = None  # noqa: N815
    description: Description | None = None


class ChangedLakehouse(_Body):
    """The body of ``PATCH`` of a lakehouse; at least one of the two fields."""

    model_config = ConfigDict(json_schema_extra=_SOMETHING)

    displayName: LakehouseName | None = None  # noqa: N815
    description: Description | None = None


def _size_of_node(value: object) -> object:
    """Read a size in any case: Fabric's command line sends lower case."""
    if isinstance(value, str):
        return next((one for one in NodeSize if one.lower() == value.lower()), value)
    return value


Flag = Annotated[StrictBool, _rule(type="boolean")]
Number = Annotated[StrictInt, _rule(type="integer", minimum=1)]
PoolName = Annotated[StrictStr, _rule(maxLength=64, pattern="^[A-Za-z0-9_ -]*[A-Za-z0-9_-]+")]
NodeFamily = Literal["MemoryOptimized"]
Node = Annotated[NodeSize, BeforeValidator(_size_of_node)]


class AutoScale(_Body):
    """How many nodes a new pool may have."""

    enabled: Flag
    minNodeCount: Number  # noqa: N815 - the wire's name
    maxNodeCount: Number  # noqa: N815


class ExecutorAllocation(_Body):
    """How many executors a session of a new pool may have."""

    enabled: Flag
    minExecutors: Number  # noqa: N815
    maxExecutors: Number  # noqa: N815


class NewPool(_Body):
    """The body of ``POST …/spark/pools``."""

    name: PoolName
    nodeFamily: NodeFamily  # noqa: N815
    nodeSize: Node  # noqa: N815
    autoScale: AutoScale  # noqa: N815
    dynamicExecutorAllocation: ExecutorAllocation  # noqa: N815

    def shape(self) -> PoolShape:
        """Return the pool in the core's terms."""
        return PoolShape(
            name=self.name,
            node_size=self.nodeSize,
            scales=self.autoScale.enabled,
            min_nodes=self.autoScale.minNodeCount,
            max_nodes=self.autoScale.maxNodeCount,
            allocates=self.dynamicExecutorAllocation.enabled,
            min_executors=self.dynamicExecutorAllocation.minExecutors,
            max_executors=self.dynamicExecutorAllocation.maxExecutors,
        )


class ChangedAutoScale(_Body):
    """Changes of a pool's nodes."""

    enabled: Flag | None = None
    minNodeCount: Number | None = None  # noqa: N815
    maxNodeCount: Number | None = None  # noqa: N815


class ChangedAllocation(_Body):
    """Changes of a pool's executors."""

    enabled: Flag | None = None
    minExecutors: Number | None = None  # noqa: N815
    maxExecutors: Number | None = None  # noqa: N815


class ChangedPool(_Body):
    """The body of ``PATCH …/spark/pools/{id}``; at least one field."""

    name: PoolName | None = None
    nodeFamily: NodeFamily | None = None  # noqa: N815
    nodeSize: Node | None = None  # noqa: N815
    autoScale: ChangedAutoScale | None = None  # noqa: N815
    dynamicExecutorAllocation: ChangedAllocation | None = None  # noqa: N815

    def changes(self) -> dict[str, Any]:
        """Return the fields that change, by their names in the core."""
        nodes = self.autoScale or ChangedAutoScale()
        executors = self.dynamicExecutorAllocation or ChangedAllocation()
        return _given(
            name=self.name,
            node_size=self.nodeSize,
            scales=nodes.enabled,
            min_nodes=nodes.minNodeCount,
            max_nodes=nodes.maxNodeCount,
            allocates=executors.enabled,
            min_executors=executors.minExecutors,
            max_executors=executors.maxExecutors,
        )


class AutomaticLog(_Body):
    """Of Spark settings: the automatic log of experiments."""

    enabled: Flag


class SharedNotebooks(_Body):
    """Of Spark settings: whether notebooks share sessions."""

    notebookInteractiveRunEnabled: Flag | None = None  # noqa: N815
    notebookPipelineRunEnabled: Flag | None = None  # noqa: N815


class PoolReference(_Body):
    """A pool, by its name or its id."""

    name: StrictStr | None = None
    type: Literal["Workspace"] | None = None
    id: StrictStr | None = None


class StarterPoolSizes(_Body):
    """Of Spark settings: the sizes of the starter pool."""

    maxNodeCount: Number | None = None  # noqa: N815
    maxExecutors: Number | None = None  # noqa: N815


class PoolSettings(_Body):
    """Of Spark settings: the pools."""

    customizeComputeEnabled: Flag | None = None  # noqa: N815
    defaultPool: PoolReference | None = None  # noqa: N815
    starterPool: StarterPoolSizes | None = None  # noqa: N815


class EnvironmentSettings(_Body):
    """Of Spark settings: the default environment; an empty name means none."""

    name: StrictStr | None = None
    runtimeVersion: StrictStr | None = None  # noqa: N815


class JobSettings(_Body):
    """Of Spark settings: admission and idle timeout."""

    conservativeJobAdmissionEnabled: Flag | None = None  # noqa: N815
    sessionTimeoutInMinutes: Annotated[StrictInt | None, _rule(minimum=1, maximum=20160)] = None  # noqa: N815


class ChangedSparkSettings(_Body):
    """The body of ``PATCH …/spark/settings``: absent fields stay as they are."""

    automaticLog: AutomaticLog | None = None  # noqa: N815
    highConcurrency: SharedNotebooks | None = None  # noqa: N815
    pool: PoolSettings | None = None
    environment: EnvironmentSettings | None = None
    job: JobSettings | None = None

    def changes(self) -> dict[str, Any]:
        """Return the fields that change, by their names in the core; without pool and environment.

        These two are named, and only the core knows their names.
        """
        pool = self.pool or PoolSettings()
        starter = pool.starterPool or StarterPoolSizes()
        shared = self.highConcurrency or SharedNotebooks()
        job = self.job or JobSettings()
        return _given(
            automatic_log=self.automaticLog and self.automaticLog.enabled,
            shares_interactive=shared.notebookInteractiveRunEnabled,
            shares_pipelines=shared.notebookPipelineRunEnabled,
            customizes_compute=pool.customizeComputeEnabled,
            starter_max_nodes=starter.maxNodeCount,
            starter_max_executors=starter.maxExecutors,
            runtime=self.environment and self.environment.runtimeVersion,
            admits_conservatively=job.conservativeJobAdmissionEnabled,
            session_timeout=job.sessionTimeoutInMinutes,
        )


class FormatOptions(_Body):
    """The format of files, with the options of CSV."""

    format: Literal["Csv", "Parquet"]
    header: Flag | None = None
    delimiter: Annotated[StrictStr | None, _rule(minLength=1, maxLength=1)] = None


class LoadTable(_Body):
    """The body of ``POST …/tables/{name}/load``."""

    relativePath: Annotated[StrictStr, _rule(pattern="^Files")]  # noqa: N815
    pathType: Literal["File", "Folder"]  # noqa: N815
    fileExtension: Annotated[StrictStr | None, _rule(pattern="^[A-Za-z0-9_-]{1,16}$")] = None  # noqa: N815
    mode: Literal["Overwrite", "Append"] = "Overwrite"
    recursive: Flag | None = None
    formatOptions: FormatOptions | None = None  # noqa: N815

    def load(self, table: str) -> TableLoad:
        """Return the load in the core's terms."""
        options = self.formatOptions or FormatOptions(format="Csv")
        return TableLoad(
            table=table,
            path=self.relativePath.removesuffix("/"),
            is_folder=self.pathType == "Folder",
            mode=Mode(self.mode),
            format=FileFormat(options.format),
            extension=self.fileExtension,
            recursive=bool(self.recursive),
            header=bool(options.header),
            delimiter="," if options.delimiter is None else options.delimiter,
        )


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


Body = TypeVar("Body", bound=BaseModel)

_LONGEST_COUNT: Final = 18
"""Digits that always fit into a 64-bit integer."""


async def read_body(request: Request, kind: type[Body]) -> Body:
    """Return the body.

    Raises:
        RequestValidationError: it is not JSON, lacks a field, or has one of the wrong type.
    """
    return _parsed(await request.body(), kind)


async def read_body_if_any(request: Request, kind: type[Body]) -> Body:
    """Return the body, or an empty one if it is missing or null.

    Raises:
        RequestValidationError: it is not JSON, or has a field of the wrong type.
    """
    body = (await request.body()).strip()
    return _parsed(b"{}" if body in (b"", b"null") else body, kind)


def _parsed(body: bytes, kind: type[Body]) -> Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def read_count(request: Request, name: str) -> int | None:
    """Return a number in the query string, or None if it is missing.

    Raises:
        Invalid: it is not a whole number from 0 up.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST_COUNT:
        raise Invalid("InvalidInput", f"{name} is a whole number from 0 up.", field=name)
    return int(text)
