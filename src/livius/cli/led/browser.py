"""The ``BROWSER`` of a led tree: opens a sign-in page where the person's browser can reach it.

The browser is not of the tree: a led name would take it to Microsoft. So such an address is opened
at the gateway's listener for people.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from livius.domain.led import is_led
from livius.installation.home import Connection, Home


def main(words: list[str]) -> int:
    """Open the address; return an exit code."""
    if len(words) != 1:
        print("usage: livius-browser URL", file=sys.stderr)
        return 2
    connection = Home(Path(os.environ["LIVIUS_HOME"])).read_connection()
    url = here(words[0], connection) if connection is not None else words[0]
    # Whoever opens a page waits for this process, and may have to answer the page meanwhile.
    if os.fork() != 0:
        return 0
    os.setsid()
    if not webbrowser.open(url):
        print(f"Open this page in a browser:\n  {url}", file=sys.stderr, flush=True)
    return 0


def here(url: str, connection: Connection) -> str:
    """Return the address at which a browser outside of the tree finds the page."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not is_led(parts.hostname or ""):
        return url
    http = urlsplit(connection.http)
    return urlunsplit((http.scheme, http.netloc, parts.path, parts.query, parts.fragment))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
