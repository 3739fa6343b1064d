"""Checks of every request: its host name, and the caching of its response."""

import json

import pytest

from livius.domain.lakehouse import LakehouseTable
from wire.conftest import Wire, served

FOREIGN = (
    "evil.example",
    "evil.example:8998",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.2",
    "127.1",
    "[::2]",
    "localhost:8998@evil.example",
    "evil.example#localhost",
    "0.0.0.0",
    "",
)


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_name_over_http_gets_nothing(wire: Wire, host: str) -> None:
    for path in ("/", "/v1/workspaces", "/metrics", "/readyz", "/portal", "/nothing"):
        answer = await wire.client.get(f"http://localhost{path}", headers={"Host": host})
        assert answer.status_code == 421, path
        assert "answers under the names of this machine alone" in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8998", "127.0.0.1:8998", "[::1]:8998", "localhost:19000"]
)
async def test_this_machines_names_are_taken(wire: Wire, host: str) -> None:
    answer = await wire.client.get("http://localhost/readyz", headers={"Host": host})
    assert answer.status_code == 200


async def test_over_https_the_certificate_proves_the_name(wire: Wire) -> None:
    answer = await wire.client.get(
        "https://localhost/v1/workspaces", headers={"Host": "livius.example.org"}
    )
    assert answer.status_code == 200


async def test_two_hosts_are_none(wire: Wire) -> None:
    answer = await wire.client.get(
        "http://localhost/readyz", headers=[("Host", "localhost"), ("Host", "evil.example")]
    )
    assert answer.status_code == 421


async def test_no_answer_is_kept_by_a_cache(wire: Wire) -> None:
    session = await wire.ready_session()
    statements = f"{wire.base}/sessions/{session.id}/statements"
    await wire.client.post(statements, json={"code": "secret = 1"})
    for path in (
        f"{wire.base}/sessions",
        f"{wire.base}/sessions/{session.id}",
        statements,
        f"{statements}/0",
        f"{statements}/7",
        "/v1/workspaces",
        "/nothing",
    ):
        answer = await wire.client.get(path, headers={"Prefer": "wait=0"})
        assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize("host", ["evil.example", "evil.example:1", "a b", "localhost/evil"])
async def test_the_way_to_the_next_page_never_leads_to_a_strangers_host(
    wire: Wire, host: str
) -> None:
    for _ in range(2):
        await wire.client.post(f"{wire.base}/sessions", json={})
    workspace, _ = wire.world.place
    answer = await wire.client.get(
        f"/v1/workspaces/{workspace}/spark/livySessions?maxResults=1&state=NotStarted",
        headers={"Host": host},
    )
    link = answer.json()["continuationUri"]
    assert link.startswith(f"https://localhost/v1/workspaces/{workspace}/spark/livySessions?")
    assert "maxResults=1" in link
    assert len(json.loads((await wire.client.get(link)).text)["value"]) == 1


async def test_where_no_address_is_right_for_everybody_the_token_alone_leads_on() -> None:
    async with served(addresses=("https://localhost:8443",), link_address=None) as wire:
        for _ in range(2):
            await wire.client.post(f"{wire.base}/sessions", json={})
        workspace, lakehouse = wire.world.place
        wire.world.lakehouses.present[wire.world.lakehouse.id] = [
            LakehouseTable(folder=name, format="delta") for name in "ab"
        ]
        sessions = f"/v1/workspaces/{workspace}/spark/livySessions?maxResults=1"
        tables = f"/v1/workspaces/{workspace}/lakehouses/{lakehouse}/tables?maxResults=1"
        for path in (sessions, tables):
            page = (await wire.client.get(path)).json()
            assert page.get("continuationUri") is None
            following = f"{path}&continuationToken={page['continuationToken']}"
            rest = (await wire.client.get(following)).json()
            assert len(rest.get("value") or rest["data"]) == 1
            ours = await wire.client.get(path, headers={"Host": "localhost:8443"})
            assert ours.json()["continuationUri"].startswith("https://localhost:8443/v1/")
