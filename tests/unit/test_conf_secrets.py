"""Which conf values are secrets, and that no record has one."""

import asyncio

import pytest

from fakes.world import World
from livius.domain.conf_secrets import REDACTED, SecretsLost, hide, reveal, secrets_of
from livius.domain.errors import Exhausted
from livius.domain.session import EndCause, Phase
from livius.ports.capacity import Occupancy
from livius.ports.store import AuditQuery
from livius.usecases.drivers import report
from livius.usecases.sessions import CreateSession, create_session
from livius_agent.wire import Ready

SECRET = "s3cr3t-w0rd"
WITH_SECRETS = {
    "spark.hadoop.fs.azure.account.key.mine.dfs.core.windows.net": SECRET,
    "spark.hadoop.fs.s3a.secret.key": SECRET,
    "spark.hadoop.fs.s3a.access.key": SECRET,
    "spark.mine.PASSWORD": SECRET,
    "spark.mine.apiToken": SECRET,
    "spark.mine.options": f"-Dpassword={SECRET} -Dx=1",
    "spark.mine.url": f"https://ada:{SECRET}@data.example.org/x",
    "spark.mine.files": f"https://x.blob.core.windows.net/y?sv=1&sig={SECRET}",
}
PLAIN = {
    "spark.sql.shuffle.partitions": "7",
    "spark.sql.streaming.checkpointLocation": "abfss://sales@onelake.dfs.fabric.microsoft.com/a/Files/b",
    "spark.mine.account": "mine",
}


def test_what_is_a_secret_is_redacted_and_the_rest_stays() -> None:
    assert hide({**WITH_SECRETS, **PLAIN}) == {**dict.fromkeys(WITH_SECRETS, REDACTED), **PLAIN}


def test_what_was_hidden_comes_back_with_its_secrets_and_not_without() -> None:
    conf = {**WITH_SECRETS, **PLAIN, "spark.copied": REDACTED}
    assert reveal(hide(conf), secrets_of(conf)) == conf
    with pytest.raises(SecretsLost):
        reveal(hide(conf), {})


def wanted() -> CreateSession:
    conf = {**WITH_SECRETS, **PLAIN, "mine.password": SECRET}
    return CreateSession(conf=conf, request={"name": "x", "conf": conf})


async def test_only_the_launch_gets_a_secret(world: World) -> None:
    view = await create_session(world.context, world.admin, *world.place, wanted())
    await world.settle(view.session.id)
    [spec] = world.launcher.alive.values()
    launched = spec.binding
    assert launched is not None
    assert {key: launched.conf[key] for key in WITH_SECRETS} == WITH_SECRETS
    await report(
        world.context, view.session, Ready(spark_app_id="a", versions={}, conf=launched.conf)
    )
    session = await world.store.session(view.session.id)
    assert session is not None
    assert session.conf == {**dict.fromkeys(WITH_SECRETS, REDACTED), **PLAIN}
    assert session.request["conf"]["mine.password"] == REDACTED
    known = await world.store.effective_conf(session.id)
    assert known["spark.sql.shuffle.partitions"] == "7"
    written = await world.store.audit(AuditQuery(limit=100))
    assert written
    assert SECRET not in f"{session} {known} {written}"
    assert world.conf_secrets == {}, "nothing keeps them any longer"


async def test_a_session_whose_secrets_are_gone_fails_and_says_why(world: World) -> None:
    view = await create_session(world.context, world.admin, *world.place, wanted())
    world.conf_secrets.clear()  # as in another process
    await world.settle(view.session.id)
    session = await world.store.session(view.session.id)
    assert session is not None
    assert (session.phase, session.end_cause) == (Phase.FAILED, EndCause.START_FAILED)
    assert "Create the session again" in (session.end_reason or "")
    assert world.launcher.launches == 0


@pytest.mark.parametrize("error", [OSError, asyncio.CancelledError])
async def test_a_session_that_could_not_be_recorded_leaves_no_secret_behind(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(world.store, "add_session", fail)
    with pytest.raises(error):
        await create_session(world.context, world.admin, *world.place, wanted())
    assert world.conf_secrets == {}


async def test_a_session_that_was_refused_leaves_no_secret_behind(world: World) -> None:
    class Full:
        def admit(self, found: Occupancy) -> None:
            raise Exhausted("TooManyRequestsForCapacity", f"{found}")

        def has_room(self, *, more: int, starting: int) -> bool:
            return more + starting < 0

        def check_disk(self) -> None: ...

    world.room.real = Full()
    with pytest.raises(Exhausted):
        await create_session(world.context, world.admin, *world.place, wanted())
    assert world.conf_secrets == {}
