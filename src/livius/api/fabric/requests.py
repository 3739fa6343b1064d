"""Request bodies (Fabric contract 1.3, 2.2, 7.2, 7.3).

Unknown fields are accepted, wrong types are not. A null field or body counts as left out; a number
may come as text. The core's own rules are in the API document, too (`_rule`), for programs.
Handlers read their bodies themselves, with `read_body`, once they know the caller and its rights:
the framework would parse a stranger's body first.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeVar

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
    WithJsonSchema,
    model_validator,
)

from livius.domain.errors import Invalid
from livius.domain.lakehouse import Role
from livius.domain.session import Sizes
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


class CreationPayload(_Body):
    """Options of a new lakehouse."""

    enableSchemas: StrictBool  # noqa: N815


class NewLakehouse(_Body):
    """The body of ``POST …/lakehouses``."""

    displayName: LakehouseName  # noqa: N815
    description: Description | None = None
    creationPayload: Annotated[  # noqa: N815
        CreationPayload | None,
        WithJsonSchema({"type": "null", "description": "Not available yet."}),
    ] = None


class NewItem(NewLakehouse):
    """The body of ``POST …/items``."""

    type: Annotated[StrictStr, _rule(enum=["Lakehouse"])]


_SOMETHING: Final[dict[str, Any]] = {
    "anyOf": [
        {"required": [name], "properties": {name: {"type": "string"}}}
        for name in ("displayName", "description")
    ]
}


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
