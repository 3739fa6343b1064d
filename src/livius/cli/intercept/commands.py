"""``livius exec`` and ``livius env``."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from livius.cli.console import err, fail, settings
from livius.cli.intercept.person import Person
from livius.cli.intercept.tree import (
    CannotIntercept,
    Wanted,
    become,
    guard,
    plant,
    where_intercepted,
)
from livius.installation.home import Home

_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "mksh"})
_PASSWORD: Final = "LIVIUS_PASSWORD"  # noqa: S105 - a variable's name
_UP: Final = (sys.executable, "-m", "livius.cli", "up", "--detach")


def execute(command: list[str], *, only: bool, up: bool, user: str | None) -> int:
    """Run a command, intercepted. Returns only if that fails."""
    if not command:
        return fail("Say what to run: livius exec -- COMMAND. See: livius exec --help")
    home = Home(settings().home)
    if (failed := _ensure_gateway(home, up=up)) is not None:
        return failed
    try:
        tree = plant(Wanted(home=home, only=only, person=_person(home, user)))
        become(tree, command)
    except CannotIntercept as error:
        return fail(str(error))


def export(*, only: bool, process: int | None, user: str | None) -> int:
    """Print the variables for a shell, and intercept until it ends."""
    home = Home(settings().home)
    if (failed := _ensure_gateway(home, up=False)) is not None:
        return failed
    pid = process or _shell()
    if pid is None:
        return fail(
            'No shell is above this process. Name the shell to intercept: livius env --pid "$$"'
        )
    try:
        tree = plant(Wanted(home=home, only=only, person=_person(home, user)))
        guard(tree, pid)
    except CannotIntercept as error:
        return fail(str(error))
    for name, value in tree.variables.items():
        print(f"export {name}={shlex.quote(value)}")
    if sys.stdout.isatty():
        err.print('[dim]# To use them: eval "$(livius env)"[/]')
    return 0


def _ensure_gateway(home: Home, *, up: bool) -> int | None:
    """Return an exit code if no gateway serves."""
    connection = home.read_connection()
    if connection is not None:
        if not connection.serves_authority:
            # The usual case prints nothing, so that the output is only the command's own.
            err.print(f"livius: {where_intercepted(connection)}", markup=False)
        return None
    if not up:
        return fail(
            f"No gateway serves {home.root}. Start one with: livius up --detach, or let this "
            "command do it: livius exec --up -- COMMAND"
        )
    # Its output is not the command's.
    return subprocess.run(_UP, stdout=sys.stderr, check=False).returncode or None


def _person(home: Home, user: str | None) -> Person | None:
    """Return the user to sign in. Raises: CannotIntercept: the password is unknown."""
    # Also where it is not needed: the program gets no secret that is not its own.
    given = os.environ.pop(_PASSWORD, None)
    connection = home.read_connection()
    if user is None or connection is None:
        return None
    if connection.username is not None:
        if "@" not in user:
            user = f"{user}@{connection.username.rpartition('@')[2]}"
        if user.lower() == connection.username and given is None:
            given = connection.password
    if given is None:
        raise CannotIntercept(f"The password of {user} is not known here. Set it in {_PASSWORD}.")
    return Person(user, given)


def _shell() -> int | None:
    """Return the shell that waits for us, not the copy of it that a ``$(…)`` runs in."""
    pid = os.getppid()
    while pid > 1:
        name, parent, command = _process(pid)
        if name in _SHELLS and (parent == 0 or _process(parent)[2] != command):
            return pid
        pid = parent
    return None


def _process(pid: int) -> tuple[str, int, bytes]:
    """Return a process's name, its parent and its command line."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        name, _, rest = fields.partition("(")[2].rpartition(")")
        return name, int(rest.split()[1]), (folder / "cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return "", 0, b""
