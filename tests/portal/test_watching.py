"""Logs, Spark jobs and the Spark UI of an activity."""

import json
import re
import time

import pytest
import requests

from livius.domain.lakehouse import Role
from livius.domain.session import Session
from portal.conftest import Visitor, activity
from support.browsing import Served

APPLICATION = "local-1735689600000"
UI = "http://127.0.0.1:4040"


def watched(served: Served) -> Session:
    session = served.site.session("watched")
    served.site.do(served.site.world.store.annotate_session(session.id, ui_url=UI))
    return session


def print_log(served: Served, session: Session, text: bytes, name: str = "stderr") -> None:
    served.site.world.logs.printed[session.driver, name] = text


# Logs


def test_the_end_of_a_log_is_shown_and_the_rest_is_a_click_away(
    served: Served, ada: Visitor
) -> None:
    session = watched(served)
    print_log(served, session, b"".join(b"line %06d <b>\n" % n for n in range(40_000)))
    page = ada.get(f"{activity(session)}/logs").text
    assert "line 039999 &lt;b&gt;" in page
    assert "line 000000" not in page
    earlier = re.search(r'href="/portal([^"]*at=\d+)"', page)
    assert earlier is not None
    before = ada.get(earlier[1].replace("&amp;", "&")).text
    assert "line 039999" not in before
    assert ada.get(f"{activity(session)}/logs?at=0").text.count("line 000000") == 1


def test_a_long_log_is_searched_and_loaded_quickly(served: Served, ada: Visitor) -> None:
    session = watched(served)
    line = b"26/01/01 10:00:00 INFO TaskSetManager: Finished task in stage 0.0 (TID 1) in 9 ms\n"
    text = line * (50 * 2**20 // len(line)) + b"26/01/01 ERROR Needle \xff <x>\n" + line
    print_log(served, session, text, "stdout")
    began = time.perf_counter()
    page = ada.get(f"{activity(session)}/logs?log=stdout&q=needle").text
    assert "1 line has it" in page
    assert "<mark>Needle</mark>" in page
    assert "&lt;x&gt;" in page
    assert time.perf_counter() - began < 10, "50 MB take too long to search"
    whole = ada.get(f"{activity(session)}/logs/stdout")
    assert len(whole.content) == len(text)
    assert "attachment" in whole.headers["content-disposition"]
    many = ada.get(f"{activity(session)}/logs?log=stdout&q=tasksetmanager").text
    assert "200 lines have it (the first ones)" in many


def test_a_search_finds_what_lies_across_two_pieces(served: Served, ada: Visitor) -> None:
    session = watched(served)
    half = 4 * 2**20
    print_log(served, session, b"x" * 100 + b"\n" + b"y" * (half - 104) + b"needle\nend")
    page = ada.get(f"{activity(session)}/logs?q=needle").text
    assert "1 line has it" in page
    print_log(served, session, b"z" * (9 * 2**20))
    # A line without an end is looked at in pieces, so that memory stays bounded.
    assert "2 lines have it" in ada.get(f"{activity(session)}/logs?q=zzz").text


@pytest.mark.parametrize("query", ["log=passwd", "log=../x", "at=-5", "at=99999999", "q=%00", "q="])
def test_odd_questions_about_logs_are_answered(served: Served, ada: Visitor, query: str) -> None:
    session = watched(served)
    print_log(served, session, b"one\n")
    assert ada.get(f"{activity(session)}/logs?{query}").status_code == 200


def test_there_is_no_other_log(served: Served, ada: Visitor) -> None:
    session = watched(served)
    assert ada.get(f"{activity(session)}/logs/secret").status_code == 404
    assert ada.get(f"{activity(session)}/logs/stderr").text == ""


def test_the_gateways_own_log_says_what_it_did(served: Served, ada: Visitor) -> None:
    session = watched(served)
    served.site.run(session, "secret_code()")
    page = ada.get(f"{activity(session)}/logs?log=livy").text
    assert "statement 0 (pyspark) running" in page
    assert "secret_code" not in page


# Jobs


def test_jobs_and_stages_stand_with_their_statement(served: Served, ada: Visitor) -> None:
    session = watched(served)
    pages = served.site.world.pages
    pages.said[f"{APPLICATION}/jobs"] = json.dumps(
        [
            {
                "jobId": 7,
                "description": "<b>count</b>",
                "jobGroup": f"livius-{session.first_repl}-3",
                "status": "RUNNING",
                "stageIds": [1, 2],
                "numTasks": 12,
                "numCompletedTasks": 5,
                "submissionTime": "2026-01-01T00:00:00.000GMT",
            },
            {"jobId": "odd", "status": 7, "stageIds": None, "submissionTime": 5},
            "no job at all",
        ]
    ).encode()
    pages.said[f"{APPLICATION}/stages"] = b'[{"stageId": 1, "status": "ACTIVE", "numTasks": 8}]'
    page = ada.get(f"{activity(session)}/jobs").text
    assert "&lt;b&gt;count&lt;/b&gt;" in page
    assert "5/12" in page
    assert "jobs?statement=3" in page


def test_what_spark_does_not_tell_is_said(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    assert "No information from Spark" in ada.get(f"{activity(session)}/jobs").text


# The Spark UI


def key_of(visitor: Visitor, session: Session) -> str:
    answer = visitor.get(f"{activity(session)}/spark-ui")
    assert answer.status_code == 303
    found = re.fullmatch(r"/portal(/spark-ui/[\w-]+)/jobs/", answer.headers["location"])
    assert found is not None
    return found[1]


def test_the_spark_ui_is_shown_without_an_origin_and_without_cookies(
    served: Served, ada: Visitor
) -> None:
    session = watched(served)
    pages = served.site.world.pages
    pages.said["jobs/"] = b"<script>alert(1)</script>"
    key = key_of(ada, session)
    # As the pages' own scripts and styles ask: with nothing but the address.
    answer = requests.get(f"{served.url}{key}/jobs/?id=1", timeout=20)
    assert answer.text == "<script>alert(1)</script>"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts allow-popups;")
    assert "allow-same-origin" not in policy
    assert "set-cookie" not in answer.headers
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert pages.asked[-1] == (UI, "jobs/", {"query": "id=1", "root": f"/portal{key}"})
    moved = requests.get(f"{served.url}{key}/environment", allow_redirects=False, timeout=20)
    assert moved.headers["location"] == f"/portal{key}/jobs/"
    assert requests.post(f"{served.url}{key}/jobs/kill", timeout=20).status_code == 405
    asked = requests.options(f"{served.url}{key}/api/v1/applications", timeout=20)
    assert asked.headers["access-control-allow-headers"] == "X-Requested-With"


@pytest.mark.parametrize(
    "path",
    [
        "jobs/",
        "jobs/job/",
        "stages/stage",
        "stages/taskThreadDump/",
        "executors/threadDump/",
        "SQL/execution/",
        "StreamingQuery/statistics/",
        "static/bootstrap.min.js",
        "api/v1/applications/local-1/executors",
    ],
)
def test_pages_of_the_spark_ui_that_show_things_are_passed_on(
    served: Served, ada: Visitor, path: str
) -> None:
    session = watched(served)
    pages = served.site.world.pages
    pages.said[path] = b"shown"
    assert requests.get(f"{served.url}{key_of(ada, session)}/{path}", timeout=20).text == "shown"


@pytest.mark.parametrize(
    "path",
    [
        "jobs/job/kill/",
        "jobs/job/kill",
        "stages/stage/kill/",
        "/jobs//job//kill//",
        "jobs/job/%6bill/",
        "jobs/job/%256bill/",
        "jobs/job%2Fkill/",
        "jobs/job%252Fkill/",
        "jobs/job/kill;x=1/",
        "jobs/job;x=1/kill/",
        "jobs;x/job/",
        "jobs/job/Kill/",
        "JOBS/job/kill/",
        "jobs/job/./kill/",
        "static/../jobs/job/kill/",
        "static/%2e%2e/jobs/job/kill/",
        "api/v1/applications/../../../jobs/job/kill/",
        "api/v1/applications/%2e%2e/%2e%2e/%2e%2e/jobs/job/kill/",
        "jobs/job/kill%00",
        "jobs/job/kill%20",
        "jobs/job/kill%3Fid=1",
        "jobs/job/kill%23",
        "jobs\\job\\kill",
        "executors/heapHistogram/",
        "api/v1/submissions/kill/x",
        "metrics/json",
        "proxy/http://169.254.169.254/",
        "nothing/",
    ],
)
def test_no_spelling_of_a_page_that_acts_reaches_spark(
    served: Served, ada: Visitor, path: str
) -> None:
    session = watched(served)
    key, before = key_of(ada, session), len(served.site.world.pages.asked)
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
        # The path as it is: a client would tidy it up.
        prepared = requests.Request(method, f"{served.url}/").prepare()
        prepared.url = f"{served.url}{key}/{path}?id=0&terminate=true"
        with requests.Session() as http:
            http.trust_env = False
            assert http.send(prepared, timeout=20).status_code in (400, 404, 405), method
    assert len(served.site.world.pages.asked) == before


def test_the_spark_ui_closes_with_the_portal_session_and_the_session(
    served: Served, ada: Visitor
) -> None:
    session = watched(served)
    key = key_of(ada, session)
    assert requests.get(f"{served.url}{key}/jobs/", timeout=20).status_code == 200
    ada.post("/sign-out")
    assert requests.get(f"{served.url}{key}/jobs/", timeout=20).status_code == 404
    assert requests.get(f"{served.url}/spark-ui/guessed/jobs/", timeout=20).status_code == 404


def test_who_may_not_read_a_session_gets_no_key(served: Served) -> None:
    session = watched(served)
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert viewer.get(f"{activity(session)}/spark-ui").status_code == 403
    for path in ("/logs", "/logs/stderr", "/jobs"):
        assert viewer.get(activity(session) + path).status_code == 403, path


# The hub, sorted


def test_the_hub_is_sorted_and_paged_in_that_order(served: Served, ada: Visitor) -> None:
    names = [f"{letter}{number}" for number in range(20) for letter in ("b", "A", "c")]
    for name in names:
        served.site.session(name, ready=False)
    seen: list[str] = []
    address = "/monitor?sort=name"
    while address:
        page = ada.get(address).text
        seen += re.findall(r'<td class="name"><a [^>]*>([^<]*)</a>', page)
        found = re.search(r'href="/portal(/monitor\?[^"]*after=[^"]*)"', page)
        address = found[1].replace("&amp;", "&") if found else ""
    assert seen == sorted(names, key=str.lower)
    first = ada.get("/monitor?sort=-name").text
    assert first.index(">c9<") < first.index(">b9<")
    assert 'aria-sort="descending"' in first
    assert ada.get("/monitor?sort=size").status_code == 400
