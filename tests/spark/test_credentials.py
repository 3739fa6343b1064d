"""Tokens and secrets in sessions: who gets which, and that no output or log shows them."""

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from livius.domain.tokens import Scope
from support.gateway import Client, Gateway, RemoteSession
from support.sign_in import app_token, user_token

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

REQUIRED = (
    Scope.LAKEHOUSE_EXECUTE,
    Scope.LAKEHOUSE_READ,
    Scope.CODE_FABRIC,
    Scope.CODE_STORAGE,
)
AUDIENCES = {
    "storage": ("https://storage.azure.com", Scope.CODE_STORAGE),
    "pbi": ("https://api.fabric.microsoft.com", Scope.CODE_FABRIC),
    "keyvault": ("https://vault.azure.net", Scope.CODE_KEY_VAULT),
    "kusto": ("https://kusto.kusto.windows.net", Scope.CODE_DATA_EXPLORER),
    "sql": ("https://database.windows.net", Scope.CODE_SQL),
    "datalake": ("https://datalake.azure.net", Scope.CODE_DATA_LAKE),
}
VALUE = "hunter22 'and' more"


def claims(session: RemoteSession, audience: str, kind: str = "pyspark") -> dict[str, Any]:
    """A token's claims, spelled apart, as a whole token would be redacted."""
    call = f'notebookutils.credentials.getToken("{audience}")'
    code = {
        "pyspark": f"print('|'.join({call}))",
        "spark": f'println({call}.mkString("|"))',
    }[kind]
    token = session.text(code, kind).strip().replace("|", "")
    read: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return read


def fails(session: RemoteSession, code: str, kind: str = "pyspark") -> str:
    output = session.run(code, kind)
    assert output["status"] == "error", output
    evalue: str = output["evalue"]
    return evalue


@pytest.fixture(scope="module")
def tokens(gateway: Gateway) -> dict[str, str]:
    """The first user's: with the required scopes, then with all eight."""
    return {"required": user_token(gateway, REQUIRED), "all": user_token(gateway, Scope)}


@pytest.fixture(scope="module")
def person(gateway: Gateway, tokens: dict[str, str]) -> Client:
    client = gateway.client()
    client.http.headers["Authorization"] = f"Bearer {tokens['all']}"
    return client


@pytest.fixture(scope="module")
def own(person: Client) -> Iterator[RemoteSession]:
    with person.session(name="a person's") as session:
        yield session


@pytest.mark.parametrize("audience", AUDIENCES)
def test_a_person_gets_a_token_where_the_scope_is_allowed(
    own: RemoteSession, gateway: Gateway, tokens: dict[str, str], audience: str
) -> None:
    caller = jwt.decode(tokens["all"], options={"verify_signature": False})
    resource, _ = AUDIENCES[audience]
    for spelling in (audience, resource, f"{resource}/"):
        read = claims(own, spelling)
        assert read["aud"] == resource
        assert read["oid"] == caller["oid"]
        assert read["tid"] == gateway.connection["tenant_id"]
        assert read["exp"] - time.time() > 3500
    assert claims(own, audience, "spark")["aud"] == resource


def test_a_token_for_fabric_works_there(own: RemoteSession, gateway: Gateway) -> None:
    facts = gateway.connection
    status = own.text(
        "import urllib.request, ssl\n"
        f"request = urllib.request.Request({facts['api']!r} + '/v1/workspaces', headers={{\n"
        "    'Authorization': 'Bearer ' + notebookutils.credentials.getToken('pbi')})\n"
        f"trust = ssl.create_default_context(cafile={facts['ca_file']!r})\n"
        "urllib.request.urlopen(request, context=trust).status"
    )
    assert status == "200"


def test_an_application_gets_what_it_was_allowed(session: RemoteSession, gateway: Gateway) -> None:
    read = claims(session, "sql")
    assert (read["aud"], read["idtyp"]) == ("https://database.windows.net", "app")
    assert read["appid"] == gateway.connection["client_id"]


def test_what_is_no_audience_and_what_is_no_token(own: RemoteSession) -> None:
    unknown = fails(own, "notebookutils.credentials.getToken('graph')")
    assert "storage" in unknown
    assert "datalake" in unknown
    assert "There is no audience" in fails(own, 'notebookutils.credentials.getToken("x")', "spark")
    assert "text is needed" in fails(own, "notebookutils.credentials.getToken(None)")
    assert "printable" in fails(own, "notebookutils.credentials.getToken('')")
    checks = own.text(
        "valid = notebookutils.credentials.isValidToken\n"
        "token = notebookutils.credentials.getToken('storage')\n"
        "valid(token), valid(token[:40]), valid(''), valid(None), valid('a.b.c')"
    )
    assert checks == "(True, False, False, False, False)"
    assert own.text(
        'val token = notebookutils.credentials.getToken("storage")\n'
        "println(notebookutils.credentials.isValidToken(token), "
        'notebookutils.credentials.isValidToken("a.b.c"))',
        "spark",
    ).endswith("(true,false)")


def test_secrets_are_given_and_shown_nowhere(own: RemoteSession, gateway: Gateway) -> None:
    gateway.livius("secret", "set", "kv-test", "Password", given=VALUE)
    get = "notebookutils.credentials.getSecret('https://kv-test.vault.azure.net/', 'password')"
    assert own.text(f"s = {get}\nlen(s), s[0], s[-1]") == f"({len(VALUE)}, 'h', 'e')"
    shown = {
        "print(s)": "pyspark",
        "s": "pyspark",
        "import sys\nfor c in s:\n    print(c, end='', flush=True)": "pyspark",
        "import os, time\n"
        "os.write(1, s[:6].encode())\ntime.sleep(0.3)\nos.write(1, s[6:].encode())": "pyspark",
        "import os\nos.environ['S'] = s\nget_ipython().system('echo \"$S\"')": "pyspark",
        "import json; print(json.dumps({'a': s}), repr(s))": "pyspark",
        "displayHTML('<b>' + s + '</b>') if 'displayHTML' in dir() else print(s)": "pyspark",
        "from IPython.display import HTML\ndisplay(HTML('<i>' + s + '</i>'))": "pyspark",
        "spark.createDataFrame([(s,)], 'v string').createOrReplaceTempView('secrets')\n"
        "spark.table('secrets').show(truncate=False)": "pyspark",
        "select v from secrets": "sql",
        'println(notebookutils.credentials.getSecret("kv-test", "password"))': "spark",
        'val s = notebookutils.credentials.getSecret("kv-test", "password")': "spark",
        'throw new Exception(spark.table("secrets").head.getString(0))': "spark",
        "raise ValueError(s)": "pyspark",
        "print(notebookutils.credentials.getToken('storage'))": "pyspark",
    }
    for code, kind in shown.items():
        whole = json.dumps(own.run(code, kind))
        assert "[REDACTED]" in whole, (code, whole)
        assert "hunter22" not in whole, (code, whole)
        assert "eyJ" not in whole, (code, whole)
    assert own.text("print('not the ' + 'hunter21')") == "not the hunter21"


def test_a_secret_that_is_not_there(own: RemoteSession) -> None:
    missing = fails(own, "notebookutils.credentials.getSecret('kv-test', 'nothing')")
    assert "livius secret set kv-test nothing" in missing
    foreign = fails(own, "notebookutils.credentials.getSecret('https://evil.example/', 'a')")
    assert "names no vault" in foreign
    assert "putSecret" in fails(own, "notebookutils.credentials.putSecret('a', 'b', 'c')")


def test_a_statement_with_fewer_scopes_narrows_what_the_session_gets(
    person: Client, tokens: dict[str, str]
) -> None:
    with person.session(name="narrowed") as session:
        assert claims(session, "sql")["aud"] == AUDIENCES["sql"][0]
        person.http.headers["Authorization"] = f"Bearer {tokens['required']}"
        assert session.text("1 + 1") == "2"
        person.http.headers["Authorization"] = f"Bearer {tokens['all']}"
        for audience, (resource, scope) in AUDIENCES.items():
            if scope in REQUIRED:
                assert claims(session, audience)["aud"] == resource
                continue
            for kind in ("pyspark", "spark"):
                said = fails(session, f'notebookutils.credentials.getToken("{audience}")', kind)
                assert scope in said
        said = fails(session, "notebookutils.credentials.getSecret('kv-test', 'password')")
        assert Scope.CODE_KEY_VAULT in said


def test_a_drivers_log_has_no_secret(client: Client, gateway: Gateway) -> None:
    gateway.livius("secret", "set", "kv-test", "logged", given="a-word-for-the-log")
    session = client.create(name="logs")
    try:
        session.wait_idle()
        session.text(
            "s = notebookutils.credentials.getSecret('kv-test', 'logged')\n"
            "def say(_):\n    import sys\n    print('says', s, file=sys.stderr, flush=True)\n"
            "sc.parallelize([1], 1).foreach(say)"
        )
        session.run('System.err.println("dies"); sys.runtime.halt(9)', "spark")
        body = session.get()
    finally:
        session.delete()
    texts = {
        path: path.read_text(errors="replace")
        for path in (gateway.home / "drivers").rglob("std*.log")
    }
    [said] = [path for path, text in texts.items() if "says [REDACTED]" in text]
    assert not (said.parent / "work").exists()
    assert "a-word-for-the-log" not in json.dumps(body) + "".join(texts.values())
    assert "a-word-for-the-log" not in (gateway.home / "test.log").read_text()


class Credential:
    """The client's own use of azure-identity, with the sample application's secret."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.asked: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked += scopes
        token = app_token(self._gateway, scopes[0].removesuffix("/.default"))
        return AccessToken(token, int(time.time()) + 3000)


def test_azures_own_client_reads_the_vault(gateway: Gateway) -> None:
    for value in ("one", "two"):
        gateway.livius("secret", "set", "kv-client", "Name", given=value)
    facts = gateway.connection
    credential = Credential(gateway)
    with SecretClient(
        f"{facts['api']}/vaults/kv-client",
        credential,
        verify_challenge_resource=False,
        connection_verify=facts["ca_file"],
        retry_total=0,
    ) as vault:
        secret = vault.get_secret("name")
        assert (secret.value, secret.name) == ("two", "name")
        assert credential.asked == ["https://vault.azure.net/.default"]
        versions = [one.version for one in vault.list_properties_of_secret_versions("name")]
        assert len(versions) == 2
        assert vault.get_secret("name", versions[0]).value == "one"
        assert [one.name for one in vault.list_properties_of_secrets()] == ["name"]
        with pytest.raises(ResourceNotFoundError):
            vault.get_secret("nothing")
        with pytest.raises(HttpResponseError):
            vault.set_secret("name", "three")


def test_a_vault_takes_tokens_for_vaults_only(gateway: Gateway) -> None:
    gateway.livius("secret", "set", "kv-guarded", "guarded", given="a value of it")
    facts = gateway.connection
    address = f"{facts['api']}/vaults/kv-guarded/secrets/guarded"

    def get(token: str | None, path: str = "?api-version=7.4") -> requests.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return requests.get(address + path, headers=headers, verify=facts["ca_file"], timeout=30)

    good = app_token(gateway, "https://vault.azure.net")
    assert get(good).json()["value"] == "a value of it"
    for token in (None, "x", app_token(gateway, "https://api.fabric.microsoft.com"), good[:-9]):
        answer = get(token)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == (
            f'Bearer authorization="{facts["authority"]}", resource="https://vault.azure.net"'
        )
        assert "a value" not in answer.text
    plain = requests.get(
        address.replace(facts["api"], facts["http"]) + "?api-version=7.4",
        headers={"Authorization": f"Bearer {good}"},
        timeout=30,
    )
    assert (plain.status_code, "a value" in plain.text) == (403, False)
    assert get(good, "").status_code == 400
    assert get(good, "/none?api-version=7.4").status_code == 404
    api = requests.get(
        f"{facts['api']}/v1/workspaces",
        headers={"Authorization": f"Bearer {good}"},
        verify=facts["ca_file"],
        timeout=30,
    )
    assert api.status_code == 401
