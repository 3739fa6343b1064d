"""Uploads: stored whole or not at all, in the lakehouse's folder and nowhere else."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from fakes.world import principal
from livius import limits
from livius.adapters.capacity import MachineCapacity
from livius.domain.audit import Action
from livius.domain.lakehouse import Role
from livius.ports.store import AuditQuery
from portal.conftest import Visitor
from support.browsing import Served
from support.waiting import wait_for


def address(served: Served, path: str, **more: str) -> str:
    workspace, lakehouse = served.site.world.place
    query = "".join(f"&{name}={value}" for name, value in more.items())
    return f"/workspaces/{workspace}/lakehouses/{lakehouse}/files?path={quote(path)}{query}"


def unfinished(served: Served, lakehouse: Path) -> list[Path]:
    del served
    folder = lakehouse.parents[1] / "unfinished"
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("name", ["a.csv", "two words.csv", "été 資料.csv", "%41&b=c#d.csv", ".x"])
def test_a_file_is_stored_as_it_is(
    served: Served, ada: Visitor, lakehouse: Path, name: str
) -> None:
    data = bytes(range(256)) * 4000  # more than a form may have
    assert ada.put(address(served, name), data).status_code == 201
    assert (lakehouse / "Files" / name).read_bytes() == data
    assert unfinished(served, lakehouse) == []
    query = AuditQuery(action=Action.FILE_UPLOAD, limit=10)
    [record] = served.site.do(served.site.world.store.audit(query))
    assert (record.entry.target, record.entry.detail) == (name, f"{len(data)} bytes")


def test_a_body_without_a_length_comes_piece_by_piece(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    (lakehouse / "Files" / "raw").mkdir()

    def pieces() -> Iterator[bytes]:
        yield from (b"one,", b"two", b"\n")

    assert ada.put(address(served, "raw/a.csv"), pieces()).status_code == 201
    assert (lakehouse / "Files" / "raw" / "a.csv").read_text() == "one,two\n"


def test_a_file_is_replaced_only_if_asked_to(served: Served, ada: Visitor, lakehouse: Path) -> None:
    file = lakehouse / "Files" / "a.csv"
    file.write_text("old")
    answer = ada.put(address(served, "a.csv"), b"new")
    assert (answer.status_code, answer.headers["X-Portal-Note"]) == (409, "FileExists")
    assert file.read_text() == "old"
    assert ada.put(address(served, "a.csv", replace="yes"), b"new").status_code == 201
    assert file.read_text() == "new"
    (lakehouse / "Files" / "folder").mkdir()
    for more in ({}, {"replace": "yes"}):
        assert ada.put(address(served, "folder", **more), b"x").status_code == 409


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../up.csv", 404),
        ("a/../../up.csv", 404),
        ("missing/a.csv", 404),
        ("a\0b", 404),
        ("line\nbreak", 400),
        ("", 400),
        ("/", 400),
        ("x" * 300, 400),
        ("out/a.csv", 404),
        ("link.csv", 409),
    ],
)
def test_no_path_leads_out(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path, path: str, status: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (lakehouse / "Files" / "out").symlink_to(outside)
    (lakehouse / "Files" / "link.csv").symlink_to(outside / "a.csv")
    assert ada.put(address(served, path), b"x").status_code == status
    assert list(outside.iterdir()) == []
    assert unfinished(served, lakehouse) == []


def test_a_replaced_link_is_replaced_itself(
    served: Served, ada: Visitor, lakehouse: Path, tmp_path: Path
) -> None:
    target = tmp_path / "secret"
    target.write_text("old")
    link = lakehouse / "Files" / "a.csv"
    link.symlink_to(target)
    assert ada.put(address(served, "a.csv", replace="yes"), b"new").status_code == 201
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "new", "old")


def test_an_upload_that_is_cut_off_leaves_nothing(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    there = urlsplit(served.url)
    name, value = next(iter(ada.http.cookies.items()))
    head = (
        f"PUT /portal{address(served, 'a.csv')} HTTP/1.1\r\nHost: {there.netloc}\r\n"
        f"Cookie: {name}={value}\r\nX-CSRF: {ada.csrf}\r\nContent-Length: 1000000\r\n\r\n"
    )
    with socket.create_connection((there.hostname, there.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"x" * 10_000)
        wait_for(lambda: unfinished(served, lakehouse), seconds=10, what="the upload begins")
    wait_for(lambda: not unfinished(served, lakehouse), seconds=10, what="nothing is left")
    assert list((lakehouse / "Files").iterdir()) == []


def test_a_file_that_is_too_large_or_finds_no_room_is_refused(
    served: Served, ada: Visitor, lakehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = served.site.world.room
    room.real = MachineCapacity(
        max_drivers=1, per_driver=0, reserve=0, disk=lakehouse, disk_reserve=2**60
    )
    assert ada.put(address(served, "a.csv"), b"x").status_code == 503
    room.real = None
    monkeypatch.setattr(limits, "MAX_UPLOAD_BYTES", 1000)
    for data in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):
        assert ada.put(address(served, "a.csv"), data).status_code == 413
    assert list((lakehouse / "Files").iterdir()) == []
    assert unfinished(served, lakehouse) == []


def test_strangers_viewers_and_other_sites_store_nothing(
    served: Served, ada: Visitor, lakehouse: Path
) -> None:
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    for one in (viewer, Visitor(served, principal("Stranger"))):
        assert one.put(address(served, "a.csv"), b"x").status_code == 403
    assert ada.put(address(served, "a.csv"), b"x", **{"X-CSRF": "guessed"}).status_code == 403
    foreign = {"Origin": "https://elsewhere.test", "Sec-Fetch-Site": "cross-site"}
    assert ada.put(address(served, "a.csv"), b"x", **foreign).status_code == 403
    assert Visitor(served, None).put(address(served, "a.csv"), b"x").status_code == 401
    assert list((lakehouse / "Files").iterdir()) == []
