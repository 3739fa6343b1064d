"""A gateway that runs as root, with the sessions of two principals."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from livius.domain.lakehouse import Role
from support.gateway import Client, Gateway
from support.others import can_become_others, opened
from support.places import add_user
from support.team import FIRST, LAST, Team


@pytest.fixture(scope="package")
def gateway() -> Iterator[Gateway]:
    # Not below pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory(prefix="livius-apart-") as made:
        folder = Path(made)
        stash = folder / "stash"
        stash.mkdir()
        if not can_become_others(stash):
            pytest.skip("only root can become another user")
        folder.chmod(0o711)
        started = Gateway(folder / "home", prefix=opened(stash))
        started.settings = {
            "LIVIUS_LAUNCH": "per-user",
            "LIVIUS_LAUNCH_UIDS": f"{FIRST}-{LAST}",
            "LIVIUS_CANCEL_GRACE": "3s",
        }
        with started.serving():
            yield started


@pytest.fixture(scope="package")
def team(gateway: Gateway) -> Iterator[Team]:
    facts = gateway.connection
    person = add_user(gateway, "second")
    gateway.livius("workspace", "assign", person, Role.CONTRIBUTOR)
    token = gateway.livius("token", "create", "--for", person).splitlines()[0]
    first, second, third = gateway.client(), Client(gateway, token), Client(gateway, token)
    workspace = made(second, "workspaces", {"displayName": "private"})
    lakehouse = made(second, f"workspaces/{workspace}/lakehouses", {"displayName": "secrets"})
    onelake = gateway.home / "onelake"
    third.base = (
        f"{facts['api']}/v1/workspaces/{workspace}/lakehouses/{lakehouse}"
        f"/livyapi/versions/2023-12-01"
    )
    with ExitStack() as stack:
        yield Team(
            gateway=gateway,
            one=stack.enter_context(first.session()),
            other=stack.enter_context(second.session()),
            inside=stack.enter_context(third.session()),
            shared=onelake / facts["workspace_id"] / facts["lakehouse_id"],
            private=onelake / workspace / lakehouse,
            person=person,
        )


def made(client: Client, path: str, body: dict[str, str]) -> str:
    """The id of a thing that is created."""
    url = f"{client.gateway.connection['api']}/v1/{path}"
    answer = client.http.post(url, json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["id"]
    return identity
