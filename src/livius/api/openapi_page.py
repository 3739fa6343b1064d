"""``/docs``: the OpenAPI document for people, made here so that it needs no other host.

Without scripts it is whole; the one script only searches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from livius.api.openapi_examples import example_of

_FOLDER: Final = Path(__file__).parent / "templates"
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_CODE: Final = re.compile(r"``([^`]+)``")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_THEME_COOKIE: Final = "livius_theme"
_REST: Final = "The server itself"
"""The group of operations without a tag."""


def _marked(text: str) -> Markup:
    """Return a description as HTML: docstrings have their code in double backquotes."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


_TEMPLATES.filters["marked"] = _marked


def router() -> APIRouter:
    """Return the routes of the page, its style and its script."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        written = request.app.openapi()
        base = str(request.base_url).rstrip("/")
        theme = request.cookies.get(_THEME_COOKIE, "")
        page = _TEMPLATES.get_template("docs.html").render(
            title=written["info"]["title"],
            version=written["info"]["version"],
            theme=theme if theme in ("light", "dark") else "auto",
            base=base,
            groups=_groups(written, base),
            schemas={
                name: json.dumps(schema, indent=2, ensure_ascii=False)
                for name, schema in sorted(written["components"]["schemas"].items())
            },
        )
        return HTMLResponse(page, headers=_HEADERS)

    @routes.get("/docs.css", include_in_schema=False)
    async def style() -> Response:
        return Response((_FOLDER / "docs.css").read_text(encoding="utf-8"), media_type="text/css")

    @routes.get("/docs.js", include_in_schema=False)
    async def script() -> Response:
        text = (_FOLDER / "docs.js").read_text(encoding="utf-8")
        return Response(text, media_type="text/javascript")

    return routes


def _groups(written: Mapping[str, Any], base: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the operations by tag, in the document's order; those without one come last."""
    schemas = written["components"]["schemas"]
    found: dict[str, list[Mapping[str, Any]]] = {}
    rest: list[Mapping[str, Any]] = []
    for path, operations in written["paths"].items():
        for method, operation in operations.items():
            shown = _shown(method.upper(), path, operation, schemas, base)
            tag = next(iter(operation.get("tags", ())), None)
            (rest if tag is None else found.setdefault(tag, [])).append(shown)
    return {**found, **({_REST: rest} if rest else {})}


def _shown(
    method: str,
    path: str,
    operation: Mapping[str, Any],
    schemas: Mapping[str, Any],
    base: str,
) -> Mapping[str, Any]:
    body = _json(operation.get("requestBody", {}))
    answers = [
        {"status": status, "schema": _json(answer), "about": answer.get("description", "")}
        for status, answer in operation["responses"].items()
    ]
    answer: Mapping[str, Any] = next(
        (one["schema"] for one in answers if one["status"].startswith("2")), {}
    )
    return {
        "id": re.sub(r"\W+", "-", f"{method} {path}").strip("-").lower(),
        "method": method,
        "path": path,
        "about": operation.get("description") or operation.get("summary", ""),
        "parameters": [
            {
                "name": one["name"],
                "place": one["in"],
                "required": one.get("required", False),
                "kind": _kind(one.get("schema", {})),
                "about": one.get("description", ""),
            }
            for one in operation.get("parameters", [])
        ],
        "body": _kind(body) if body else "",
        "curl": _curl(method, base + path, operation, example_of(body, schemas) if body else None),
        "example": _pretty(example_of(answer, schemas)) if answer else "",
        "answers": [{**one, "kind": _kind(one["schema"])} for one in answers],
    }


def _curl(method: str, url: str, operation: Mapping[str, Any], body: Any) -> str:
    parts = ["curl"] + ([f"-X {method}"] if method not in ("GET", "POST") or body is None else [])
    parts = [one for one in parts if one != "-X GET"]
    lines = [f"{' '.join(parts)} {quote(url)}"]
    if operation.get("security"):
        lines.append('-H "Authorization: Bearer $(livius token)"')
    if body is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d {quote(_pretty(body))}"]
    return " \\\n  ".join(lines)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _json(described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the JSON in a described body; empty where there is none."""
    content: Mapping[str, Any] = described.get("content", {}).get("application/json", {})
    found: Mapping[str, Any] = content.get("schema", {})
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    """Return a short name of a schema: its component's name if it is one."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_kind(one) for one in schema[several])
    return str(schema.get("title") if schema.get("type") == "object" else schema.get("type", ""))
