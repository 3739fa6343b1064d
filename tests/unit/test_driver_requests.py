"""Requests of a session's own code."""

import dataclasses

import pytest

from fakes.world import World, submit_statement
from livius.domain.ids import ClientId, LakehouseId, StatementNumber, new_id
from livius.domain.lakehouse import Role
from livius.domain.principal import Principal, PrincipalKind
from livius.domain.session import EndCause, Goal, Phase, Session
from livius.domain.statement import Ending, Event
from livius.ports.store import AuditQuery
from livius.usecases.driver_link import attach_driver
from livius.usecases.driver_requests import answer
from livius.usecases.drivers import report
from livius.usecases.sessions import CreateSession, create_session
from livius_agent.wire import (
    LONGEST_ASK,
    PROTOCOL,
    AgentRequest,
    Answer,
    Finished,
    Hello,
    Ready,
    Run,
)


async def ready(world: World) -> Session:
    view = await create_session(world.context, world.admin, *world.place, CreateSession())
    session = view.session
    await world.settle(session.id)
    driver = await world.store.driver(session.driver)
    assert driver is not None
    hello = Hello(protocol=PROTOCOL, driver=session.driver, agent="1", last={})
    await attach_driver(world.context, driver, hello)
    world.links.open.add(session.driver)
    await report(world.context, session, Ready(spark_app_id="local-1", versions={}))
    world.links.sent.clear()
    return session


async def asked(world: World, session: Session, **ask: object) -> Answer:
    await answer(world.context, session, AgentRequest(id=7, **{"repl": session.first_repl, **ask}))  # type: ignore[arg-type]
    last = world.links.sent[-1]
    assert isinstance(last, Answer)
    assert last.id == 7
    return last


async def test_the_context_says_where_and_for_whom(world: World) -> None:
    session = await ready(world)
    value = (await asked(world, session, what="context")).body
    assert value is not None
    assert value["activityId"] == session.id
    assert value["currentWorkspaceName"] == value["defaultLakehouseWorkspaceName"]
    assert (value["currentWorkspaceId"], value["defaultLakehouseId"]) == world.place
    assert value["defaultLakehouseName"] == world.lakehouse.name
    assert (value["userId"], value["userName"]) == (world.admin.oid, world.admin.name)
    assert value["currentNotebookName"] is None
    await world.store.change_lakehouse(
        LakehouseId(world.lakehouse.id), name="renamed", description=""
    )
    value = (await asked(world, session, what="context")).body
    assert value is not None
    assert value["defaultLakehouseName"] == "renamed"


async def test_a_driver_speaks_of_its_own_repl_only_and_briefly(world: World) -> None:
    session = await ready(world)
    foreign = await asked(world, session, what="context", repl=new_id())
    assert (foreign.body, foreign.code) == (None, "ReplMismatch")
    long = await asked(world, session, what="context", arguments={"a": "x" * LONGEST_ASK})
    assert (long.body, long.code) == (None, "TooLarge")


async def test_what_fails_is_an_answer_and_not_the_end_of_the_link(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await ready(world)

    async def broken(_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.store, "workspace", broken)
    failed = await asked(world, session, what="context")
    assert failed.code == "InternalServerError"
    assert "secret" not in str(failed.error)


async def test_a_session_ends_with_the_statement_that_stopped_it(world: World) -> None:
    session = await ready(world)
    for code in ("notebookutils.session.stop()", "print('never')"):
        await submit_statement(
            world.context,
            world.admin,
            world.path(session.id),
            code=code,
            kind=None,
            source_id=None,
        )
    await report(
        world.context,
        session,
        Finished(repl=session.first_repl, number=0, seq=1, size=0, outcome="ok", stop=True),
    )
    await world.settle(session.id)
    assert [one.number for one in world.links.sent if isinstance(one, Run)] == [0]
    found = await world.store.session(session.id)
    assert found is not None
    assert (found.goal, found.phase) == (Goal.STOP, Phase.STOPPED)
    assert found.end_cause is EndCause.STOPPED_BY_CODE
    assert "notebookutils.session.stop()" in str(found.end_reason)
    statements, _ = await world.store.list_statements(session.first_repl, skip=0, top=9)
    assert [one.ending.ok for one in statements if one.ending] == [True, False]


async def test_a_stop_is_taken_by_the_next_gateway(world: World) -> None:
    session = await ready(world)
    path = world.path(session.id)
    await submit_statement(
        world.context, world.admin, path, code="stop()", kind=None, source_id=None
    )
    repl, number = session.first_repl, StatementNumber(0)
    # A gateway stores the end, and is killed before it stops the session.
    moved = await world.store.move_statement(
        repl, number, Event.FINISHED, at=world.clock.now(), ending=Ending(ok=True)
    )
    assert moved is not None
    end = Finished(repl=repl, number=0, seq=1, size=0, outcome="ok", stop=True)
    await report(world.context, session, end)
    found = await world.store.session(session.id)
    assert found is not None
    assert (found.goal, found.end_cause) == (Goal.STOP, EndCause.STOPPED_BY_CODE)


async def test_a_session_without_a_running_statement_is_stopped_too(world: World) -> None:
    session = await ready(world)
    assert (await asked(world, session, what="stop")).body == {}
    found = await world.store.session(session.id)
    assert found is not None
    assert found.end_cause is EndCause.STOPPED_BY_CODE


@pytest.fixture
async def signed_in(world: World) -> World:
    """Whose admin came by a client application, with scopes named as what they open."""
    world.admin = dataclasses.replace(
        world.admin,
        client_id=ClientId(new_id()),
        scopes=world.admin.scopes | {"pbi", "storage", "keyvault"},
    )
    return world


async def run_by(world: World, session: Session, caller: Principal) -> None:
    await submit_statement(
        world.context, caller, world.path(session.id), code="1", kind=None, source_id=None
    )


async def test_a_token_is_given_where_a_scope_opens_it(signed_in: World) -> None:
    session = await ready(signed_in)
    given = await asked(signed_in, session, what="token", arguments={"audience": "pbi"})
    assert given.body == {"value": "token for pbi"}
    assert [who for who, _ in signed_in.tokens.issued] == [signed_in.admin]
    refused = await asked(signed_in, session, what="token", arguments={"audience": "sql"})
    assert (refused.body, refused.code) == (None, "InsufficientScopes")
    assert "The scope sql is missing." in str(refused.error)


@pytest.mark.parametrize("arguments", [{}, {"audience": ""}, {"audience": "x" * 1001}])
async def test_an_audience_is_needed(signed_in: World, arguments: dict[str, str]) -> None:
    session = await ready(signed_in)
    refused = await asked(signed_in, session, what="token", arguments=arguments)
    assert (refused.body, refused.code) == (None, "InvalidInput")


async def test_what_code_gets_is_what_all_tokens_that_brought_code_allow(signed_in: World) -> None:
    session = await ready(signed_in)
    weaker = dataclasses.replace(
        signed_in.admin, scopes=(signed_in.admin.scopes - {"pbi", "keyvault"}) | {"sql"}
    )
    await run_by(signed_in, session, weaker)
    await run_by(signed_in, session, signed_in.admin)
    for audience, code in (("storage", None), ("pbi", "InsufficientScopes"), ("sql", ...)):
        answered = await asked(signed_in, session, what="token", arguments={"audience": audience})
        assert answered.code == code or code is ..., audience
        assert (answered.body is None) == (code is not None), audience


async def test_code_of_another_principal_ends_all_tokens(signed_in: World) -> None:
    session = await ready(signed_in)
    other = dataclasses.replace(
        await signed_in.member(Role.ADMIN), scopes=signed_in.admin.scopes, client_id=ClientId("c")
    )
    await run_by(signed_in, session, other)
    await run_by(signed_in, session, signed_in.admin)
    for ask in ({"what": "token", "arguments": {"audience": "pbi"}}, {"what": "secret"}):
        refused = await asked(
            signed_in, session, **{"arguments": {"vault": "kv1", "name": "n"}, **ask}
        )
        assert (refused.body, refused.code) == (None, "TokensWithheld")
    assert signed_in.tokens.issued == []


async def test_an_application_stays_itself(signed_in: World) -> None:
    signed_in.admin = dataclasses.replace(
        signed_in.admin, kind=PrincipalKind.APP, scopes=frozenset()
    )
    session = await ready(signed_in)
    await run_by(signed_in, session, signed_in.admin)
    found = await signed_in.store.session(session.id)
    assert found is not None
    assert found.token_principal == signed_in.admin


async def test_a_personal_token_gives_no_other_tokens(world: World) -> None:
    assert world.admin.client_id is None
    session = await ready(world)
    refused = await asked(world, session, what="token", arguments={"audience": "pbi"})
    assert refused.code == "TokensWithheld"
    assert "personal access token" in str(refused.error)


async def test_a_secret_takes_the_scope_of_vaults(signed_in: World) -> None:
    signed_in.vaults.kept["kv1", "n"] = "s3cret"
    session = await ready(signed_in)
    arguments = {"vault": "kv1", "name": "n"}
    given = await asked(signed_in, session, what="secret", arguments=arguments)
    assert given.body == {"value": "s3cret"}
    assert signed_in.vaults.tokens == ["token for keyvault"]
    absent = await asked(signed_in, session, what="secret", arguments={"vault": "kv1", "name": "m"})
    assert (absent.body, absent.code) == (None, "SecretNotFound")
    weaker = dataclasses.replace(signed_in.admin, scopes=signed_in.admin.scopes - {"keyvault"})
    await run_by(signed_in, session, weaker)
    refused = await asked(signed_in, session, what="secret", arguments=arguments)
    assert (refused.body, refused.code) == (None, "InsufficientScopes")


async def test_a_session_that_ends_gets_no_tokens(signed_in: World) -> None:
    session = await ready(signed_in)
    await asked(signed_in, session, what="stop")
    refused = await asked(signed_in, session, what="token", arguments={"audience": "pbi"})
    assert (refused.body, refused.code) == (None, "SessionEnded")


async def test_what_its_code_may_not_read_is_written_down_whatever_it_asks_for(
    signed_in: World,
) -> None:
    session = await ready(signed_in)
    for arguments in (
        {"vault": "vault"},
        {"vault": "vault", "name": "\ud800\n"},
        {"vault": "vault", "name": "x" * 1500},
        {"vault": "not a vault", "name": "x"},
        {"vault": "vault", "name": "missing"},
    ):
        refused = await asked(signed_in, session, what="secret", arguments=arguments)
        assert refused.body is None
    found = await signed_in.store.audit(AuditQuery(session=session.id, limit=100))
    entries = [(one.entry.target or "", one.entry.result) for one in reversed(found)][1:]
    assert [one[:20] for one, _ in entries] == [
        "vault/",
        "vault/??",
        "vault/xxxxxxxxxxxxxx",
        "not a vault/x",
        "vault/missing",
    ]
    assert "ok" not in {result for _, result in entries}


async def test_what_its_code_gets_is_written_down_by_name_only(signed_in: World) -> None:
    session = await ready(signed_in)
    signed_in.vaults.kept["vault", "password"] = "the-value"
    for _ in range(3):
        await asked(signed_in, session, what="token", arguments={"audience": "pbi"})
        await asked(
            signed_in, session, what="secret", arguments={"vault": "vault", "name": "password"}
        )
    await asked(signed_in, session, what="token", arguments={"audience": "kusto"})
    await signed_in.context.throttle.settle(everything=True)
    found = await signed_in.store.audit(AuditQuery(session=session.id, limit=100))
    recorded = [
        (one.entry.action.value, one.entry.target, one.entry.result, one.entry.times)
        for one in reversed(found)
    ][1:]
    assert recorded == [
        ("session.token", "pbi", "ok", 1),
        ("secret.read", "vault/password", "ok", 1),
        ("session.token", "kusto", "InsufficientScopes", 1),
        ("session.token", "pbi", "ok", 2),
        ("secret.read", "vault/password", "ok", 2),
    ]
    assert found[0].entry.actor is not None
    assert found[0].entry.actor.id == signed_in.admin.oid
    assert "the-value" not in repr(found)
