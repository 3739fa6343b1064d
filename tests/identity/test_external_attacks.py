"""Attacks on tokens of an external authority: each ends with a 401.

The provider of these tests serves real keys, and the attacker knows everything but the private
halves. The same forgeries are tried against the embedded authority's verifier in test_verifier.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from identity.conftest import TENANT, World
from identity.test_external import NOT_THEIRS, Counting
from identity.test_verifier import FORGED, STRANGER, kid, segment
from livius.adapters.identity.external import ExternalVerifier
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.domain.errors import Unauthenticated, Unavailable
from livius.domain.oidc_provider import Provider, own_audiences
from livius.domain.principal import PrincipalKind
from support.tasks import running

CURVE = ec.generate_private_key(ec.SECP256R1())
SMALL = generate_private_key(public_exponent=65537, key_size=1024)


def public(key: Any, kid: str, **more: str) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name("ES256" if key is CURVE else "RS256")
    found: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
    return {**{n: v for n, v in found.items() if n != "key_ops"}, "kid": kid, **more}


@dataclass(frozen=True)
class Foreign:
    """A world whose good claims are those of the provider."""

    inner: World
    issuer: str

    @property
    def keys(self) -> Any:
        return self.inner.keys

    def claims(self, **changes: Any) -> dict[str, Any]:
        return self.inner.claims(**{"iss": self.issuer, "aud": "livius", **changes})


@dataclass(frozen=True)
class Attacked:
    world: Any
    verifier: ExternalVerifier
    provider: Counting


@pytest.fixture
async def attacked(world: World) -> AsyncIterator[Attacked]:
    counting = Counting()
    listed = [
        *world.keys.key_set()["keys"],
        public(CURVE, "curve"),
        public(SMALL, "small"),
        public(STRANGER, "for encryption", use="enc"),
        public(STRANGER, "hs", alg="HS256"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        "no key",
    ]
    async with counting.serving():
        counting.keys = {"keys": listed}
        provider = Provider(
            issuer=counting.issuer, audiences=own_audiences("livius"), tenant=TENANT
        )
        keys = ProviderKeys(provider, world.clock)
        async with running(keys.run()):
            yield Attacked(
                Foreign(world, counting.issuer),
                ExternalVerifier(provider, keys, world.clock),
                counting,
            )


async def test_the_provider_of_these_tests_is_one_that_counts(attacked: Attacked) -> None:
    world = attacked.world
    principal = await attacked.verifier.bearer_of(world.keys.sign(world.claims()))
    assert principal.kind is PrincipalKind.APP
    signed = jwt.encode(world.claims(), CURVE, algorithm="ES256", headers={"kid": "curve"})
    assert await attacked.verifier.bearer_of(signed) == principal


@pytest.mark.parametrize("attack", FORGED)
async def test_a_forged_token_is_refused_and_told_nothing(attacked: Attacked, attack: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await attacked.verifier.bearer_of(FORGED[attack](attacked.world))
    assert (refused.value.code, refused.value.message) == ("InvalidToken", NOT_THEIRS)


def with_header(world: Any, **header: Any) -> str:
    """A genuine token whose header says more, or something else."""
    genuine = world.keys.sign(world.claims())
    present = json.loads(base64.urlsafe_b64decode(genuine.split(".")[0] + "=="))
    return f"{segment({**present, **header})}.{genuine.partition('.')[2]}"


def by_stranger(world: Any, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(world.claims(), STRANGER, algorithm=algorithm, headers=header)


TRICKS: dict[str, Callable[[Any], str]] = {
    "kid is a path": lambda w: by_stranger(w, kid="../../../../dev/null"),
    "kid is SQL": lambda w: by_stranger(w, kid="x' UNION SELECT 'secret' --"),
    "kid is a number": lambda w: with_header(w, kid=1),
    "kid is a list": lambda w: with_header(w, kid=[kid(w)]),
    "kid is huge": lambda w: by_stranger(w, kid="k" * 5000),
    "jwk of the attacker": lambda w: by_stranger(w, kid=kid(w), jwk=public(STRANGER, kid(w))),
    "jku of the attacker": lambda w: by_stranger(w, kid=kid(w), jku="https://evil.example/keys"),
    "x5u of the attacker": lambda w: by_stranger(w, kid=kid(w), x5u="https://evil.example/c"),
    "x5c of the attacker": lambda w: by_stranger(w, kid=kid(w), x5c=["MIIB"]),
    "an elliptic key's name on an RSA signature": lambda w: by_stranger(w, kid="curve"),
    "ES256 under an RSA key's name": lambda w: jwt.encode(
        w.claims(), CURVE, algorithm="ES256", headers={"kid": kid(w)}
    ),
    "RS512": lambda w: by_stranger(w, "RS512", kid=kid(w)),
    "a key of 1024 bits": lambda w: jwt.encode(
        w.claims(), SMALL, algorithm="RS256", headers={"kid": "small"}
    ),
    "a key for encryption": lambda w: by_stranger(w, kid="for encryption"),
    "a key that is said to be for HS256": lambda w: by_stranger(w, kid="hs"),
    "HS256 with a secret of the key set": lambda w: jwt.encode(
        w.claims(), b"secret" * 8, algorithm="HS256", headers={"kid": "secret"}
    ),
    "a broken key": lambda w: by_stranger(w, kid="broken"),
    "an encrypted token": lambda w: with_header(w, enc="A128GCM", alg="RSA-OAEP"),
    "a nested token": lambda w: with_header(w, cty="JWT", typ="JWE"),
    "not yet understood": lambda w: with_header(w, crit=["exp"]),
    "alg in other letters": lambda w: with_header(w, alg="rs256"),
    "alg is a list": lambda w: with_header(w, alg=["RS256"]),
    "a refresh token's type": lambda w: with_header(w, typ="rt+jwt"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("trick", TRICKS)
async def test_a_header_chooses_a_key_and_nothing_else(attacked: Attacked, trick: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await attacked.verifier.bearer_of(TRICKS[trick](attacked.world))
    assert (refused.value.code, refused.value.message) == ("InvalidToken", NOT_THEIRS)


async def test_the_payload_of_one_user_under_the_signature_of_another(attacked: Attacked) -> None:
    world = attacked.world
    ada = world.keys.sign(world.claims(oid="a" * 8, scp="Lakehouse.Read.All", idtyp=None))
    bob = world.keys.sign(world.claims(oid="b" * 8, scp="Lakehouse.Read.All", idtyp=None))
    mixed = ".".join((ada.split(".")[0], bob.split(".")[1], ada.split(".")[2]))
    assert (await attacked.verifier.bearer_of(ada)).oid == "a" * 8
    assert (await attacked.verifier.bearer_of(bob)).oid == "b" * 8
    with pytest.raises(Unauthenticated):
        await attacked.verifier.bearer_of(mixed)


async def test_without_scopes_a_user_is_still_a_user(attacked: Attacked) -> None:
    """Stripping scp breaks the signature; being issued without it lifts no limit."""
    world = attacked.world
    claims = world.claims(idtyp=None, sub="pairwise")
    principal = await attacked.verifier.bearer_of(world.keys.sign(claims))
    assert (principal.kind, principal.scopes) == (PrincipalKind.USER, frozenset())


async def test_a_key_that_the_provider_withdrew_counts_no_longer(attacked: Attacked) -> None:
    """Tokens that were seen before are no exception."""
    world, provider = attacked.world, attacked.provider
    token = world.keys.sign(world.claims(exp=4_000_000_000))
    await attacked.verifier.bearer_of(token)
    assert provider.keys is not None
    provider.keys = {"keys": [public(CURVE, "curve")]}
    clock = world.inner.clock
    clock.move(timedelta(seconds=31))
    with pytest.raises((Unauthenticated, Unavailable)):
        await attacked.verifier.bearer_of(by_stranger(world, kid="new"))
    with pytest.raises(Unauthenticated, match=NOT_THEIRS):
        await attacked.verifier.bearer_of(token)
