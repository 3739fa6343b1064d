"""The removal of a user or an application ends everything of theirs, in one step."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from identity.browser import Person
from identity.conftest import TENANT, World
from identity.flows import TOKEN, get_code, get_tokens, number, redemption, request
from identity.test_grants import middle_tier
from livius.adapters.store import SqlStore
from livius.domain.accounts import ClientApplication, User
from livius.domain.errors import Unauthenticated
from livius.domain.ids import ClientId, PrincipalId, WorkspaceId, new_id
from livius.domain.lakehouse import Role, RoleAssignment, Workspace
from livius.domain.personal_token import DEFAULT_SCOPES
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.realm import Address
from livius.usecases.identity import directory
from livius.usecases.identity.authority import TokenRefused
from livius.usecases.identity.client_authentication import ClientCredential
from livius.usecases.identity.presence import BOUND, Presence
from livius.usecases.identity.sign_in import (
    Authorization,
    begin_sign_in,
    check_password,
    make_code,
    read_authorization,
    remember_consent,
    signed_in,
    start_device,
)
from livius.usecases.personal_tokens import BearerVerifier, create_token
from livius.usecases.portal_sessions import PortalSessions

ADMIN = PrincipalId("00000000-0000-4000-8000-00000000000a")


def principal(world: World, oid: str, client_id: ClientId | None = None) -> Principal:
    return Principal(
        tenant=TENANT,
        oid=oid,
        kind=PrincipalKind.USER,
        name="somebody",
        client_id=client_id,
        scopes=frozenset(DEFAULT_SCOPES),
        roles=frozenset(),
        issuer=world.realm.name,
        subject=oid,
    )


async def give(world: World, oid: str) -> tuple[str, str]:
    """Return a principal's new personal access token and portal session; it has a role too."""
    place = Workspace(id=WorkspaceId(new_id()), name="place", created_at=world.clock.now())
    await world.store.add_workspace(place, ADMIN)
    await world.store.assign_role(
        RoleAssignment(workspace=place.id, principal=PrincipalId(oid), role=Role.MEMBER)
    )
    who = principal(world, oid)
    _, token = await create_token(
        world.store, world.clock, who, name="x", scopes=DEFAULT_SCOPES, life=timedelta(hours=1)
    )
    return token, await portal_sessions(world).begin(who)


def portal_sessions(world: World) -> PortalSessions:
    present = Presence(world.store, world.clock).check
    return PortalSessions(world.store, world.clock, issuer=world.realm.name, present=present)


def bearers(world: World) -> BearerVerifier:
    present = Presence(world.store, world.clock).check
    return BearerVerifier(world.verifier, world.store, world.clock, present=present)


async def rows_of(world: World, *names: str) -> dict[str, int]:
    """How many rows of each table but the audit log and old numbers name one of these."""

    def work(connection: Connection) -> dict[str, int]:
        found = {}
        tables = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        for (table,) in tables.all():
            rows = connection.execute(text(f'SELECT * FROM "{table}"')).all()
            count = sum(any(name in str(row) for name in names) for row in rows)
            if count and table != "audit":
                found[table] = count
        return found

    return await world.store._transactions.run(work)


async def test_a_removed_user_leaves_nothing_that_opens_anything(
    person: Person, world: World
) -> None:
    tokens = await get_tokens(person, world)
    personal, cookie = await give(world, world.user.oid)
    waiting = await get_code(person, world)
    verifier, sign_in_cookie = bearers(world), person.client.cookies["livius_sign_in"]
    for good in (tokens["access_token"], personal):
        assert (await verifier.bearer_of(good)).oid == world.user.oid
    assert await portal_sessions(world).find(cookie) is not None
    before = await rows_of(world, world.user.oid)
    assert set(before) == {
        *("users", "consents", "grants", "sign_ins"),
        *("roles", "personal_tokens", "portal_sessions"),
    }

    user = await directory.find_user(world.store, world.user.username)
    await directory.remove_user(world.store, world.clock, user)
    assert await rows_of(world, world.user.oid) == {}
    with pytest.raises(Unauthenticated):
        await verifier.bearer_of(personal)
    assert await portal_sessions(world).find(cookie) is None
    assert await signed_in(world.authority, sign_in_cookie) is None
    for fields in (
        {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        redemption(world, waiting),
    ):
        answer = await person.client.post(
            TOKEN, data={**fields, "client_id": world.sample.client_id}
        )
        assert number(answer) == ("invalid_grant", 70000)
    world.clock.move(BOUND)
    with pytest.raises(Unauthenticated, match="not known here any more"):
        await verifier.bearer_of(tokens["access_token"])


async def test_a_removed_application_leaves_nothing_that_opens_anything(
    person: Person, world: World
) -> None:
    middle, secret = await middle_tier(world)
    application = await directory.find_application(world.store, "middle")
    user = await directory.find_user(world.store, world.user.username)
    await directory.consent_for(world.store, world.clock, user, application)
    await get_tokens(person, world, scope=f"api://{middle}/access_as_user offline_access")
    personal, cookie = await give(world, application.object_id)
    verifier = bearers(world)
    assert (await verifier.bearer_of(personal)).oid == application.object_id
    own = world.keys.sign(world.claims(oid=application.object_id, azp=middle))
    users = world.keys.sign(world.claims(oid=user.oid, azp=middle, idtyp="user", scp="x"))
    for good in (own, users):
        await verifier.bearer_of(good)

    await directory.remove_application(world.store, world.clock, application)
    left = await rows_of(world, middle, application.object_id)
    assert left == {"grants": 2}, "those of the other application name it in their scope, no more"
    with pytest.raises(Unauthenticated):
        await verifier.bearer_of(personal)
    assert await portal_sessions(world).find(cookie) is None
    world.clock.move(BOUND)
    for token in (own, users):
        with pytest.raises(Unauthenticated, match="not known here any more"):
            await verifier.bearer_of(token)
    fields = {"grant_type": "client_credentials", "client_id": middle, "client_secret": secret}
    refused = await person.client.post(TOKEN, data={**fields, "scope": "pbi/.default"})
    assert number(refused) == ("unauthorized_client", 700016)


@pytest.mark.parametrize("what", ["user", "application"])
async def test_a_removal_that_cannot_be_written_down_removes_nothing(
    person: Person, world: World, what: str
) -> None:
    await get_tokens(person, world)
    user = await directory.find_user(world.store, world.user.username)
    application = await directory.find_application(world.store, world.sample.client_id)
    for oid in (user.oid, application.object_id):
        await give(world, oid)
    names = (user.oid, application.client_id, application.object_id)
    before = await rows_of(world, *names)

    def refuse(connection: Connection) -> None:
        connection.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON audit WHEN NEW.action LIKE '%.remove' "
                "BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        )

    await world.store._transactions.run(refuse)
    removal = (
        directory.remove_user(world.store, world.clock, user)
        if what == "user"
        else directory.remove_application(world.store, world.clock, application)
    )
    with pytest.raises(IntegrityError):
        await removal
    assert await rows_of(world, *names) == before


async def test_what_was_begun_before_a_removal_does_not_come_to_its_end_after_it(
    person: Person, world: World
) -> None:
    user, application, asked = await _begun(world)
    await world.store.remove_user(user.oid)
    for late in (
        lambda: begin_sign_in(world.authority, user, application),
        lambda: make_code(world.authority, asked, user),
        lambda: remember_consent(world.authority, application, user, asked.wanted),
    ):
        with pytest.raises(TokenRefused):
            await late()
    # A token and a portal session have no user to refer to: these are refused when they are used.
    personal, cookie = await give(world, user.oid)
    with pytest.raises(Unauthenticated):
        await bearers(world).bearer_of(personal)
    assert await portal_sessions(world).find(cookie) is None


async def test_a_password_that_is_replaced_meanwhile_signs_nobody_in(world: World) -> None:
    user, application, _ = await _begun(world)
    await directory.set_password(world.store, world.clock, user, "another-password")
    with pytest.raises(TokenRefused, match="password is not right"):
        await begin_sign_in(world.authority, user, application)


async def test_a_device_of_an_application_that_goes_meanwhile_is_not_begun_for_ever(
    world: World,
) -> None:
    class Removed(SqlStore):
        async def devices_full_until(
            self, caller: str, *, at: datetime, of_caller: int, of_all: int
        ) -> datetime | None:
            del caller, at, of_caller, of_all
            await world.store.remove_application(world.sample.client_id)
            return None

    store = Removed(world.store._transactions)
    proof = ClientCredential(
        address=Address(host="localhost", port=8443, tenant=TENANT),
        caller="",
        client_id=world.sample.client_id,
    )
    async with asyncio.timeout(10):
        with pytest.raises(TokenRefused, match="removed"):
            await start_device(replace(world.authority, store=store), proof, scope="openid")


async def _begun(world: World) -> tuple[User, ClientApplication, Authorization]:
    """A sign-in as far as it writes nothing yet."""
    application = await directory.find_application(world.store, world.sample.client_id)
    user = await check_password(
        world.authority,
        world.user.username,
        world.user.password or "",
        caller="",
        application=application,
    )
    return user, application, await read_authorization(world.authority, request(world))


async def test_who_is_there_is_looked_up_once_in_the_bound(world: World) -> None:
    asked = 0

    class Counted(SqlStore):
        async def knows(self, oid: PrincipalId, client_id: ClientId | None) -> bool:
            nonlocal asked
            asked += 1
            return await super().knows(oid, client_id)

    presence = Presence(Counted(world.store._transactions), world.clock)
    known = principal(world, world.user.oid, world.sample.client_id)
    for _ in range(100):
        await presence.check(known)
    assert asked == 1
    world.clock.move(BOUND)
    await presence.check(known)
    assert asked == 2
    for stranger in (principal(world, new_id()), replace(known, client_id=ClientId(new_id()))):
        with pytest.raises(Unauthenticated):
            await presence.check(stranger)


async def test_a_disabled_user_opens_nothing_and_keeps_what_it_has(
    person: Person, world: World
) -> None:
    tokens = await get_tokens(person, world)
    personal, cookie = await give(world, world.user.oid)
    waiting = await get_code(person, world)
    verifier, sign_in_cookie = bearers(world), person.client.cookies["livius_sign_in"]
    user = await directory.find_user(world.store, world.user.username)
    await directory.set_user_disabled(world.store, world.clock, user, disabled=True)
    world.clock.move(BOUND)
    for token in (tokens["access_token"], personal):
        with pytest.raises(Unauthenticated):
            await verifier.bearer_of(token)
    assert await portal_sessions(world).find(cookie) is None
    assert await signed_in(world.authority, sign_in_cookie) is None
    application = await world.store.application(world.sample.client_id)
    assert application is not None
    password = world.user.password
    for word, code in ((password, "AADSTS50057"), ("wrong", "AADSTS50126")):
        with pytest.raises(TokenRefused) as refused:
            await check_password(
                world.authority, user.username, word or "", caller="a", application=application
            )
        assert refused.value.code == code
    # A check of the password that was under way no longer leads to a sign-in.
    with pytest.raises(TokenRefused):
        await begin_sign_in(world.authority, user, application)
    answer = await person.client.post(TOKEN, data=redemption(world, waiting))
    assert number(answer)[0] == "invalid_grant"
    fields = {"client_id": world.sample.client_id, "refresh_token": tokens["refresh_token"]}
    answer = await person.client.post(TOKEN, data={"grant_type": "refresh_token", **fields})
    assert number(answer)[0] == "invalid_grant"
    await directory.set_user_disabled(world.store, world.clock, user, disabled=False)
    world.clock.move(BOUND)
    assert (await verifier.bearer_of(personal)).oid == user.oid
    assert await portal_sessions(world).find(cookie) is None
