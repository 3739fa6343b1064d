"""A Spark session on Fabric or Livius, from sign-in to clean-up. Needs `pip install msal requests`.

Variables: FABRIC_TENANT_ID, FABRIC_CLIENT_ID, FABRIC_CLIENT_SECRET, FABRIC_WORKSPACE_ID,
FABRIC_LAKEHOUSE_ID; for Livius also FABRIC_API, FABRIC_AUTHORITY and REQUESTS_CA_BUNDLE, which
`. examples/livius.sh` sets.
"""

import os
import time

import requests
from msal import ConfidentialClientApplication

API = os.environ.get("FABRIC_API", "https://api.fabric.microsoft.com/v1")
AUTHORITY = "https://login.microsoftonline.com/" + os.environ["FABRIC_TENANT_ID"]
if "FABRIC_AUTHORITY" in os.environ:
    # The last part keeps MSAL from asking the public cloud whether it knows this authority.
    AUTHORITY = os.environ["FABRIC_AUTHORITY"] + "/b2c_livius"
SESSIONS = (
    f"{API}/workspaces/{os.environ['FABRIC_WORKSPACE_ID']}"
    f"/lakehouses/{os.environ['FABRIC_LAKEHOUSE_ID']}/livyapi/versions/2023-12-01/sessions"
)

application = ConfidentialClientApplication(
    os.environ["FABRIC_CLIENT_ID"],
    authority=AUTHORITY,
    client_credential=os.environ["FABRIC_CLIENT_SECRET"],
)
http = requests.Session()


def call(method, url, body=None):
    """Call the API; the token comes from MSAL's cache until it is about to expire."""
    token = application.acquire_token_for_client(["https://api.fabric.microsoft.com/.default"])
    if "access_token" not in token:
        raise SystemExit(token["error_description"])
    http.headers["Authorization"] = "Bearer " + token["access_token"]
    answer = http.request(method, url, json=body, timeout=120)
    if not answer.ok:
        raise SystemExit(f"{method} {url}: {answer.status_code} {answer.text}")
    return answer


def run(session, code, kind):
    """Run a statement and return its output's data."""
    url = f"{session}/statements"
    statement = call("POST", url, {"code": code, "kind": kind}).json()
    while statement["state"] not in ("available", "cancelled", "error"):
        time.sleep(1)
        statement = call("GET", f"{url}/{statement['id']}").json()
    output = statement["output"]
    if output["status"] != "ok":
        raise SystemExit(f"{output['ename']}: {output['evalue']}")
    return output["data"]


session = f"{SESSIONS}/{call('POST', SESSIONS, {'name': 'example'}).json()['id']}"
try:
    while (state := call("GET", session).json().get("state")) != "idle":
        if state in ("dead", "error", "killed"):
            raise SystemExit(f"The session is {state}.")
        print("The session starts.")
        time.sleep(2)
    print(run(session, "print(sum(range(10)))", "pyspark")["text/plain"])
    rows = run(session, "SELECT id, id * id AS square FROM range(3)", "sql")["application/json"]
    print([field["name"] for field in rows["schema"]["fields"]], rows["data"])
    print(run(session, 'println(spark.range(5).count())', "spark")["text/plain"])
finally:
    call("DELETE", session)
print("The session is deleted.")
