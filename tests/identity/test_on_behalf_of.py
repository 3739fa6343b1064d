"""Tokens for session code where another Livius is the authority, over real sockets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from identity.conftest import World
from identity.flows import claims_of
from identity.sides import SCOPES, Side
from livius.adapters.identity.delegations import Delegations
from livius.adapters.identity.provider_client import Credential, ProviderClient, read_credential
from livius.adapters.identity.session_tokens import OwnApplication, ProviderSessionTokens
from livius.domain.errors import Forbidden, Invalid, LiviusError, Unavailable
from livius.domain.ids import SessionId
from livius.domain.principal import Principal
from livius.domain.tokens import FABRIC, Scope
from livius.usecases.identity import directory
from livius.usecases.identity.token_issuance import app_token

SESSION = SessionId("5d1f0d7e-0000-4000-8000-000000000001")
STORAGE = "https://storage.azure.com"


@dataclass
class Tokens:
    side: Side
    made: ProviderSessionTokens
    delegations: Delegations

    async def bring(self, token: str | None = None) -> Principal:
        token = token or await self.side.caller()
        principal = await self.side.verifier.bearer_of(token)
        self.made.offer(SESSION, principal, token)
        self.side.token_principal = principal
        return principal

    async def get(self, audience: str = "storage", principal: Principal | None = None) -> str:
        who = principal or self.side.token_principal
        assert who is not None
        return await self.made.issue(SESSION, who, audience)

    async def fails(self, audience: str = "storage") -> LiviusError:
        with pytest.raises(LiviusError) as refused:
            await self.get(audience)
        return refused.value


def tokens_of(side: Side, *, credential: Credential | None = None, own: str = "") -> Tokens:
    client = ProviderClient(
        credential or Credential(client_id=side.own.client_id, secret=side.secret),
        side.keys.endpoints,
        side.world.clock,
    )

    async def token_principal(session: SessionId) -> Principal | None:
        return None if session in side.ended else side.token_principal

    delegations = Delegations(side.provider, client, side.world.clock, token_principal)
    application = OwnApplication(
        client=client, delegations=delegations, audiences=frozenset(own.split())
    )
    made = ProviderSessionTokens(side.provider, side.world.clock, application)
    return Tokens(side, made, delegations)


async def test_a_users_token_is_exchanged_and_the_answer_kept_while_it_is_fresh(side: Side) -> None:
    tokens = tokens_of(side)
    caller = await tokens.bring()
    first, again = await asyncio.gather(tokens.get(), tokens.get(STORAGE + "/"))
    read = claims_of(first)
    assert first == again
    assert (read["aud"], read["oid"], read["azp"]) == (STORAGE, caller.oid, side.own.client_id)
    fabric = claims_of(await tokens.get("pbi"))
    assert set(fabric["scp"].split()) == set(SCOPES)
    side.world.clock.move(timedelta(minutes=50))
    assert await tokens.get() == first
    side.world.clock.move(timedelta(minutes=6))
    assert claims_of(await tokens.get())["exp"] > read["exp"]


async def test_tokens_are_had_beyond_the_callers_hour(side: Side) -> None:
    """Also where nobody asked for one in that hour."""
    tokens = tokens_of(side)
    await tokens.bring()
    await tokens.delegations.look()
    side.world.clock.move(timedelta(minutes=55))
    await tokens.delegations.look()
    for _ in range(3):
        side.world.clock.move(timedelta(hours=20))
        now = side.world.clock.now().timestamp()
        one, other = await asyncio.gather(tokens.get(), tokens.get("pbi"))
        for read in map(claims_of, (one, other)):
            assert now - 5 < read["nbf"] <= now
            assert read["exp"] > now + 3000


async def test_what_was_lost_is_said_and_the_next_statement_brings_it_back(side: Side) -> None:
    """As after a restart of the gateway, which has none of it on disk."""
    tokens = tokens_of(side)
    caller = await tokens.bring()
    assert claims_of(await tokens.get())["aud"] == STORAGE
    restarted = tokens_of(side, own="storage")
    lost = await restarted.fails()
    assert (type(lost), lost.code) == (Unavailable, "DelegationLost")
    assert "Send a statement" in lost.message
    restarted.made.offer(SESSION, replace(caller, oid="another"), await side.caller())
    assert (await restarted.fails()).code == "DelegationLost"
    again = tokens_of(side)
    await again.bring()
    assert claims_of(await again.get())["oid"] == caller.oid
    unwatched = tokens_of(side)
    await unwatched.bring()
    side.world.clock.move(timedelta(hours=2))  # nobody looked: the caller's token is over
    assert (await unwatched.fails()).code == "DelegationLost"


async def test_a_later_token_does_not_take_the_place_of_a_good_one(side: Side) -> None:
    tokens = tokens_of(side)
    await tokens.bring(await side.caller(audience=FABRIC))
    tokens.made.offer(SESSION, await tokens.bring(), await side.caller())
    assert "made out to Fabric itself" in (await tokens.fails()).message


async def test_what_an_ended_session_had_is_forgotten(side: Side) -> None:
    tokens = tokens_of(side)
    await tokens.bring()
    side.ended.add(SESSION)
    await tokens.delegations.look()
    assert (await tokens.fails()).code == "DelegationLost"


async def test_a_missing_consent_is_named(side: Side) -> None:
    world = side.world
    user = await directory.find_user(world.store, world.user.username)
    tokens = tokens_of(side)
    await tokens.bring()
    await world.store.revoke_consent(user.oid, side.own.client_id)
    refused = await tokens.fails()
    assert (type(refused), refused.code) == (Forbidden, "ConsentMissing")
    assert side.own.client_id in refused.message
    assert "65001" in refused.message
    assert "Trace ID" not in refused.message
    # Earlier tokens are no longer renewed, either.
    await directory.consent_for(world.store, world.clock, user, side.own)
    await tokens.get()
    await world.store.revoke_consent(user.oid, side.own.client_id)
    world.clock.move(timedelta(hours=2))
    assert (await tokens.fails()).code in {"ConsentMissing", "TokenRefused"}


async def test_a_removed_user_gets_none(side: Side) -> None:
    tokens = tokens_of(side)
    await tokens.bring()
    await tokens.get()
    await side.world.store.remove_user(
        (await directory.find_user(side.world.store, side.world.user.username)).oid
    )
    side.world.clock.move(timedelta(hours=2))
    assert (await tokens.fails()).code == "TokenRefused"
    assert (await tokens.fails()).code == "DelegationLost"


async def test_tokens_for_fabric_cant_be_exchanged(side: Side) -> None:
    tokens = tokens_of(side)
    await tokens.bring(await side.caller(audience=FABRIC))
    refused = await tokens.fails()
    assert refused.code == "TokensNotConfigured"
    assert "LIVIUS_AUTHORITY_APPLICATION_AUDIENCES=storage" in refused.message
    opened = tokens_of(side, own="storage")
    await opened.bring(await side.caller(audience=FABRIC))
    read = claims_of(await opened.get())
    assert (read["aud"], read["idtyp"], read["oid"]) == (STORAGE, "app", side.own.object_id)
    assert (await opened.fails("pbi")).code == "TokensNotConfigured"


async def test_an_application_gets_our_own_token_where_that_is_allowed(side: Side) -> None:
    token = app_token(side.world.authority, side.issue(), audience=side.own.client_id).access_token
    tokens = tokens_of(side)
    await tokens.bring(token)
    assert "An application's token can't be exchanged" in (await tokens.fails()).message
    opened = tokens_of(side, own="storage")
    await opened.bring(token)
    first = await opened.get()
    assert claims_of(first)["oid"] == side.own.object_id
    assert await opened.get() == first
    side.world.clock.move(timedelta(hours=2))
    assert await opened.get() != first


async def test_a_secret_that_is_wrong_is_the_operators_matter(
    side: Side, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Credential(client_id=side.own.client_id, secret="not-the-secret")
    tokens = tokens_of(side, credential=wrong)
    token = await side.caller()
    await tokens.bring(token)
    refused = await tokens.fails()
    assert (type(refused), refused.code) == (Unavailable, "AuthorityRefusesServer")
    assert "LIVIUS_AUTHORITY_CLIENT_SECRET_FILE" in refused.message
    assert not {"not-the-secret", token} & set(refused.message.split())
    printed = capsys.readouterr()
    assert "not-the-secret" not in printed.out + printed.err + repr(wrong)
    assert token not in printed.out + printed.err


async def test_a_certificate_proves_the_application_too(side: Side, tmp_path: Path) -> None:
    sample = side.world.sample
    certificate = x509.load_pem_x509_certificate(sample.certificate_file.read_bytes())
    file = tmp_path / "both.pem"
    file.write_bytes(sample.private_key_file.read_bytes() + certificate.public_bytes(Encoding.PEM))
    credential = read_credential(
        sample.client_id, secret=None, secret_file=None, certificate_file=file
    )
    tokens = tokens_of(side, credential=credential, own="storage")
    await tokens.bring(await side.caller(audience=FABRIC))
    read = claims_of(await tokens.get())
    assert (read["oid"], read["azpacr"]) == (sample.object_id, "2")


async def test_without_a_credential_the_settings_are_named(side: Side) -> None:
    tokens = ProviderSessionTokens(side.provider, side.world.clock)
    caller = await side.verifier.bearer_of(await side.caller())
    tokens.offer(SESSION, caller, "")
    with pytest.raises(Unavailable, match="LIVIUS_AUTHORITY_CLIENT_ID with"):
        await tokens.issue(SESSION, caller, "storage")
    with pytest.raises(Forbidden, match=Scope.CODE_SQL):
        await tokens.issue(SESSION, caller, "sql")
    with pytest.raises(Invalid, match="There is no audience"):
        await tokens.issue(SESSION, caller, "graph")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read"),
        (b"", "on one line"),
        (b"a\nb", "on one line"),
    ],
    ids=["missing", "empty", "two lines"],
)
def test_a_secret_file_that_is_none_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_credential("x", secret=None, secret_file=file, certificate_file=None)


def test_a_certificate_file_needs_both_halves(
    tmp_path: Path, side_files: tuple[Path, Path]
) -> None:
    certificate, key = side_files
    other = tmp_path / "other.pem"
    for content in (b"", certificate.read_bytes(), key.read_bytes()):
        other.write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.pem needs an RSA private key"):
            read_credential("x", secret=None, secret_file=None, certificate_file=other)


@pytest.fixture
def side_files(world: World) -> tuple[Path, Path]:
    return world.sample.certificate_file, world.sample.private_key_file
