"""Valid and invalid access tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from identity.conftest import TENANT, World, kid_of
from livius.adapters.identity.keys import KeyRing
from livius.adapters.identity.verifier import EmbeddedVerifier
from livius.domain.errors import Unauthenticated
from livius.domain.principal import PrincipalKind
from livius.usecases.identity.presence import anybody

STRANGER = generate_private_key(public_exponent=65537, key_size=2048)
NOT_OURS = "The access token is not one that this server's authority issued."


def segment(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def kid(world: World) -> str:
    return kid_of(world.keys.sign({}))


def alg_none(world: World) -> str:
    return f"{segment({'alg': 'none', 'kid': kid(world)})}.{segment(world.claims())}."


def alg_none_with_old_signature(world: World) -> str:
    signature = world.keys.sign(world.claims()).rpartition(".")[2]
    return f"{segment({'alg': 'none', 'kid': kid(world)})}.{segment(world.claims())}.{signature}"


def hs256_with_the_public_key(world: World) -> str:
    import hashlib
    import hmac

    public = world.keys.public_key(kid(world))
    assert public is not None
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{segment({'alg': 'HS256', 'kid': kid(world)})}.{segment(world.claims())}"
    mac = hmac.new(pem, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def signed_by(key: Any, world: World, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(world.claims(), key, algorithm=algorithm, headers=header)


def tampered(world: World) -> str:
    header, _, signature = world.keys.sign(world.claims()).split(".")
    return f"{header}.{segment(world.claims(roles=['Admin']))}.{signature}"


FORGED: dict[str, Callable[[World], str]] = {
    "alg none": alg_none,
    "alg none, a genuine signature": alg_none_with_old_signature,
    "HS256 with the public key": hs256_with_the_public_key,
    "PS256 with a stranger's key": lambda w: signed_by(STRANGER, w, "PS256", kid=kid(w)),
    "a stranger's key under our kid": lambda w: signed_by(STRANGER, w, kid=kid(w)),
    "an unknown kid": lambda w: signed_by(STRANGER, w, kid="elsewhere"),
    "a kid that is a path": lambda w: signed_by(STRANGER, w, kid="../keys/current"),
    "no kid": lambda w: signed_by(STRANGER, w),
    "a key in the header": lambda w: signed_by(STRANGER, w, jwk={"kty": "RSA"}),
    "changed claims": tampered,
    "empty": lambda _: "",
    "garbage": lambda _: "garbage",
    "three dots": lambda _: "...",
    "not ascii": lambda _: "ä.ö.ü",
    "a header that is a list": lambda _: f"{segment([])}.{segment({})}.x",
    "a deep header": lambda _: (
        base64.urlsafe_b64encode(b"[" * 9000 + b"]" * 9000).decode()[:16000] + ".x.y"
    ),
    "huge": lambda w: w.keys.sign(w.claims(more="x" * 17_000)),
    "claims that are no object": lambda w: jwt.PyJWS().encode(
        b"[]", w.keys._keys[w.keys._current], algorithm="RS256", headers={"kid": kid(w)}
    ),
}


@pytest.mark.parametrize("attack", FORGED)
def test_a_forged_token_is_refused_and_told_nothing(world: World, attack: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        world.verifier.verify(FORGED[attack](world))
    assert (refused.value.code, refused.value.message) == ("InvalidToken", NOT_OURS)


OTHERS = "5e8f0b1a-0000-4000-8000-000000000001"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "foreign issuer": ({"iss": f"https://login.evil.example/{TENANT}/v2.0"}, "not trusted"),
    "a path before it": ({"iss": f"https://localhost/a/{TENANT}/v2.0"}, "not trusted"),
    "issuer over http": ({"iss": f"http://localhost/{TENANT}/v2.0"}, "not trusted"),
    "issuer with user info": ({"iss": f"https://localhost@a.test/{TENANT}/v2.0"}, "not trusted"),
    "issuer with a line feed": ({"iss": f"https://localhost/{TENANT}/v2.0\n"}, "not trusted"),
    "issuer of another tenant": ({"iss": f"https://localhost:8443/{OTHERS}/v2.0"}, "not trusted"),
    "other tenant": ({"tid": OTHERS}, "another tenant"),
    "other audience": ({"aud": "https://graph.microsoft.com"}, "another resource"),
    "a client id as audience": ({"aud": OTHERS}, "another resource"),
    "a list of audiences": ({"aud": ["https://api.fabric.microsoft.com"]}, "lacks claims"),
    "no issuer": ({"iss": None}, "lacks claims"),
    "no audience": ({"aud": None}, "lacks claims"),
    "no subject": ({"sub": None}, "lacks claims"),
    "no oid": ({"oid": None}, "lacks claims"),
    "no tenant": ({"tid": None}, "lacks claims"),
    "no exp": ({"exp": None}, "lacks claims"),
    "no nbf": ({"nbf": None}, "lacks claims"),
    "no iat": ({"iat": None}, "lacks claims"),
    "exp as text": ({"exp": "9999999999"}, "lacks claims"),
    "exp true": ({"exp": True}, "lacks claims"),
    "exp infinite": ({"exp": float("inf")}, "lacks claims"),
    "exp not a number": ({"exp": float("nan")}, "lacks claims"),
    "exp past every calendar": ({"exp": 10**30}, "lacks claims"),
    "from the future": ({"nbf": 4102444800}, "not valid yet"),
    "issued in the future": ({"iat": 4102444800}, "not valid yet"),
}  # fmt: skip


@pytest.mark.parametrize("attack", WRONG)
def test_a_genuine_token_for_elsewhere_is_refused(world: World, attack: str) -> None:
    changes, sentence = WRONG[attack]
    with pytest.raises(Unauthenticated, match=sentence) as refused:
        world.verifier.verify(world.keys.sign(world.claims(**changes)))
    assert refused.value.code == "InvalidToken"


@pytest.mark.parametrize(
    "audience",
    [
        "https://api.fabric.microsoft.com",
        "https://api.fabric.microsoft.com/",
        "https://analysis.windows.net/powerbi/api",
        "https://analysis.windows.net/powerbi/api/",
        "00000009-0000-0000-c000-000000000000",
    ],
)
def test_every_spelling_of_fabrics_audience_counts(world: World, audience: str) -> None:
    world.verifier.verify(world.keys.sign(world.claims(aud=audience)))


@pytest.mark.parametrize("port", ["", ":1", ":8443"])
@pytest.mark.parametrize("prefix", ["", "/b2c_livius"])
def test_the_principal_is_the_same_under_every_name_of_the_authority(
    world: World, port: str, prefix: str
) -> None:
    issuer = f"https://127.0.0.1{port}/{TENANT}{prefix}/v2.0"
    one = world.verifier.verify(world.keys.sign(world.claims()))
    assert world.verifier.verify(world.keys.sign(world.claims(iss=issuer))) == one
    assert (one.kind, one.oid, one.scopes) == (
        PrincipalKind.APP,
        world.sample.object_id,
        frozenset(),
    )


def test_a_users_token_has_scopes_and_an_applications_has_none(world: World) -> None:
    user = world.claims(idtyp=None, scp="Lakehouse.Read.All a", preferred_username="ann@x.test")
    principal = world.verifier.verify(world.keys.sign(user))
    assert (principal.kind, principal.name) == (PrincipalKind.USER, "ann@x.test")
    assert principal.scopes == {"Lakehouse.Read.All", "a"}
    both = world.verifier.verify(world.keys.sign(world.claims(scp="Lakehouse.Read.All")))
    assert (both.kind, both.scopes) == (PrincipalKind.APP, frozenset())


@pytest.mark.parametrize("seen_before", [True, False])
def test_a_token_ends_a_minute_after_its_time(world: World, seen_before: bool) -> None:
    token = world.keys.sign(world.claims())
    if seen_before:
        world.verifier.verify(token)
    world.clock.move(timedelta(seconds=3650))
    world.verifier.verify(token)
    world.clock.move(timedelta(seconds=20))
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refused:
            world.verifier.verify(token)
        assert refused.value.code == "TokenExpired"


def test_a_clock_that_is_a_minute_ahead_is_forgiven(world: World) -> None:
    ahead = world.clock.now().timestamp() + 55
    world.verifier.verify(world.keys.sign(world.claims(nbf=ahead, iat=ahead)))


def test_a_token_that_was_seen_costs_no_second_signature_check(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = world.keys.sign(world.claims())
    first = world.verifier.verify(token)
    monkeypatch.setattr(jwt, "decode", pytest.fail)
    assert world.verifier.verify(token) is first


def test_few_tokens_are_remembered(world: World) -> None:
    verifier = EmbeddedVerifier(world.keys, world.realm, world.clock, present=anybody, remembered=3)
    for number in range(10):
        verifier.verify(world.keys.sign(world.claims(uti=str(number))))
    assert len(verifier._seen._seen) == 3


def test_a_rotated_key_verifies_until_it_is_retired(world: World) -> None:
    token = world.keys.sign(world.claims())
    old = kid_of(token)
    new = world.keys.rotate()
    assert kid_of(world.keys.sign({})) == new
    world.verifier.verify(token)
    reopened = KeyRing.open(world.folder / "keys", world.clock)
    assert {key["kid"] for key in reopened.key_set()["keys"]} == {old, new}
    assert kid_of(reopened.sign({})) == new
    world.keys.retire(old)
    with pytest.raises(Unauthenticated, match="not one that this server's"):
        world.verifier.verify(token)
    with pytest.raises(ValueError, match="Rotate first"):
        world.keys.retire(new)


def test_the_key_set_verifies_and_tells_nothing_private(world: World) -> None:
    token = world.keys.sign(world.claims())
    (key,) = world.keys.key_set()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    options: Any = {"verify_aud": False}
    assert jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], options=options)
