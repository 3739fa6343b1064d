"""Vaults: names, files, and one that is elsewhere."""

import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from fakes.clock import FakeClock
from livius.adapters.vaults import FileVaults, RemoteVaults
from livius.domain.errors import Forbidden, Invalid, NotFound, Unavailable
from livius.domain.vault import LARGEST_SECRET, Secret, secret_name, vault_name


@pytest.fixture
def vaults(tmp_path: Path) -> FileVaults:
    return FileVaults(tmp_path / "vaults", FakeClock())


@pytest.mark.parametrize(
    "text",
    [
        "kv-1",
        "KV-1",
        "https://kv-1.vault.azure.net",
        "https://kv-1.vault.azure.net/",
        "https://KV-1.vault.azure.net:443/",
        "https://localhost:8443/vaults/kv-1/",
    ],
)
def test_every_spelling_of_a_vault(text: str) -> None:
    assert vault_name(text) == "kv-1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab",
        "1kv",
        "a" * 25,
        "kv_1",
        "../kv",
        "https://kv.evil.example/",
        "https://vault.azure.net/kv1",
        "https://a.b.vault.azure.net/",
        "http://kv1.vault.azure.net/",
        "https://kv1.vault.azure.net@evil.example/",
        "kv1\n",
        "kv1/x",
    ],
)
def test_what_names_no_vault(text: str) -> None:
    if text == "kv1\n":  # blanks around a name are nobody's wish
        assert vault_name(text) == "kv1"
        return
    with pytest.raises(Invalid):
        vault_name(text)


@pytest.mark.parametrize("text", ["", "a b", "a/b", "..", "a" * 128, "ä", "a_b", "a?x=1"])
def test_what_names_no_secret(text: str) -> None:
    with pytest.raises(Invalid):
        secret_name(text)


async def test_a_secret_has_versions_and_lies_where_its_owner_alone_reads(
    vaults: FileVaults, tmp_path: Path
) -> None:
    first = vaults.put("kv1", "Password", "one")
    second = vaults.put("https://kv1.vault.azure.net/", "password", "two")
    assert await vaults.secret("KV1", "PASSWORD", token="") == "two"
    assert vaults.get("kv1", "password", first.version).value == "one"
    assert [one.version for one in vaults.versions("kv1", "password")] == [
        first.version,
        second.version,
    ]
    assert [one.name for one in vaults.names("kv1")] == ["password"]
    assert vaults.vaults() == ["kv1"]
    folder = tmp_path / "vaults"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert "two" not in repr(second)
    assert vaults.remove("kv1", "password")
    assert not vaults.remove("kv1", "password")
    assert vaults.vaults() == []


def test_what_is_not_there_says_how_to_set_it(vaults: FileVaults) -> None:
    with pytest.raises(NotFound, match="livius secret set kv1 nothing"):
        vaults.get("kv1", "nothing")
    secret = vaults.put("kv1", "some", "x")
    with pytest.raises(NotFound, match="no version"):
        vaults.get("kv1", "some", secret.version[::-1])
    for value in ("", "x" * (LARGEST_SECRET + 1)):
        with pytest.raises(Invalid):
            vaults.put("kv1", "some", value)


def elsewhere(answer: Callable[[httpx.Request], httpx.Response]) -> RemoteVaults:
    transport = httpx.MockTransport(answer)
    return RemoteVaults(
        "https://{vault}.vault.azure.net/", lambda: httpx.AsyncClient(transport=transport)
    )


async def test_a_vault_elsewhere_is_asked_as_azures() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"value": "s3cret", "id": "…"})

    assert await elsewhere(answer).secret("KV1", "Name", token="t0ken") == "s3cret"
    [request] = seen
    assert str(request.url) == "https://kv1.vault.azure.net/secrets/name?api-version=7.4"
    assert request.headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404, json={"error": {"message": "gone"}}), NotFound),
        (httpx.Response(401), Forbidden),
        (httpx.Response(403, json={"error": {"message": "no get permission"}}), Forbidden),
        (httpx.Response(500), Unavailable),
        (httpx.Response(200, text="<html>"), Unavailable),
        (httpx.Response(200, json={"value": 5}), Unavailable),
        (httpx.Response(200, json=["value"]), Unavailable),
        (httpx.Response(200, text="[" * 200_000), Unavailable),
        (httpx.Response(200, json={"value": "x" * 300_000}), Unavailable),
        (httpx.Response(302, headers={"Location": "https://evil.example/"}), Unavailable),
    ],
)
async def test_what_a_vault_elsewhere_refuses(
    answer: httpx.Response, error: type[Exception]
) -> None:
    with pytest.raises(error, match="The vault kv1 answers"):
        await elsewhere(lambda _: answer).secret("kv1", "name", token="t0ken")


async def test_of_an_answer_without_end_no_more_is_read_than_a_secret_has() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    with pytest.raises(Unavailable, match="more than any secret has"):
        await elsewhere(lambda _: httpx.Response(200, content=endless())).secret(
            "kv1", "name", token="t0ken"
        )
    assert sent <= 512 * 1024


async def test_a_vault_that_does_not_answer() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Unavailable, match="LIVIUS_VAULT_URL"):
        await elsewhere(broken).secret("kv1", "name", token="t0ken")


def test_a_secret_does_not_show_its_value() -> None:
    now = FakeClock().now()
    assert "hush" not in repr(Secret(name="n", version="v", value="hush", created_at=now))
