"""An installation whose gateway is this test: the programs are real, what they reach is small."""

from __future__ import annotations

import http.server
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from livius.installation.home import Connection, Home
from livius.installation.tls import ensure_certificates
from support.gateway import LIVIUS


@dataclass
class Place:
    """A data folder, and what its environment is for programs in it."""

    home: Home
    seen: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """As a person's shell has it: nothing led, and no proxy but for what a test adds."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith(("_proxy", "_bundle")) and name != "SSL_CERT_FILE"
        }
        return {**kept, "LIVIUS_HOME": str(self.home.root)}

    def livius(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LIVIUS, *arguments],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=25,
            check=False,
        )

    def start(self, *arguments: str, **more: object) -> subprocess.Popen[str]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [LIVIUS, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def folders(self) -> list[Path]:
        """Those of trees that are intercepted now."""
        return list(self.home.intercept.glob("*/"))


@contextmanager
def serving(
    context: ssl.SSLContext | None, seen: list[str], address: str = "127.0.0.1"
) -> Iterator[int]:
    """A server that returns the host and path of requests. Yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.headers['Host']} {self.path}")
            body = json.dumps({"host": self.headers["Host"], "path": self.path}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    home = Home(tmp_path / "home")
    home.create()
    certificates = ensure_certificates(home.tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.intercept_file, certificates.intercept_key_file)
    made = Place(home)
    with home.lock(), serving(context, made.seen) as port:
        (home.root / "ports.json").write_text(json.dumps({"https": port, "http": 1}))
        home.write_connection(
            Connection(
                api=f"https://localhost:{port}",
                http="http://localhost:1",
                authority=f"https://localhost:{port}/tenant",
                tenant_id="tenant",
                client_id="client",
                client_secret="secret",
                certificate_file="",
                private_key_file="",
                thumbprint="",
                username=None,
                password=None,
                workspace_id="",
                lakehouse_id="",
                ca_file=str(certificates.ca_file),
                pid=os.getpid(),
            )
        )
        yield made
