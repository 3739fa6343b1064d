"""An error in one of the gateway's services is logged and counted, and the service goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fakes.clock import FakeClock
from livius.adapters.identity import provider_keys
from livius.adapters.identity.delegations import Delegations
from livius.adapters.identity.provider_keys import ProviderKeys
from livius.adapters.listener import Connections
from livius.adapters.local.archives import ClassArchive
from livius.adapters.local.metastore import LocalMetastore
from livius.adapters.metrics import Metrics
from livius.domain.ids import SessionId
from livius.domain.oidc_provider import Provider
from livius.reconcile.housekeeping import Housekeeping
from livius.reconcile.services import ServiceRunner
from livius.reconcile.workqueue import WorkQueue

Run = Callable[[], Coroutine[Any, Any, None]]
EMFILE = OSError(24, "Too many open files")


class Once:
    """Something that fails the first time that it is asked."""

    def __init__(self, result: Any = None, error: Exception = EMFILE) -> None:
        self.calls = 0
        self.again = asyncio.Event()
        self._error = error
        self._result = result

    def __call__(self, *_: object, **__: object) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise self._error
        self.again.set()
        return self._result

    async def later(self, *_: object, **__: object) -> Any:
        return self()


async def goes_on(run: Run, fault: Once) -> None:
    """Run a service whose part fails once, until that part was asked again."""
    failures: list[str] = []
    supervisor = ServiceRunner(failures.append, pause=0.01, steady=1.0)
    running = asyncio.ensure_future(supervisor.keep(("it", run)))
    try:
        async with asyncio.timeout(10):
            await fault.again.wait()
            assert failures == ["it"]
            assert supervisor.failing == ["it"]
            while supervisor.failing:
                await asyncio.sleep(0.01)
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_the_queue_takes_up_its_keys_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped: list[str] = []

    async def step(key: SessionId) -> float | None:
        stepped.append(key)
        return None

    queue = WorkQueue[SessionId](step)
    fault = Once()
    attend = queue._attend

    async def failing(key: SessionId) -> None:
        fault()
        await attend(key)

    monkeypatch.setattr(queue, "_attend", failing)
    queue.wake(SessionId("one"))
    await goes_on(queue.run, fault)
    assert stepped == ["one"]


@pytest.mark.parametrize(
    ("service", "part", "method"),
    [
        ("idle sessions", "store", "stop_idle"),
        ("unwanted drivers", "store", "drivers_to_end"),
        ("lakehouse names", "store", "lakehouse_access_version"),
        ("orphaned drivers", "launcher", "known"),
        ("environments", "store", "forget_versions"),
        ("audit counts", "settle", ""),
        ("retention", "store", "forget_audit"),
    ],
)
async def test_each_loop_of_housekeeping(
    service: str, part: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Once(())
    parts: dict[str, Any] = {name: SimpleNamespace() for name in ("store", "launcher")}
    if method:
        setattr(parts[part], method, fault if method == "known" else fault.later)
    parts["launcher"].publish_lakehouse_index = Once((), AssertionError()).later
    for name in ("lakehouse_access", "forget_portal_sessions", "ended_before"):
        if name != method:
            setattr(parts["store"], name, Once((), AssertionError()).later)
    housekeeping = Housekeeping(
        store=parts["store"],
        outputs=cast("Any", None),
        environments=cast("Any", None),
        launcher=parts["launcher"],
        clock=FakeClock(),
        wake=lambda _key: None,
        settle=fault.later,
        retention=timedelta(days=1),
    )
    services = dict(housekeeping.services())
    assert service in services
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    failures: list[str] = []
    running = asyncio.ensure_future(
        ServiceRunner(failures.append, pause=0.01).keep((service, services[service]))
    )
    try:
        async with asyncio.timeout(10):
            await fault.again.wait()
        assert failures[0] == service
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_the_metastores_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metastore = LocalMetastore.__new__(LocalMetastore)
    fault = Once(object())
    monkeypatch.setattr(metastore, "_wanted", True, raising=False)
    monkeypatch.setattr(metastore, "_process", SimpleNamespace(supervisor=fault), raising=False)
    monkeypatch.setattr(metastore, "_end_another_kind", Once(None, EMFILE).later, raising=False)
    with pytest.raises(OSError, match="Too many"):
        await metastore.run()
    await goes_on(metastore.run, fault)


async def test_the_watch_over_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, fault = Metrics(), Once()
    monkeypatch.setattr(metrics, "lag", SimpleNamespace(observe=fault))
    await goes_on(metrics.watch_loop, fault)


async def test_the_deadlines_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    connections, fault = Connections(most=9, most_of_peer=9, patience=1, keep_alive=1), Once()
    monkeypatch.setattr(connections, "sweep", fault)
    await goes_on(connections.run, fault)


async def test_delegations(monkeypatch: pytest.MonkeyPatch) -> None:
    delegations, fault = Delegations.__new__(Delegations), Once()
    monkeypatch.setattr(delegations, "look", fault.later, raising=False)
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(min(seconds, 0.02)))
    await goes_on(delegations.run, fault)


async def test_the_renewal_of_a_providers_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider(issuer="https://id.example", audiences=frozenset({"livius"}))
    keys, fault = ProviderKeys(provider, FakeClock(), apart=timedelta(0)), Once(({}, None))
    monkeypatch.setattr(provider_keys, "fetch_provider", fault.later)
    await goes_on(keys.run, fault)


async def test_the_class_archive_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying again would cost minutes of Java each time, and drivers start without it."""
    archive, fault = ClassArchive.__new__(ClassArchive), Once(False, ValueError("odd"))
    archive._runtime = cast("Any", SimpleNamespace(name="2.0"))
    monkeypatch.setattr(archive, "make", fault.later, raising=False)
    failures: list[str] = []
    await ServiceRunner(failures.append).keep(("class archive", archive.run))
    assert fault.calls == 1
    assert failures == []


async def test_pauses_grow_while_a_service_keeps_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    async def fails() -> None:
        if len(pauses) < 8:
            raise ValueError("again")

    monkeypatch.setattr(asyncio, "sleep", note)
    await ServiceRunner().keep(("it", fails))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
