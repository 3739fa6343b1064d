"""A workspace's pages: who has which role, its name, its end."""

import html
from dataclasses import dataclass, replace

import pytest

from livius.domain.accounts import ClientApplication, User
from livius.domain.ids import ClientId, PrincipalId, new_id
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause
from portal.conftest import Visitor
from portal.test_pages import XSS, hostile_free
from support.browsing import Served, principal

CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/settings", {"name": "Other"}),
    ("/delete", {}),
    ("/access", {"principal": "00000000-0000-4000-8000-000000000001", "role": "Viewer"}),
)


@dataclass
class Known:
    """A directory with a test's principals."""

    someone: User
    nightly: ClientApplication

    async def users(self) -> list[User]:
        return [self.someone]

    async def applications(self) -> list[ClientApplication]:
        return [self.nightly]


def known(served: Served, name: str = "Grace") -> Known:
    now = served.site.world.clock.now()
    found = Known(
        User(
            oid=PrincipalId(new_id()),
            username="grace@livius.localhost",
            name=name,
            password_hash="",
            created_at=now,
        ),
        ClientApplication(
            client_id=ClientId(new_id()), name=f"{name} app", object_id=new_id(), created_at=now
        ),
    )
    served.portal_app.context = replace(served.portal_app.context, directory=found)  # type: ignore[arg-type]
    return found


def here(served: Served) -> str:
    return f"/workspaces/{served.site.world.workspace.id}"


def member(served: Served, role: Role) -> Visitor:
    return Visitor(served, served.site.do(served.site.world.member(role)))


def test_a_role_is_given_by_name_changed_and_taken_away(served: Served, ada: Visitor) -> None:
    people = known(served)
    path = f"{here(served)}/access"
    for who in ("Grace", people.nightly.client_id):
        assert ada.post(path, principal=who, role="Viewer").status_code == 303
    page = ada.get(path).text
    for shown in ("Grace", "grace@livius.localhost", "Grace app", people.nightly.client_id):
        assert shown in page
    grace = Visitor(served, replace(principal("Grace"), oid=people.someone.oid))
    assert grace.get(here(served)).status_code == 200
    one = f"{path}/{people.someone.oid}"
    assert ada.post(one, role="Contributor").status_code == 303
    assert "New lakehouse" in grace.get(here(served)).text
    asked = ada.get(f"{one}/remove").text
    assert "Grace" in asked
    assert "That is you" not in asked
    assert ada.post(f"{one}/remove").headers["location"].endswith("/access")
    assert grace.get(here(served)).status_code == 403
    assert ada.post(f"{one}/remove").status_code == 404
    assert ada.post(one, role="Viewer").status_code == 404


def test_the_only_admin_has_no_buttons_and_stays(served: Served, ada: Visitor) -> None:
    path = f"{here(served)}/access"
    page = ada.get(path).text
    assert "the only Admin" in page
    one = f"{path}/{served.site.world.admin.oid}"
    assert f"{one}/remove" not in page
    assert ada.post(f"{one}/remove").status_code == 409
    assert ada.post(one, role="Viewer").status_code == 409


def test_who_steps_down_is_led_to_what_is_still_open(served: Served, ada: Visitor) -> None:
    other = member(served, Role.ADMIN)
    path = f"{here(served)}/access"
    assert other.caller is not None
    one = f"{path}/{other.caller.oid}"
    assert "That is you" in other.get(f"{one}/remove").text
    assert other.post(one, role="Contributor").headers["location"] == f"/portal{here(served)}"
    assert other.get(here(served)).status_code == 200
    assert ada.post(one, role="Admin").status_code == 303
    assert other.post(f"{one}/remove").headers["location"] == "/portal/workspaces"


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"principal": "mallory", "role": "Viewer"}, 400),
        ({"principal": "", "role": "Viewer"}, 400),
        ({"principal": "x" * 5000, "role": "Viewer"}, 400),
        ({"principal": "00000000-0000-4000-8000-000000000001", "role": "Owner"}, 400),
        ({"principal": "00000000-0000-4000-8000-000000000001"}, 400),
    ],
)
def test_what_is_no_role_is_refused(
    served: Served, ada: Visitor, form: dict[str, str], status: int
) -> None:
    known(served)
    answer = ada.post(f"{here(served)}/access", **form)
    assert answer.status_code == status
    assert "grace@" not in answer.text, "who there is is nobody's to try out"


def test_members_look_and_others_do_not_even(served: Served) -> None:
    path = f"{here(served)}/access"
    page = member(served, Role.MEMBER).get(path).text
    assert "Assigned roles" in page
    assert '<form class="inline"' not in page
    assert "Add people" not in page
    for role in (Role.CONTRIBUTOR, Role.VIEWER):
        one = member(served, role)
        assert "/access" not in one.get(here(served)).text
        assert one.get(path).status_code == 403


@pytest.mark.parametrize("role", [Role.MEMBER, Role.CONTRIBUTOR, Role.VIEWER, None])
def test_admins_alone_change_it(served: Served, role: Role | None) -> None:
    one = member(served, role) if role else Visitor(served, principal("Stranger"))
    admin = served.site.world.admin.oid
    for path, form in (
        *CHANGES,
        (f"/access/{admin}", {"role": "Viewer"}),
        (f"/access/{admin}/remove", {}),
    ):
        assert one.post(here(served) + path, **form).status_code == 403, path
    assert one.get(f"{here(served)}/delete").status_code == 403
    if role:
        page = one.get(f"{here(served)}/settings").text
        assert "Delete" not in page
        assert "<input name=" not in page


def test_nobody_and_forged_forms_change_nothing(served: Served, ada: Visitor) -> None:
    for path, form in CHANGES:
        assert Visitor(served, None).post(here(served) + path, **form).status_code == 401
        assert ada.post(here(served) + path, csrf="forged", **form).status_code == 403
    for path in ("/access", "/settings", "/delete"):
        assert "/sign-in" in Visitor(served, None).get(here(served) + path).headers["location"]


def test_a_workspace_is_renamed(served: Served, ada: Visitor) -> None:
    path = f"{here(served)}/settings"
    assert ada.post(path, name=" Lab ", description="second floor").status_code == 303
    page = ada.get(path).text
    assert ">Lab</a>" in page
    assert "second floor" in page
    ada.post("/workspaces", name="Sales")
    assert ada.post(path, name="sales").status_code == 409
    assert ada.post(path, name="").status_code == 400


def test_deleting_names_what_goes_and_ends_the_sessions(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    starting = served.site.session(ready=False)
    gone = served.site.session()
    served.site.fail(gone, EndCause.DRIVER_DIED, "x")
    asked = html.unescape(ada.get(f"{here(served)}/delete").text)
    for named in ("Research", "the lakehouse Bronze", "2 sessions run in it", "stay in the server"):
        assert named in asked
    answer = ada.post(f"{here(served)}/delete")
    assert answer.headers["location"] == "/portal/workspaces"
    assert "You have no workspace yet" in ada.get("/workspaces").text
    for one in (session, starting):
        served.site.settle(one.id)
        found = served.site.do(served.site.world.store.session(one.id))
        assert found is not None
        assert found.end_reason == "Ada deleted the workspace Research."
    for path in ("", "/settings", "/access", "/delete"):
        assert ada.get(here(served) + path).status_code == 404
    assert ada.post(f"{here(served)}/delete").status_code == 404
    assert ada.get("").status_code == 200


@pytest.mark.parametrize("text", XSS)
def test_no_name_becomes_part_of_a_page(served: Served, ada: Visitor, text: str) -> None:
    people = known(served, name=text)
    ada.post(f"{here(served)}/settings", name=text, description=text)
    path = f"{here(served)}/access"
    for who in (people.someone.oid, people.nightly.object_id):
        assert ada.post(path, principal=who, role="Member").status_code == 303
    hostile_free(ada.post(path, principal=text, role=text).text)
    for one in (path, f"{path}/{people.someone.oid}/remove"):
        hostile_free(ada.get(one).text)
    for one in ("/settings", "/delete", ""):
        hostile_free(ada.get(here(served) + one).text)
