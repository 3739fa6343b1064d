"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on a Unix socket alone."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, make_url

IS_INSTALLED = all(shutil.which(name) for name in ("initdb", "pg_ctl", "postgres"))
_NOBODY = 65534
_numbers = count()


@contextmanager
def cluster() -> Iterator[str]:
    """Start a server; yield the URL of its first database."""
    # Not in pytest's folder: nobody else may enter that, and the server refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(name, _NOBODY, _NOBODY)
            owner = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        data = Path(name) / "data"

        def run(*command: str) -> None:
            subprocess.run(
                command, check=True, cwd=name, stdout=subprocess.DEVNULL, timeout=120, **owner
            )

        run("initdb", "-D", str(data), "-U", "livius", "-A", "trust", "-E", "UTF8", "--no-sync",
            "--lc-collate=C", "--lc-ctype=C.UTF-8")  # fmt: skip
        options = f"-k {name} -c listen_addresses='' -c fsync=off -c max_connections=200"
        run("pg_ctl", "-D", str(data), "-w", "-l", f"{name}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://livius@/postgres?host={name}"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


def new_database(url: str) -> str:
    """Make an empty database in a cluster; return its URL."""
    name = f"livius_{os.getpid()}_{next(_numbers)}"
    _run(url, f"CREATE DATABASE {name}")
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str) -> None:
    """Delete a database, or the files of hundreds have to be deleted at the cluster's end."""
    database = make_url(url)
    _run(database.set(database="postgres"), f"DROP DATABASE {database.database} WITH (FORCE)")


def _run(url: str | URL, command: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(command)
    engine.dispose()
