"""The audit log of a real gateway: people, programs and session code, over real sockets."""

import json
from typing import Any

import pytest

from livius.domain.tokens import Scope
from support.audit import audit_log
from support.gateway import Client, RemoteSession
from support.sign_in import user_token

pytestmark = [pytest.mark.spark, pytest.mark.timeout(180)]


def audited(client: Client, *options: str) -> list[dict[str, Any]]:
    return audit_log(client, "-n", "10000", *options)


def test_a_sign_in_and_a_refusal_are_in_the_log_and_no_secret_is(client: Client) -> None:
    facts = client.gateway.connection
    token = user_token(client.gateway, [Scope.LAKEHOUSE_READ])
    answer = client.http.post(
        f"{facts['api']}/v1/workspaces",
        json={"displayName": "never"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 403
    [refused] = audited(client, "--action", "request.refuse", "--actor", facts["username"])[-1:]
    assert (refused["target"], refused["result"]) == ("POST /v1/workspaces", "InsufficientScopes")
    assert refused["clientId"] == facts["client_id"]
    signed_in = audited(client, "--action", "sign_in", "--actor", facts["username"])[-1]
    assert (signed_in["result"], signed_in["address"]) == ("ok", "127.0.0.1")
    issued = audited(client, "--action", "token.issue", "--actor", facts["username"])[-1]
    assert issued["detail"] == "code: Lakehouse.Read.All"
    everything = json.dumps(audited(client))
    for secret in (token, facts["password"], facts["client_secret"]):
        assert secret not in everything


def test_what_session_code_is_given_is_in_the_log(client: Client, session: RemoteSession) -> None:
    of_the_session = ("--session", session.id, "--action", "session.token")
    before = audited(client, *of_the_session)
    session.text("len(notebookutils.credentials.getToken('pbi')) > 100")
    *earlier, given = audited(client, *of_the_session)
    assert earlier == before
    assert (given["target"], given["result"], given["actorKind"]) == ("pbi", "ok", "app")
