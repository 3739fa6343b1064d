"""Holding each answer against the OpenAPI document."""

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from livius.api.middleware import plain_path

_UNDOCUMENTED = re.compile(r"/batches|/highConcurrencySessions")


class Documented:
    """An event hook of httpx's. ``seen`` are the operations that were answered well."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, str]] = set()
        self._paths = [
            (path, re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace("{path}", ".+"))))
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        ]

    async def __call__(self, answer: httpx.Response) -> None:
        await answer.aread()
        method = answer.request.method.lower()
        path = plain_path(answer.request.url.path)
        if not path.startswith("/v1/") or _UNDOCUMENTED.search(path):
            return
        found = next((known for known, pattern in self._paths if pattern.fullmatch(path)), None)
        operation = self.document["paths"].get(found, {}).get(method)
        if operation is None:
            assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)
            return
        responses = operation["responses"]
        well = answer.status_code < 400
        assert not well or str(answer.status_code) in responses, (method, path, answer)
        described = responses[str(answer.status_code) if well else "default"]
        if well:
            self.seen.add((method, str(found)))
        schema = described.get("content", {}).get("application/json", {}).get("schema")
        if schema and answer.headers.get("content-type", "").startswith("application/json"):
            whole = {**schema, "components": self.document["components"]}
            Draft202012Validator(whole).validate(json.loads(answer.content))
