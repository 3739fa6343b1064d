"""Shared sessions: the row of repls, and links that show the selected repl's statements."""

import json
import re
from dataclasses import dataclass

import pytest

from livius.domain.ids import ReplId, StatementNumber
from livius.domain.session import Session
from livius.domain.statement import Ending, Phase
from livius.usecases.high_concurrency import HighConcurrencyView
from livius_agent.text import json_bytes
from portal.conftest import Visitor, activity
from portal.test_events import events, listen, told
from support.browsing import Served
from support.records import spark_job

APPLICATION = "local-1735689600000"


@dataclass
class Shared:
    """A session that two high-concurrency sessions share, each with a statement 0."""

    served: Served
    session: Session
    first: HighConcurrencyView
    second: HighConcurrencyView

    @property
    def path(self) -> str:
        return activity(self.session)

    def run(self, held: HighConcurrencyView, code: str, **more: object) -> StatementNumber:
        return self.served.site.run(self.session, code, repl=held.repl.id, **more)  # type: ignore[arg-type]

    def codes(self, repl: ReplId) -> list[str]:
        store = self.served.site.world.store
        found, _total = self.served.site.do(store.list_statements(repl, skip=0, top=9))
        return [one.code for one in found]


@pytest.fixture
def shared(served: Served) -> Shared:
    first, second = served.site.acquire("nightly"), served.site.acquire("nightly")
    assert first.session.id == second.session.id
    found = Shared(served, second.session, first, second)
    rows = {"schema": {"fields": [{"name": "city"}]}, "data": [["Padua"]]}
    html = {"text/html": "<h3>rich</h3>", "application/json": rows}
    found.run(first, "of_first", text="first text", ending=Ending(ok=True))
    found.run(
        second, "of_second", text="second text", ending=Ending(ok=True, data=json_bytes(html))
    )
    return found


def links(page: str, path: str) -> list[str]:
    """The addresses in a page that are below a path, or are it."""
    found = re.findall(r'(?:href|src|action|hx-get|hx-post|data-live)="([^"]+)"', page)
    return [one.replace("&amp;", "&") for one in found if one.startswith(f"/portal{path}")]


def test_the_row_names_each_repl_and_the_first_live_one_is_selected(
    shared: Shared, ada: Visitor
) -> None:
    page = ada.get(shared.path).text
    assert page.count("Repl 1") == page.count("Repl 2") == 1
    assert page.count("nightly") == 2
    assert shared.session.submitter_name in page
    assert re.search(rf'title="{shared.first.repl.id}" aria-current="page"', page)
    assert "of_first" in page
    assert "of_second" not in page
    shared.served.site.release(shared.first)
    page = ada.get(shared.path).text
    assert "of_second" in page
    assert "of_first" not in page


def test_every_link_of_a_page_keeps_its_repl(shared: Shared, ada: Visitor) -> None:
    shared.run(shared.second, "while True: pass")
    repl = shared.second.repl.id
    page = ada.get(f"{shared.path}?repl={repl}").text
    assert "of_second" in page
    assert "of_first" not in page
    others = [one for one in links(page, shared.path) if f"repl={repl}" not in one]
    # The other repl's own link; the session's end and Spark's pages are of no repl.
    assert {one.removeprefix(f"/portal{shared.path}") for one in others} <= {
        f"?repl={shared.first.repl.id}",
        "/stop",
        "/spark-ui",
    }


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("", "of_second"),
        ("/text", "second text"),
        ("/json", "Padua"),
        ("/rich", "<h3>rich</h3>"),
    ],
)
def test_each_part_of_a_statement_is_the_selected_repls(
    shared: Shared, ada: Visitor, part: str, text: str
) -> None:
    found = ada.get(f"{shared.path}/statements/0{part}?repl={shared.second.repl.id}")
    assert found.status_code == 200
    assert text in found.text
    other = ada.get(f"{shared.path}/statements/0{part}?repl={shared.first.repl.id}")
    assert text not in other.text


def test_the_console_and_the_cancel_act_on_the_selected_repl(shared: Shared, ada: Visitor) -> None:
    repl = shared.second.repl.id
    answer = ada.post(f"{shared.path}/statements?repl={repl}", code="console", kind="pyspark")
    assert answer.status_code == 303
    assert answer.headers["location"].endswith(f"?repl={repl}")
    assert shared.codes(repl) == ["of_second", "console"]
    assert shared.codes(shared.first.repl.id) == ["of_first"]
    ada.post(f"{shared.path}/statements/1/cancel?repl={repl}")
    found = shared.served.site.do(
        shared.served.site.world.store.statement(repl, StatementNumber(1))
    )
    assert found is not None
    assert found.phase is Phase.CANCELLING


def test_a_closed_repl_is_read_only(shared: Shared, ada: Visitor) -> None:
    shared.served.site.release(shared.second)
    repl = shared.second.repl.id
    page = ada.get(f"{shared.path}?repl={repl}").text
    assert "This repl is closed." in page
    assert "of_second" in page
    assert 'class="composer"' not in page
    answer = ada.post(f"{shared.path}/statements?repl={repl}", code="1")
    assert answer.status_code == 404
    assert shared.codes(repl) == ["of_second"]
    assert 'class="composer"' in ada.get(shared.path).text


@pytest.mark.parametrize("repl", ["x", "00000000-0000-4000-8000-000000000000", "'\"<b>"])
def test_there_is_no_other_repl(shared: Shared, ada: Visitor, repl: str) -> None:
    for part in ("", "/statements/0", "/jobs?statement=0", "/repls"):
        found = ada.http.get(
            shared.served.url + shared.path + part, params={"repl": repl}, timeout=20
        )
        assert found.status_code == 404
        assert "<b>" not in found.text.partition("<main")[2]
    assert (
        "has no repl"
        in ada.http.get(shared.served.url + shared.path, params={"repl": repl}, timeout=20).text
    )


def test_a_stream_follows_the_selected_repl_and_the_row(shared: Shared, ada: Visitor) -> None:
    path = f"{shared.path}/statements/live?repl={shared.second.repl.id}"
    with listen(ada, path) as answer:
        said = told(answer)
        assert next(said).data == ["head", "repls"]
        shared.run(shared.first, "not of this page")
        number = shared.run(shared.second, "1")
        assert next(said).data == [f"h{number}"]
        shared.served.site.release(shared.first)
        assert next(said).data == ["head", "repls"]
    row = ada.get(f"{shared.path}/repls?repl={shared.second.repl.id}").text
    assert "Closed" in row


def test_only_the_last_closed_repls_are_shown_until_all_are_asked_for(
    shared: Shared, ada: Visitor
) -> None:
    for _ in range(12):
        shared.served.site.release(shared.served.site.acquire("nightly"))
    page = ada.get(shared.path).text
    assert [n for n in range(1, 15) if f"Repl {n}<" in page] == [1, 2, *range(5, 15)]
    assert "All 14 repls" in page
    whole = ada.get(f"{shared.path}?all=1").text
    assert all(f"Repl {n}<" in whole for n in range(1, 15))
    old = re.search(r'href="[^"]*\?repl=([0-9a-f-]{36})[^"]*"[^>]*>\s*<span><b>Repl 3<', whole)
    assert old is not None
    assert "Repl 3<" in ada.get(f"{shared.path}?repl={old[1]}").text


def test_jobs_stand_with_the_statement_of_their_repl(shared: Shared, ada: Visitor) -> None:
    site, repl = shared.served.site, shared.second.repl.id
    site.do(with_ui(shared))
    group = f"livius-{repl}-0"
    site.world.pages.said[f"{APPLICATION}/jobs"] = json.dumps(
        [{"jobId": 7, "jobGroup": group, "status": "RUNNING"}]
    ).encode()
    for part in ("stages", "allexecutors"):
        site.world.pages.said[f"{APPLICATION}/{part}"] = b"[]"
    site.spark_jobs(shared.session, StatementNumber(0), spark_job(7), repl=repl)
    for page in (
        ada.get(f"{shared.path}/jobs/spark").text,
        ada.get(f"{shared.path}/jobs").text,
        ada.get(f"{shared.path}/jobs?repl={repl}&statement=0").text,
    ):
        assert "Repl 2 [0]" in page
    assert f"repl={repl}" in page


async def with_ui(shared: Shared) -> None:
    store = shared.served.site.world.store
    await store.annotate_session(shared.session.id, ui_url="http://127.0.0.1:4040")


def test_the_overview_names_the_kind_of_session_and_counts_repls(
    shared: Shared, ada: Visitor
) -> None:
    path = f"{shared.path}/overview"
    page = ada.get(path).text
    assert "High-concurrency session" in page
    assert "2 open, 2 in total" in page
    with listen(ada, f"{path}/live") as answer:
        said = events(answer)
        assert next(said)[1] == "none"
        shared.served.site.release(shared.second)
        assert next(said)[1] == "repls"
    assert "1 open, 2 in total" in ada.get(path).text
    ada.post("/preferences", language="zh-TW", next="/portal")
    assert "高並行工作階段" in ada.get(path).text


def test_the_livy_log_has_the_statements_of_all_repls(shared: Shared, ada: Visitor) -> None:
    page = ada.get(f"{shared.path}/logs?log=livy").text
    for held in (shared.first, shared.second):
        assert f"statement 0 (pyspark) of repl {held.repl.id} accepted" in page


def test_a_plain_session_has_no_repls_to_choose(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    served.site.run(session, "1", text="x", ending=Ending(ok=True))
    for part in ("", "/overview", "/jobs", "/logs?log=livy"):
        page = ada.get(activity(session) + part).text
        assert "repl" not in page.lower()
        assert "High-concurrency" not in page
