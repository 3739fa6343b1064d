"""The ``BROWSER`` of an intercepted tree: opens a sign-in page that the person's browser can reach.

The browser is not of the tree: an intercepted host would take it to Microsoft. So such an address
is opened at the gateway's listener for people. Under ``--as`` no browser opens: the user signs in
by itself.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from livius.cli.intercept.person import Person, read_person
from livius.cli.intercept.sign_in import SignInFailed, finish, finish_with_error, sign_in
from livius.domain.intercepted_hosts import is_intercepted
from livius.installation.home import Connection, Home


def main(words: list[str]) -> int:
    """Open the address; return an exit code."""
    if len(words) != 1:
        print("usage: livius-browser URL", file=sys.stderr)
        return 2
    connection = Home(Path(os.environ["LIVIUS_HOME"])).read_connection()
    url = here(words[0], connection) if connection is not None else words[0]
    person = read_person(Path(os.environ["LIVIUS_TREE"]))
    # The program that opens a page waits for this process, and may have to serve the page
    # meanwhile.
    sys.stderr.flush()
    if os.fork() != 0:
        return 0
    os.setsid()
    if person is not None:
        _sign_in(person, url)
    elif not webbrowser.open(url):
        _say(f"Open this page in a browser:\n  {url}")
    return 0


def _sign_in(person: Person, url: str) -> None:
    try:
        finish(sign_in(person, url))
    except SignInFailed as error:
        _say(f"livius: {person.username} did not get through: {error}")
        finish_with_error(url, str(error))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def here(url: str, connection: Connection) -> str:
    """Return the address at which a browser outside of the tree finds the page."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not is_intercepted(parts.hostname or ""):
        return url
    http = urlsplit(connection.http)
    return urlunsplit((http.scheme, http.netloc, parts.path, parts.query, parts.fragment))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
