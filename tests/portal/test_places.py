"""Workspaces and lakehouses: who sees them, who changes them, and the Livy endpoint."""

import html
import re

import pytest

from livius.domain.lakehouse import Role
from livius.domain.session import EndCause
from portal.conftest import Visitor
from portal.test_pages import XSS, hostile_free
from support.browsing import Served, principal

CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/settings", {"name": "Other"}),
    ("/delete", {}),
)


def place(served: Served) -> str:
    workspace, lakehouse = served.site.world.place
    return f"/workspaces/{workspace}/lakehouses/{lakehouse}"


def test_an_empty_workspace_says_what_to_do_next(served: Served) -> None:
    nobody = Visitor(served, principal("Nobody"))
    page = nobody.get("/workspaces").text
    assert "You have no workspace yet" in page
    answer = nobody.post("/workspaces", name="Mine", description="first")
    path = answer.headers["location"].removeprefix("/portal")
    page = nobody.get(path).text
    assert "No lakehouse yet" in page
    assert "Create lakehouse" in page
    answer = nobody.post(f"{path}/lakehouses", name="silver", description="")
    assert "/lakehouses/" in answer.headers["location"]
    assert ">silver</a>" in nobody.get(path).text
    assert "Mine" not in Visitor(served, served.site.world.admin).get("/workspaces").text


def test_a_lakehouse_is_renamed_and_deleted(served: Served, ada: Visitor) -> None:
    base = place(served)
    assert ada.post(f"{base}/settings", name="Gold", description="best").status_code == 303
    page = ada.get(f"{base}/settings").text
    assert "<h1>Gold</h1>" in page
    assert "Delete this lakehouse?" in ada.get(f"{base}/delete").text
    session = served.site.session()
    assert ada.post(f"{base}/delete").status_code == 409
    served.site.fail(session, EndCause.DRIVER_DIED, "gone")
    assert ada.post(f"{base}/delete").status_code == 303
    assert ada.get(f"{base}/settings").status_code == 404


@pytest.mark.parametrize("name", ["", "1st", "a b", "x" * 124, "<b>"])
def test_a_name_that_can_not_be_is_refused(served: Served, ada: Visitor, name: str) -> None:
    workspace, _lakehouse = served.site.world.place
    assert ada.post(f"/workspaces/{workspace}/lakehouses", name=name).status_code == 400
    assert ada.post(f"{place(served)}/settings", name=name).status_code == 400


def test_a_viewer_looks_and_changes_nothing(served: Served) -> None:
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    base = place(served)
    workspace, _lakehouse = served.site.world.place
    page = viewer.get(f"/workspaces/{workspace}").text
    assert "Bronze" in page
    assert "New lakehouse" not in page
    page = viewer.get(f"{base}/settings").text
    assert "Delete" not in page
    assert f'action="/portal{base}' not in page
    assert "/livyapi/versions/2023-12-01/sessions" in viewer.get(f"{base}/settings/livy").text
    for path, form in CHANGES:
        assert viewer.post(base + path, **form).status_code == 403, path
    assert viewer.post(f"/workspaces/{workspace}/lakehouses", name="mine").status_code == 403


def test_a_stranger_and_nobody_are_told_nothing(served: Served) -> None:
    base = place(served)
    workspace, _lakehouse = served.site.world.place
    stranger, anonymous = Visitor(served, principal("Stranger")), Visitor(served, None)
    for path in (f"/workspaces/{workspace}", f"{base}/settings", f"{base}/settings/livy"):
        answer = stranger.get(path)
        assert answer.status_code == 403
        assert "Bronze" not in answer.text
        assert "/sign-in" in anonymous.get(path).headers["location"]
    for path, form in CHANGES:
        assert stranger.post(base + path, **form).status_code == 403
        assert anonymous.post(base + path, **form).status_code == 401
    assert "Research" not in stranger.get("/workspaces").text


def test_a_form_of_another_portal_session_changes_nothing(served: Served, ada: Visitor) -> None:
    for path, form in CHANGES:
        assert ada.post(place(served) + path, csrf="another", **form).status_code == 403
    assert ada.post("/workspaces", csrf="", name="forged").status_code == 403


def test_the_connection_string_and_programs_have_the_real_ids(served: Served, ada: Visitor) -> None:
    page = ada.get(f"{place(served)}/settings/livy").text
    url = code_of(page, "session-url")
    workspace, lakehouse = served.site.world.place
    assert url == (
        f"https://localhost:8443/v1/workspaces/{workspace}/lakehouses/{lakehouse}"
        "/livyapi/versions/2023-12-01/sessions"
    )
    assert "/batches" not in page
    for key in ("certificate", "secret", "interactive"):
        code = code_of(page, f"code-{key}")
        compile(code, key, "exec")
        assert repr(url) in code
        assert served.portal_app.facts.tenant_id in code


def test_the_scopes_are_told_in_both_languages(served: Served, ada: Visitor) -> None:
    path = f"{place(served)}/settings/livy"
    english = ada.get(path).text
    chinese = ada.get(path, **{"Accept-Language": "zh-TW"}).text
    for page in (english, chinese):
        assert len(set(re.findall(r"Code\.Access\w+\.All", page))) == 6
    for term in ("Livy 端點", "工作階段作業連接字串", "必要的 Code.* 範圍", "使用時機", "存取權杖"):
        assert term in chinese


@pytest.mark.parametrize("text", XSS)
def test_no_name_becomes_part_of_a_page(served: Served, ada: Visitor, text: str) -> None:
    made = ada.post("/workspaces", name=text, description=text)
    assert made.status_code == 303
    path = made.headers["location"].removeprefix("/portal")
    lakehouse = ada.post(f"{path}/lakehouses", name="silver", description=text)
    base = lakehouse.headers["location"].removeprefix("/portal")
    for one in ("/workspaces", path, f"{base}/settings", f"{base}/settings/livy", f"{base}/delete"):
        hostile_free(ada.get(one).text)


def code_of(page: str, key: str) -> str:
    """The text that the copy button of this key copies."""
    found = re.search(rf'<code id="{key}"[^>]*>(.*?)</code>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])
