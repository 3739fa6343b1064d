"""Spark jobs and the Spark UI of an activity."""

import json
import re

import pytest
import requests

from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Session
from livius.ports.history import EventLog, Opening
from portal.conftest import Visitor, activity
from support.browsing import Served

APPLICATION = "local-1735689600000"
UI = "http://127.0.0.1:4040"


def watched(served: Served) -> Session:
    session = served.site.session("watched")
    served.site.do(served.site.world.store.annotate_session(session.id, ui_url=UI))
    return session


# Executors, jobs and stages as Spark tells them


def test_sparks_own_jobs_and_stages_stand_with_their_statement(
    served: Served, ada: Visitor
) -> None:
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
    pages.said[f"{APPLICATION}/allexecutors"] = b'[{"id": "driver", "addTime": 5}, 7]'
    page = ada.get(f"{activity(session)}/jobs/spark").text
    assert "&lt;b&gt;count&lt;/b&gt;" in page
    assert "5/12" in page
    assert "jobs?statement=3" in page


def test_what_spark_does_not_tell_is_said(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    assert "No information from Spark" in ada.get(f"{activity(session)}/jobs/spark").text


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


def ended(served: Served) -> Session:
    """A session that has ended and left an event log."""
    session = watched(served)
    world = served.site.world
    world.history.logs[session.driver] = EventLog(size=7, is_full=False)
    served.site.fail(session, EndCause.DRIVER_DIED, "It ended.")
    return session


def test_the_spark_ui_of_an_ended_session_is_the_history_servers(
    served: Served, ada: Visitor
) -> None:
    session, world = ended(served), served.site.world
    assert "/spark-ui" in ada.get(f"{activity(session)}/overview").text
    world.history.state = Opening.ABSENT
    waits = ada.get(f"{activity(session)}/spark-ui")
    assert waits.status_code == 200
    assert "is starting" in waits.text
    assert f"{activity(session)}/spark-ui/live" in waits.text
    assert ada.get(f"{activity(session)}/spark-ui", **{"HX-Request": "true"}).status_code == 204
    world.history.state = Opening.READY
    opened = ada.get(f"{activity(session)}/spark-ui", **{"HX-Request": "true"})
    assert opened.headers["hx-redirect"].endswith("/jobs/")
    key = key_of(ada, session)
    own = f"/history/{session.driver}"
    for path in ("", "jobs/", "stages/stage/"):
        moved = requests.get(f"{served.url}{key}/{path}", allow_redirects=False, timeout=20)
        assert moved.headers["location"] == f"/portal{key}{own}/{path or 'jobs/'}"
    world.pages.said[f"{own}/jobs/"[1:]] = b"shown"
    assert requests.get(f"{served.url}{key}{own}/jobs/?id=1", timeout=20).text == "shown"
    assert world.pages.asked[-1] == (
        *(world.history.url, f"{own}/jobs/"[1:]),
        {"query": "id=1", "root": f"/portal{key}"},
    )
    for path in ("static/utils.js", f"api/v1/applications/{session.driver}/allexecutors"):
        assert requests.get(f"{served.url}{key}/{path}", timeout=20).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "history/{other}/jobs/",
        "history/{own}/../{other}/jobs/",
        "history/{own}%2F..%2F{other}/jobs/",
        "history/{own}/static/x",
        "history/{own}/api/v1/applications/{other}/jobs",
        "history/{own}/jobs/job/kill/",
        "history/",
        "static/../history/{other}/jobs/",
        "static/%2e%2e/api/v1/applications",
        "api/v1/applications",
        "api/v1/applications/{other}/jobs",
        "api/v1/applications/{own}/%2e%2e/{other}/jobs",
        "api/v1/applications/%2e%2e/applications/{other}",
        "HISTORY/{own}/jobs/",
    ],
)
def test_the_history_server_shows_no_other_session(served: Served, ada: Visitor, path: str) -> None:
    session, other = ended(served), ended(served)
    key, before = key_of(ada, session), len(served.site.world.pages.asked)
    prepared = requests.Request("GET", f"{served.url}/").prepare()
    prepared.url = f"{served.url}{key}/{path.format(own=session.driver, other=other.driver)}"
    with requests.Session() as http:
        http.trust_env = False
        assert http.send(prepared, timeout=20).status_code in (400, 404)
    assert len(served.site.world.pages.asked) == before


def test_jobs_of_an_ended_session_come_with_a_timeline(served: Served, ada: Visitor) -> None:
    session, world = ended(served), served.site.world
    world.history.logs[session.driver] = EventLog(size=7, is_full=True)
    world.history.state = Opening.ABSENT
    assert "is starting" in ada.get(f"{activity(session)}/jobs/spark").text
    world.history.state = Opening.READY
    stages = [
        {
            "stageId": number,
            "name": f"<i>stage {number}",
            "status": "COMPLETE",
            "numTasks": 2,
            "submissionTime": f"2026-01-01T00:00:{number:02}.000GMT",
            "completionTime": f"2026-01-01T00:00:{number + 1:02}.000GMT",
        }
        for number in range(50)
    ]
    executor = {"id": "driver", "addTime": "2026-01-01T00:00:00.000GMT", "totalCores": 2}
    for part, found in (("jobs", [{}]), ("stages", stages), ("allexecutors", [executor])):
        world.pages.said[f"{session.driver}/{part}"] = json.dumps(found).encode()
    page = ada.get(f"{activity(session)}/jobs/spark").text
    assert 'x="0.0%" y="3" width="3.333%"' in page
    assert "The last 30 stages; 20 older ones are in the list." in page
    assert "Executor driver" in page
    assert "49 · &lt;i&gt;stage 49" in page
    assert "The event log reached its limit" in page


def test_a_session_without_an_event_log_says_why_it_has_no_jobs(
    served: Served, ada: Visitor
) -> None:
    session = ended(served)
    served.site.world.history.logs.clear()
    assert "/spark-ui" not in ada.get(f"{activity(session)}/overview").text
    assert "without an event log" in ada.get(f"{activity(session)}/jobs/spark").text


def test_who_may_not_read_a_session_gets_no_key(served: Served) -> None:
    session = watched(served)
    viewer = Visitor(served, served.site.do(served.site.world.member(Role.VIEWER)))
    assert viewer.get(f"{activity(session)}/spark-ui").status_code == 403
    for path in ("/logs", "/logs/stderr", "/jobs", "/jobs/spark"):
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
