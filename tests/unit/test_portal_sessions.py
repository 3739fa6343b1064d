"""Sessions of the portal: how long they go on, how many there are, and what they cost."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fakes.clock import FakeClock
from fakes.store import new_store
from fakes.world import principal
from livius.domain.errors import Unavailable
from livius.domain.portal_session import PortalSession, form_token, key_of
from livius.usecases.identity.presence import anybody
from livius.usecases.portal_sessions import PortalSessions

ISSUER = principal().issuer


class RecordedSessions:
    """Portal sessions, and what they stand on."""

    def __init__(self) -> None:
        self.clock, self.store = FakeClock(), new_store()
        self.portal_sessions = PortalSessions(
            self.store, self.clock, issuer=ISSUER, present=anybody
        )

    async def there(self, cookie: str, *, touch: bool = True) -> bool:
        return await self.portal_sessions.find(cookie, touch=touch) is not None

    async def portal_session(self, cookie: str) -> PortalSession:
        found = await self.portal_sessions.find(cookie)
        assert found is not None
        return found


@pytest.fixture
def kept() -> Iterator[RecordedSessions]:
    made = RecordedSessions()
    yield made
    made.store.close()


async def test_a_portal_session_ends_when_idle(kept: RecordedSessions) -> None:
    cookie = await kept.portal_sessions.begin(principal())
    portal_session = await kept.portal_session(cookie)
    kept.clock.advance(timedelta(hours=7, minutes=59))
    assert await kept.there(cookie)
    kept.clock.advance(timedelta(hours=7, minutes=59))
    assert await kept.there(cookie, touch=False)
    assert await kept.portal_sessions.goes_on(portal_session)
    kept.clock.advance(timedelta(minutes=2))
    assert not await kept.there(cookie)
    assert not await kept.portal_sessions.goes_on(portal_session)


async def test_a_portal_session_ends_when_it_has_lasted_long_enough(
    kept: RecordedSessions,
) -> None:
    cookie = await kept.portal_sessions.begin(principal())
    for _ in range(4):
        kept.clock.advance(timedelta(hours=6))
        assert await kept.there(cookie)
    kept.clock.advance(timedelta(seconds=1))
    assert not await kept.there(cookie)


async def test_an_ended_portal_session_does_not_come_back(kept: RecordedSessions) -> None:
    cookie = await kept.portal_sessions.begin(principal())
    portal_session = await kept.portal_session(cookie)
    await kept.portal_sessions.end(portal_session)
    await kept.portal_sessions.end(portal_session)
    await kept.store.touch_portal_session(portal_session.key, at=kept.clock.now())
    assert not await kept.there(cookie)
    assert not await kept.portal_sessions.goes_on(portal_session)


async def test_one_person_has_few_portal_sessions_and_takes_none_of_others(
    kept: RecordedSessions,
) -> None:
    other = await kept.portal_sessions.begin(principal("Bo"))
    ada = principal("Ada")
    cookies = []
    for _ in range(60):
        kept.clock.advance(timedelta(seconds=1))
        cookies.append(await kept.portal_sessions.begin(ada))
    assert [await kept.there(one) for one in cookies] == [False] * 10 + [True] * 50
    assert await kept.there(other)


async def test_being_there_is_written_once_a_minute(kept: RecordedSessions) -> None:
    cookie = await kept.portal_sessions.begin(principal())
    began = kept.clock.now()
    for seconds, seen in ((59, 0), (1, 60), (30, 60), (29, 60), (1, 120)):
        kept.clock.advance(timedelta(seconds=seconds))
        found = await kept.portal_session(cookie)
        record = await kept.store.portal_session(found.key)
        assert record is not None
        assert record.seen_at == began + timedelta(seconds=seen)


async def test_on_a_full_disk_people_are_still_let_in(
    kept: RecordedSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_key: str, *, at: object) -> None:
        del at
        raise Unavailable("InsufficientStorage", "The server can't write to its disk now.")

    cookie = await kept.portal_sessions.begin(principal())
    kept.clock.advance(timedelta(hours=1))
    monkeypatch.setattr(kept.store, "touch_portal_session", full)
    assert await kept.there(cookie)


async def test_portal_sessions_of_an_authority_that_is_not_trusted_any_more_are_over(
    kept: RecordedSessions,
) -> None:
    cookie = await kept.portal_sessions.begin(principal())
    elsewhere = PortalSessions(
        kept.store, kept.clock, issuer="https://another.test", present=anybody
    )
    assert await elsewhere.find(cookie) is None
    assert not await elsewhere.goes_on(await kept.portal_session(cookie))


@pytest.mark.parametrize("cookie", [None, "", "x", "é" * 10, "\ud800", "x" * 100_000])
async def test_no_other_cookie_is_a_portal_session(
    kept: RecordedSessions, cookie: str | None
) -> None:
    await kept.portal_sessions.begin(principal())
    assert await kept.portal_sessions.find(cookie) is None


async def test_a_cookie_its_key_and_its_forms_token_do_not_stand_for_each_other(
    kept: RecordedSessions,
) -> None:
    cookie = await kept.portal_sessions.begin(principal())
    assert len({cookie, key_of(cookie), form_token(cookie)}) == 3
    assert form_token(cookie) != form_token(await kept.portal_sessions.begin(principal()))
    for other in (key_of(cookie), form_token(cookie)):
        assert not await kept.there(other)
