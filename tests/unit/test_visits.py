"""Visits of the portal: how long they go on, how many there are, and what they cost."""

from datetime import timedelta

import pytest

from fakes.clock import FakeClock
from fakes.store import MemoryStore
from fakes.world import principal
from livius.domain.errors import Unavailable
from livius.domain.visit import Visit, form_token, key_of
from livius.usecases.identity.presence import anybody
from livius.usecases.visits import Visits

ISSUER = principal().issuer


class Kept:
    """Visits, and what they stand on."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), MemoryStore()
        self.visits = Visits(self.store, self.clock, issuer=ISSUER, present=anybody)

    async def there(self, cookie: str, *, touch: bool = True) -> bool:
        return await self.visits.find(cookie, touch=touch) is not None

    async def visit(self, cookie: str) -> Visit:
        found = await self.visits.find(cookie)
        assert found is not None
        return found


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_a_visit_ends_when_idle(kept: Kept) -> None:
    cookie = await kept.visits.begin(principal())
    visit = await kept.visit(cookie)
    kept.clock.advance(timedelta(hours=7, minutes=59))
    assert await kept.there(cookie)
    kept.clock.advance(timedelta(hours=7, minutes=59))
    assert await kept.there(cookie, touch=False)
    assert await kept.visits.goes_on(visit)
    kept.clock.advance(timedelta(minutes=2))
    assert not await kept.there(cookie)
    assert not await kept.visits.goes_on(visit)


async def test_a_visit_ends_when_it_has_lasted_long_enough(kept: Kept) -> None:
    cookie = await kept.visits.begin(principal())
    for _ in range(4):
        kept.clock.advance(timedelta(hours=6))
        assert await kept.there(cookie)
    kept.clock.advance(timedelta(seconds=1))
    assert not await kept.there(cookie)


async def test_an_ended_visit_does_not_come_back(kept: Kept) -> None:
    cookie = await kept.visits.begin(principal())
    visit = await kept.visit(cookie)
    await kept.visits.end(visit)
    await kept.visits.end(visit)
    await kept.store.touch_visit(visit.key, at=kept.clock.now())
    assert not await kept.there(cookie)
    assert not await kept.visits.goes_on(visit)


async def test_one_person_has_few_visits_and_takes_none_of_others(kept: Kept) -> None:
    other = await kept.visits.begin(principal("Bo"))
    ada = principal("Ada")
    cookies = []
    for _ in range(60):
        kept.clock.advance(timedelta(seconds=1))
        cookies.append(await kept.visits.begin(ada))
    assert [await kept.there(one) for one in cookies] == [False] * 10 + [True] * 50
    assert await kept.there(other)


async def test_being_there_is_written_once_a_minute(kept: Kept) -> None:
    cookie = await kept.visits.begin(principal())
    began = kept.clock.now()
    for seconds, seen in ((59, 0), (1, 60), (30, 60), (29, 60), (1, 120)):
        kept.clock.advance(timedelta(seconds=seconds))
        await kept.visit(cookie)
        (visit,) = kept.store.all_visits()
        assert visit.seen_at == began + timedelta(seconds=seen)


async def test_on_a_full_disk_people_are_still_let_in(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_key: str, *, at: object) -> None:
        del at
        raise Unavailable("InsufficientStorage", "The server can't write to its disk now.")

    cookie = await kept.visits.begin(principal())
    kept.clock.advance(timedelta(hours=1))
    monkeypatch.setattr(kept.store, "touch_visit", full)
    assert await kept.there(cookie)


async def test_visits_of_an_authority_that_is_not_trusted_any_more_are_over(kept: Kept) -> None:
    cookie = await kept.visits.begin(principal())
    elsewhere = Visits(kept.store, kept.clock, issuer="https://another.test", present=anybody)
    assert await elsewhere.find(cookie) is None
    assert not await elsewhere.goes_on(await kept.visit(cookie))


@pytest.mark.parametrize("cookie", [None, "", "x", "é" * 10, "\ud800", "x" * 100_000])
async def test_no_other_cookie_is_a_visit(kept: Kept, cookie: str | None) -> None:
    await kept.visits.begin(principal())
    assert await kept.visits.find(cookie) is None


async def test_a_cookie_its_key_and_its_forms_token_do_not_stand_for_each_other(kept: Kept) -> None:
    cookie = await kept.visits.begin(principal())
    assert len({cookie, key_of(cookie), form_token(cookie)}) == 3
    assert form_token(cookie) != form_token(await kept.visits.begin(principal()))
    for other in (key_of(cookie), form_token(cookie)):
        assert not await kept.there(other)
