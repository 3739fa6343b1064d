"""Each credential of azure-identity, as programs for Fabric use it: a token, then the sessions.

Prints what came of each, as JSON. What differs from place to place comes as variables.
"""

import json
import os
import subprocess
import sys

import requests
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    DeviceCodeCredential,
    InteractiveBrowserCredential,
    ManagedIdentityCredential,
)

SCOPE = "https://api.fabric.microsoft.com/.default"
TENANT, CLIENT = os.environ["TENANT"], os.environ["CLIENT"]
SESSIONS = (
    f"https://api.fabric.microsoft.com/v1/workspaces/{os.environ['WORKSPACE']}/lakehouses/"
    f"{os.environ['LAKEHOUSE']}/livyapi/versions/2023-12-01/sessions"
)


def at_another_device(uri, code, _):
    """A person's steps with a code: open the page and enter it."""
    subprocess.run([os.environ["BROWSER"], f"{uri}?user_code={code}"], check=True)


def with_certificate():
    with open(os.environ["CERTIFICATE"], "rb") as public, open(os.environ["KEY"], "rb") as private:
        both = private.read() + public.read()
    return CertificateCredential(TENANT, CLIENT, certificate_data=both)


MAKE = {
    "secret": lambda: ClientSecretCredential(TENANT, CLIENT, os.environ["SECRET"]),
    "certificate": with_certificate,
    "cli": AzureCliCredential,
    "managed": ManagedIdentityCredential,
    "default": DefaultAzureCredential,
    "browser": lambda: InteractiveBrowserCredential(tenant_id=TENANT, client_id=CLIENT),
    "browser of the tools": lambda: InteractiveBrowserCredential(tenant_id=TENANT),
    "device": lambda: DeviceCodeCredential(
        tenant_id=TENANT, client_id=CLIENT, prompt_callback=at_another_device
    ),
}

found = {}
for name in sys.argv[1:]:
    try:
        token = MAKE[name]().get_token(SCOPE).token
        answer = requests.get(SESSIONS, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        found[name] = answer.status_code
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
