"""Style sheets and scripts: ours, and htmx. Their addresses change with their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class _Asset:
    kind: str
    plain: bytes
    packed: bytes


class Assets:
    """All assets, read and packed once. ``root`` is where the portal is mounted."""

    def __init__(self, root: str) -> None:
        digest = hashlib.sha256()
        self._assets: dict[str, _Asset] = {}
        for path in sorted(_FOLDER.iterdir()):
            if path.suffix in _KINDS:
                plain = path.read_bytes()
                digest.update(plain)
                self._assets[path.name] = _Asset(
                    _KINDS[path.suffix], plain, gzip.compress(plain, mtime=0)
                )
        self._version = digest.hexdigest()[:12]
        self._base = f"{root}/static/{self._version}"

    def url(self, name: str) -> str:
        """Return the address of an asset.

        Raises:
            KeyError: there is none of this name.
        """
        self._assets[name]  # a template with an unknown name should fail at once
        return f"{self._base}/{name}"

    async def serve(self, request: Request) -> Response:
        """Return an asset.

        For another version's address too, but then without a long cache time.
        """
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response("There is no such file.", status_code=404, media_type="text/plain")
        current = request.path_params["version"] == self._version
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache",
            "Vary": "Accept-Encoding",
            # The frames of rich outputs are of no origin, and load these too.
            "Access-Control-Allow-Origin": "*",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.packed, media_type=asset.kind, headers=headers)
        return Response(asset.plain, media_type=asset.kind, headers=headers)
