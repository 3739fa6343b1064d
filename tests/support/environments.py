"""Environments as a caller of the API has them, and libraries to put into them."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from livius.installation.java import find_java
from livius.installation.recipes import recipe
from support.gateway import Client, runtimes_folder
from support.waiting import wait_for

ENDED = ("Success", "Failed", "Cancelled")


@dataclass
class RemoteEnvironment:
    """One environment, seen from outside."""

    client: Client
    id: str

    @classmethod
    def create(cls, client: Client, name: str) -> RemoteEnvironment:
        made = cls(client, "")
        answer = made.call("POST", "", json={"displayName": name})
        assert answer.status_code == 201, answer.text
        return cls(client, answer.json()["id"])

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        facts = self.client.gateway.connection
        base = f"{facts['api']}/v1/workspaces/{facts['workspace_id']}/environments"
        where = f"{base}/{self.id}{path}" if self.id else base
        return self.client.http.request(method, where, timeout=60, **arguments)

    def must(self, method: str, path: str, **arguments: Any) -> requests.Response:
        answer = self.call(method, path, **arguments)
        assert answer.ok, answer.text
        return answer

    def stage(self, file: Path) -> None:
        self.must("POST", f"/staging/libraries/{file.name}", data=file.read_bytes())

    def import_list(self, text: str) -> None:
        self.must("POST", "/staging/libraries/importExternalLibraries", data=text.encode())

    def publish(self) -> str:
        """Begin a publish; return the operation's id."""
        answer = self.must("POST", "/staging/publish?beta=false")
        assert answer.status_code == 202
        operation: str = answer.headers["x-ms-operation-id"]
        return operation

    def details(self) -> dict[str, Any]:
        body: dict[str, Any] = self.must("GET", "").json()["properties"]["publishDetails"]
        return body

    def ended(self, operation: str, seconds: float = 120) -> dict[str, Any]:
        """The operation once it has ended."""
        api = self.client.gateway.connection["api"]

        def look() -> dict[str, Any] | None:
            answer = self.client.http.get(
                f"{api}/v1/operations/{operation}", headers={"Prefer": "wait=5"}, timeout=60
            )
            assert answer.ok, answer.text
            body: dict[str, Any] = answer.json()
            return body if body["status"] in ("Succeeded", "Failed") else None

        return wait_for(look, seconds=seconds, what="the operation ends")

    def published(self) -> dict[str, Any]:
        """Publish; it must succeed."""
        body = self.ended(self.publish())
        assert body["status"] == "Succeeded", body
        return self.details()

    @property
    def conf(self) -> dict[str, str]:
        """The conf of a session with it, quoted as the documentation's sample has it."""
        return {"spark.fabric.environmentDetails": f'{{"id" : ""{self.id}""}}'}

    @property
    def log(self) -> str:
        return self.must("GET", "/staging/publish/log").text

    @property
    def folder(self) -> Path:
        return self.client.gateway.home / "environments" / self.id


def make_wheel(folder: Path, name: str, version: str, code: str, *needs: str) -> Path:
    """A wheel with one module of its name, compressed."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in needs)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{info}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        files = (f"{name}.py", f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD")
        archive.writestr(f"{info}/RECORD", "".join(f"{one},,\n" for one in files))
    return wheel


def make_jar(folder: Path, name: str, scala: str, runtime: str) -> Path:
    """A jar of Scala code, compiled by the compiler that a runtime's PySpark ships."""
    java = find_java(None, runtimes_folder(), recipe(runtime).java)
    assert java is not None
    [spark] = (runtimes_folder() / runtime).glob("venv/lib/python*/site-packages/pyspark")
    source, jar = folder / f"{name}.scala", folder / f"{name}.jar"
    source.write_text(scala)
    subprocess.run(
        [
            *(java.binary, "-cp", f"{spark}/jars/*", "scala.tools.nsc.Main", "-usejavacp"),
            *("-target:17", "-nowarn", "-d", jar, source),
        ],
        check=True,
        timeout=120,
    )
    return jar
