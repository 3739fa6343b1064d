"""The complete OpenAPI document, and a page to read it.

The framework's own document lacks the shapes of responses, the envelope of errors, and parameters
that handlers read from the request. The wire tests check every response against the document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, TypeAdapter

from livius.api.documented import DocumentedRoute
from livius.api.fabric import requests
from livius.api.schemas import ErrorDocument

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'",
    "Referrer-Policy": "no-referrer",
}
_WORKSPACES: Final = "/v1/workspaces"
_LAKEHOUSES: Final = _WORKSPACES + "/{workspace}/lakehouses"
_ROLES: Final = _WORKSPACES + "/{workspace}/roleAssignments"
_SPARK: Final = _WORKSPACES + "/{workspace}/spark"
_LIVY: Final = _LAKEHOUSES + "/{lakehouse}/livyapi/versions/{version}"
_STATEMENTS: Final = _LIVY + "/sessions/{session}/statements"
_HIGH_CONCURRENCY: Final = _LIVY + "/highConcurrencySessions"
_REPL_STATEMENTS: Final = _HIGH_CONCURRENCY + "/{session}/repls/{repl}/statements"
_ENVIRONMENTS: Final = _WORKSPACES + "/{workspace}/environments"
_STAGING: Final = _ENVIRONMENTS + "/{environment}/staging"
_COMPONENT: Final = "#/components/schemas/{model}"
_ERROR: Final = ("", "error")
_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")


def _optional(place: str, name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": False,
        "description": description,
        "schema": schema,
    }


_TEXT: Final = {"type": "string"}
_WINDOW: Final = [
    _optional(
        "query",
        name,
        f"The {what} of the text to give, in bytes.",
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    )
    for name, what in (("from", "beginning"), ("size", "length"))
]
_KEY: Final = _optional(
    "header",
    "Idempotency-Key",
    "Repeats of a request with its key give what the first one created.",
    {"type": "string", "minLength": 1},
)
_PREFER: Final = _optional(
    "header",
    "Prefer",
    "wait=N (RFC 7240): answer when the work is done, after N seconds at most.",
    _TEXT,
)
_FROM: Final = _optional(
    "query",
    "from",
    "Where a new stream begins: a statement's number, or a byte of its text.",
    {"type": "integer", "minimum": 0},
)
_SEEN: Final = _optional(
    "header",
    "Last-Event-ID",
    "The id of the last event that was received: the stream continues behind it.",
    _TEXT,
)
_RANGE: Final = _optional("header", "Range", "One range of bytes, such as bytes=-65536.", _TEXT)
_BODIES: Final[Mapping[tuple[str, str], type[BaseModel]]] = {
    ("post", _LIVY + "/sessions"): requests.SessionRequest,
    ("post", _STATEMENTS): requests.StatementRequest,
    ("post", _REPL_STATEMENTS): requests.StatementRequest,
    ("post", _STATEMENTS.replace("/statements", "/completion")): requests.CompletionRequest,
    ("post", _REPL_STATEMENTS.replace("/statements", "/completion")): requests.CompletionRequest,
    ("post", _HIGH_CONCURRENCY): requests.HighConcurrencyRequest,
    ("post", _WORKSPACES): requests.NewWorkspace,
    ("patch", _WORKSPACES + "/{workspace}"): requests.ChangedWorkspace,
    ("post", _ROLES): requests.NewRole,
    ("patch", _ROLES + "/{principal}"): requests.ChangedRole,
    ("post", _WORKSPACES + "/{workspace}/items"): requests.NewItem,
    ("patch", _WORKSPACES + "/{workspace}/items/{item}"): requests.ChangedLakehouse,
    ("post", _LAKEHOUSES + "/{lakehouse}/tables/{table}/load"): requests.LoadTable,
    ("patch", _SPARK + "/settings"): requests.ChangedSparkSettings,
    ("post", _SPARK + "/pools"): requests.NewPool,
    ("patch", _SPARK + "/pools/{pool}"): requests.ChangedPool,
    ("post", _LAKEHOUSES): requests.NewLakehouse,
    ("post", _ENVIRONMENTS): requests.NewEnvironment,
    ("patch", _ENVIRONMENTS + "/{environment}"): requests.ChangedEnvironment,
    ("patch", _STAGING + "/sparkcompute"): requests.ChangedCompute,
    ("post", _STAGING + "/libraries/removeExternalLibrary"): requests.RemovedLibrary,
    ("patch", _LAKEHOUSES + "/{lakehouse}"): requests.ChangedLakehouse,
}
"""The shape of each request's body."""
_MAY_BE_EMPTY: Final = frozenset({requests.SessionRequest, requests.HighConcurrencyRequest})
_BY_HAND: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("get", _LIVY + "/sessions/{session}"): {"parameters": [_PREFER]},
    ("post", _LIVY + "/sessions"): {"parameters": [_KEY, _PREFER]},
    ("get", _HIGH_CONCURRENCY + "/{handle}"): {"parameters": [_PREFER]},
    ("get", "/v1/operations/{operation}"): {"parameters": [_PREFER]},
    ("post", _STAGING + "/cancelPublish"): {"parameters": [_PREFER]},
    **{
        ("get", base + "/{number}"): {"parameters": [*_WINDOW, _PREFER]}
        for base in (_STATEMENTS, _REPL_STATEMENTS)
    },
    ("post", _HIGH_CONCURRENCY): {"parameters": [_KEY, _PREFER]},
    **{("post", base): {"parameters": [_KEY, _PREFER]} for base in (_STATEMENTS, _REPL_STATEMENTS)},
    **{
        ("get", of): {"parameters": [_FROM, _SEEN]}
        for base in (_STATEMENTS, _REPL_STATEMENTS)
        for of in (base.removesuffix("/statements") + "/events", base + "/{number}/events")
    },
    **{
        ("get", base + "/{number}/output"): {"parameters": [_RANGE]}
        for base in (_STATEMENTS, _REPL_STATEMENTS)
    },
}
"""The parameters that handlers read from the request."""


def complete(app: FastAPI) -> None:
    """Let the application make the complete document at the first request for it."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    written: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components: dict[str, Any] = written.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    shapes = _shapes(app)
    adapters: list[tuple[tuple[str, str], Literal["validation"], TypeAdapter[Any]]] = [
        (key, "validation", TypeAdapter(shape))
        for key, shape in {**shapes, _ERROR: ErrorDocument}.items()
    ]
    adapters += [
        ((f"{method} body", path), "validation", TypeAdapter(shape))
        for (method, path), shape in _BODIES.items()
    ]
    of_key, definitions = TypeAdapter.json_schemas(adapters, ref_template=_COMPONENT)
    schemas.update(definitions["$defs"])
    error = of_key[_ERROR, "validation"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    for path, operations in written["paths"].items():
        for method, operation in operations.items():
            key = (method, path)
            _complete(operation, path, _BY_HAND.get(key, {}), error)
            if key in _BODIES:
                operation["requestBody"] = _body(
                    of_key[(f"{method} body", path), "validation"],
                    required=_BODIES[key] not in _MAY_BE_EMPTY,
                )
            if key in shapes:
                _answer(operation, of_key[key, "validation"])
    return written


def _shapes(app: FastAPI) -> dict[tuple[str, str], Any]:
    """Return the shape of each response that is JSON of ours, by method and path."""
    return {
        (method.lower(), route.path_format): route.shape
        for route in app.routes
        if isinstance(route, DocumentedRoute) and route.shape is not None
        for method in route.methods or ()
    }


def _complete(
    operation: dict[str, Any], path: str, by_hand: Mapping[str, Any], error: Mapping[str, Any]
) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # it is a 400, in the envelope
    if not path.startswith("/v1/"):
        return
    operation["security"] = [{"token": []}]
    responses["default"] = {
        "description": "An error, in Fabric's envelope.",
        "content": {"application/json": {"schema": error}},
    }
    parameters = [*operation.get("parameters", []), *by_hand.get("parameters", [])]
    known = {one["name"] for one in parameters if one["in"] == "path"}
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
        if name not in known
    ]
    operation["parameters"] = parameters


def _body(schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    shape = schema if required else {"anyOf": [schema, {"type": "null"}]}
    return {"required": required, "content": {"application/json": {"schema": shape}}}


def _answer(operation: dict[str, Any], schema: Mapping[str, Any]) -> None:
    [status] = [status for status in operation["responses"] if status.startswith("2")]
    operation["responses"][status]["content"]["application/json"] = {"schema": schema}
