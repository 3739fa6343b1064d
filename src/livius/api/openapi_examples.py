"""Examples of the values that JSON Schemas describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEEPEST: Final = 6
_GUID: Final = "00000000-0000-0000-0000-000000000000"
_OF_KIND: Final[Mapping[str, Any]] = {
    "boolean": True,
    "string": "text",
    "null": None,
}
_OF_FORMAT: Final[Mapping[str, str]] = {
    "uuid": _GUID,
    "date-time": "2026-01-01T00:00:00Z",
    "uri": "https://example.org",
}
_OF_NAME: Final[Mapping[str, Any]] = {
    "displayName": "sales",
    "name": "nightly load",
    "code": "print(6 * 7)",
    "relativePath": "Files/trips.csv",
    "driverMemory": "4g",
    "executorMemory": "4g",
    "runtimeVersion": "2.0",
    "conf": {"spark.sql.shuffle.partitions": "8"},
}
"""What a reader of our API would write there: the schema only says that it is a text."""


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], *, depth: int = 0) -> Any:
    """Return a value that a schema describes; ``schemas`` are the document's components.

    An object has its required properties; one without any has all of the first level.
    """
    schema = _opened(schema, schemas)
    given = [schema[one] for one in ("example", "const", "default") if schema.get(one) is not None]
    given += [schema[one][0] for one in ("examples", "enum") if schema.get(one)]
    if given:
        return given[0]
    kind, is_deep = schema.get("type"), depth >= _DEEPEST
    if "properties" in schema:
        return {} if is_deep else _object(schema, schemas, depth)
    if kind == "array":
        return [] if is_deep else [example_of(schema.get("items", {}), schemas, depth=depth + 1)]
    if kind == "object" or not schema:
        return {}
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return _OF_FORMAT.get(schema.get("format", ""), _OF_KIND.get(str(kind)))


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema["properties"]
    required = schema.get("required", ())
    names = [name for name in properties if name in required or (name in _OF_NAME and not depth)]
    found: dict[str, Any] = {}
    for name in names or (properties if not depth else ()):
        value = example_of(properties[name], schemas, depth=depth + 1)
        is_plain = value in ("text", None, {})
        found[name] = _OF_NAME[name] if is_plain and name in _OF_NAME else value
        if is_plain and name.lower().endswith("id") and value == "text":
            found[name] = _GUID
    return found


def _opened(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, and choose the first of several that is not null."""
    for _ in range(_DEEPEST):
        if "$ref" in schema:
            schema = schemas.get(str(schema["$ref"]).rpartition("/")[2], {})
            continue
        several = next((schema[one] for one in ("anyOf", "oneOf", "allOf") if one in schema), None)
        if several is None:
            break
        chosen: Mapping[str, Any] = next((one for one in several if one.get("type") != "null"), {})
        around = {name: value for name, value in schema.items() if value is not several}
        schema = {**around, **chosen}
    return schema
