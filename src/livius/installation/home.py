"""The data folder: its paths, the stored ports, and the lock of the one gateway."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from livius.installation.progress import SetupFailed

_LOOPBACK: Final = "127.0.0.1"
_ANY: Final = (0,) * 4
"""Ports that the system chooses. At a further address, another may have taken one."""
_LOOKS_LAST: Final = 0.5
_LOOK_EVERY: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The addresses of the two listeners."""

    https: int
    http: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The facts with which programs use this gateway: ``connection.json``.

    With an external authority there is no sample application: ``client_id`` and its credentials are
    None.
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
    """Another process holds the gateway's lock on this data folder; it is named in the text."""


class Home:
    """One installation's data folder, 0700."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "livius.db"
        self.identity = root / "identity"
        self.tenant_file = self.identity / "tenant"
        self.keys = self.identity / "keys"
        self.links = self.identity / "links"
        self.used_assertions = self.identity / "used-assertions"
        self.sample = root / "sample"
        self.first_user_file = self.sample / "user.json"
        self.tls = root / "tls"
        self.drivers = root / "drivers"
        self.metastore = root / "metastore"
        self.history = root / "history"
        self.onelake = root / "onelake"
        self.uploads = root / "uploads"
        self.names = root / "names"
        self.environments = root / "environments"
        self.outputs = root / "outputs"
        self.vaults = root / "vaults"
        self.intercept = root / "intercept"
        self.log_file = root / "gateway.log"
        self.address_file = root / "address.json"
        self.connection_file = root / "connection.json"
        self.last_shutdown_file = root / "last_shutdown.json"
        self.self_check_file = root / "self_check.json"
        self.first_query_file = root / "first_query.py"
        self._ports_file = root / "ports.json"
        self._lock_file = root / "gateway.lock"

    def create(self, *, passable: bool = False) -> None:
        """Make the folders of the data folder.

        ``passable`` lets other users through to their own folders below, and to no others.

        Raises:
            SetupFailed: they can't be made or written.
        """
        try:
            self._create(passable=passable)
        except OSError as error:
            raise _unusable(self.root, error.strerror) from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise _unusable(self.root, "not writable")

    def _create(self, *, passable: bool) -> None:
        for folder in (
            self.root,
            self.identity,
            self.drivers,
            self.onelake,
            self.names,
            self.environments,
            self.outputs,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.root, self.drivers, self.onelake, self.names, self.environments):
            folder.chmod(0o711 if passable else 0o700)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one gateway of this folder. The lock goes with the process, however it ends.

        Raises:
            AlreadyServing: there is another.
        """
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+") as file:
            os.fchmod(descriptor, 0o600)  # who could open it could take the lock
            deadline = time.monotonic() + _LOOKS_LAST
            while not _try_lock(descriptor, fcntl.LOCK_EX):
                # It may be a look of `is_locked`, which is over at once.
                if time.monotonic() > deadline:
                    raise AlreadyServing(f"process {_pid_in(file.read()) or 'unknown'}")
                time.sleep(_LOOK_EVERY)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_locked(self) -> bool:
        """Tell whether a gateway serves, or is about to."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError as error:
            raise _unusable(self.root, error.strerror) from error
        try:
            return not _try_lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """Return the process that has the lock; None where none has, or it has yet to say so."""
        if not self.is_locked():
            return None
        text = self._lock_file.read_text(encoding="ascii", errors="replace")
        return _pid_in(text) or self._holder_of_before()

    def _holder_of_before(self) -> int | None:
        """Return the gateway of an older version: its process id is in connection.json alone."""
        pid = (_read_json(self.connection_file) or {}).get("pid")
        # One that was killed has left the file, and its process id may be another's by now.
        return pid if isinstance(pid, int) and _has_open(pid, self._lock_file) else None

    def choose_ports(self, *, host: str, https: int, http: int) -> Ports:
        """Return the kept ports; the first time, the wanted ones if they are free.

        A kept port that somebody else has taken meanwhile is replaced, and that is kept then. Only
        the process that has the lock may ask: to any other the gateway's own ports look taken.

        Raises:
            SetupFailed: the host is no address of this machine, or the port needs more rights.
        """
        kept = self.kept_ports() or Ports(https=https, http=http)
        first = _free_port(host, kept.https)
        ports = Ports(https=first, http=_free_port(_LOOPBACK, kept.http, but=first))
        if ports != self.kept_ports():
            write_private(self._ports_file, asdict(ports))
        return ports

    def kept_ports(self) -> Ports | None:
        """Return the ports that an earlier start has kept."""
        kept = _read_json(self._ports_file) or {}
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return Ports(https=int(kept["https"]), http=int(kept["http"]))
        return None

    def write_address(self, url: str) -> None:
        """Write the address for agents of any OS user; it is no secret."""
        write_private(self.address_file, {"url": url}, mode=0o644)

    def write_connection(self, connection: Connection) -> None:
        """Write ``connection.json``."""
        write_private(self.connection_file, asdict(connection))

    def read_connection(self) -> Connection | None:
        """Return the connection of the gateway that serves; None where none does.

        Raises:
            SetupFailed: the data folder can't be read.
        """
        try:
            found = _read_json(self.connection_file)
        except OSError as error:
            raise _unusable(self.root, error.strerror) from error
        # One that was killed has left its own file to the one that starts now.
        if found is None or self.holder() != found.get("pid"):
            return None
        # Other versions may say more or less.
        return (
            Connection(**found) if found.keys() == Connection.__dataclass_fields__.keys() else None
        )


def _unusable(folder: Path, why: str | None) -> SetupFailed:
    return SetupFailed(
        f"The data folder {folder} can't be used: {why}. Make it yours and writable, or set "
        "LIVIUS_HOME to another folder."
    )


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def _has_open(pid: int, path: Path) -> bool:
    """Tell whether a process has a file open; False where we may not know."""
    with contextlib.suppress(OSError):
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile, or nothing with a path
                if one.samefile(path):
                    return True
    return False


def _free_port(host: str, wanted: int, *, but: int = -1) -> int:
    """Return a port that is free at every address of the host: the listener takes them all."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SetupFailed(
            f"LIVIUS_HOST is {host}, which has no address: {error.strerror}. Correct it."
        ) from error
    addresses = list(dict.fromkeys((family, address) for family, *_, address in found))
    for port in (wanted, *_ANY):
        if port == but:
            continue
        try:
            free = _probe(addresses, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise SetupFailed(
                f"The server can't listen at {host}, port {port}: {error.strerror}. Correct "
                "LIVIUS_HOST, or choose a port above 1023."
            ) from error
        if free != but:
            return free
    raise SetupFailed(f"No port is free at {host}. End a program that listens there.")


def _probe(addresses: Sequence[tuple[int, tuple[Any, ...]]], port: int) -> int:
    """Bind a port at all addresses for a moment, for 0 any one, and return it."""
    with contextlib.ExitStack() as stack:
        for family, (name, _port, *more) in addresses:
            probe = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            # As the listener will: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((name, port, *more))
            port = int(probe.getsockname()[1])
    return port


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_private(path: Path, body: dict[str, Any], *, mode: int = 0o600) -> None:
    """Write JSON atomically; only the owner may read it, unless the mode allows more."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(body, file, indent=2)
        file.write("\n")
        os.fchmod(file.fileno(), mode)
    partial.replace(path)
