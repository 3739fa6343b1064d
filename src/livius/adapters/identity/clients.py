"""Client applications in one JSON file, until the store takes them in."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from livius.adapters.identity.files import private_folder, read_private, write_private
from livius.domain.identity import ClientApplication, ClientCertificate
from livius.domain.ids import ClientId


class FileClients:
    """Implements `livius.ports.identity.ClientRegistry`.

    The file is read again when it has changed, so another process may write it too; the last
    writer wins.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._clients: dict[str, ClientApplication] = {}

    async def client(self, client_id: str) -> ClientApplication | None:
        """See the port. The file is small and local, so reading it does not wait."""
        return self.find(client_id)

    def find(self, client_id: str) -> ClientApplication | None:
        """Return an application, or None."""
        self._refresh()
        return self._clients.get(client_id.lower())

    def put(self, application: ClientApplication) -> None:
        """Register an application, or replace what was registered under its client id."""
        self._refresh()
        known = {**self._clients, application.client_id: application}
        private_folder(self._path.parent)
        content = {"applications": [asdict(one) for one in known.values()]}
        write_private(self._path, json.dumps(content, indent=2, default=_text).encode())
        self._refresh()

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._clients = None, {}
            return
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            kept = json.loads(read_private(self._path))
            self._clients = {one["client_id"]: _application(one) for one in kept["applications"]}
            self._stamp = stamp


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in this file.")


def _application(kept: dict[str, Any]) -> ClientApplication:
    return ClientApplication(
        client_id=ClientId(kept["client_id"]),
        name=kept["name"],
        object_id=kept["object_id"],
        secrets=tuple(kept["secrets"]),
        certificates=tuple(_certificate(one) for one in kept["certificates"]),
    )


def _certificate(kept: dict[str, Any]) -> ClientCertificate:
    return ClientCertificate(
        sha1=kept["sha1"],
        sha256=kept["sha256"],
        public_key_pem=kept["public_key_pem"],
        not_before=datetime.fromisoformat(kept["not_before"]),
        not_after=datetime.fromisoformat(kept["not_after"]),
    )
