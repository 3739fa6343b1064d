"""The applications that every installation has: where codes go, and what stays removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from identity.browser import Person
from identity.conftest import PAGES, TENANT, World
from identity.flows import (
    AUTHORIZE,
    BACK,
    TOKEN,
    VERIFIER,
    get_code,
    number,
    redemption,
    request,
)
from identity.sockets import Served
from identity.test_grants import DEVICE_CODE
from livius.adapters.identity.oidc_login import OidcLogin
from livius.adapters.identity.provider_client import Credential, ProviderClient
from livius.adapters.identity.sample import (
    PORTAL_SIGNED_IN,
    ensure_own_applications,
    ensure_sample,
    portal_client_id,
)
from livius.domain.digests import challenge_of
from livius.domain.endpoints import Endpoints
from livius.domain.ids import ClientId
from livius.domain.tokens import FABRIC

PORTAL = portal_client_id(TENANT)
PORTAL_BACK = PAGES + PORTAL_SIGNED_IN
DEVELOPER_TOOLS = ClientId("04b07795-8ddb-461a-bbee-02f9e1bf7b46")
DEFAULT = f"{FABRIC}/.default openid offline_access"


async def sign_in(person: Person, world: World) -> None:
    """Have the person signed in at the authority, as after a portal session to the portal."""
    await person.opens(
        AUTHORIZE, **request(world, client_id=PORTAL, redirect_uri=PORTAL_BACK, scope=DEFAULT)
    )
    await person.signs_in(world.user.username, world.user.password)
    assert "code" in person.arrives()


@pytest.mark.parametrize(
    "redirect_uri",
    [
        f"http://localhost:6666{PORTAL_SIGNED_IN}",
        f"http://localhost{PORTAL_SIGNED_IN}",
        f"http://127.0.0.1:6666{PORTAL_SIGNED_IN}",
        f"http://[::1]:8998{PORTAL_SIGNED_IN}",
        f"http://localhost:8998{PORTAL_SIGNED_IN}/",
        f"http://localhost:8998{PORTAL_SIGNED_IN}?x=1",
        f"http://LOCALHOST:8998{PORTAL_SIGNED_IN}",
        f"http://localhost:08998{PORTAL_SIGNED_IN}",
        f"https://localhost:6666{PORTAL_SIGNED_IN}",
        "http://localhost:8998/portal",
    ],
)
async def test_a_link_sends_a_signed_in_persons_code_for_the_portal_nowhere_else(
    person: Person, world: World, redirect_uri: str
) -> None:
    await sign_in(person, world)
    for prompt in ("", "none"):
        asked = request(world, client_id=PORTAL, redirect_uri=redirect_uri, prompt=prompt)
        await person.opens(AUTHORIZE, **asked)
        assert person.status == 400
        assert "AADSTS50011" in person.text
        assert f"It answers at {PAGES}." in person.text


async def test_the_portals_code_needs_the_secret_of_the_process_that_serves_it(
    person: Person, world: World
) -> None:
    await sign_in(person, world)
    code = person.arrives()["code"]

    async def redeem(**changes: str) -> httpx.Response:
        fields = {"client_id": PORTAL, "redirect_uri": PORTAL_BACK, **changes}
        return await person.client.post(TOKEN, data=redemption(world, code, **fields))

    assert number(await redeem()) == ("invalid_client", 7000218)
    assert number(await redeem(client_secret="guessed")) == ("invalid_client", 7000215)
    renewed = await ensure_own_applications(
        world.store, TENANT, world.clock, portal=("http://localhost:9999",)
    )
    former = await redeem(client_secret=world.portal_secret)
    assert number(former) == ("invalid_client", 7000215)
    given = await redeem(client_secret=renewed)
    assert given.status_code == 200
    # However it asked: what the portal's application is given ends within the hour.
    assert "refresh_token" not in given.json()
    await person.opens(AUTHORIZE, **request(world, client_id=PORTAL, redirect_uri=PORTAL_BACK))
    assert "AADSTS50011" in person.text


async def test_the_portal_itself_signs_people_in(served: Served, tmp_path: Path) -> None:
    world = served.world
    endpoints = Endpoints(
        authorize=f"{served.pages}/{TENANT}/oauth2/v2.0/authorize",
        token=f"{served.origin}/{TENANT}/oauth2/v2.0/token",
    )

    async def known() -> Endpoints:
        return endpoints

    portal = OidcLogin(
        client=ProviderClient(
            Credential(client_id=PORTAL, secret=world.portal_secret),
            known,
            world.clock,
            ca_file=tmp_path / "tls" / "ca.pem",
        ),
        known=lambda: endpoints,
        id_tokens=world.verifier,
        scope=f"{FABRIC}/.default",
    )
    url = await portal.sign_in_url(
        redirect_uri=PORTAL_BACK, state="s", nonce="n", challenge=challenge_of(VERIFIER)
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        person = await Person(http).opens(url)
        await person.signs_in(world.user.username, world.user.password)
        code = person.arrives()["code"]
    found = await portal.redeem(
        code=code, redirect_uri=PORTAL_BACK, verifier=VERIFIER, nonce="n", issuer=None
    )
    assert found.oid == world.user.oid
    assert (await world.verifier.bearer_of(found.access_token)).client_id == PORTAL


async def test_nobody_starts_a_device_as_the_portal(person: Person, world: World) -> None:
    answer = await person.client.post(DEVICE_CODE, data={"client_id": PORTAL, "scope": DEFAULT})
    assert number(answer) == ("invalid_client", 7000218)


@pytest.mark.parametrize("client_id", ["sample", DEVELOPER_TOOLS])
async def test_a_link_alone_sends_no_code_to_a_port_that_was_not_registered(
    person: Person, world: World, client_id: str
) -> None:
    client_id = world.sample.client_id if client_id == "sample" else client_id
    await get_code(person, world, client_id=client_id)
    asked = request(world, client_id=client_id, redirect_uri="http://localhost:6666")
    await person.opens(AUTHORIZE, **asked)
    assert person.status == 200
    assert "Choose an account" in person.text
    assert "http://localhost:6666" in person.text
    await person.opens(AUTHORIZE, **{**asked, "prompt": "none"})
    refused = person.arrives()
    assert "code" not in refused
    assert refused["error"] == "interaction_required"
    await person.opens(AUTHORIZE, **asked)
    await person.presses("continue")
    assert "code" in person.arrives()


async def test_a_whole_registered_uri_needs_no_further_word(person: Person, world: World) -> None:
    await world.store.change_application(
        world.sample.client_id, lambda known: replace(known, redirect_uris=(BACK,))
    )
    await get_code(person, world)
    for prompt in ("", "none"):
        await person.opens(AUTHORIZE, **request(world, prompt=prompt))
        assert "code" in person.arrives()


async def test_an_application_that_was_removed_does_not_come_back_with_the_next_start(
    world: World,
) -> None:
    for client_id in (world.sample.client_id, DEVELOPER_TOOLS):
        assert await world.store.remove_application(client_id)
    world.sample.certificate_file.unlink()  # also where its certificate is due
    sample = await ensure_sample(world.folder / "sample", world.store, world.clock)
    assert not sample.registered
    await ensure_own_applications(world.store, TENANT, world.clock, portal=(PAGES,))
    assert [one.client_id for one in await world.store.applications()] == [PORTAL]


async def test_a_credential_that_was_removed_does_not_come_back_with_the_next_start(
    world: World,
) -> None:
    await world.store.change_application(
        world.sample.client_id, lambda known: replace(known, secrets=(), certificates=())
    )
    await ensure_sample(world.folder / "sample", world.store, world.clock)
    found = await world.store.application(world.sample.client_id)
    assert found is not None
    assert (found.secrets, found.certificates) == ((), ())
