"""The command line: ``livius``. It imports as little as the command needs.

What people type often (`--help`, `status`, `token`) is answered before any library is imported.
"""

from __future__ import annotations

import sys

from livius.installation.progress import SetupFailed


def main() -> None:
    """Run the command line."""
    if sys.platform != "linux":
        sys.exit("Livius runs on Linux, WSL2 included. Nothing was changed.")
    try:
        _run()
    except SetupFailed as error:
        sys.exit(f"livius: {error}")


def _run() -> None:
    match sys.argv[1:]:
        case [] | ["--help"] | ["-h"]:
            from livius.cli.overview import overview

            print(overview())
        case ["status", *options] if set(options) <= {"--json"}:
            from livius.cli.status import status

            sys.exit(status(as_json=bool(options)))
        case ["token"]:
            from livius.cli.status import token

            sys.exit(token())
        case _:
            from livius.cli.commands import app

            # Cyclopts ends the process with what a command returns.
            app()
