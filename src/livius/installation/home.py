"""The data folder: where everything lies, the ports that are kept, the lock of the one gateway."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the two listeners are."""

    https: int
    http: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What programs need to know to use this gateway: ``connection.json``.

    With an authority that is not the embedded one there is no sample application to sign in as:
    ``client_id`` and all that proves it are None.
    """

    api: str
    http: str
    authority: str
    tenant_id: str
    client_id: str | None
    client_secret: str | None
    certificate_file: str | None
    private_key_file: str | None
    thumbprint: str | None
    username: str | None
    password: str | None
    workspace_id: str
    lakehouse_id: str
    ca_file: str
    pid: int

    @property
    def serves_authority(self) -> bool:
        """Tell whether the gateway issues the tokens itself."""
        return self.authority.startswith(f"{self.api}/")


class AlreadyServing(Exception):
    """Another process holds the gateway's lock on this data folder."""


class Home:
    """One installation's data folder, 0700."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "livius.db"
        self.identity = root / "identity"
        self.tenant_file = self.identity / "tenant"
        self.keys = self.identity / "keys"
        self.used_assertions = self.identity / "used-assertions"
        self.sample = root / "sample"
        self.first_user_file = self.sample / "user.json"
        self.tls = root / "tls"
        self.drivers = root / "drivers"
        self.metastore = root / "metastore"
        self.onelake = root / "onelake"
        self.names = root / "names"
        self.outputs = root / "outputs"
        self.vaults = root / "vaults"
        self.led = root / "led"
        self.log_file = root / "gateway.log"
        self.address_file = root / "address.json"
        self.connection_file = root / "connection.json"
        self.last_shutdown_file = root / "last_shutdown.json"
        self.first_run_file = root / "first_run_done"
        self.first_query_file = root / "first_query.py"
        self._ports_file = root / "ports.json"
        self._lock_file = root / "gateway.lock"

    def create(self, *, passable: bool = False) -> None:
        """Make the folders that everything else relies on.

        ``passable`` lets other users through to what lies deeper and is theirs, and to no more.
        """
        for folder in (
            self.root,
            self.identity,
            self.drivers,
            self.onelake,
            self.names,
            self.outputs,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.root, self.drivers, self.onelake, self.names):
            folder.chmod(0o711 if passable else 0o700)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one gateway of this folder. The lock goes with the process, however it ends.

        Raises:
            AlreadyServing: there is another.
        """
        descriptor = os.open(self._lock_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a") as file:
            os.fchmod(descriptor, 0o600)  # who could open it could take the lock
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyServing(str(self.root)) from None
            yield

    def is_locked(self) -> bool:
        """Tell whether a gateway serves, or is about to."""
        try:
            with self.lock():
                return False
        except AlreadyServing:
            return True
        except FileNotFoundError:
            return False

    def choose_ports(self, *, https: int, http: int) -> Ports:
        """Return the kept ports; the first time, the wanted ones if they are free.

        A kept port that somebody else has taken meanwhile is replaced, and that is kept then.
        """
        kept = _read_json(self._ports_file) or {}
        first = _free_port(int(kept.get("https", https)))
        ports = Ports(https=first, http=_free_port(int(kept.get("http", http)), but=first))
        if asdict(ports) != kept:
            _write_private(self._ports_file, asdict(ports))
        return ports

    def kept_ports(self) -> Ports | None:
        """Return the ports that an earlier start has kept."""
        kept = _read_json(self._ports_file)
        return Ports(https=int(kept["https"]), http=int(kept["http"])) if kept else None

    def write_address(self, url: str) -> None:
        """Tell agents where to dial, as whomever they run: it is no secret."""
        _write_private(self.address_file, {"url": url}, mode=0o644)

    def write_connection(self, connection: Connection) -> None:
        """Tell programs where we serve."""
        _write_private(self.connection_file, asdict(connection))

    def read_connection(self) -> Connection | None:
        """Return the connection of the gateway that serves; None where none does."""
        found = _read_json(self.connection_file)
        if found is None or not self.is_locked():
            return None
        return Connection(**found)


def _free_port(wanted: int, *, but: int = -1) -> int:
    for port in (wanted, 0, 0):
        if port == but:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            # As uvicorn will: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_LOOPBACK, port))
            found = int(probe.getsockname()[1])
            if found != but:
                return found
    raise OSError("no port is free on loopback")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_private(path: Path, body: dict[str, Any], *, mode: int = 0o600) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(body, file, indent=2)
        file.write("\n")
        os.fchmod(file.fileno(), mode)
    partial.replace(path)
