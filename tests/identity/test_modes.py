"""Files that would let others be us are for their owner alone, whatever the umask says."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from livius.adapters.clock import SystemClock
from livius.adapters.identity.keys import KeyRing
from livius.adapters.store import open_store
from livius.installation.home import Connection, Home
from livius.installation.tls import ensure_certificates

CONNECTION = Connection(
    **{field.name: 1 if field.name == "pid" else "x" for field in dataclasses.fields(Connection)}  # type: ignore[arg-type]
)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def opened(folder: Path) -> list[str]:
    """Permissions of secret files."""
    return sorted(
        str(path.relative_to(folder))
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o077 and path.suffix != ".pem"
    )


def made(folder: Path) -> Home:
    home = Home(folder / "home")
    home.create()
    home.write_connection(CONNECTION)
    KeyRing.open(home.keys, SystemClock())
    ensure_certificates(home.tls)
    store = open_store(home.database)
    assert opened(home.root) == []  # with what SQLite keeps beside the file while it is open
    store.close()
    return home


def test_nothing_secret_is_open_to_others(tmp_path: Path) -> None:
    home = made(tmp_path)
    assert opened(home.root) == []
    assert {path.name for path in home.tls.glob("*.key")} == {
        "ca.key",
        "server.key",
        "intercept.key",
    }
    # Signing keys end in .pem, as certificates do, but have a folder of their own.
    assert all(path.stat().st_mode & 0o077 == 0 for path in home.keys.glob("*.pem"))


def test_what_a_backup_has_opened_is_closed_at_the_next_start(tmp_path: Path) -> None:
    home = made(tmp_path)
    for path in (home.root, home.tls, *home.tls.glob("*.key"), home.connection_file, home.database):
        path.chmod(0o777)
    for path in (home.keys, *home.keys.iterdir()):
        path.chmod(0o777)
    made(tmp_path)
    assert opened(home.root) == []
    assert all(path.stat().st_mode & 0o077 == 0 for path in home.keys.glob("*.pem"))
