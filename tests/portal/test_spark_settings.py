"""A workspace's Spark settings in the portal: Admins change them, everybody sees them."""

import pytest

from livius.domain.lakehouse import Role
from portal.conftest import Look, Visitor, Windows
from support.browsing import Served
from support.chromium import check, fits


def path_of(served: Served) -> str:
    return f"/workspaces/{served.site.world.workspace.id}/spark"


def test_an_admin_sets_the_defaults_and_makes_pools(served: Served, ada: Visitor) -> None:
    path = path_of(served)
    workspace = path.removesuffix("/spark")
    ada.post(f"{workspace}/environments", name="science")
    assert ada.post(f"{path}/pools", name="Lab", size="Medium", nodes="2").status_code == 303
    shown = ada.get(path).text
    assert "16 cores, 112 GB" in shown
    pool = shown[: shown.index(">Lab</option>")].rpartition('value="')[2].partition('"')[0]
    form = {"environment": "science", "runtime": "2.0", "timeout": "45", "pool": pool}
    assert ada.post(path, **form).status_code == 303
    shown = ada.get(path).text
    for chosen in (
        '<option value="science" selected>',
        "<option selected>2.0",
        'value="45"',
        f'value="{pool}" selected',
    ):
        assert chosen in shown
    assert 'name="customizes" value="yes">' in shown
    assert ada.post(f"{path}/pools/delete", pool=pool).status_code == 409
    assert ada.post(path, customizes="yes").status_code == 303
    assert ada.post(f"{path}/pools/delete", pool=pool).status_code == 303
    assert ">Lab</option>" not in ada.get(path).text


@pytest.mark.parametrize(
    ("part", "form"),
    [
        ("", {"timeout": "x"}),
        ("", {"timeout": "999999"}),
        ("", {"runtime": "9.9"}),
        ("", {"environment": "none"}),
        ("", {"pool": "none"}),
        ("/pools", {"name": "", "size": "Small", "nodes": "1"}),
        ("/pools", {"name": "Lab", "size": "Tiny", "nodes": "1"}),
        ("", {"timeout": "0"}),
        ("/pools", {"name": "Lab", "size": "Small", "nodes": "0"}),
        ("/pools", {"name": "Lab", "size": "Small", "nodes": "9999"}),
        ("/pools", {"name": "Lab", "size": "Small", "nodes": "9" * 20}),
        ("/pools", {"name": "Lab", "size": "Small", "nodes": "-1"}),
        ("/pools", {"name": "Lab", "size": "Small", "nodes": "many"}),
        ("/pools", {"name": "Lab", "size": "Small", "nodes": ""}),
        ("/pools", {"name": "Starter Pool", "size": "Small", "nodes": "1"}),
        ("/pools/delete", {"pool": "00000000-0000-0000-0000-000000000000"}),
    ],
)
def test_bad_input_is_refused(
    served: Served, ada: Visitor, part: str, form: dict[str, str]
) -> None:
    assert ada.post(path_of(served) + part, **form).status_code == 400


def test_others_look_and_change_nothing(served: Served, ada: Visitor) -> None:
    path = path_of(served)
    for role in (Role.CONTRIBUTOR, Role.VIEWER):
        other = Visitor(served, served.site.do(served.site.world.member(role)))
        assert '<fieldset class="stack" disabled>' in other.get(path).text
        for part in ("", "/pools", "/pools/delete"):
            form = {"name": "Lab", "size": "Small", "nodes": "1", "pool": "x"}
            assert other.post(path + part, **form).status_code == 403
    assert ada.post(path, csrf="guessed").status_code == 403


def test_it_is_usable_at_any_width(
    served: Served, ada: Visitor, windows: Windows, look: Look
) -> None:
    ada.post(f"{path_of(served)}/pools", name="Lab", size="Medium", nodes="2")
    page = windows.open(look)
    page.goto(served.url + path_of(served))
    check(page, f"spark settings {look}")
    assert fits(page)
