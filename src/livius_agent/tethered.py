"""Runs a command that ends with the process that started it, however that ends.

    python -m livius_agent.tethered PARENT USER COMMAND…

``PARENT`` is that process's id, ``USER`` the uid, and gid, that the command runs under, or ``-``
for the present one. Standard library only, like the supervisor, which is for commands that go on.
"""

from __future__ import annotations

import os
import sys

from livius_agent.process import become, die_with_parent


def main(parent: int, user: str, command: list[str]) -> None:
    """Become the command."""
    if user != "-":
        become(int(user), ())
    die_with_parent()
    if os.getppid() != parent:  # it ended before the kernel knew that we depend on it
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the command is the gateway's


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
