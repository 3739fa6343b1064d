"""``livius open``: the portal in the browser, with the first user signed in by a one-time link."""

from __future__ import annotations

import html
import json
import time
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from livius.adapters.identity.links import FileSignInLinks
from livius.cli.console import fail, out, settings
from livius.domain.ids import PrincipalId
from livius.installation.home import Connection, Home

_USED_WITHIN: Final = 20.0
_LOOK_EVERY: Final = 0.1
_PAGE: Final = "open.html"


def open_portal(*, only_print: bool) -> int:
    """Open the portal, or print the link to it."""
    home = Home(settings().home)
    connection = home.read_connection()
    if connection is None:
        return fail(f"No gateway serves {home.root}. Start one with: livius up")
    if not connection.serves_authority:
        # Another authority signs people in: there is nothing secret in the address.
        if only_print or not webbrowser.open(connection.http):
            print(connection.http)
        return 0
    links = FileSignInLinks(home.links)
    try:
        secret = _make(links, home)
    except OSError as error:
        return fail(f"The link can't be written to {home.root}: {error.strerror}.")
    link = _link(connection, secret)
    if only_print:
        print(link)
        return 0
    page = home.root / _PAGE
    try:
        _write(page, link)
        if webbrowser.open(page.as_uri()) and _is_used(links, secret):
            out.print(f"Opened {connection.http} in the browser.")
            return 0
    finally:
        page.unlink(missing_ok=True)
    out.print(
        "No browser has opened the portal. Open this link, which works once, for ten minutes:"
    )
    print(link)
    return 0


def sign_in_link(connection: Connection, home: Home) -> str:
    """Return a link that signs the first user in, once and within ten minutes."""
    return _link(connection, _make(FileSignInLinks(home.links), home))


def _make(links: FileSignInLinks, home: Home) -> str:
    first = json.loads(home.first_user_file.read_text(encoding="utf-8"))
    return links.make(PrincipalId(first["oid"]), now=datetime.now(UTC))


def _link(connection: Connection, secret: str) -> str:
    return f"{connection.http}/portal/in/{quote(secret)}"


def _write(page: Path, link: str) -> None:
    """Write a page that redirects to the link, because everybody can read a browser's arguments."""
    target = html.escape(link, quote=True)
    page.unlink(missing_ok=True)
    page.touch(mode=0o600, exist_ok=False)
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><title>Livius</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"><a href="{target}">Livius</a>\n',
        encoding="utf-8",
    )


def _is_used(links: FileSignInLinks, secret: str) -> bool:
    """Wait until the link was used; False if it was not within some seconds."""
    deadline = time.monotonic() + _USED_WITHIN
    while links.waits(secret):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True
