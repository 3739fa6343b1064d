"""The explorer: folders are made, files become tables, and what is deleted is gone for all."""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from deltalake import DeltaTable
from playwright.sync_api import BrowserContext, expect

from livius.adapters.local.lakehouse_edits import LocalLakehouseEdits
from livius.adapters.local.lakehouses import LocalLakehouses
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.table_claims import TableClaims
from livius.adapters.local.table_loads import LocalTableLoads
from livius.domain.audit import Action
from livius.domain.ids import new_id
from livius.domain.lakehouse import Role
from livius.domain.operation import OperationKind
from livius.domain.table_load import FileFormat
from livius.portal.pages.loads import guess_of_file, guess_of_folder
from livius.ports.store import AuditQuery
from livius.reconcile.loading import Loading
from livius.reconcile.operations import OperationReconciler
from portal.conftest import Look, Visitor, Windows, lay_traps, write_table
from portal.test_contents import base
from portal.test_pages import XSS, hostile_free
from support.browsing import Served, principal
from support.chromium import check, fits
from support.waiting import wait_for


class Work:
    """What the gateway does beside its pages: loads, on the same disk."""

    def __init__(self, served: Served, home: Path) -> None:
        self.claims, self.removed = TableClaims(), home / "removed"
        world, users = served.site.world, SharedOsUser()
        loads = LocalTableLoads(home, home / "loads", apart=False, claims=self.claims)
        loading = Loading(
            store=world.store, loads=loads, metastore=world.metastore, capacity=world.room
        )
        self.operations = OperationReconciler(
            store=world.store,
            clock=world.clock,
            notifications=world.notifications,
            runners={OperationKind.LOAD_TABLE: loading.runner()},
        )
        served.portal_app.context = replace(
            served.portal_app.context,
            lakehouses=LocalLakehouses(home, users),
            edits=LocalLakehouseEdits(home, self.removed, users, self.claims),
            wake_operations=self.operations.wake,
        )


@pytest.fixture
def work(served: Served, tmp_path: Path) -> Iterator[Work]:
    found = Work(served, tmp_path)
    running = asyncio.run_coroutine_threadsafe(found.operations.run(), served.site.loop)
    yield found
    running.cancel()
    with suppress(CancelledError):
        running.result(10)


def actions(served: Served) -> list[tuple[Action, str | None]]:
    records = served.site.do(served.site.world.store.audit(AuditQuery(limit=20)))
    return [(record.entry.action, record.entry.target) for record in records]


def folders(served: Served, path: str = "") -> str:
    return f"{base(served)}/files/folders?path={quote(path)}"


def removal(served: Served, path: str) -> str:
    return f"{base(served)}/files/delete?path={quote(path)}"


# Folders


@pytest.mark.parametrize("name", ["raw", "two words", "資料", "'\"<b>&amp;%41", ".hidden"])
def test_a_folder_is_made(served: Served, ada: Visitor, lakehouse: Path, name: str) -> None:
    answer = ada.post(folders(served), name=name)
    assert answer.status_code == 303
    assert (lakehouse / "Files" / name).is_dir()
    page = ada.get(answer.headers["location"].removeprefix("/portal"))
    assert page.status_code == 200
    assert ada.post(folders(served, name), name="inner").status_code == 303
    assert (lakehouse / "Files" / name / "inner").is_dir()
    assert actions(served)[:2] == [
        (Action.FOLDER_CREATE, f"{name}/inner"),
        (Action.FOLDER_CREATE, name),
    ]


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("", "..", 404),
        ("", "a/b", 400),
        ("", "", 400),
        ("", "line\nbreak", 400),
        ("", "a\0b", 404),
        ("", "x" * 300, 400),
        ("", "taken", 409),
        ("", "link", 409),
        ("link", "x", 404),
        ("missing", "x", 404),
        ("taken", "x", 404),
        ("..", "x", 404),
        ("/".join("d" * 60), "x", 404),
    ],
)
def test_a_folder_that_can_not_be_is_refused(
    served: Served,
    ada: Visitor,
    lakehouse: Path,
    tmp_path: Path,
    path: str,
    name: str,
    status: int,
) -> None:
    (tmp_path / "outside").mkdir()
    (lakehouse / "Files" / "link").symlink_to(tmp_path / "outside")
    (lakehouse / "Files" / "taken").write_text("")
    assert ada.post(folders(served, path), name=name).status_code == status
    assert list((tmp_path / "outside").iterdir()) == []
    assert sorted(one.name for one in (lakehouse / "Files").iterdir()) == ["link", "taken"]


# Files and folders are deleted


def test_a_folder_is_deleted_after_its_extent_was_named(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    inner = lakehouse / "Files" / "raw" / "2026"
    inner.mkdir(parents=True)
    (inner / "a.csv").write_text("x" * 2048)
    (inner / "b.csv").write_text("")
    asked = ada.get(removal(served, "raw")).text
    assert "Delete this folder?" in asked
    assert "2 files, 2.0 KB" in asked
    assert ada.post(removal(served, "raw/2026")).headers["location"].endswith("files?path=raw")
    assert list((lakehouse / "Files" / "raw").iterdir()) == []
    assert actions(served)[0] == (Action.FILE_DELETE, "raw/2026")
    assert "It is empty." in ada.get(removal(served, "raw")).text
    wait_for(lambda: not list(work.removed.iterdir()), seconds=10, what="its files are deleted")


def test_a_very_deep_folder_is_deleted(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    at = os.open(lakehouse / "Files", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    assert "At least 0 files" in ada.get(removal(served, "d")).text
    assert ada.post(removal(served, "d")).status_code == 303
    wait_for(lambda: not list(work.removed.iterdir()), seconds=20, what="its files are deleted")


@pytest.mark.parametrize(
    "path", ["", "/", "..", "a/../..", "link", "link/x", "loop", "pipe", "gone"]
)
def test_nothing_outside_of_the_files_is_deleted(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path, path: str
) -> None:
    outside = lay_traps(lakehouse, tmp_path, "stays")
    before = sorted(one.name for one in (lakehouse / "Files").iterdir())
    assert ada.get(removal(served, path)).status_code == 404
    assert ada.post(removal(served, path)).status_code == 404
    assert sorted(one.name for one in (lakehouse / "Files").iterdir()) == before
    assert (outside / "x").read_text() == "stays"
    assert (lakehouse / "Tables").is_dir()


def test_links_in_a_deleted_folder_leave_their_targets(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path, work: Work
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("stays")
    (lakehouse / "Files" / "raw").mkdir()
    (lakehouse / "Files" / "raw" / "link").symlink_to(outside)
    assert ada.post(removal(served, "raw")).status_code == 303
    wait_for(lambda: not list(work.removed.iterdir()), seconds=10, what="its files are deleted")
    assert (outside / "x").read_text() == "stays"


def both(act: Callable[[], int]) -> list[int]:
    """Do something twice at once; return both statuses."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(act())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return sorted(statuses)


def test_of_two_deletions_at_once_one_does_it(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    (lakehouse / "Files" / "raw").mkdir()
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    assert both(lambda: ada.post(removal(served, "raw")).status_code) == [303, 404]
    path = f"{base(served)}/tables/cities/delete"
    first, second = both(lambda: ada.post(path).status_code)
    assert (first, second) in ((303, 404), (303, 409))


# Tables are deleted


def test_a_table_is_deleted_and_the_metastore_forgets_it_first(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua", "Rome"]})
    path = f"{base(served)}/tables/cities/delete"
    asked = ada.get(path).text
    for lost in ("2 rows", "up to version 0", "2 files"):
        assert lost in asked
    metastore = served.site.world.metastore
    metastore.is_silent = True
    assert ada.post(path).status_code == 503
    assert (lakehouse / "Tables" / "cities" / "_delta_log").is_dir(), "nothing was deleted"
    metastore.is_silent = False
    assert ada.post(path).headers["location"].endswith("/tables")
    assert not (lakehouse / "Tables" / "cities").exists()
    assert metastore.forgotten == ["cities", "cities"], "before and after"
    page = ada.get(f"{base(served)}/tables").text
    assert "cities is deleted." in page
    assert "/tables/cities" not in page
    assert actions(served)[0] == (Action.TABLE_DELETE, "cities")


def test_a_metastore_that_falls_silent_after_the_deletion_does_not_hide_it(
    served: Served, ada: Visitor, lakehouse: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    metastore = served.site.world.metastore
    forget = metastore.forget

    async def forget_once(*about: Any) -> None:
        await forget(*about)
        metastore.is_silent = True

    monkeypatch.setattr(metastore, "forget", forget_once)
    assert ada.post(f"{base(served)}/tables/cities/delete").status_code == 303
    assert not (lakehouse / "Tables" / "cities").exists()
    assert metastore.forgotten == ["cities"]
    assert actions(served)[0] == (Action.TABLE_DELETE, "cities")


@pytest.mark.parametrize("is_silent", [False, True])
def test_the_metastore_forgets_a_table_without_a_folder(
    served: Served, ada: Visitor, work: Work, *, is_silent: bool
) -> None:
    metastore = served.site.world.metastore
    metastore.is_silent = is_silent
    assert ada.post(f"{base(served)}/tables/gone/delete").status_code == 404
    assert metastore.forgotten == ([] if is_silent else ["gone"])


def test_a_broken_table_can_be_deleted(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    log = lakehouse / "Tables" / "broken" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{")
    path = f"{base(served)}/tables/broken/delete"
    assert "1 file, 1 B" in ada.get(path).text
    assert ada.post(path).status_code == 303
    assert not log.exists()


def test_a_table_is_not_deleted_while_a_load_works_on_it(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    path = f"{base(served)}/tables/cities/delete"
    with work.claims.claim(lakehouse / "Tables" / "cities"):
        answer = ada.post(path)
        assert answer.status_code == 409
        assert "A load or a deletion of the table cities runs now." in answer.text
        assert (lakehouse / "Tables" / "cities").is_dir()
        assert served.site.world.metastore.forgotten == []
    assert ada.post(path).status_code == 303


@pytest.mark.parametrize("name", ["missing", "plain", "link", "a%2fb", "x" * 300])
def test_what_is_no_table_is_not_deleted(
    served: Served, ada: Visitor, lakehouse: Path, work: Work, name: str
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    (lakehouse / "Tables" / "plain").mkdir()
    (lakehouse / "Tables" / "link").symlink_to("cities")
    for answer in (
        ada.get(f"{base(served)}/tables/{name}/delete"),
        ada.post(f"{base(served)}/tables/{name}/delete"),
    ):
        assert answer.status_code in (404, 405), name
    forgotten = served.site.world.metastore.forgotten
    assert forgotten == (["missing"] if name == "missing" else [])
    assert sorted(one.name for one in (lakehouse / "Tables").iterdir()) == [
        "cities",
        "link",
        "plain",
    ]


# Loads


def begun(ada: Visitor, served: Served, **form: str) -> str:
    """Begin a load; return its page."""
    answer = ada.post(f"{base(served)}/load", **form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removeprefix("/portal")


def ended(ada: Visitor, page: str) -> str:
    text = ""

    def has_ended() -> bool:
        nonlocal text
        text = ada.get(page).text
        return "<progress" not in text

    wait_for(has_ended, seconds=40, what="the load ends")
    return text


def test_a_json_file_becomes_a_table(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    (lakehouse / "Files" / "in.jsonl").write_text(
        '{"a": 1, "b": null}\n{"a": 2, "c": {"d": [1]}}\n'
    )
    form = ada.get(f"{base(served)}/load?path=in.jsonl").text
    assert 'value="Json" selected' in form
    assert 'name="table" value="in"' in form
    wanted = {"file": "in.jsonl", "table": "in_json", "mode": "Create", "format": "Json"}
    page = begun(ada, served, **wanted)
    text = ended(ada, page)
    assert "All rows are in the table." in text
    assert f'href="/portal{base(served)}/tables/in_json"' in text
    assert DeltaTable(lakehouse / "Tables" / "in_json").count() == 2
    assert served.site.world.metastore.registered == ["in_json"], "queries find it at once"
    served.site.world.metastore.is_silent = True  # which a load survives
    again = ended(ada, begun(ada, served, **wanted))
    assert "There is a table in_json already." in again
    assert "Change it and try again" in again
    assert "All rows" in ended(ada, begun(ada, served, **wanted | {"mode": "Append"}))
    assert DeltaTable(lakehouse / "Tables" / "in_json").count() == 4


def test_a_load_goes_to_the_chosen_schema(
    served: Served, ada: Visitor, tmp_path: Path, work: Work
) -> None:
    workspace = base(served).partition("/lakehouses/")[0]
    made = ada.post(f"{workspace}/lakehouses", name="Gold", description="", schemas="yes")
    page = made.headers["Location"].removeprefix("/portal").removesuffix("/settings/livy")
    gold = tmp_path / served.site.world.workspace.id / page.rsplit("/", 1)[1]
    (gold / "Files" / "cities.csv").write_text("city\nPadua\n")
    assert "<option>dbo</option></select>" in ada.get(f"{page}/load?path=cities.csv").text
    write_table(served, gold, "old", {"a": ["b"]}, schema="sales")
    form = ada.get(f"{page}/load?path=cities.csv").text
    assert "<option>dbo</option><option>sales</option></select>" in form
    wanted = {"file": "cities.csv", "table": "cities", "mode": "Create", "format": "Csv"}
    for schema in ("sales", "dbo"):
        sent = ada.post(f"{page}/load", schema=schema, header="yes", **wanted)
        text = ended(ada, sent.headers["location"].removeprefix("/portal"))
        assert f'href="/portal{page}/tables/{schema}.cities"' in text
        assert DeltaTable(gold / "Tables" / schema / "cities").count() == 1
    assert served.site.world.metastore.registered == ["sales.cities", "dbo.cities"]
    wrong = ada.post(f"{base(served)}/load", schema="sales", **wanted)
    assert wrong.status_code == 400
    assert "This lakehouse has no schemas." in wrong.text


def test_a_failed_load_says_why_and_no_text_becomes_part_of_the_page(
    served: Served, ada: Visitor, lakehouse: Path, work: Work
) -> None:
    (lakehouse / "Files" / "a.json").write_text('[{"a": "<script>alert(1)</script>"}]')
    page = begun(ada, served, file="a.json", table="t", mode="Create", format="Json")
    text = ended(ada, page)
    assert "A JSON file has one object in each line." in text
    hostile_free(text)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "Merge"},
        {"format": "Avro"},
        {"file": "../Tables/x"},
        {"file": ""},
        {"file": "_hidden"},
        {"table": "a/b"},
        {"table": ""},
        {"table": "x" * 200},
        {"delimiter": "||"},
        {"extension": "a b"},
    ],
)
def test_a_load_that_can_not_be_is_refused(
    served: Served, ada: Visitor, lakehouse: Path, work: Work, change: dict[str, str]
) -> None:
    wanted = {"file": "a.csv", "table": "t", "mode": "Create", "format": "Csv"} | change
    refused = ada.post(f"{base(served)}/load", **wanted)
    if change == {"file": ""}:  # all of Files, which is no file
        assert "There is no file Files" in ended(
            ada, refused.headers["location"].removeprefix("/portal")
        )
    else:
        assert refused.status_code in (400, 404), refused.text


def test_a_load_is_cancelled_by_who_may_run(
    served: Served, ada: Visitor, lakehouse: Path, request: pytest.FixtureRequest
) -> None:
    (lakehouse / "Files" / "a.csv").write_text("a\n1\n")
    page = begun(ada, served, file="a.csv", table="t", mode="Create", format="Csv")
    button = f'action="/portal{page}/cancel"'
    assert button in ada.get(page).text
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert button not in viewer.get(page).text
    assert viewer.post(f"{page}/cancel").status_code == 403
    for _again in range(2):
        answer = ada.post(f"{page}/cancel")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/portal{page}")
    text = ada.get(page).text
    assert "Cancelling" in text
    assert button not in text
    request.getfixturevalue("work")  # only now, so the load has not ended before
    text = ended(ada, page)
    assert "The load was cancelled." in text
    assert ada.post(f"{page}/cancel").status_code == 303, "it has ended, and stays as it is"
    assert "The load was cancelled." in ada.get(page).text
    assert not (lakehouse / "Tables" / "t").exists()
    assert actions(served).count((Action.OPERATION_CANCEL, "t")) == 1


def test_where_users_are_apart_no_button_leads_to_a_refusal(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    (lakehouse / "Files" / "a.csv").write_text("a\n1\n")
    pages = [f"{base(served)}/{end}" for end in ("tables/cities", "files", "files?path=a.csv")]
    refused = (f"{base(served)}/tables/cities/delete", f"{base(served)}/load?")
    found = [ada.get(path).text for path in pages]
    assert all(any(one in page for one in refused) for page in found)
    assert not any("users of their own" in page for page in found)
    context = served.portal_app.context
    served.portal_app.context = replace(context, rules=replace(context.rules, apart=True))
    found = [ada.get(path).text for path in pages]
    assert all("This server runs sessions as users of their own" in page for page in found)
    assert not any(one in page for page in found for one in refused)
    assert "/files/delete?path=a.csv" in found[-1], "files are deleted as before"
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert "users of their own" not in viewer.get(f"{base(served)}/tables").text


def test_a_load_is_seen_in_its_own_lakehouse_alone(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    page = begun(ada, served, file="a.csv", table="t", mode="Create", format="Csv")
    assert "Waiting" in ada.get(page).text
    workspace = base(served).partition("/lakehouses/")[0]
    made = ada.post(f"{workspace}/lakehouses", name="Gold", description="")
    other = made.headers["Location"].removeprefix("/portal").removesuffix("/settings/livy")
    assert ada.get(f"{other}/loads/{page.rsplit('/', 1)[1]}").status_code == 404
    assert ada.get(f"{base(served)}/loads/{new_id()}").status_code == 404
    assert ada.get(f"{base(served)}/loads/x").status_code == 404


def test_the_form_guesses() -> None:
    found = guess_of_file("My Data (2).csv", b"a;b\n1;2\n", header=True)
    assert (found.table, found.format, found.delimiter) == ("my_data_2", FileFormat.CSV, ";")
    assert guess_of_file("a.tsv", b"a\tb\n", header=False).delimiter == "tab"
    assert guess_of_file("x.ndjson", b"", header=False).format is FileFormat.JSON
    assert guess_of_file("資料", b"", header=False).table == ""
    folder = guess_of_folder("in", ["jsonl", "jsonl", "csv", "md"])
    assert (folder.format, folder.extension) == (FileFormat.JSON, "jsonl")
    assert guess_of_folder("in", []).format is FileFormat.CSV


# Rights


def test_changes_are_for_who_may_run(served: Served, lakehouse: Path, work: Work) -> None:
    (lakehouse / "Files" / "a.csv").write_text("a\n1\n")
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    load = {"file": "a.csv", "table": "t", "mode": "Create", "format": "Csv"}
    for one in (viewer, Visitor(served, principal("Stranger"))):
        assert one.post(folders(served), name="x").status_code == 403
        assert one.get(removal(served, "a.csv")).status_code == 403
        assert one.post(removal(served, "a.csv")).status_code == 403
        assert one.get(f"{base(served)}/load?path=a.csv").status_code == 403
        assert one.post(f"{base(served)}/load", **load).status_code == 403
        for path in ("columns", "history", "files", "delete"):
            assert one.get(f"{base(served)}/tables/cities/{path}").status_code == 403, path
        assert one.post(f"{base(served)}/tables/cities/delete").status_code == 403
    assert (lakehouse / "Files" / "a.csv").exists()
    assert (lakehouse / "Tables" / "cities").exists()


def test_other_sites_change_nothing(served: Served, ada: Visitor, lakehouse: Path) -> None:
    (lakehouse / "Files" / "a.csv").write_text("a\n1\n")
    for path in (folders(served), removal(served, "a.csv"), f"{base(served)}/load"):
        assert ada.post(path, csrf="guessed", name="x").status_code == 403
    assert [one.name for one in (lakehouse / "Files").iterdir()] == ["a.csv"]


@pytest.mark.parametrize("text", XSS)
def test_no_name_becomes_part_of_a_page(
    served: Served, ada: Visitor, lakehouse: Path, work: Work, text: str
) -> None:
    name = text.replace("/", "\N{DIVISION SLASH}")
    (lakehouse / "Files" / name).mkdir()
    (lakehouse / "Files" / name / f"{name}.csv").write_text(f"{text}\n1\n")
    log = lakehouse / "Tables" / name / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("{")
    for path in (
        f"{base(served)}/files?path={quote(name)}",
        removal(served, name),
        f"{base(served)}/load?path={quote(name)}",
        f"{base(served)}/load?path={quote(f'{name}/{name}.csv')}",
        f"{base(served)}/tables/{quote(name)}/delete",
    ):
        answer = ada.get(path)
        assert answer.status_code == 200, path
        hostile_free(answer.text)


# In a browser


@pytest.mark.timeout(120)
def test_a_person_brings_data_looks_at_it_and_deletes_it(
    served: Served, context: BrowserContext, lakehouse: Path, work: Work, tmp_path: Path
) -> None:
    rows = "city,people\n" + "".join(f"City {n},{n * 1000}\n" for n in range(1, 40))
    (tmp_path / "My cities.csv").write_text(rows)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
    page.goto(f"{served.url}{base(served)}/files")
    page.locator("summary", has_text="New folder").click()
    page.get_by_label("Name", exact=True).fill("raw")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#tree a[aria-current]")).to_have_text("raw")
    page.set_input_files("#upload-files", tmp_path / "My cities.csv")
    page.get_by_role("link", name="Load to table: My cities.csv").click()
    check(page, "the form of a load")
    expect(page.get_by_label("Table", exact=True)).to_have_value("my_cities")
    page.get_by_role("button", name="Load").click()
    page.get_by_role("link", name="Show the table").click(timeout=60_000)
    expect(page.locator(".dotted")).to_contain_text("39 rows")
    expect(page.locator("td", has_text="City 39")).to_have_count(1)
    page.get_by_role("button", name="Chart").click()
    expect(page.locator(".chart svg")).to_be_visible()
    expect(page.get_by_role("button", name="Query this table")).to_be_visible()
    check(page, "a table")
    page.locator(".drop summary").click()
    expect(page.locator("#path-relative")).to_have_text("Tables/my_cities")
    check(page, "the paths of a table")
    page.keyboard.press("Escape")
    page.locator("#tree-filter").fill("nowhere")
    expect(page.locator("#tree .none")).to_be_visible()
    page.locator("#tree-filter").fill("CITIES")
    expect(page.locator("#tree a", has_text="my_cities")).to_be_visible()
    expect(page.locator("#tree a", has_text="raw")).to_be_hidden()
    page.get_by_role("link", name=re.compile("^History")).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    check(page, "the history of a table")
    page.get_by_role("button", name="Delete…").click()
    expect(page.get_by_role("dialog")).to_contain_text("39 rows")
    check(page, "the question before a table is deleted")
    with work.claims.claim(lakehouse / "Tables" / "my_cities"):
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.locator("#notes")).to_contain_text("Try again when it has ended")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#tables")).to_contain_text("No table yet")
    assert not (lakehouse / "Tables" / "my_cities").exists()


@pytest.mark.parametrize("width", [390, 1440])
def test_the_tree_is_beside_or_above(
    served: Served, windows: Windows, lakehouse: Path, width: int
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    page = windows.open(Look(width=width))
    page.goto(f"{served.url}{base(served)}/tables/cities")
    leaf = page.locator("#tree a", has_text="cities")
    if width < 1000:
        expect(leaf).to_be_hidden()
        page.locator(".tree > summary").press("Enter")
    expect(leaf).to_be_visible()
    page.locator(".drop summary").click()
    box = page.locator(".drop .sheet").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    check(page, f"a table at {width}")
    assert fits(page)
