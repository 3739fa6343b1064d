"""The metrics and their reference."""

from datetime import timedelta
from pathlib import Path

from livius.adapters.metrics import Metrics
from livius.cli.reference import metrics_page
from livius.domain.pool import Condition, PoolState
from livius.domain.statement import Kind

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    page = ROOT / "docs" / "reference" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_page()


def test_what_was_noted_is_shown() -> None:
    metrics = Metrics()
    metrics.request_handled("GET", "/v1/{workspace}", 200, 0.002)
    metrics.statement_ended(
        Kind.SQL, "error", waited=timedelta(seconds=2), ran=timedelta(seconds=-1)
    )
    metrics.session_ready(timedelta(seconds=3), pooled=False)
    metrics.session_ended("stopped")
    metrics.transaction(0.0, 0.001)
    metrics.connection_dropped("late")
    metrics.service_failed("metastore")
    pool = PoolState(size=2, warm=1, starting=0, condition=Condition.WAITING)
    for sessions in ({"ready": 2}, {"starting": 1}):
        metrics.set_present(
            sessions=sessions,
            statements=3,
            held=4,
            links=5,
            connections=6,
            pool=pool,
            environment_drivers=PoolState.off(),
            streams={"page": 7},
            queued=7,
        )
    text = metrics.text().decode()
    for line in (
        'livius_request_seconds_count{method="GET",route="/v1/{workspace}",status="200"} 1.0',
        'livius_statement_wait_seconds_sum{kind="sql"} 2.0',
        'livius_statement_run_seconds_sum{kind="sql",outcome="error"} 0.0',
        'livius_session_start_seconds_sum{driver="cold"} 3.0',
        'livius_pool_drivers{pool="starter",state="warm"} 1.0',
        'livius_pool_drivers{pool="environments",state="wanted"} 0.0',
        "livius_sessions_queued 7.0",
        'livius_sessions_ended_total{state="stopped"} 1.0',
        'livius_sessions{phase="starting"} 1.0',
        "livius_statements_open 3.0",
        "livius_long_polls 4.0",
        "livius_links 5.0",
        "livius_connections 6.0",
        'livius_event_streams{kind="page"} 7.0',
        'livius_connections_dropped_total{reason="late"} 1.0',
        'livius_service_failures_total{service="metastore"} 1.0',
        "livius_store_transaction_seconds_count 1.0",
    ):
        assert line in text
    assert 'phase="ready"' not in text
    assert "livius_process_resident_memory_bytes" in text
