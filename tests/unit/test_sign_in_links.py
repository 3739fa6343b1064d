"""One-time sign-in links as files: one use, ten minutes, nothing that could be used by a reader."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from livius.adapters.identity.links import FileSignInLinks
from livius.domain.ids import PrincipalId

ADA = PrincipalId("5a7e1f6e-0000-4000-8000-000000000001")
NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def links(tmp_path: Path) -> FileSignInLinks:
    return FileSignInLinks(tmp_path / "links")


async def test_a_link_counts_once(links: FileSignInLinks, tmp_path: Path) -> None:
    secret = links.make(ADA, now=NOW)
    assert links.waits(secret)
    assert await links.spend(secret, now=NOW) == ADA
    assert await links.spend(secret, now=NOW) is None
    assert not links.waits(secret)
    assert list((tmp_path / "links").iterdir()) == []


def test_of_many_uses_at_the_same_time_one_counts(links: FileSignInLinks) -> None:
    many = 16
    for _ in range(20):
        secret, together = links.make(ADA, now=NOW), Barrier(many)

        def use(secret: str = secret, together: Barrier = together) -> PrincipalId | None:
            together.wait()
            return asyncio.run(links.spend(secret, now=NOW))

        with ThreadPoolExecutor(many) as pool:
            found = [one.result() for one in [pool.submit(use) for _ in range(many)]]
        assert sorted(one for one in found if one) == [ADA]


async def test_a_link_ends_after_ten_minutes(links: FileSignInLinks) -> None:
    first, second = links.make(ADA, now=NOW), links.make(ADA, now=NOW)
    assert await links.spend(first, now=NOW + timedelta(minutes=9, seconds=59)) == ADA
    assert await links.spend(second, now=NOW + timedelta(minutes=10)) is None
    assert not links.waits(second)


async def test_a_new_link_removes_those_that_have_ended(
    links: FileSignInLinks, tmp_path: Path
) -> None:
    old = links.make(ADA, now=NOW)
    (tmp_path / "links" / "torn").write_text("{")
    new = links.make(ADA, now=NOW + timedelta(minutes=10))
    assert not links.waits(old)
    assert len(list((tmp_path / "links").iterdir())) == 1
    assert await links.spend(new, now=NOW + timedelta(minutes=11)) == ADA


def test_what_is_stored_opens_nothing_and_is_the_owners(
    links: FileSignInLinks, tmp_path: Path
) -> None:
    secret = links.make(ADA, now=NOW)
    assert len(secret) == 43  # 256 bits
    [file] = (tmp_path / "links").iterdir()
    assert secret not in file.name + file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("secret", ["", "../tenant", "x" * 42, "x" * 43, "é" * 43, "x" * 10_000])
async def test_anything_else_is_no_link(links: FileSignInLinks, secret: str) -> None:
    links.make(ADA, now=NOW)
    assert await links.spend(secret, now=NOW) is None
