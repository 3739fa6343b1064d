"""A pytest plugin: tests that want the fixture ``livius`` get a Fabric-compatible endpoint.

pytest loads it wherever Livius is installed. It starts nothing, and imports nothing of Livius,
until a test asks for one of its fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from livius.testing.endpoint import Endpoint, Gateway


@pytest.fixture(scope="session")
def livius_gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Return the gateway of this test run: started for the first test, shared by xdist's workers.

    It ends with the last worker, also with one that is killed, and its data folder with it.
    """
    from livius.testing.shared import GatewayFailed, joined

    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # a worker of xdist: its parent's folder is shared
        folder = folder.parent
    message = ""
    try:
        with joined(folder) as gateway:
            yield gateway
    except GatewayFailed as error:
        message = f"Livius's gateway for this test run: {error}"
    if message:  # here, for pytest shows no error that another was raised from
        pytest.fail(message, pytrace=False)


@pytest.fixture
def livius(request: pytest.FixtureRequest, livius_gateway: Gateway) -> Iterator[Endpoint]:
    """Return an endpoint with a lakehouse of the test's own.

    Sessions that the test leaves in it are ended afterwards.
    """
    endpoint = livius_gateway.create_lakehouse(request.node.name)
    yield endpoint
    endpoint.end_sessions()
