"""Responses whose shape mypy checks and the OpenAPI document shows, from one annotation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from fastapi.responses import Response
from fastapi.routing import APIRoute

_Shape = TypeVar("_Shape")


class Json(Response, Generic[_Shape]):
    """A JSON body of a shape of ``livius.api.schemas``."""

    media_type = "application/json"

    def __init__(
        self, body: _Shape, *, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(msgspec.json.encode(body, enc_hook=_text), status_code, headers)


def _text(value: Any) -> str:
    """Return the text of a ``Message``; the encoder takes no subclass of a string by itself."""
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError


class DocumentedRoute(APIRoute):
    """A route whose handler says ``-> Json[Shape]``; ``shape`` is None for other handlers.

    A handler with several shapes names each in a union. The framework's own way, a model of the
    response, would check and copy each body once more.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.shape = _shape(endpoint)
        super().__init__(path, endpoint, **options | {"response_model": None})


def _shape(endpoint: Callable[..., Any]) -> Any:
    hint = get_type_hints(endpoint).get("return")
    shapes = [get_args(one)[0] for one in (hint, *get_args(hint)) if get_origin(one) is Json]
    return Union[tuple(shapes)] if shapes else None  # noqa: UP007 - of as many as there are
