"""The rules for tokens of an external authority, and for its settings."""

from datetime import UTC, datetime
from typing import Any

import pytest

from livius.domain.errors import Unauthenticated
from livius.domain.ids import TenantId, new_id
from livius.domain.oidc_provider import (
    Provider,
    check_provider,
    entra_tenant,
    own_audiences,
    read_claims,
)
from livius.domain.principal import PrincipalKind
from livius.domain.tokens import AUDIENCES, Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = TenantId(new_id())
APP, OID = new_id(), new_id()
ENTRA = entra_tenant(TENANT, own_audiences(APP))
OTHER = Provider(issuer="https://id.example.org/realms/a", audiences=own_audiences("livius"))

V2 = {
    "aud": APP,
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "iat": NOW.timestamp(),
    "nbf": NOW.timestamp(),
    "exp": NOW.timestamp() + 3600,
    "azp": new_id(),
    "name": "Ada",
    "oid": OID,
    "preferred_username": "ada@example.org",
    "scp": "Lakehouse.Read.All Code.AccessFabric.All",
    "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    "tid": TENANT,
    "ver": "2.0",
}
V1 = {
    **V2,
    "aud": f"api://{APP}",
    "iss": f"https://sts.windows.net/{TENANT}/",
    "appid": V2["azp"],
    "azp": None,
    "unique_name": "ada@example.org",
    "ver": "1.0",
}
PLAIN = {
    "aud": ["account", "livius"],
    "iss": OTHER.issuer,
    "iat": NOW.timestamp(),
    "exp": NOW.timestamp() + 3600,
    "azp": "notebook",
    "scope": "openid livius/Lakehouse.Read.All",
    "sub": "8c0f",
    "preferred_username": "ada",
}


def read(provider: Provider, claims: dict[str, Any], **changes: Any) -> Any:
    changed = {**claims, **changes}
    return read_claims({k: v for k, v in changed.items() if v is not None}, provider, NOW)[0]


@pytest.mark.parametrize("claims", [V1, V2], ids=["v1", "v2"])
def test_entras_two_forms_name_the_same_principal(claims: dict[str, Any]) -> None:
    principal = read(ENTRA, claims)
    assert (principal.oid, principal.tenant, principal.client_id) == (OID, TENANT, V2["azp"])
    assert principal.kind is PrincipalKind.USER
    assert principal.scopes == {"Lakehouse.Read.All", "Code.AccessFabric.All"}
    assert principal.name == "ada@example.org"


def test_an_applications_own_token_says_so_or_is_its_own_subject() -> None:
    for claims in ({"idtyp": "app"}, {"sub": OID}):
        principal = read(ENTRA, V2, scp=None, preferred_username=None, name=None, **claims)
        assert (principal.kind, principal.scopes) == (PrincipalKind.APP, frozenset())
    assert read(OTHER, PLAIN, scope=None, sub="notebook").kind is PrincipalKind.APP


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        (ENTRA, {**V2, "scp": None}),
        (ENTRA, {**V2, "scp": ""}),
        (ENTRA, {**V2, "scp": None, "idtyp": "user", "sub": OID}),
        (OTHER, {**PLAIN, "scope": None}),
    ],
)
def test_a_token_that_lost_its_scopes_does_not_become_an_applications(
    provider: Provider, claims: dict[str, Any]
) -> None:
    principal = read(provider, claims)
    assert (principal.kind, principal.scopes) == (PrincipalKind.USER, frozenset())


def test_whoever_acts_as_the_user_without_limit_has_every_scope() -> None:
    assert read(ENTRA, V2, scp="user_impersonation").scopes >= frozenset(Scope)


def test_elsewhere_a_principal_is_known_by_issuer_and_subject() -> None:
    principal = read(OTHER, PLAIN, oid=OID, tid=TENANT)
    assert principal.oid not in (OID, "8c0f")
    assert principal.scopes == {"openid", "Lakehouse.Read.All"}
    assert read(OTHER, PLAIN).oid == principal.oid
    assert read(OTHER, PLAIN, sub="8c10").oid != principal.oid
    twin = Provider(issuer="https://id.example.org/realms/b", audiences=OTHER.audiences)
    assert read(twin, PLAIN, iss=twin.issuer).oid != principal.oid


@pytest.mark.parametrize(
    ("provider", "claims", "said"),
    [
        (ENTRA, {**V2, "tid": new_id()}, "another tenant"),
        (ENTRA, {**V2, "tid": None}, "lacks a claim that it needs: tid"),
        (ENTRA, {**V2, "iss": f"https://login.microsoftonline.com/{new_id()}/v2.0"}, "not trusted"),
        (ENTRA, {**V2, "iss": "https://login.microsoftonline.com/common/v2.0"}, "not trusted"),
        (ENTRA, {**V2, "iss": f"https://evil.example/{TENANT}/v2.0"}, "not trusted"),
        (ENTRA, {**V2, "aud": "https://api.fabric.microsoft.com"}, "another resource"),
        (ENTRA, {**V2, "aud": "https://graph.microsoft.com"}, "another resource"),
        (ENTRA, {**V2, "aud": {"a": APP}}, "another resource"),
        (ENTRA, {**V2, "aud": None}, "another resource"),
        (ENTRA, {**V2, "oid": None}, "oid"),
        (ENTRA, {**V2, "sub": None}, "sub"),
        (ENTRA, {**V2, "exp": NOW.timestamp() - 61}, "expired"),
        (ENTRA, {**V2, "exp": None}, "exp"),
        (ENTRA, {**V2, "exp": "soon"}, "exp"),
        (ENTRA, {**V2, "nbf": NOW.timestamp() + 61}, "not valid yet"),
        (ENTRA, {**V2, "nonce": "n", "scp": None}, "not an access token"),
        (OTHER, {**PLAIN, "at_hash": "h"}, "not an access token"),
        (OTHER, {**PLAIN, "typ": "Refresh"}, "not an access token"),
        (OTHER, {**PLAIN, "iss": OTHER.issuer + "/"}, "not trusted"),
        (OTHER, {**PLAIN, "token_use": "id"}, "not an access token"),
        (OTHER, {**PLAIN, "aud": ["account"]}, "another resource"),
    ],
)
def test_what_does_not_count_is_refused(
    provider: Provider, claims: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unauthenticated, match=said):
        read(provider, claims)


def test_a_real_tenants_tokens_for_fabric_are_taken_by_a_setting_only() -> None:
    taken = entra_tenant(TENANT, own_audiences(APP) | AUDIENCES)
    with pytest.raises(ValueError, match="open their owners' real Fabric"):
        check_provider(taken, fabric_tokens=False)
    check_provider(taken, fabric_tokens=True)
    assert read(taken, V2, aud="https://api.fabric.microsoft.com/").oid == OID
    for issuer in (f"https://sts.windows.net/{TENANT}/", "https://LOGIN.microsoftonline.com/x"):
        disguised = Provider(issuer=issuer, tenant=TENANT, audiences=AUDIENCES)
        with pytest.raises(ValueError, match="real Fabric"):
            check_provider(disguised, fabric_tokens=False)


@pytest.mark.parametrize(
    ("issuer", "audience", "said"),
    [
        ("http://id.example.org", "livius", "https"),
        ("ftp://id.example.org", "livius", "https"),
        ("https://", "livius", "without query"),
        ("https://me:pass@id.example.org", "livius", "without query"),
        ("https://id.example.org?x=1", "livius", "without query"),
        ("https://id.example.org", "", "LIVIUS_AUTHORITY_AUDIENCE"),
        ("https://login.microsoftonline.com/common/v2.0", "livius", "LIVIUS_AUTHORITY_TENANT"),
    ],
)
def test_an_authority_that_could_not_be_trusted_is_not_taken(
    issuer: str, audience: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check_provider(
            Provider(issuer=issuer, audiences=own_audiences(audience)), fabric_tokens=False
        )
