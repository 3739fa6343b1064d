"""Classic Livy's completion: names from a session's live Python objects."""

import asyncio

import pytest

from livius.domain.session import Session
from livius.usecases.drivers import report
from livius_agent.wire import COMPLETION_PROTOCOL, Complete, Completed
from wire.conftest import Wire


async def session_that_can_be_asked(wire: Wire) -> Session:
    session = await wire.ready_session()
    wire.world.context.completions.attached(session.driver, object(), COMPLETION_PROTOCOL)
    return session


async def test_completion_answers_with_the_drivers_candidates(wire: Wire) -> None:
    session = await session_that_can_be_asked(wire)
    body = {"code": "import os\nprint(os.pa + 1)", "kind": "python", "cursor": 21}
    asking = asyncio.get_running_loop().create_task(
        wire.client.post(f"{wire.base}/sessions/{session.id}/completion", json=body)
    )
    async with asyncio.timeout(5):
        while not any(isinstance(one, Complete) for one in wire.world.links.sent):
            await asyncio.sleep(0)
    question = wire.world.links.sent[-1]
    assert isinstance(question, Complete)
    assert (question.repl, question.kind) == (session.first_repl, "pyspark")
    assert question.code == "import os\nprint(os.pa"
    await report(wire.world.context, session, Completed(id=question.id, names=("path", "pardir")))
    answer = await asking
    assert answer.status_code == 200
    assert answer.json() == {"candidates": ["path", "pardir"]}
    listed = await wire.client.get(f"{wire.base}/sessions/{session.id}/statements")
    assert listed.json()["total_statements"] == 0, "nothing was run"


async def test_a_session_that_starts_has_no_candidates_yet(wire: Wire) -> None:
    session = await wire.starting_session()
    answer = await wire.client.post(
        f"{wire.base}/sessions/{session.id}/completion", json={"code": "x."}
    )
    assert (answer.status_code, answer.json()) == (200, {"candidates": []})


@pytest.mark.parametrize(
    "body", [{}, {"code": 1}, {"code": "x", "kind": "cobol"}, {"code": "x", "cursor": -1}, []]
)
async def test_wrong_questions_for_names(wire: Wire, body: object) -> None:
    session = await wire.ready_session()
    answer = await wire.client.post(f"{wire.base}/sessions/{session.id}/completion", json=body)
    assert answer.status_code == 400


async def test_an_ended_session_has_none(wire: Wire) -> None:
    session = await wire.ready_session()
    await wire.client.delete(f"{wire.base}/sessions/{session.id}")
    answer = await wire.client.post(
        f"{wire.base}/sessions/{session.id}/completion", json={"code": "x."}
    )
    assert answer.status_code == 404
