"""MSAL as programs for Fabric use it: each way to sign in, then the sessions. Prints JSON."""

import json
import os
import sys

import msal
import requests

TENANT, CLIENT = os.environ["TENANT"], os.environ["CLIENT"]
AUTHORITY = os.environ.get("AUTHORITY", f"https://login.microsoftonline.com/{TENANT}")
API = os.environ.get("API", "https://api.fabric.microsoft.com")
SESSIONS = (
    f"{API}/v1/workspaces/{os.environ['WORKSPACE']}/lakehouses/{os.environ['LAKEHOUSE']}"
    "/livyapi/versions/2023-12-01/sessions"
)
DELEGATED = [
    f"https://api.fabric.microsoft.com/{name}.All"
    for name in ("Lakehouse.Execute", "Lakehouse.Read", "Code.AccessFabric", "Code.AccessStorage")
]


def by_certificate():
    credential = {"thumbprint": os.environ["THUMBPRINT"]}
    with open(os.environ["KEY"], encoding="utf-8") as file:
        credential["private_key"] = file.read()
    authority = AUTHORITY.replace("login.microsoftonline.com", "login.windows.net")
    app = msal.ConfidentialClientApplication(
        CLIENT, authority=authority, client_credential=credential
    )
    return app.acquire_token_for_client(["https://analysis.windows.net/powerbi/api/.default"])


def by_secret():
    app = msal.ConfidentialClientApplication(
        CLIENT, authority=AUTHORITY, client_credential=os.environ["SECRET"]
    )
    return app.acquire_token_for_client(["https://api.fabric.microsoft.com/.default"])


def by_browser():
    app = msal.PublicClientApplication(CLIENT, authority=AUTHORITY)
    first = app.acquire_token_interactive(scopes=DELEGATED)
    if "error" in first:
        return first
    (account,) = app.get_accounts()
    # The second comes by the refresh token, with nobody asked.
    return app.acquire_token_silent(DELEGATED, account=account, force_refresh=True)


MAKE = {"certificate": by_certificate, "secret": by_secret, "browser": by_browser}

found = {"msal": msal.__version__}
for name in sys.argv[1:]:
    reply = MAKE[name]()
    if "access_token" in reply:
        headers = {"Authorization": f"Bearer {reply['access_token']}"}
        found[name] = requests.get(SESSIONS, headers=headers, timeout=30).status_code
    else:
        found[name] = reply["error_description"]
print(json.dumps(found))
