"""The command line: ``livius``."""

from __future__ import annotations

import asyncio
import sys

from cyclopts import App

from livius import __version__

app = App(name="livius", version=__version__, help="The Fabric Livy API in front of Apache Spark.")


@app.command
def serve(*, keep_drivers: bool = False) -> None:
    """Serve in this process."""
    from livius.bootstrap import serve as run
    from livius.installation.prepare import prepared
    from livius.settings import Settings

    ready = prepared(Settings())
    with ready.home.lock():
        asyncio.run(run(ready, keep_drivers=keep_drivers))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    sys.exit(main())
