"""``livius status`` and ``livius token``: quick, because scripts run them often."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from typing import Any, Final

from livius.cli.answers import Failed, ask, fetch_token
from livius.cli.place import find_home
from livius.cli.pool import pool_line
from livius.installation.home import Connection, Home

_GIB: Final = 1024**3
_NONE: Final = 3
_STARTING: Final = 4


def status(*, as_json: bool) -> int:
    """Print whether a gateway serves."""
    home = find_home()
    code, facts, text = _look(home)
    if as_json:
        print(json.dumps({"home": str(home.root), **facts}, indent=2, ensure_ascii=False))
    elif code == 1:
        return _fail(text)
    else:
        print(text)
    return code


def _look(home: Home) -> tuple[int, dict[str, Any], str]:
    """Return the exit code, and the same for programs and for people."""
    connection = home.read_connection()
    if connection is not None:
        return _serving(home, connection)
    if home.is_locked():
        pid = home.holder()
        text = (
            f"A gateway has {home.root} (process {pid or 'unknown'}) and does not say where it "
            "serves: it is starting, or its connection.json was deleted. Look again in a moment; "
            "livius down ends it, livius up then starts another."
        )
        return _STARTING, {"state": "starting", "pid": pid}, text
    left = _left_running(home)
    text = f"No gateway serves {home.root}. Start one with: livius up"
    if left:
        text += (
            f"\n{left} process{'es' if left > 1 else ''} of an earlier one "
            f"{'go' if left > 1 else 'goes'} on; a new one adopts what goes on."
        )
    return _NONE, {"state": "stopped", "leftProcesses": left}, text


def _serving(home: Home, connection: Connection) -> tuple[int, dict[str, Any], str]:
    since = datetime.fromtimestamp(home.connection_file.stat().st_mtime, UTC)
    facts = {
        "pid": connection.pid,
        "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
        "api": f"{connection.api}/v1",
        "portal": connection.http,
    }
    try:
        ready = ask(connection, f"{connection.api}/readyz")
        sessions, queued = int(ready["sessions"]), int(ready["queued"])
        pool = pool_line(ready["pool"])
        if ready["environmentPool"]["size"]:
            pool += f"\n              of environments: {pool_line(ready['environmentPool'])}"
    except (Failed, KeyError, ValueError, TypeError) as error:
        text = f"It does not answer: {error}. See: livius logs"
        return 1, {"state": "silent", **facts, "error": str(error)}, text
    free = shutil.disk_usage(home.root).free
    text = (
        f"Serving since {since:%Y-%m-%d %H:%M:%S} UTC, process {connection.pid}\n"
        f"  API         {connection.api}/v1\n"
        f"  Portal      {connection.http}\n"
        f"  Sessions    {sessions}{f'; {queued} of them wait for room' if queued else ''}\n"
        f"  Pool        {pool}\n"
        f"  Disk        {free / _GIB:.1f} GB free in {home.root}"
    )
    more = {
        "sessions": sessions,
        "queued": queued,
        "pool": ready["pool"],
        "environmentPool": ready["environmentPool"],
        "diskFreeBytes": free,
    }
    return 0, {"state": "serving", **facts, **more}, text


def _left_running(home: Home) -> int:
    """Return how many processes of an earlier gateway still run."""
    if not home.metastore.is_dir() and not any(home.drivers.glob("*")):
        return 0
    from livius.cli.running import kept

    return sum(one.supervisor() is not None for one in kept(home))


def token() -> int:
    """Print an access token, and nothing else."""
    home = find_home()
    try:
        connection = home.read_connection()
        if connection is None:
            return _fail(f"No gateway serves {home.root}. Start one with: livius up")
        print(fetch_token(connection))
    except Failed as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"livius: {message}", file=sys.stderr)
    return 1
