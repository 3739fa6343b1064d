"""Request bodies (Fabric contract 1.3, 2.2, 7.2, 7.3).

Unknown fields are accepted, wrong types are not. The routes that are called all the time read
their requests with `read_body` and `read_count`: the framework's declarations would double what
such a request costs.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)

from livius.domain.errors import Invalid
from livius.domain.lakehouse import Role
from livius.domain.session import Sizes
from livius.usecases.sessions import CreateSession


def _text(value: object) -> object:
    """Take a number or a truth value for its text, as Fabric's own server does for conf."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value


Text = Annotated[StrictStr, BeforeValidator(_text)]
Pairs = dict[StrictStr, Text]
Paths = list[StrictStr]


class SessionRequest(BaseModel):
    """The body of ``POST …/sessions``; every field is optional."""

    model_config = ConfigDict(extra="allow")

    name: StrictStr | None = None
    conf: Pairs | None = None
    tags: Pairs | None = None
    driverMemory: StrictStr | None = None  # noqa: N815 - the wire's name
    driverCores: StrictInt | None = None  # noqa: N815
    executorMemory: StrictStr | None = None  # noqa: N815
    executorCores: StrictInt | None = None  # noqa: N815
    numExecutors: StrictInt | None = None  # noqa: N815
    archives: Paths | None = None
    jars: Paths | None = None
    files: Paths | None = None
    pyFiles: Paths | None = None  # noqa: N815

    def command(self) -> CreateSession:
        """Return what is asked for, in our words."""
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


class StatementRequest(BaseModel):
    """The body of ``POST …/statements``."""

    model_config = ConfigDict(extra="allow")

    code: StrictStr
    kind: StrictStr | None = None
    sourceId: StrictStr | None = None  # noqa: N815 - the wire's name


class NewWorkspace(BaseModel):
    """The body of ``POST /v1/workspaces``."""

    model_config = ConfigDict(extra="allow")

    displayName: StrictStr  # noqa: N815 - the wire's name
    description: StrictStr = ""


class RolePrincipal(BaseModel):
    """Whom a role is given to."""

    model_config = ConfigDict(extra="allow")

    id: StrictStr
    type: StrictStr


class NewRole(BaseModel):
    """The body of ``POST …/roleAssignments``."""

    model_config = ConfigDict(extra="allow")

    principal: RolePrincipal
    role: Role


class ChangedRole(BaseModel):
    """The body of ``PATCH …/roleAssignments/{id}``."""

    model_config = ConfigDict(extra="allow")

    role: Role


class CreationPayload(BaseModel):
    """What is special about a new lakehouse."""

    model_config = ConfigDict(extra="allow")

    enableSchemas: StrictBool  # noqa: N815


class NewLakehouse(BaseModel):
    """The body of ``POST …/lakehouses``."""

    model_config = ConfigDict(extra="allow")

    displayName: StrictStr  # noqa: N815
    description: StrictStr = ""
    creationPayload: CreationPayload | None = None  # noqa: N815


class NewItem(NewLakehouse):
    """The body of ``POST …/items``."""

    type: StrictStr


class Changed(BaseModel):
    """The body of ``PATCH`` of a workspace or a lakehouse."""

    model_config = ConfigDict(extra="allow")

    displayName: StrictStr | None = None  # noqa: N815
    description: StrictStr | None = None


Body = TypeVar("Body", bound=BaseModel)

_LONGEST_COUNT: Final = 18
"""Digits: what a 64-bit integer holds for sure."""


async def read_body(request: Request, kind: type[Body]) -> Body:
    """Return the body.

    Raises:
        RequestValidationError: it is not JSON, lacks a field, or has one of the wrong type.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def read_count(request: Request, name: str) -> int | None:
    """Return a number of the query string, or None if it isn't there.

    Raises:
        Invalid: it is not a whole number from 0 up.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST_COUNT:
        raise Invalid("InvalidInput", f"{name} is a whole number from 0 up.", field=name)
    return int(text)
