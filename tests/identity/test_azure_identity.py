"""The real azure-identity, as an application: secret, certificate, on behalf of a user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    OnBehalfOfCredential,
)

from identity.conftest import TENANT, World
from identity.sockets import Served
from livius.domain.tokens import FABRIC, Scope
from livius.usecases.identity import directory

DEFAULT = f"{FABRIC}/.default"


def secret(served: Served) -> Any:
    sample = served.world.sample
    return ClientSecretCredential(TENANT, sample.client_id, sample.client_secret, **where(served))


def certificate(served: Served, **more: Any) -> Any:
    sample = served.world.sample
    pem = sample.private_key_file.read_bytes() + sample.certificate_file.read_bytes()
    return CertificateCredential(
        TENANT, sample.client_id, certificate_data=pem, **where(served), **more
    )


def adfs(served: Served) -> Any:
    """The one form of tenant that needs no other argument."""
    sample = served.world.sample
    return ClientSecretCredential(
        "adfs", sample.client_id, sample.client_secret, authority=served.origin
    )


def where(served: Served) -> dict[str, Any]:
    return {"authority": served.origin, "disable_instance_discovery": True}


CREDENTIALS: dict[str, Callable[[Served], Any]] = {
    "secret": secret,
    "certificate": certificate,
    "certificate with its chain": lambda served: certificate(served, send_certificate_chain=True),
    "adfs": adfs,
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_an_application_signs_in(served: Served, kind: str) -> None:
    with CREDENTIALS[kind](served) as credential:
        token = credential.get_token(DEFAULT).token
        assert served.world.verifier.verify(token).oid == served.world.sample.object_id
        storage = credential.get_token("https://storage.azure.com/.default").token
        with pytest.raises(Exception, match="another resource"):
            served.world.verifier.verify(storage)


def test_an_application_goes_on_behalf_of_a_user(served: Served) -> None:
    client_id, value = asyncio.run(_middle_tier(served.world))
    assertion = served.world.keys.sign(
        served.world.claims(
            iss=f"{served.origin}/{TENANT}/v2.0",
            aud=client_id,
            oid=served.world.user.oid,
            scp="access_as_user",
            idtyp="user",
        )
    )
    with OnBehalfOfCredential(
        TENANT, client_id, client_secret=value, user_assertion=assertion, **where(served)
    ) as credential:
        principal = served.world.verifier.verify(credential.get_token(DEFAULT).token)
    assert principal.oid == served.world.user.oid
    assert principal.scopes == {Scope.LAKEHOUSE_READ}


async def _middle_tier(world: World) -> tuple[str, str]:
    made = await directory.create_application(
        world.store,
        world.clock,
        "middle",
        public=False,
        redirect_uris=(),
        scopes=(Scope.LAKEHOUSE_READ,),
    )
    _, value = await directory.add_secret(world.store, world.clock, made)
    user = await directory.find_user(world.store, world.user.username)
    await directory.consent_for(world.store, world.clock, user, made)
    return made.client_id, value
