"""Files of the authority: closed to others, whole after a crash, the same after a restart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from identity.conftest import MovedClock, World
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.replay_cache import FileAssertionReplayCache
from livius.adapters.identity.sample import (
    ensure_first_user,
    ensure_sample,
    forget_first_password,
)
from livius.domain.accounts import ClientApplication
from livius.domain.errors import Unavailable
from livius.domain.passwords import hash_password, password_matches


def test_nobody_else_may_read_anything(world: World) -> None:
    for path in world.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_key_that_was_opened_to_others_is_closed_again(world: World) -> None:
    (key,) = (world.folder / "keys").glob("*.pem")
    key.chmod(0o644)
    KeyRing.open(world.folder / "keys", world.clock)
    assert key.stat().st_mode & 0o777 == 0o600


async def known(world: World) -> ClientApplication:
    application = await world.store.application(world.sample.client_id)
    assert application is not None
    return application


async def test_the_sample_is_the_same_at_every_start(world: World) -> None:
    before = await known(world)
    assert await ensure_sample(world.folder / "sample", world.store, world.clock) == world.sample
    assert await known(world) == before


async def test_the_store_keeps_no_secret(world: World) -> None:
    for secret in (world.sample.client_secret, world.user.password or ""):
        for path in world.folder.glob("livius.db*"):
            assert secret.encode() not in path.read_bytes()
        assert secret not in repr((world.sample, world.user))


async def test_a_certificate_near_its_end_is_renewed_and_registered(world: World) -> None:
    folder = world.folder / "sample"
    world.clock.move(timedelta(days=699))
    assert await ensure_sample(folder, world.store, world.clock) == world.sample
    world.clock.move(timedelta(days=2))
    renewed = await ensure_sample(folder, world.store, world.clock)
    assert renewed.thumbprint != world.sample.thumbprint
    assert renewed.client_secret == world.sample.client_secret
    assert [one.sha1 for one in (await known(world)).certificates] == [renewed.thumbprint]


@pytest.mark.parametrize("damage", ["certificate.pem", "private_key.pem"])
async def test_a_damaged_certificate_is_replaced(world: World, damage: str) -> None:
    (world.folder / "sample" / damage).write_text("torn")
    again = await ensure_sample(world.folder / "sample", world.store, world.clock)
    certificate = x509.load_pem_x509_certificate(again.certificate_file.read_bytes())
    assert again.thumbprint != world.sample.thumbprint
    assert certificate.subject.rfc4514_string() == "CN=livius sample"


async def test_a_store_that_was_lost_learns_the_sample_again(world: World) -> None:
    for one in await world.store.applications():
        await world.store.remove_application(one.client_id)
    assert await ensure_sample(world.folder / "sample", world.store, world.clock) == world.sample
    assert (await known(world)).object_id == world.sample.object_id


async def test_the_first_user_is_made_once(world: World) -> None:
    folder = world.folder / "sample"
    assert await ensure_first_user(folder, world.store, world.clock) == world.user
    forget_first_password(folder, world.user.oid)
    assert await world.store.remove_user(world.user.oid)
    again = await ensure_first_user(folder, world.store, world.clock)
    assert (again.oid, again.password) == (world.user.oid, None)
    assert await world.store.users() == []


async def test_a_spent_assertion_stays_spent_over_a_restart(tmp_path: Path) -> None:
    clock, path = MovedClock(), tmp_path / "used"
    until = clock.now() + timedelta(minutes=10)
    used = FileAssertionReplayCache(path, clock)
    assert await used.spend("one", until=until)
    assert not await used.spend("one", until=until)
    with path.open("a") as file:
        file.write("17000")  # a crash tore this line
    again = FileAssertionReplayCache(path, clock)
    assert not await again.spend("one", until=until)
    clock.move(timedelta(minutes=11))
    assert FileAssertionReplayCache(path, clock)._spent == {}


async def test_spent_assertions_are_bounded_and_none_is_forgotten_early(tmp_path: Path) -> None:
    clock = MovedClock()
    used = FileAssertionReplayCache(tmp_path / "used", clock, most=3)
    until = clock.now() + timedelta(minutes=10)
    for number in range(3):
        assert await used.spend(str(number), until=until)
    with pytest.raises(Unavailable):
        await used.spend("another", until=until)
    assert not await used.spend("0", until=until)
    clock.move(timedelta(minutes=11))
    assert await used.spend("another", until=clock.now() + timedelta(minutes=1))


def test_a_secret_is_known_by_its_hash() -> None:
    kept = hash_password("sesame")
    assert "sesame" not in kept
    assert kept != hash_password("sesame")
    assert password_matches("sesame", kept)
    for wrong in ("", "Sesame", "sesame ", "\ud800", "x" * 2000):
        assert not password_matches(wrong, kept)
