"""Client applications: who sees them, and that nothing secret is among what they see."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from livius.domain.accounts import ClientApplication, ClientCertificate, ClientSecret, User
from livius.domain.ids import ClientId
from livius.domain.lakehouse import Role
from portal.conftest import Visitor
from support.browsing import Served, principal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Known:
    """A directory of the applications that it is given."""

    def __init__(self, *known: ClientApplication) -> None:
        self.known = known

    async def applications(self) -> Sequence[ClientApplication]:
        return self.known

    async def application(self, client_id: ClientId) -> ClientApplication | None:
        return next((one for one in self.known if one.client_id == client_id), None)

    async def users(self) -> Sequence[User]:
        return ()


def application(name: str, **changes: Any) -> ClientApplication:
    return ClientApplication(
        client_id=ClientId("11111111-0000-4000-8000-000000000000"),
        name=name,
        object_id="22222222-0000-4000-8000-000000000000",
        created_at=NOW,
        secrets=(ClientSecret(id="the-secrets-id", hint="hnt", hash="the-hash", created_at=NOW),),
        certificates=(
            ClientCertificate(
                sha1="AB" * 20, sha256="", public_key_pem="", not_before=NOW, not_after=NOW
            ),
        ),
        scopes=frozenset({"Lakehouse.Read.All"}),
        redirect_uris=("http://localhost",),
        **changes,
    )


def tell(served: Served, *known: ClientApplication) -> None:
    changed = replace(served.portal_app.context, directory=Known(*known))  # type: ignore[arg-type] # what the page asks
    served.portal_app.context = changed


def test_an_admin_sees_ids_and_thumbprints_and_no_secret(served: Served, ada: Visitor) -> None:
    tell(served, application("nightly"), application("ours", trusted=True))
    assert "/portal/applications" in ada.get("/settings").text
    listed = ada.get("/applications").text
    assert "nightly" in listed
    assert "11111111-" in listed
    page = ada.get("/applications/11111111-0000-4000-8000-000000000000").text
    for shown in (
        "nightly",
        "11111111-",
        "22222222-",
        "AB" * 20,
        "the-secrets-id",
        "http://localhost",
    ):
        assert shown in page
    for never in ("the-hash", "hnt", ">ours<"):
        assert never not in page
        assert never not in listed


@pytest.mark.parametrize("role", [Role.MEMBER, Role.CONTRIBUTOR, Role.VIEWER])
def test_others_do_not(served: Served, role: Role) -> None:
    tell(served, application("nightly"))
    other = Visitor(served, served.site.do(served.site.world.member(role)))
    for one in (other, Visitor(served, principal("Stranger"))):
        answer = one.get("/applications")
        assert answer.status_code == 403
        assert "nightly" not in answer.text
    assert "/sign-in" in Visitor(served, None).get("/applications").headers["location"]


def test_another_authority_has_pages_of_its_own(ada: Visitor) -> None:
    assert "/portal/applications" not in ada.get("/settings").text
    assert ada.get("/applications").status_code == 404
