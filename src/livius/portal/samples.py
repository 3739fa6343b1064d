"""Programs that sign in and run a first query in a lakehouse, with the installation's own ids.

They are shown for copying, and run as pasted: each value is a Python literal, and the program asks
for a secret, which is never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final

from livius.domain.lakehouse import Lakehouse
from livius.domain.tokens import FABRIC, Scope
from livius.portal.labels import N_
from livius.portal.pages_base import Facts


@dataclass(frozen=True, slots=True)
class Sample:
    """One way to sign in, as a whole program. ``key`` names it in addresses and tests."""

    key: str
    label: str
    about: str
    code: str


@dataclass(frozen=True, slots=True)
class ScopeWords:
    """The purpose of a scope; ``when`` says when an optional one is needed."""

    scope: Scope
    what: str
    when: str = ""


NEEDED: Final = (
    ScopeWords(Scope.LAKEHOUSE_EXECUTE, N_("Run operations in lakehouses.")),
    ScopeWords(Scope.LAKEHOUSE_READ, N_("Read the metadata of lakehouses.")),
)
CODE_NEEDED: Final = (
    ScopeWords(
        Scope.CODE_FABRIC,
        N_("Lets code get access tokens to Microsoft Fabric. Each call of the Livy API needs it."),
    ),
    ScopeWords(
        Scope.CODE_STORAGE,
        N_("Lets code get access tokens to OneLake and Azure Storage, to read and write data."),
    ),
)
CODE_OPTIONAL: Final = (
    ScopeWords(
        Scope.CODE_KEY_VAULT,
        N_("Lets code get access tokens to Azure Key Vault."),
        N_("The code reads secrets, keys or certificates from a key vault."),
    ),
    ScopeWords(
        Scope.CODE_DATA_LAKE,
        N_("Lets code get access tokens to Azure Data Lake Storage Gen1."),
        N_("The code reads from or writes to an account of Data Lake Storage Gen1."),
    ),
    ScopeWords(
        Scope.CODE_DATA_EXPLORER,
        N_("Lets code get access tokens to Azure Data Explorer (Kusto)."),
        N_("The code queries or loads data of an Azure Data Explorer cluster."),
    ),
    ScopeWords(
        Scope.CODE_SQL,
        N_("Lets code get access tokens to Azure SQL."),
        N_("The code connects to a database of Azure SQL."),
    ),
)

_CERTIFICATE: Final = """\
        client_credential={{
            "private_key": Path({key!r}).read_text(),
            "thumbprint": {thumbprint!r},
        }},
"""
_RUN: Final = """\
http = requests.Session()
http.headers["Authorization"] = f"Bearer {answer['access_token']}"


def call(method, url, **arguments):
    response = http.request(method, url, timeout=60, **arguments)
    if not response.ok:
        raise SystemExit(f"{method} {url}: {response.status_code} {response.text}")
    return response.json()


session = call("POST", sessions_url, json={"name": "first program"})
session_url = f"{sessions_url}/{session['id']}"
try:
    while session["state"] in ("not_started", "starting"):
        print("The session is", session["state"])
        time.sleep(1)
        session = call("GET", session_url)
    statement = {"code": "SELECT current_database(), version()", "kind": "sql"}
    statement = call("POST", f"{session_url}/statements", json=statement)
    while statement["state"] in ("waiting", "running"):
        time.sleep(0.5)
        statement = call("GET", f"{session_url}/statements/{statement['id']}")
    output = statement["output"]
    rows = output["data"]["application/json"]["data"] if output["status"] == "ok" else [output]
    print(*rows, sep="\\n")
finally:
    call("DELETE", session_url)
"""
_ASK: Final = f'application.acquire_token_for_client(["{FABRIC}/.default"])'
_ASKED: Final = """\
        client_credential=os.environ.get("CLIENT_SECRET") or getpass("Client secret: "),
"""


_CURL: Final = """\
export CURL_CA_BUNDLE={ca}
sessions={sessions}
token="$({livius} token)"
call() {{
  curl -sS --fail-with-body -H "Authorization: Bearer $token" \\
    -H "Content-Type: application/json" "$@"
}}
session="$sessions/$(call "$sessions" -d '{{"name": "first program"}}' | jq -r .id)"
while [[ "$(call "$session" | jq -r .state)" = *start* ]]; do
  echo "The session starts."
  sleep 1
done
query='{{"kind": "sql", "code": "SELECT current_database(), version()"}}'
statement="$session/statements/$(call "$session/statements" -d "$query" | jq -r .id)"
while found="$(call "$statement")"; [[ "$(jq -r .state <<<"$found")" =~ waiting|running ]]; do
  sleep 1
done
jq -c '.output | if .status == "ok" then .data["application/json"].data[] else . end' <<<"$found"
call -X DELETE "$session"
"""
_SPARKMAGIC: Final = """\


class Livius(Authenticator):
    # Sends a token, and makes the Fabric Livy API look like classic Livy's.
    def __call__(self, request):
        answer = {ask}
        if "access_token" not in answer:
            raise SystemExit(answer.get("error_description"))
        request.headers["Authorization"] = f"Bearer {{answer['access_token']}}"
        request.url = request.url.removesuffix("/log?from=0")  # a session contains its log
        request.register_hook("response", as_classic)
        return request


def as_classic(response, **_):
    # Classic Livy answers 201 where Fabric answers 200 or 202.
    sent = response.request
    if response.ok and sent.method == "POST" and not sent.url.endswith("/cancel"):
        response.status_code = 201


configuration.override("authenticators", {{"Livius": "__main__.Livius"}})
configuration.override("livy_session_startup_timeout_seconds", 300)
# With a heartbeat the end of a session would take up to 30 seconds.
configuration.override("livy_server_heartbeat_timeout_seconds", 0)

%load_ext sparkmagic.magics
try:
    %spark add -s first -l python -t Livius -u {url}
    # In a cell of its own: %%spark -c sql -o rows -q, and the query below it.
    query = "SELECT current_database() AS lakehouse, version() AS spark"
    get_ipython().run_cell_magic("spark", "-c sql -o rows -q", query)
    print(rows.to_string(index=False))
finally:
    %spark cleanup
"""
_DBT: Final = """\
livius:
  target: dev
  outputs:
    dev:
      type: fabricspark
      method: livy
      endpoint: https://api.fabric.microsoft.com/v1
      workspaceid: {workspace}
      lakehouseid: {lakehouse}
      lakehouse: {name}
      schema: {name}
      threads: 4
      authentication: SPN
      tenant_id: {tenant}
      client_id: {client}
      client_secret: "{{{{ env_var('DBT_ENV_SECRET_CLIENT') }}}}"
"""


def sessions_url(facts: Facts, lakehouse: Lakehouse) -> str:
    """Return the connection string for session jobs (Fabric contract 9.1)."""
    return (
        f"{facts.api}/v1/workspaces/{lakehouse.workspace}/lakehouses/{lakehouse.id}"
        "/livyapi/versions/2023-12-01/sessions"
    )


def all_for(facts: Facts, lakehouse: Lakehouse) -> Sequence[Sample]:
    """Return the programs for a lakehouse: each way to sign in, and further tools."""
    signed_in = (
        Sample(
            "certificate",
            N_("Application with a certificate"),
            N_("For services: the application itself signs in, and needs a role in the workspace."),
            _program(facts, lakehouse, "from pathlib import Path", _confidential(facts)),
        ),
        Sample(
            "secret",
            N_("Application with a secret"),
            N_(
                "For services too. The program asks for the secret, or reads it from CLIENT_SECRET."
            ),
            _program(facts, lakehouse, "from getpass import getpass", _by_secret()),
        ),
        Sample(
            "interactive",
            N_("User, interactively"),
            N_("For people: a browser opens, and you sign in and consent to the scopes."),
            _program(facts, lakehouse, "", _interactive()),
        ),
    )
    found = (*signed_in, *_tools(facts, lakehouse))
    # Another authority has no sample application, whose token a command could fetch.
    return [one for one in found if one.key != "curl" or facts.application is not None]


def _tools(facts: Facts, lakehouse: Lakehouse) -> Sequence[Sample]:
    return (
        Sample(
            "curl",
            "curl",
            N_(
                "For a shell on the server's machine, with jq. The token is the sample "
                "application's."
            ),
            _curl(facts, lakehouse),
        ),
        Sample(
            "dbt",
            "dbt",
            N_(
                "A profile for dbt-fabricspark, with Fabric's own address: run livius exec -- dbt "
                "build. The secret comes from DBT_ENV_SECRET_CLIENT."
            ),
            _dbt(facts, lakehouse),
        ),
        Sample(
            "sparkmagic",
            "sparkmagic",
            N_(
                "One cell of a notebook, or a file for ipython. Install sparkmagic and msal; on "
                "Linux pip needs gcc and libkrb5-dev for it."
            ),
            _sparkmagic(facts, lakehouse),
        ),
        Sample(
            "notebook",
            N_("VS Code and Jupyter"),
            N_(
                "In the virtual environment of the notebooks. Then choose the kernel Python "
                "(Livius): programs for Fabric run in it unchanged."
            ),
            f"pip install ipykernel azure-identity requests\n{facts.command} kernel install\n",
        ),
    )


def _curl(facts: Facts, lakehouse: Lakehouse) -> str:
    return _CURL.format(
        ca=quote(facts.ca_file),
        sessions=quote(sessions_url(facts, lakehouse)),
        livius=facts.command,
    )


def _dbt(facts: Facts, lakehouse: Lakehouse) -> str:
    own = facts.application
    return _DBT.format(
        workspace=lakehouse.workspace,
        lakehouse=lakehouse.id,
        name=lakehouse.name,
        tenant=facts.tenant_id,
        client=own.client_id if own else "YOUR_CLIENT_ID",
    )


def _confidential(facts: Facts) -> tuple[str, str]:
    own = facts.application
    credential = _CERTIFICATE.format(
        key=own.private_key_file if own else "PATH_TO_YOUR_PRIVATE_KEY.pem",
        thumbprint=own.thumbprint if own else "YOUR_CERTIFICATE_THUMBPRINT",
    )
    return "ConfidentialClientApplication", credential


def _by_secret() -> tuple[str, str]:
    return "ConfidentialClientApplication", _ASKED


def _interactive() -> tuple[str, str]:
    return "PublicClientApplication", ""


def _program(facts: Facts, lakehouse: Lakehouse, imports: str, kind: tuple[str, str]) -> str:
    application, credential = kind
    if credential:
        ask = _ASK
    else:
        wanted = [f"{FABRIC}/{one.scope}" for one in (*NEEDED, *CODE_NEEDED)]
        listed = "".join(f'    "{one}",\n' for one in wanted)
        ask = f"application.acquire_token_interactive([\n{listed}])"
    lines = [
        "import os",
        "import time",
        *([imports] if imports else []),
        "",
        "import requests",
        f"from msal import {application}",
        "",
        f"sessions_url = {sessions_url(facts, lakehouse)!r}",
        *_application(facts, kind),
        f"answer = {ask}",
        'if "access_token" not in answer:',
        '    raise SystemExit(answer.get("error_description"))',
        "",
        *_RUN.splitlines(),
    ]
    return "\n".join(lines) + "\n"


def _sparkmagic(facts: Facts, lakehouse: Lakehouse) -> str:
    kind = _confidential(facts)
    url = sessions_url(facts, lakehouse).removesuffix("/sessions")
    lines = [
        "import os",
        "from pathlib import Path",
        "",
        f"from msal import {kind[0]}",
        "from sparkmagic.auth.customauth import Authenticator",
        "from sparkmagic.utils import configuration",
        "",
        *_application(facts, kind),
        *_SPARKMAGIC.format(ask=_ASK, url=url).splitlines(),
    ]
    return "\n".join(lines) + "\n"


def _application(facts: Facts, kind: tuple[str, str]) -> Sequence[str]:
    """Return the lines that make MSAL's application."""
    application, credential = kind
    own = facts.application
    return [
        f"client_id = {own.client_id if own else 'YOUR_CLIENT_ID'!r}",
        "# The certificate authority of this server, for MSAL and requests alike.",
        f'os.environ["REQUESTS_CA_BUNDLE"] = {facts.ca_file!r}',
        'os.environ.pop("CURL_CA_BUNDLE", None)',
        "",
        f"application = {application}(",
        "    client_id,",
        f"    authority={facts.authority!r},",
        "    instance_discovery=False,",
        *[line.removeprefix("    ") for line in credential.splitlines()],
        ")",
    ]
