"""The trusted parts of a discovery document."""

import pytest

from livius.domain.endpoints import JWT_BEARER, read_endpoints, usable
from livius.domain.ids import TenantId
from livius.domain.oidc_provider import Provider

FAR = Provider(issuer="https://id.example.org/data", audiences=frozenset({"livius"}))
HERE = Provider(issuer="http://127.0.0.1:8000", audiences=frozenset({"livius"}))
HERE_TLS = Provider(issuer="https://localhost:8443/t/v2.0", audiences=frozenset({"livius"}))


@pytest.mark.parametrize(
    ("provider", "url", "for_programs", "for_people"),
    [
        (FAR, "https://id.example.org/token", True, True),
        (FAR, "https://tokens.example.net/token", True, True),
        (FAR, "http://id.example.org/token", False, False),
        (FAR, "http://localhost:8998/token", False, False),
        (FAR, "https://localhost:8443/token", False, False),
        (FAR, "https://127.0.0.1/token", False, False),
        (FAR, "https://[::1]/token", False, False),
        (HERE, "http://127.0.0.1:8000/token", True, True),
        (HERE, "http://evil.example/token", False, False),
        (HERE_TLS, "https://localhost:8443/token", True, True),
        (HERE_TLS, "http://localhost:8998/authorize", False, True),
        (HERE_TLS, "http://evil.example/authorize", False, False),
        (FAR, "https://a@id.example.org/token", False, False),
        (FAR, "https://id.example.org/token#x", False, False),
        (FAR, "https://id.example.org:99999/token", False, False),
        (FAR, "https:///token", False, False),
        (FAR, "https://id.example.org/" + "x" * 2000, False, False),
        (FAR, "https://id.example.org/\ntoken", False, False),
        (FAR, "javascript:alert(1)", False, False),
        (FAR, None, False, False),
        (FAR, 5, False, False),
    ],
)
def test_where_secrets_and_people_may_be_sent(
    provider: Provider, url: object, for_programs: bool, for_people: bool
) -> None:
    assert usable(url, provider) == (url if for_programs else None)
    assert usable(url, provider, for_people=True) == (url if for_people else None)


def test_what_a_provider_says_that_it_can() -> None:
    silent = read_endpoints({}, FAR)
    assert (silent.token, silent.authorize, silent.sign_out) == (None, None, None)
    assert not silent.on_behalf_of
    assert not silent.by_form  # OpenID's default is the header
    entra = Provider(
        issuer="https://login.example/t/v2.0", audiences=frozenset({"a"}), tenant=TenantId("t")
    )
    assert read_endpoints({}, entra).on_behalf_of  # Entra lists no grants
    assert not read_endpoints({"grant_types_supported": ["password"]}, entra).on_behalf_of
    assert read_endpoints({"grant_types_supported": [JWT_BEARER, 5]}, FAR).on_behalf_of
    for said, by_form in (
        (["client_secret_post"], True),
        (["client_secret_post", "client_secret_basic"], False),
        ("client_secret_post", False),
    ):
        document = {"token_endpoint_auth_methods_supported": said}
        assert read_endpoints(document, FAR).by_form is by_form
