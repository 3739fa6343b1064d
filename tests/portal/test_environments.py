"""Environments in the portal: made, staged, published with progress, and deleted."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fakes.world import publisher
from livius.domain.environment import Library
from livius.domain.errors import Unavailable
from livius.domain.lakehouse import Role
from portal.conftest import Look, Visitor, Windows
from support.browsing import Served
from support.chromium import check, fits
from support.waiting import wait_for


@pytest.fixture
def published(served: Served) -> Iterator[None]:
    """Publishes are run."""
    running = asyncio.run_coroutine_threadsafe(publisher(served.site.world).run(), served.site.loop)
    yield
    running.cancel()


def made(served: Served, ada: Visitor, name: str = "science") -> str:
    """Create an environment as a person does; return its path."""
    answer = ada.post(f"/workspaces/{served.site.world.workspace.id}/environments", name=name)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].removeprefix("/portal")


def until(ada: Visitor, path: str, word: str) -> str:
    wait_for(lambda: word in ada.get(f"{path}/publish").text, seconds=10, what=word)
    return ada.get(path).text


@pytest.mark.usefixtures("published")
def test_an_environment_is_staged_published_and_deleted(served: Served, ada: Visitor) -> None:
    path = made(served, ada)
    assert "Nothing was published yet" in ada.get(path).text
    assert ada.post(f"{path}/libraries", requirements="polars==1.2\nduckdb").status_code == 303
    compute = {
        "runtime": "2.0",
        "driver_cores": "4",
        "dynamic": "yes",
        "least": "1",
        "most": "3",
        "properties": "spark.sql.shuffle.partitions = 8\n\nspark.my.key=a=b\n",
    }
    assert ada.post(f"{path}/compute", **compute).status_code == 303
    assert ada.put(f"{path}/files?path=mine.py", b"x = 1\n").status_code == 201
    page = ada.get(path).text
    assert "polars==1.2\nduckdb</textarea>" in page
    assert "spark.my.key=a=b\nspark.sql.shuffle.partitions=8</textarea>" in page
    assert "mine.py" in page
    served.site.world.environments.packages = (Library(name="polars", wanted="==1.2"),)
    assert ada.post(f"{path}/publish").status_code == 303
    page = until(ada, path, "Succeeded")
    assert "Resolving." in page
    assert '<div class="mono">polars==1.2</div>' in page
    # Properties that are left out are gone, and what the form does not have stays.
    ada.post(f"{path}/compute", properties="spark.my.key=2")
    page = ada.get(path).text
    assert "spark.my.key=2</textarea>" in page
    assert ada.post(f"{path}/files/remove", name="mine.py").status_code == 303
    assert "mine.py</span>" not in ada.get(path).text
    assert "keeps it until its end" not in ada.get(f"{path}/delete").text
    where = ada.post(f"{path}/delete").headers["Location"].removeprefix("/portal")
    assert "No environment yet" in ada.get(where).text
    assert ada.get(path).status_code == 404


@pytest.mark.usefixtures("published")
def test_a_driver_is_kept_warm_by_a_box_and_its_state_is_shown(
    served: Served, ada: Visitor
) -> None:
    path = made(served, ada)
    box = '<input type="checkbox" name="warm" value="yes"'
    assert f"{box}>" in ada.get(path).text
    assert ada.post(f"{path}/compute", warm="yes", properties="spark.a=1").status_code == 303
    page = ada.get(path).text
    assert f"{box} checked>" in page
    assert "spark.a=1</textarea>" in page, "the box's property is not among the others"
    ada.post(f"{path}/publish")
    assert "lets no drivers of environments wait" in until(ada, path, "Succeeded")
    assert ada.post(f"{path}/compute", properties="spark.a=1").status_code == 303
    assert f"{box}>" in ada.get(path).text
    ada.post(f"{path}/publish")
    wait_for(
        lambda: "<dt>Warm driver</dt><dd>None</dd>" in ada.get(path).text,
        seconds=10,
        what="the new version asks for none",
    )


def test_r_files_are_kept_and_said_to_be_of_no_use(served: Served, ada: Visitor) -> None:
    path = made(served, ada)
    for name, word in (("m.py", False), ("forecast.tar.gz", True)):
        assert ada.put(f"{path}/files?path={name}", b"x").status_code == 201
        page = ada.get(path).text
        assert name in page
        assert ("the runtimes have no R" in page) is word


def test_a_pool_is_chosen_and_one_that_was_deleted_is_named_as_such(
    served: Served, ada: Visitor
) -> None:
    path, spark = made(served, ada), f"/workspaces/{served.site.world.workspace.id}/spark"
    assert '<option value="" selected>The workspace&#39;s: Starter Pool' in ada.get(path).text
    assert ada.post(f"{spark}/pools", name="Lab", size="Small", nodes="1").status_code == 303
    [pool] = re.findall(r'<option value="([^"]+)">Lab</option>', ada.get(path).text)
    assert ada.post(f"{path}/compute", pool=pool).status_code == 303
    assert f'<option value="{pool}" selected>Lab</option>' in ada.get(path).text
    assert ada.post(f"{spark}/pools/delete", pool=pool).status_code == 303
    assert f'<option value="{pool}" selected>A pool that was deleted' in ada.get(path).text
    refused = ada.post(f"{path}/publish")
    assert (refused.status_code, "was deleted" in refused.text) == (400, True)
    assert ada.post(f"{path}/compute", pool="").status_code == 303
    assert ada.post(f"{path}/publish").status_code == 303


@pytest.mark.usefixtures("published")
def test_a_failed_publish_says_why_in_its_place(served: Served, ada: Visitor) -> None:
    path = made(served, ada)
    served.site.world.environments.error = Unavailable("InsufficientStorage", "<b>no room</b>")
    ada.post(f"{path}/publish")
    page = until(ada, path, "Failed")
    assert "&lt;b&gt;no room&lt;/b&gt;" in page
    assert "<b>no room" not in page


@pytest.mark.parametrize(
    ("part", "form", "said"),
    [
        ("compute", {"properties": "no sign"}, "key=value"),
        ("compute", {"dynamic": "yes", "least": "x"}, "not a whole number"),
        ("compute", {"dynamic": "yes", "least": "0"}, "minExecutors"),
        ("compute", {"runtime": "9.9"}, "no runtime"),
        ("compute", {"driver_cores": "5"}, "one of"),
        ("compute", {"properties": "spark.my.password=x"}, "secret"),
        ("libraries", {"requirements": "--index-url x"}, "no package"),
        ("about", {"name": ""}, "printable"),
        ("files/remove", {"name": "none.py"}, "no library"),
        ("publish/cancel", {}, "No publish"),
    ],
)
def test_bad_input_is_refused_and_nothing_changes(
    served: Served, ada: Visitor, part: str, form: dict[str, str], said: str
) -> None:
    path = made(served, ada)
    before = ada.get(path).text
    answer = ada.post(f"{path}/{part}", **form)
    assert answer.status_code in (400, 404, 409)
    assert said in answer.text
    assert _shown(ada.get(path).text) == _shown(before)


def _shown(page: str) -> str:
    return re.sub(r"\d\d:\d\d:\d\d", "", page)


def test_names_of_files_lead_nowhere(served: Served, ada: Visitor) -> None:
    path = made(served, ada)
    for name in ("../a.py", "a.exe", "", ".py"):
        assert ada.put(f"{path}/files?path={name}", b"x").status_code == 400
    assert served.site.world.environments.files == {}


def test_viewers_look_and_change_nothing(served: Served, ada: Visitor) -> None:
    path = made(served, ada)
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    page = viewer.get(path).text
    assert "science" in page
    assert "<form" not in page[page.index("<main") : page.index("</main")].replace(
        '<form class="stack"', ""
    )
    for part in ("publish", "libraries", "compute", "about", "delete", "files/remove"):
        assert viewer.post(f"{path}/{part}", requirements="polars").status_code == 403
    assert viewer.put(f"{path}/files?path=a.py", b"x").status_code == 403
    assert ada.post(f"{path}/publish", csrf="guessed").status_code == 403


@pytest.mark.usefixtures("published")
def test_a_publish_is_followed_in_a_browser(
    served: Served, ada: Visitor, windows: Windows, tmp_path: Path, look: Look
) -> None:
    path = made(served, ada)
    world = served.site.world
    world.environments.gate = asyncio.Event()
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    page = windows.open(look)
    page.goto(served.url + path)
    page.locator("textarea[name=requirements]").fill("polars==1.2")
    page.locator(f"form[action$='{path}/libraries'] button").click()
    page.locator("#upload-files").set_input_files(file)
    expect(page.locator(".kept")).to_contain_text("mine.py")
    expect(page.locator("textarea[name=requirements]")).to_have_value("polars==1.2")
    page.locator("#publish button").click()
    expect(page.locator("#publish progress")).to_be_visible()
    expect(page.locator("#publish .log")).to_contain_text("Resolving.")
    check(page, f"environment, publishing {look}")
    served.site.loop.call_soon_threadsafe(world.environments.gate.set)
    expect(page.locator("#publish .state.good")).to_be_visible()
    page.reload()
    check(page, f"environment {look}")
    assert fits(page)
    page.screenshot(path=tmp_path / "environment.png", full_page=True)
