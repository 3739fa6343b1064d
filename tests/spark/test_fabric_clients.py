"""Fabric's own clients, unchanged, over the REST that surrounds a session."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from spark.test_unchanged_programs import PROGRAMS, run
from support.clients import client_python
from support.documents import blocks
from support.gateway import LIVIUS, ROOT, RUNTIME, Gateway

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


def test_the_python_client_walks_workspaces_items_and_lakehouses(gateway: Gateway) -> None:
    found = json.loads(run(gateway, client_python("fabric"), PROGRAMS / "fabric_rest.py"))
    assert "no file Files/none.csv" in found.pop("failed")
    assert found == {
        "workspace": "by the client",
        "listed": True,
        "capacity": True,
        "no such principal": [400, "InvalidInput"],
        "role": ["Admin", "ServicePrincipal"],
        "schemas": [None, "dbo"],
        "items": ["Bronze", "Gold", "Silver"],
        "item": "Tin",
        "gone": [404, "ItemNotFound"],
        "tables": [],
        "loaded": [["orders", "Managed", "delta"]],
        "pools": [["Starter Pool", "Lab"], "Large", "Lab"],
        "default pool is kept": [409, "SparkPoolInUse"],
        "settings": [45, RUNTIME, False],
        "no such runtime": [400, "RuntimeNotFound"],
        "no workspace": [404, "WorkspaceNotFound"],
    }


def test_the_page_for_the_clients_says_what_they_print(gateway: Gateway) -> None:
    """Its programs are one after the other, each with what it prints."""
    page = ROOT / "docs" / "how-to" / "fabric-rest.md"
    program = "".join(block.code for block in blocks(page, "python"))
    printed = run(gateway, client_python("fabric"), "-c", program).splitlines()
    text = page.read_text(encoding="utf-8").replace("`60 2.0`", f"`60 {RUNTIME}`")
    assert [f"It prints `{line}`" in text for line in printed] == [True] * text.count("It prints")


def test_the_page_for_fab_is_a_session_of_it(gateway: Gateway, tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "fabric-rest.md"
    script = next(block.code for block in blocks(page, "sh") if "FAB_TENANT_ID" in block.code)
    lines = [line for line in script.splitlines() if not line.startswith("export")]
    printed = CommandLine(gateway, tmp_path)(*lines)
    said = dict(zip(lines, printed, strict=True))
    assert "dbo" in said["fab get Lab.Workspace/Silver.Lakehouse -q properties.defaultSchema"]
    assert said["fab ls Lab.Workspace"] == "Silver.Lakehouse\n"


class CommandLine:
    """`fab`, signed in as the sample application, with a configuration of its own."""

    def __init__(self, gateway: Gateway, home: Path) -> None:
        known = gateway.connection
        self._environment = gateway.environment | {
            "HOME": str(home),
            "PATH": f"{client_python('fabric').parent}:{gateway.environment['PATH']}",
            "FAB_SPN_CLIENT_ID": known["client_id"],
            "FAB_SPN_CLIENT_SECRET": known["client_secret"],
            "FAB_TENANT_ID": known["tenant_id"],
        }
        # Without a keyring, it stores its tokens as they are.
        self("fab config set encryption_fallback_enabled true")

    def __call__(self, *commands: str) -> list[str]:
        """Run commands one after the other; return what each printed. All must succeed."""
        done = subprocess.run(
            [LIVIUS, "exec", "--only", "--", "bash", "-e"],
            env=self._environment,
            input="".join(f"{one} </dev/null\necho {_END}\n" for one in commands),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split(f"{_END}\n")[:-1]


_END = "- - -"


@pytest.fixture
def fab(gateway: Gateway, tmp_path: Path) -> CommandLine:
    return CommandLine(gateway, tmp_path)


def test_fab_lists_creates_reads_renames_and_removes(fab: CommandLine) -> None:
    lab, pool = "Lab.Workspace", "Lab.Workspace/.sparkpools/Small.SparkPool"
    before, made, long, *_, items, schemas, found = fab(
        "fab ls",
        f"fab mkdir {lab} -P capacityName=Livius",
        "fab ls -l",
        f"fab mkdir {lab}/Bronze.Lakehouse",
        f"fab mkdir {lab}/Gold.Lakehouse -P enableSchemas=true",
        f"fab mkdir {pool} -P nodeSize=Small,autoScale.maxNodeCount=2",
        f"fab set {lab} -q sparkSettings.automaticLog.enabled -i false -f",
        f"fab ls {lab}",
        f"fab get {lab}/Gold.Lakehouse -q properties",
        f"fab get {pool} -q .",
    )
    assert "sample.Workspace" in before.splitlines()
    assert "created" in made
    assert "Livius" in long
    assert items.split() == ["Bronze.Lakehouse", "Gold.Lakehouse"]
    assert json.loads(schemas)["defaultSchema"] == "dbo"
    assert json.loads(found)["autoScale"]["maxNodeCount"] == 2
    [text] = fab(f"fab get {lab} -q .")
    whole = json.loads(text)
    assert [one["role"] for one in whole["roleAssignments"]] == ["Admin"]
    assert whole["sparkSettings"]["automaticLog"] == {"enabled": False}
    path = f"workspaces/{whole['id']}/lakehouses"
    _set, there, _removed, left, refused, _gone = fab(
        f"fab set {lab}/Bronze.Lakehouse -q displayName -i Silver -f",
        f"fab exists {lab}/Silver.Lakehouse",
        f"fab rm {lab}/Silver.Lakehouse -f",
        f"fab ls {lab}",
        f"""fab api -X post {path} -i '{{"displayName": "a-b"}}'""",
        f"fab rm {lab} -f",
    )
    assert "true" in there
    assert left.split() == ["Gold.Lakehouse"]
    answer = json.loads(refused)
    assert (answer["status_code"], answer["text"]["errorCode"]) == (400, "InvalidInput")
