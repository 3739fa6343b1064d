"""A first query: sign in with a certificate through MSAL, run one statement, clean up.

Written by `livius up`. The same code runs against Fabric with Fabric's own addresses and ids.
"""

import json
import os
from pathlib import Path

import requests
from msal import ConfidentialClientApplication

here = json.loads((Path(__file__).parent / "connection.json").read_text())
# Programs trust the gateway's certificate through these; a bundle of the system's own would win.
os.environ["REQUESTS_CA_BUNDLE"] = here["ca_file"]
os.environ.pop("CURL_CA_BUNDLE", None)

application = ConfidentialClientApplication(
    client_id=here["client_id"],
    # The last part keeps MSAL from asking the public cloud whether it knows this authority.
    authority=here["authority"] + "/b2c_livius",
    client_credential={
        "private_key": Path(here["private_key_file"]).read_text(),
        "thumbprint": here["thumbprint"],
    },
)
answer = application.acquire_token_for_client(["https://api.fabric.microsoft.com/.default"])
if "access_token" not in answer:
    raise SystemExit(f"No token: {answer.get('error_description')}")

http = requests.Session()
http.headers["Authorization"] = f"Bearer {answer['access_token']}"
sessions = (
    f"{here['api']}/v1/workspaces/{here['workspace_id']}/lakehouses/{here['lakehouse_id']}"
    "/livyapi/versions/2023-12-01/sessions"
)


def call(method: str, url: str, **arguments: object) -> dict:
    response = http.request(method, url, timeout=60, **arguments)
    if not response.ok:
        raise SystemExit(f"{method} {url}: {response.status_code} {response.text}")
    return response.json()


session = call("POST", sessions, json={"name": "first query"})
url = f"{sessions}/{session['id']}"
try:
    while session["state"] != "idle":
        print("session is", session["state"])
        if session["state"] == "dead":
            raise SystemExit(session["errorInfo"])
        session = call("GET", url)
    query = "SELECT payment_type, count(*) AS trips, round(avg(total_amount), 2) AS average " \
        "FROM green_tripdata_2022 GROUP BY payment_type ORDER BY payment_type"
    statement = call(
        "POST", f"{url}/statements", json={"code": f'spark.sql("{query}").show()', "kind": "spark"}
    )
    while statement["state"] != "available":
        statement = call("GET", f"{url}/statements/{statement['id']}")
    output = statement["output"]
    print(output["data"]["text/plain"] if "data" in output else output["evalue"])
finally:
    call("DELETE", url)
