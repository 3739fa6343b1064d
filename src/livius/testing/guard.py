"""The process that starts a test run's gateway, and ends it when nobody is connected any more."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import sys
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from livius.cli.own_gateway import OwnGateway
from livius.cli.running import down
from livius.installation.home import Home
from livius.installation.progress import SetupFailed
from livius.settings import Settings
from livius.testing.shared import HOME, LAST

_FIRST_WITHIN: Final = 60.0


def main(folder: Path, listener: socket.socket) -> None:
    """Serve until the last connection is gone; leave no process and no file."""
    last: list[socket.socket] = []
    try:
        try:
            # The runtime is the installation's; all the rest is the test run's own.
            os.environ["LIVIUS_RUNTIMES"] = str(Settings().runtimes_folder.absolute())
        except ValidationError as error:
            last = _wait_until_left(listener, {"failed": f"Its settings are wrong. {error}"})
            return
        os.environ["LIVIUS_HOME"] = str(folder / HOME)
        os.environ["LIVIUS_PORT"] = os.environ["LIVIUS_HTTP_PORT"] = "0"
        last = _serve(Home(folder / HOME), listener)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for connection in last:
            connection.close()


def _serve(home: Home, listener: socket.socket) -> list[socket.socket]:
    try:
        try:
            home.create()
            gateway = OwnGateway(home)
            gateway.start(first_run=False)
            gateway.wait_until_serving()
        except SetupFailed as error:
            return _wait_until_left(listener, {"failed": str(error)})
        return _wait_until_left(listener, {"home": str(home.root)})
    finally:
        listener.close()
        down()


def _wait_until_left(listener: socket.socket, greeting: dict[str, str]) -> list[socket.socket]:
    """Greet each connection, and return those that are to be closed once all has ended."""
    line = (json.dumps(greeting) + "\n").encode()
    users: set[socket.socket] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            # Somebody has started this process, and either connects at once or was killed.
            ready = selector.select(None if users else _FIRST_WITHIN)
            # New users first: who has just come keeps the gateway from ending.
            for key, _ in sorted(ready, key=lambda one: one[0].fileobj is not listener):
                if key.fileobj is listener:
                    connection, _address = listener.accept()
                    users.add(connection)
                    selector.register(connection, selectors.EVENT_READ)
                    _send(connection, line)
                    continue
                [gone] = [user for user in users if user is key.fileobj]
                selector.unregister(gone)
                users.remove(gone)  # a user says nothing: what can be read is its end
                if not users:
                    _send(gone, LAST)
                    return [gone]
                gone.close()
            if not ready:
                return []


def _send(connection: socket.socket, text: bytes) -> None:
    try:
        connection.sendall(text)
    except OSError:  # it was killed; its end is read next
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
