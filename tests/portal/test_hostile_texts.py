"""Foreign texts on pages: none becomes part of one, and none breaks its content security policy.

All of them are there at once, so that one server and one window do.
"""

import html
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from arro3.core import Array, DataType, Field, Schema, Table
from deltalake import write_deltalake
from playwright.sync_api import Page

from livius.domain.contents import Column, View
from livius.domain.environment import Library
from livius.domain.errors import Unavailable
from livius.domain.ids import LakehouseId, OperationId, PrincipalId
from livius.domain.lakehouse import LakehouseTable, Role, RoleAssignment
from livius.domain.operation import Event
from livius.domain.session import EndCause
from livius.domain.statement import Ending
from portal.conftest import Owned, Visitor, activity, write_table
from portal.test_environments import published, until
from portal.test_pages import XSS, hostile_free
from support.browsing import Served
from support.records import spark_job, spark_pool

__all__ = ["published"]

TEXTS = (" ".join(XSS), "javascript:alert(1)")
"""The whole corpus, and its text that is harmful only if nothing stands before it."""


def environments(served: Served, ada: Visitor, text: str) -> Iterator[str]:
    """An environment that was published, and then failed to be; a pool; their pages."""
    site, files = served.site, served.site.world.environments
    base, store = f"/workspaces/{site.world.workspace.id}", site.world.store
    pool = spark_pool(name=text, workspace=site.world.workspace.id)
    site.do(store.add_spark_pool(pool))
    made = ada.post(f"{base}/environments", name=text, description=text)
    path = made.headers["location"].removeprefix("/portal")
    compute = {"properties": f"spark.my.words={text}", "pool": pool.id}
    assert ada.post(f"{path}/compute", **compute).status_code == 303
    for refused in (
        ada.post(f"{base}/spark/pools", name=text, size=text, nodes=text),
        ada.post(f"{path}/compute", properties=f"{text}={text}"),
        ada.post(f"{path}/libraries", requirements=text),
        ada.put(f"{path}/files?path={quote(text)}", b"x"),
    ):
        assert refused.status_code == 400
        hostile_free(refused.text)
    files.packages, files.error = (Library(name=text, wanted=text),), None
    ada.post(f"{path}/publish")
    until(ada, path, "Succeeded")
    files.error = Unavailable("Broken", text)
    ada.post(f"{path}/publish")
    until(ada, path, "Failed")
    for one in site.do(store.latest_publishes(site.world.workspace.id)):
        site.do(store.set_publish_log(one.version.id, text))
    yield from (f"{base}/environments", f"{base}/spark", path, f"{path}/publish", f"{path}/delete")


def contents(served: Served, ada: Visitor, lakehouse: Path, text: str) -> Iterator[str]:
    """A table of a schema with comments, a view, a file, a load that failed; their pages."""
    site, base = served.site, f"/workspaces/{lakehouse.parent.name}/lakehouses/{lakehouse.name}"
    name = text.replace("/", "\N{DIVISION SLASH}")
    field = Field(text, DataType.string(), metadata={"comment": text})
    rows = Table.from_arrays([Array([text], DataType.string())], schema=Schema([field]))
    write_deltalake(lakehouse / "Tables" / name, rows, description=text)
    site.world.lakehouses.present[LakehouseId(lakehouse.name)] = [
        LakehouseTable(folder=name, format="delta", schema=None)
    ]
    made = ada.post(f"{base.partition('/lake')[0]}/lakehouses", name=f"g{len(text)}", schemas="yes")
    gold = made.headers["location"].removeprefix("/portal").removesuffix("/settings/livy")
    write_table(
        served, lakehouse.parent / gold.rpartition("/")[2], name, {text: [text]}, schema=name
    )
    site.world.metastore.known[name] = View(
        name=name,
        text=text,
        columns=[Column(name=text, type=text, nullable=True, comment=text)],
        comment=text,
        created_at=None,
    )
    uploaded = ada.put(f"{base}/files?path={quote(name)}.csv", f"{text}\n1\n".encode())
    assert uploaded.status_code == 201
    hostile_free(uploaded.text)
    load = {"file": f"{name}.csv", "table": "t", "mode": "Overwrite", "format": "Csv"}
    loading = ada.post(f"{base}/load", **load).headers["location"].removeprefix("/portal")
    failed = site.world.store.move_operation(
        OperationId(loading.rpartition("/")[2]),
        Event.FAILED,
        at=site.world.clock.now(),
        error_code=text,
        error_message=text,
    )
    assert site.do(failed) is not None
    table = f"{base}/tables/{quote(name)}"
    yield from (f"{gold}/tables", f"{gold}/tables/{quote(name)}.{quote(name)}")
    yield from (f"{base}/tables", f"{base}/files", f"{base}/views/{quote(name)}", loading, table)
    yield from (f"{table}/{part}" for part in ("columns", "history", "files", "delete"))
    yield from (f"{base}/{part}?path={quote(name)}.csv" for part in ("files", "load"))


def people(owned: Owned, ada: Visitor, text: str) -> Iterator[str]:
    """A user with a role and an application, and the pages that name them."""
    world, name = owned.served.site.world, f"grace{len(text)}"
    hostile_free(ada.post("/users", username=name, name=text[:100]).text)
    grace = owned.served.site.do(owned.store.user_named(f"{name}@livius.localhost"))
    assert grace is not None
    role = RoleAssignment(
        workspace=world.workspace.id,
        principal=PrincipalId(grace.oid),
        role=Role.MEMBER,
    )
    owned.served.site.do(world.store.assign_role(role))
    changed = replace(owned.first, name=text, redirect_uris=(text,))
    owned.served.site.do(owned.store.put_application(changed))
    for part, field in (("secrets", "x"), ("redirects", "uri"), ("scopes", "scope")):
        hostile_free(ada.post(f"{owned.path}/{part}", **{field: text}).text)
    yield from ("/users", f"/users/{grace.oid}/remove", "/applications", owned.path)
    yield f"{owned.path}/delete"
    base = f"/workspaces/{world.workspace.id}/access"
    yield from (base, f"{base}/{grace.oid}/remove")


def activities(served: Served, text: str) -> Iterator[str]:
    """A live session with jobs as statements and as Spark have them, one that failed; the pages."""
    site, pages = served.site, served.site.world.pages
    session, failed = (site.session(text, tags={text[:50]: text}) for _ in range(2))
    site.do(site.world.store.annotate_session(session.id, ui_url="http://127.0.0.1:4040"))
    number = site.run(session, text, ending=Ending(ok=False, ename=text, evalue=text))
    jobs = [spark_job(1, name=text), spark_job(2, name=text, description=f"Delta: {text}: {text}")]
    stages = tuple(replace(one, name=text, status=text) for one in jobs[0].stages)
    site.spark_jobs(session, number, replace(jobs[0], description=text, stages=stages), jobs[1])
    for part, said in (
        ("jobs", {"jobId": 7, "description": text, "name": text, "status": text}),
        ("stages", {"stageId": 1, "name": text, "description": text, "status": text}),
        ("allexecutors", {"id": text, "addTime": "2026-01-01T00:00:00.000GMT"}),
    ):
        pages.said[f"local-1735689600000/{part}"] = json.dumps([said]).encode()
    site.fail(failed, EndCause.DRIVER_DIED, text)
    yield from ("", "/monitor", f"/monitor?q={quote(text[:200])}")
    for base in (activity(session), activity(failed)):
        yield from (f"{base}/{part}" for part in ("overview", "panel", "head", "configuration"))
    base = activity(session)
    yield from (base, f"{base}/jobs", f"{base}/jobs?statement={number}", f"{base}/jobs/spark")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("published")
def test_no_foreign_text_becomes_part_of_a_page_or_breaks_its_policy(
    owned: Owned, ada: Visitor, lakehouse: Path, strict_page: Page
) -> None:
    served = owned.served
    for text in TEXTS:
        for path in (
            *environments(served, ada, text),
            *contents(served, ada, lakehouse, text),
            *people(owned, ada, text),
            *activities(served, text),
        ):
            answer = ada.get(path)
            assert answer.status_code == 200, path
            assert text[:16] in html.unescape(answer.text), path
            hostile_free(answer.text)
            if "<html" in answer.text:
                strict_page.goto(served.url + path)
