"""Sessions that begin in the portal: on the first page, a lakehouse, a table, an ended one."""

import re

import pytest

from fakes.world import principal
from livius.domain.ids import SessionId
from livius.domain.lakehouse import Role
from livius.domain.session import EndCause, Session
from portal.conftest import Visitor, activity
from support.browsing import Served

CONF = {"spark.sql.shuffle.partitions": "8"}


def lakehouse(served: Served) -> str:
    workspace, name = served.site.world.place
    return f"/workspaces/{workspace}/lakehouses/{name}"


def opened(served: Served, where: str | None) -> Session:
    """The session whose console an answer leads to."""
    found = re.search(r"/activities/([0-9a-f-]{36})", where or "")
    assert found is not None, where
    session = served.site.do(served.site.world.store.session(SessionId(found[1])))
    assert session is not None
    return session


def test_the_first_page_opens_a_console_in_each_lakehouse(served: Served, ada: Visitor) -> None:
    path = lakehouse(served)
    home = ada.get().text
    assert f'action="/portal{path}/sessions"' in home
    answer = ada.post(f"{path}/sessions")
    assert answer.status_code == 303
    session = opened(served, answer.headers["Location"])
    assert session.name.startswith("Console, ")
    assert 'id="code"' in ada.get(activity(session)).text


@pytest.mark.parametrize(
    ("table", "query"),
    [
        ("trips", "SELECT * FROM `trips` LIMIT 100"),
        ("raw.trips", "SELECT * FROM `raw`.`trips` LIMIT 100"),
        ("a`b", "SELECT * FROM `a``b` LIMIT 100"),
        ("<script>", "SELECT * FROM `&lt;script&gt;` LIMIT 100"),
        ("two\nlines", ""),
        ("", ""),
    ],
)
def test_a_table_is_queried_in_a_new_console(
    served: Served, ada: Visitor, table: str, query: str
) -> None:
    answer = ada.post(f"{lakehouse(served)}/sessions", table=table)
    where = answer.headers["Location"].removeprefix("/portal").partition("#")[0]
    page = ada.get(where).text
    composer = page[page.index('id="code"') :]
    assert f">{query}</textarea>" in composer
    assert ('value="sql" selected' in composer) == bool(query)


def test_an_ended_session_starts_again_with_its_name_and_conf(served: Served, ada: Visitor) -> None:
    session = served.site.session("nightly load", conf=CONF)
    assert "/again" not in ada.get(activity(session)).text
    served.site.fail(session, EndCause.DRIVER_DIED, "out of memory")
    assert f'action="/portal{activity(session)}/again"' in ada.get(activity(session)).text
    again = opened(served, ada.post(f"{activity(session)}/again").headers["Location"])
    assert again.id != session.id
    assert (again.name, again.conf, again.idle_timeout) == (
        "nightly load",
        session.conf,
        session.idle_timeout,
    )


def test_a_session_with_secrets_in_its_conf_is_started_by_its_program(
    served: Served, ada: Visitor
) -> None:
    conf = {"spark.hadoop.fs.azure.account.key.x": "c2VjcmV0"}
    session = served.site.session("with a key", conf=conf)
    served.site.fail(session, EndCause.DRIVER_DIED, "out of memory")
    answer = ada.post(f"{activity(session)}/again")
    assert (answer.status_code, "has secrets" in answer.text) == (409, True)


def test_viewers_and_forged_forms_start_nothing(served: Served, ada: Visitor) -> None:
    site = served.site
    path = lakehouse(served)
    assert ada.post(f"{path}/sessions", csrf="guessed").status_code == 403
    viewer = Visitor(served, site.do(site.world.member(Role.VIEWER)))
    stranger = Visitor(served, principal("Stranger"))
    assert (viewer.post(f"{path}/sessions").status_code, '/sessions"' in viewer.get().text) == (
        403,
        False,
    )
    assert stranger.post(f"{path}/sessions").status_code == 403
    assert "Console, " not in ada.get("/monitor").text
