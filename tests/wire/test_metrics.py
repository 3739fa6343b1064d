"""``/metrics``, as a scraper on this machine sees it, and what is written of requests."""

import httpx
import pytest
from structlog.testing import capture_logs

from livius.api import metrics as metrics_api
from livius.api.app import create_app
from wire.conftest import Wire


@pytest.fixture
def metered(wire: Wire) -> httpx.ASGITransport:
    """The same application with metrics."""
    metrics = wire.world.metrics

    async def render() -> bytes:
        return metrics.text()

    app = create_app(
        wire.tokens, [metrics_api.router(render)], version="0", observe=metrics.request_handled
    )
    return httpx.ASGITransport(app=app)


async def test_metrics_are_served_on_the_http_listener_alone(
    metered: httpx.ASGITransport,
) -> None:
    async with httpx.AsyncClient(transport=metered, base_url="http://localhost") as client:
        await client.get("/v1/nowhere/secret-name")
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'livius_request_seconds_count{method="GET",route="none",status="404"}' in answer.text
        assert "secret-name" not in answer.text
    async with httpx.AsyncClient(transport=metered, base_url="https://localhost") as client:
        assert (await client.get("/metrics")).status_code == 404


async def test_a_request_that_changes_something_has_a_line_with_who_what_result_and_duration(
    wire: Wire,
) -> None:
    with capture_logs() as lines:
        answer = await wire.client.post(
            f"{wire.base}/sessions?x=secret", json={"conf": {"spark.x.password": "secret"}}
        )
        assert answer.status_code == 202
        session = answer.json()["id"]
        await wire.client.get(f"{wire.base}/sessions/{session}")
        await wire.client.get(f"{wire.base}/sessions", headers={"Authorization": "Bearer secret"})
    made, asked, refused = (line for line in lines if line["event"] == "request_handled")
    assert made["log_level"] == refused["log_level"] == "info"
    assert asked["log_level"] == "debug"
    assert (made["method"], made["status"]) == ("POST", 202)
    assert made["route"].endswith("/livyapi/versions/{version}/sessions")
    assert made["caller"] == wire.world.admin.oid
    assert made["caller_kind"] == "user"
    assert made["milliseconds"] >= 0
    assert (refused["status"], refused["caller"]) == (401, None)
    assert "secret" not in str(lines)
