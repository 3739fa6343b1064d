"""Tables and files of a lakehouse: what is shown, within which bounds, and what never is."""

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from livius.adapters.local import table_readers
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.domain.contents import Column, View
from livius.domain.errors import NotFound
from livius.domain.ids import LakehouseId, WorkspaceId
from livius.domain.lakehouse import Role
from portal.conftest import Visitor, lay_traps, write_table
from portal.test_pages import XSS, hostile_free
from support.browsing import Served, principal
from support.waiting import wait_for

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cf"
    "c0000003010100c9fe92ef0000000049454e44ae426082"
)


def base(served: Served) -> str:
    workspace, lakehouse = served.site.world.place
    return f"/workspaces/{workspace}/lakehouses/{lakehouse}"


def at(served: Served, path: str, verb: str = "") -> str:
    return f"{base(served)}/files{verb}?path={quote(path)}"


def test_an_empty_lakehouse_says_what_to_do_next(served: Served, ada: Visitor) -> None:
    page = ada.get(f"{base(served)}/tables").text
    assert "No table yet" in page
    assert "livius lakehouse load FILE --lakehouse Bronze" in page
    assert "No file here yet" in ada.get(f"{base(served)}/files").text


def test_a_table_shows_schema_rows_and_history(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    for _ in range(2):
        write_table(served, lakehouse, "cities", {"city": ["Padua", "Rome"], "code": ["a", "b"]})
    assert "cities" in ada.get(f"{base(served)}/tables").text
    page = ada.get(f"{base(served)}/tables/cities").text
    assert page.count("<td>Padua</td>") == 2
    assert "<span>4 rows</span>" in page
    assert "Version 0.1.0" in page, "of the installation"
    assert "<span>2 files</span>" in page
    assert "<span>version 1</span>" in page
    columns = ada.get(f"{base(served)}/tables/cities/columns").text
    assert '<td class="mono wrap">string</td>' in columns
    history = ada.get(f"{base(served)}/tables/cities/history").text
    assert history.count("Appended 2 rows in 1 file") == 2
    assert "RESTORE cities TO VERSION AS OF 0" in history
    files = ada.get(f"{base(served)}/tables/cities/files").text
    assert files.count(".parquet</td>") == 2


def test_a_table_of_a_schema_has_the_schemas_name(
    served: Served, ada: Visitor, tmp_path: Path
) -> None:
    workspace = base(served).partition("/lakehouses/")[0]
    made = ada.post(f"{workspace}/lakehouses", name="Gold", description="", schemas="yes")
    page = made.headers["Location"].removeprefix("/portal").removesuffix("/settings/livy")
    assert '<dd class="mono">dbo</dd>' in ada.get(f"{page}/settings").text
    gold = tmp_path / served.site.world.workspace.id / page.rsplit("/", 1)[1]
    write_table(served, gold, "cities", {"city": ["Padua"]}, schema="sales")
    assert f'{page}/tables/sales.cities">sales.cities</a>' in ada.get(f"{page}/tables").text
    assert "<summary>sales</summary>" in ada.get(f"{page}/tables").text
    assert "<td>Padua</td>" in ada.get(f"{page}/tables/sales.cities").text
    assert ada.get(f"{page}/tables/cities").status_code == 404


def test_a_description_is_kept_while_the_log_is_as_it_was(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    table, log = lakehouse / "Tables" / "cities", lakehouse / "Tables" / "cities" / "_delta_log"
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    os.utime(log, (1_700_000_000, 1_700_000_000))  # long enough ago to be settled
    page = f"{base(served)}/tables/cities"
    assert "<td>Padua</td>" in ada.get(page).text
    for file in table.glob("*.parquet"):
        file.unlink()
    assert "<td>Padua</td>" in ada.get(page).text
    write_table(served, lakehouse, "cities", {"city": ["Rome"]})
    assert "The rows can't be shown here" in ada.get(page).text, "another log, another look"


def test_a_table_that_takes_too_long_is_told_in_words_and_leaves_no_process(
    served: Served, ada: Visitor, lakehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(served, lakehouse, "cities", {"city": ["Padua"]})
    page = f"{base(served)}/tables/cities"
    monkeypatch.setattr(table_readers, "_WITHIN", 0.0)
    for _ in range(3):
        answer = ada.get(page)
        assert answer.status_code == 503
        assert "could not be read within" in answer.text
    monkeypatch.setattr(table_readers, "_WITHIN", 30.0)
    assert "<td>Padua</td>" in ada.get(page).text

    def zombies() -> list[psutil.Process]:
        return [one for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE]

    wait_for(lambda: not zombies(), seconds=10, what="all readers were waited for")


def test_comments_and_partitions_of_a_table_are_shown(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    fields = [
        {"name": "n", "type": "long", "nullable": False, "metadata": {"comment": "<b>how many"}},
        {"name": "day", "type": "date", "nullable": True, "metadata": {}},
    ]
    schema = {"type": "struct", "fields": fields}
    about = {"schemaString": json.dumps(schema), "partitionColumns": ["day"], "description": "Days"}
    lines = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": METADATA | about},
    ]
    log = lakehouse / "Tables" / "days" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("\n".join(json.dumps(line) for line in lines))
    page = ada.get(f"{base(served)}/tables/days/columns").text
    assert '<td class="wrap">&lt;b&gt;how many</td>' in page
    assert 'Partitioned by: <span class="mono">day</span>' in page
    assert '<p class="wrap">Days</p>' in page
    assert "<td>no</td>" in page


def test_rows_that_vectors_may_delete_are_a_bound(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    log = lakehouse / "Tables" / "vectors" / "_delta_log"
    log.mkdir(parents=True)
    text = log_of(reader=3, features=["deletionVectors"], stats=json.dumps({"numRecords": 10}))
    (log / f"{0:020}.json").write_text(text)
    assert "<span>up to 10 rows</span>" in ada.get(f"{base(served)}/tables/vectors/columns").text


def test_views_are_in_the_tree_and_have_their_query(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    metastore = served.site.world.metastore
    metastore.known["busy"] = View(
        name="busy",
        text="SELECT '<b>' AS x",
        columns=[Column(name="x", type="string", nullable=True)],
        comment="",
        created_at=None,
    )
    page = ada.get(f"{base(served)}/tables").text
    assert f'{base(served)}/views/busy">' in page
    view = ada.get(f"{base(served)}/views/busy").text
    assert "SELECT &#39;&lt;b&gt;&#39; AS x" in view
    assert ada.get(f"{base(served)}/views/gone").status_code == 404
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert "/views/busy" not in viewer.get(f"{base(served)}/tables").text
    assert viewer.get(f"{base(served)}/views/busy").status_code == 403
    metastore.is_silent = True
    shown = ada.get(f"{base(served)}/tables")
    assert shown.status_code == 200
    assert "/views/busy" not in shown.text


def test_the_tree_shows_the_folders_on_the_way(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path
) -> None:
    (lakehouse / "Files" / "raw" / "2026" / "01").mkdir(parents=True)
    (lakehouse / "Files" / "other").mkdir()
    (lakehouse / "Files" / "link").symlink_to(tmp_path)
    tree = ada.get(at(served, "raw")).text.partition('id="tree"')[2].partition("</nav>")[0]
    assert re.findall(r"<span>([^<]*)</span></a>", tree) == ["other", "raw", "2026"]
    assert 'aria-current="page"' in tree


def test_a_large_table_is_shown_within_bounds(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    wide = {f"c{number}": ["x" * 1000] * 300 for number in range(120)}
    write_table(served, lakehouse, "wide", wide)
    page = ada.get(f"{base(served)}/tables/wide").text
    assert "100 of 300 rows" in page
    assert "The first 100 columns." in page
    assert "x" * 301 not in page


def test_a_columns_long_name_is_cut(served: Served, ada: Visitor, lakehouse: Path) -> None:
    write_table(served, lakehouse, "wide", {"n" * 5000: ["Padua"]})
    page = ada.get(f"{base(served)}/tables/wide").text
    assert "Padua" in page
    assert "n" * 300 in page
    assert "n" * 301 not in page


def test_rows_outside_of_the_tables_folder_are_not_read(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path
) -> None:
    write_table(served, lakehouse, "stolen", {"word": ["s3cret"]})
    own = next((lakehouse / "Tables" / "stolen").glob("*.parquet"))
    own.rename(tmp_path / "elsewhere.parquet")
    own.symlink_to(tmp_path / "elsewhere.parquet")
    page = ada.get(f"{base(served)}/tables/stolen").text
    assert "s3cret" not in page
    assert "outside of its folder" in page
    (lakehouse / "Tables" / "linked").symlink_to(lakehouse / "Tables" / "stolen")
    assert ada.get(f"{base(served)}/tables/linked").status_code == 404


METADATA = {
    "id": "x",
    "format": {"provider": "parquet", "options": {}},
    "schemaString": json.dumps(
        {
            "type": "struct",
            "fields": [{"name": "n", "type": "long", "nullable": True, "metadata": {}}],
        }
    ),
    "partitionColumns": [],
    "configuration": {},
}
FILE = {
    "path": "gone.parquet",
    "partitionValues": {},
    "size": 9,
    "modificationTime": 0,
    "dataChange": True,
}


def log_of(reader: int = 1, features: list[str] | None = None, **add: object) -> str:
    """A Delta log of one version, as text."""
    protocol: dict[str, object] = {"minReaderVersion": reader, "minWriterVersion": reader}
    if features is not None:
        protocol |= {"minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    lines = [{"protocol": protocol}, {"metaData": METADATA}]
    lines += [{"add": {**FILE, **add}}] if add else []
    return "\n".join(json.dumps(line) for line in lines)


@pytest.mark.parametrize(
    ("log", "file", "status", "said"),
    [
        ("{", b"", 409, "could not be read"),
        ("", b"", 409, "could not be read"),
        ("\x00\xff" * 5000, b"", 409, "could not be read"),
        ("[]", b"", 409, "could not be read"),
        ("{}\n" * 20_000, b"", 409, "could not be read"),
        (log_of(reader=99), b"", (200, 409), "ersion"),
        (log_of(reader=3, features=["fromTheFuture"]), b"", (200, 409), "fromTheFuture"),
        (log_of(size=9), None, 200, "query them in a session"),
        (log_of(path="there.parquet"), b"PAR1 but no more", 200, "query them in a session"),
        (log_of(path="../../other/x.parquet"), b"", 200, "outside of its folder"),
        (log_of(path="file:///etc/passwd"), b"", 200, "outside of its folder"),
        (log_of(path="/etc/passwd"), b"", 200, "outside of its folder"),
        (log_of(path="a/%2e%2e/%2e%2e/x.parquet"), b"", 200, "outside of its folder"),
        (log_of(path="s3://bucket/x.parquet"), b"", 200, "outside of its folder"),
        (log_of(), b"", 200, "The table has no rows."),
    ],
    ids=[
        "cut", "empty", "bytes", "list", "nothing", "version", "feature", "missing", "truncated",
        "upwards", "elsewhere", "root", "encoded", "cloud", "fine",
    ],
)  # fmt: skip
def test_a_foreign_folder_is_told_in_words(
    served: Served,
    ada: Visitor,
    lakehouse: Path,
    log: str,
    file: bytes | None,
    status: int | tuple[int, ...],
    said: str,
) -> None:
    folder = lakehouse / "Tables" / "foreign"
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "_delta_log" / "00000000000000000000.json").write_text(log)
    if file is not None:
        (folder / "there.parquet").write_bytes(file)
    answer = ada.get(f"{base(served)}/tables/foreign")
    assert answer.status_code in ((status,) if isinstance(status, int) else status)
    assert said in answer.text
    assert str(lakehouse).lstrip("/") not in answer.text, "no path of the server is told"
    assert "&lt;unknown&gt;" not in answer.text


def test_a_log_does_not_lead_into_another_lakehouse(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path
) -> None:
    write_table(served, tmp_path / "other", "theirs", {"word": ["s3cret"]})
    [theirs] = (tmp_path / "other" / "Tables" / "theirs").glob("*.parquet")
    log = (theirs.parent / "_delta_log" / "00000000000000000000.json").read_text()
    assert f'"{theirs.name}"' in log
    own = lakehouse / "Tables" / "mine"
    (own / "_delta_log").mkdir(parents=True)
    for spelled in (theirs.as_uri(), str(theirs), os.path.relpath(theirs, own)):
        stolen = log.replace(f'"{theirs.name}"', f'"{spelled}"')
        (own / "_delta_log" / "00000000000000000000.json").write_text(stolen)
        page = ada.get(f"{base(served)}/tables/mine").text
        assert "s3cret" not in page, spelled
        assert "outside of its folder" in page


def test_a_folder_without_a_log_is_no_table(served: Served, ada: Visitor, lakehouse: Path) -> None:
    for name in ("iceberg/metadata", "plain", "log"):
        (lakehouse / "Tables" / name).mkdir(parents=True)
    (lakehouse / "Tables" / "log" / "_delta_log").write_text("a file")
    (lakehouse / "Tables" / "file").write_text("")
    for name in ("iceberg", "plain", "log", "file"):
        assert ada.get(f"{base(served)}/tables/{name}").status_code == 404, name


def test_what_is_no_name_of_a_table_is_not_found(served: Served, ada: Visitor) -> None:
    for name in ("missing", "a%2fb", "%00", "x" * 300):
        assert ada.get(f"{base(served)}/tables/{name}").status_code == 404, name


@pytest.mark.parametrize("name", ["..", ".", "", "../Files", "\ud800"])
async def test_no_name_of_a_table_leads_elsewhere(tmp_path: Path, name: str) -> None:
    workspace, lakehouse = WorkspaceId("w"), LakehouseId("l")
    (tmp_path / "w" / "l" / "Tables").mkdir(parents=True)
    (tmp_path / "w" / "l" / "_delta_log").mkdir()
    (tmp_path / "w" / "l" / "Tables" / "sales").mkdir()
    for parts in ([name], ["sales", name]):
        with pytest.raises(NotFound):
            await LocalLakehouseBrowser(tmp_path).table(workspace, lakehouse, parts)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("city,n\nPadua,1\n", True),
        ("city;n\nPadua;1\n", True),
        ("Padua,1\nRome,2\n", False),
        ("2022,2023\n1,2\n", False),
        ("2024-01-01,x\n2024-01-02,y\n", False),
        ("2024-01-01T10:00:00Z,x\na,y\n", False),
        ("1e5,x\na,y\n", False),
        ("a,a\nb,c\n", False),
        ("a,\nb,c\n", False),
        ("city,n\n", False),
    ],
)
def test_the_first_line_of_a_csv_file_names_the_columns_where_it_can(
    served: Served, ada: Visitor, lakehouse: Path, text: str, named: bool
) -> None:
    (lakehouse / "Files" / "a.csv").write_text(text)
    first = text.replace(";", ",").partition(",")[0]
    as_header, as_row = f">{first}</th>", f">{first}</td>"
    page = ada.get(at(served, "a.csv")).text
    assert (as_header in page, as_row in page) == (named, not named)
    for choice, has in (("yes", as_header), ("no", as_row)):
        assert f"header={choice}" in page or choice == ("yes" if named else "no")
        assert has in ada.get(at(served, "a.csv") + f"&header={choice}").text


@pytest.mark.parametrize(("lines", "cut"), [(100, False), (101, True)])
def test_a_csv_preview_has_a_hundred_rows_below_its_header(
    served: Served, ada: Visitor, lakehouse: Path, lines: int, cut: bool
) -> None:
    rows = "".join(f"{number},x\n" for number in range(lines))
    (lakehouse / "Files" / "a.csv").write_text(f"n,word\n{rows}")
    page = ada.get(at(served, "a.csv")).text
    assert page.count("<td>x</td>") == 100
    assert ("The first 100 rows." in page) is cut


def test_files_are_browsed_previewed_and_downloaded(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    folder = lakehouse / "Files" / "raw data"
    folder.mkdir()
    (folder / "a.csv").write_text('city,n\n"Padua, PD",1\n')
    (folder / "b.json").write_text(json.dumps({"a": [1]}))
    (folder / "c.png").write_bytes(PNG)
    (folder / "d.bin").write_bytes(b"\0\1")
    (folder / "große.txt").write_text("line\n" * 100_000)
    page = ada.get(at(served, "")).text
    assert "raw data" in page
    assert "große.txt" in ada.get(at(served, "raw data")).text
    assert "<td>Padua, PD</td>" in ada.get(at(served, "raw data/a.csv")).text
    assert "&#34;a&#34;: [" in ada.get(at(served, "raw data/b.json")).text
    assert "There is no preview" in ada.get(at(served, "raw data/d.bin")).text
    long = ada.get(at(served, "raw data/große.txt"))
    assert "Only the beginning" in long.text
    assert len(long.content) < 90_000
    image = ada.get(at(served, "raw data/c.png", "/image"))
    assert image.content == PNG
    assert image.headers["content-type"] == "image/png"
    assert image.headers["content-security-policy"].startswith("sandbox")
    whole = ada.get(at(served, "raw data/große.txt", "/download"))
    assert len(whole.content) == 500_000
    assert "attachment" in whole.headers["content-disposition"]
    assert "filename*=UTF-8''gro%C3%9Fe.txt" in whole.headers["content-disposition"]
    assert ada.get(at(served, "raw data/a.csv", "/image")).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["..", "../Tables", "a/../../..", "/etc/passwd", "link", "link/x", "loop", "pipe", "a\0b"],
)
def test_nothing_outside_of_the_files_is_reached(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path, path: str
) -> None:
    lay_traps(lakehouse, tmp_path, "s3cret")
    for verb in ("", "/download", "/image"):
        answer = ada.get(at(served, path, verb))
        assert answer.status_code == 404, verb
        assert "s3cret" not in answer.text
    page = ada.get(at(served, "")).text
    assert ">link<" not in page
    assert "pipe" not in page


def test_data_is_for_who_may_run(served: Served, lakehouse: Path) -> None:
    (lakehouse / "Files" / "a.txt").write_text("s3cret")
    write_table(served, lakehouse, "cities", {"city": ["s3cret"]})
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    tables = viewer.get(f"{base(served)}/tables").text
    assert "cities" in tables
    assert "/tables/cities" not in tables
    assert "/files" not in tables
    stranger = Visitor(served, principal("Stranger"))
    assert stranger.get(f"{base(served)}/tables").status_code == 403
    for path in (
        f"{base(served)}/tables/cities",
        at(served, ""),
        at(served, "a.txt"),
        at(served, "a.txt", "/download"),
        at(served, "a.txt", "/image"),
    ):
        for one in (viewer, stranger):
            assert one.get(path).status_code == 403, path
        assert "/sign-in" in Visitor(served, None).get(path).headers["location"]


@pytest.mark.parametrize("text", XSS)
def test_no_text_of_data_becomes_part_of_a_page(
    served: Served, ada: Visitor, lakehouse: Path, text: str
) -> None:
    name = text.replace("/", "\N{DIVISION SLASH}")
    files = lakehouse / "Files"
    (files / f"{name}.csv").write_text(f"{text},b\n{text},{text}\n")
    (files / f"{name}.txt").write_text(text)
    (files / f"{name}.png").write_bytes(PNG)
    (files / f"{name}dir").mkdir()
    for path in ("", f"{name}.csv", f"{name}.txt", f"{name}.png", f"{name}dir"):
        answer = ada.get(at(served, path))
        assert answer.status_code == 200, path
        hostile_free(answer.text)
    write_table(served, lakehouse, "t", {text: [text]})
    page = ada.get(f"{base(served)}/tables/t")
    assert page.status_code == 200
    hostile_free(page.text)
    log = lakehouse / "Tables" / name / "_delta_log"
    log.mkdir(parents=True)
    hostile_free(ada.get(f"{base(served)}/tables/{quote(name)}").text)
