"""How the many rich outputs of a statement become the one bundle that Livy's form has room for.

Of each MIME type the last one is given; HTML is different, for it can be joined: all pieces in
their order. Where a statement showed several images they are among the pieces, so that a client
that shows HTML shows them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from livius_agent.values import of_bytes, to_json

LIMIT: Final = 32 * 1024 * 1024
"""The most characters of rich output that one statement may give."""

_HTML: Final = "text/html"
_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")


@dataclass(slots=True)
class Outputs:
    """The rich outputs of one statement. Their text is not here: it is printed as it comes."""

    _shown: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    _size: int = 0

    def add(self, bundle: Mapping[str, Any], display_id: str | None = None) -> bool:
        """Keep what a bundle has beside its text; tell whether there was room for it."""
        rich = {mime: _plain(value) for mime, value in bundle.items() if mime != "text/plain"}
        if not rich:
            return True
        size = sum(_length(value) for value in rich.values())
        if self._size + size > LIMIT:
            return False
        self._size += size
        self._shown.append((display_id, rich))
        return True

    def update(self, bundle: Mapping[str, Any], display_id: str) -> bool:
        """Put a bundle in the place of an earlier one; tell whether there was room for it."""
        places = [at for at, (known, _) in enumerate(self._shown) if known == display_id]
        if not self.add(bundle, display_id):
            return False
        if places and self._shown[-1][0] == display_id:
            newest = self._shown.pop()
            for at in places:
                self._size -= sum(_length(value) for value in self._shown[at][1].values())
                self._shown[at] = newest
        return True

    def clear(self) -> None:
        """Forget what was shown so far."""
        self._shown.clear()
        self._size = 0

    def merged(self) -> dict[str, Any]:
        """Return the one bundle."""
        merged: dict[str, Any] = {}
        for _, rich in self._shown:
            merged.update(rich)
        images = sum(any(mime in rich for mime in _IMAGES) for _, rich in self._shown)
        if _HTML in merged or images > 1:
            merged[_HTML] = "\n".join(piece for _, rich in self._shown if (piece := _as_html(rich)))
        return merged


def _plain(value: Any) -> Any:
    return of_bytes(value) if isinstance(value, bytes) else to_json(value)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(str(value))


def _as_html(rich: Mapping[str, Any]) -> str | None:
    if _HTML in rich:
        html: str = rich[_HTML]
        return html
    for mime in _IMAGES:
        if mime in rich:
            image = rich[mime]
            is_text = mime == "image/svg+xml"
            return image if is_text else f'<img src="data:{mime};base64,{image.strip()}">'
    return None
