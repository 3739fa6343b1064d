"""Users in the portal: owners alone change them, and a password is shown once."""

import re

from playwright.sync_api import expect

from fakes.world import principal
from livius.domain.accounts import User
from livius.domain.audit import Action
from livius.domain.ids import PrincipalId
from livius.domain.lakehouse import Role
from livius.domain.passwords import password_matches
from livius.ports.store import AuditQuery
from portal.conftest import Look, Owned, Visitor, Windows
from support.browsing import Served
from support.chromium import check, fits


def user(owned: Owned, username: str) -> User:
    found = owned.served.site.do(owned.store.user_named(username))
    assert found is not None
    return found


def shown_password(page: str) -> str:
    found = re.search(r'id="new-password">([^<]+)<', page)
    assert found is not None
    return found[1]


def test_a_user_is_made_gets_a_new_password_and_is_removed(owned: Owned, ada: Visitor) -> None:
    made = ada.post("/users", username="Grace", name="Grace <b>")
    first = shown_password(made.text)
    assert "Grace &lt;b&gt;" in made.text
    grace = user(owned, "grace@livius.localhost")
    assert password_matches(first, grace.password_hash)
    assert first not in ada.get("/users").text
    second = shown_password(ada.post(f"/users/{grace.oid}/password").text)
    changed = user(owned, "grace@livius.localhost")
    assert password_matches(second, changed.password_hash)
    assert not password_matches(first, changed.password_hash)
    assert "Remove this user?" in ada.get(f"/users/{grace.oid}/remove").text
    assert ada.post(f"/users/{grace.oid}/remove").headers["Location"] == "/portal/users"
    assert "grace@livius.localhost is removed." in ada.get("/users").text  # once
    assert "grace@" not in ada.get("/users").text
    assert ada.post(f"/users/{grace.oid}/password").status_code == 404
    acts = {
        one.entry.action
        for one in owned.served.site.do(owned.store.audit(AuditQuery(limit=10)))
        if one.entry.target == "grace@livius.localhost"
    }
    assert acts == {Action.USER_CREATE, Action.USER_CHANGE, Action.USER_REMOVE}


def test_a_disabled_user_is_signed_out_and_comes_back(
    owned: Owned, served: Served, ada: Visitor
) -> None:
    ada.post("/users", username="grace")
    grace = user(owned, "grace@livius.localhost")
    path = f"/users/{grace.oid}/disabled"
    assert ada.post(path, disabled="yes").status_code == 303
    page = ada.get("/users").text
    assert "grace@livius.localhost can&#39;t sign in any more." in page
    assert "Enable the user grace@livius.localhost" in page
    assert user(owned, "grace@livius.localhost").disabled_at is not None
    assert not served.site.do(owned.store.knows(grace.oid, None))
    for unclear in ({}, {"disabled": ""}, {"disabled": "maybe"}):
        assert ada.post(path, **unclear).status_code == 400
        assert user(owned, "grace@livius.localhost").disabled_at is not None
    assert ada.post(path, disabled="no").status_code == 303
    assert served.site.do(owned.store.knows(grace.oid, None))


def test_who_may_not_change_something_learns_who_can(owned: Owned, served: Served) -> None:
    world = served.site.world
    ada = User(
        oid=PrincipalId(world.admin.oid),
        username="ada@livius.localhost",
        name="Ada L.",
        password_hash="",
        created_at=world.clock.now(),
    )
    served.site.do(owned.store.add_user(ada))
    viewer = Visitor(served, served.site.do(world.member(Role.VIEWER)))
    assert "The owner of this server is Ada L." in viewer.get("/users").text
    base = f"/workspaces/{world.workspace.id}"
    for page in ("settings", "spark"):
        shown = viewer.get(f"{base}/{page}").text
        assert "your role is Viewer" in shown
        assert "The Admin of this workspace is Ada L." in shown
    refused = viewer.post(f"{base}/settings", name="Mine")
    assert refused.status_code == 403
    assert "The Admin of this workspace is Ada L." in refused.text
    assert f'href="/portal{base}"' in refused.text  # the way back
    stranger = Visitor(served, principal("Stranger"))
    assert "Ada" not in stranger.get(f"{base}/settings").text


def test_bad_and_taken_names_are_refused(owned: Owned, ada: Visitor) -> None:
    assert ada.post("/users", username="grace").status_code == 200
    for username, status in (("grace", 409), ("", 400), ("a b", 400), ("<script>", 400)):
        answer = ada.post("/users", username=username)
        assert (answer.status_code, "<script>" in answer.text) == (status, False)
    assert len(owned.served.site.do(owned.store.users())) == 1


def test_owners_do_not_remove_themselves(owned: Owned, ada: Visitor) -> None:
    assert ada.caller is not None
    ada.post("/users", username="ada")
    one = user(owned, "ada@livius.localhost")
    own = Visitor(owned.served, principal("Ada", one.oid))
    assert own.post(f"/users/{one.oid}/remove").status_code == 403  # another Ada: no owner
    assert ada.post("/users/00000000-0000-0000-0000-000000000000/remove").status_code == 404


def test_others_see_and_change_nobody(owned: Owned, served: Served, ada: Visitor) -> None:
    ada.post("/users", username="grace")
    grace = user(owned, "grace@livius.localhost")
    for role in (Role.MEMBER, Role.VIEWER):
        other = Visitor(served, served.site.do(served.site.world.member(role)))
        assert other.get("/users").status_code == 403
        assert other.post("/users", username="eve").status_code == 403
        assert other.post(f"/users/{grace.oid}/password").status_code == 403
        assert other.post(f"/users/{grace.oid}/remove").status_code == 403
        assert other.post(f"/users/{grace.oid}/disabled", disabled="yes").status_code == 403
    assert user(owned, "grace@livius.localhost").disabled_at is None
    assert "/portal/users" in ada.get("/settings").text
    assert ada.post("/users", csrf="guessed", username="eve").status_code == 403


def test_there_are_none_with_another_authority(served: Served, ada: Visitor) -> None:
    del served
    assert ada.get("/users").status_code == 404


def test_a_person_makes_a_user_in_a_browser(owned: Owned, windows: Windows, look: Look) -> None:
    page = windows.open(look)
    page.goto(f"{owned.served.url}/users")
    page.locator("input[name=username]").fill("grace")
    page.locator("form[action$='/users'] button").click()
    expect(page.locator("#new-password")).to_have_text(re.compile("-"))
    check(page, f"users {look}")
    assert fits(page)
    page.locator("button[hx-get$='/remove']").click()
    check(page, f"remove a user {look}")
    page.locator("dialog .danger").click()
    expect(page.locator("dialog")).to_have_count(0)
