"""The contract of stores: workspaces' Spark settings and custom pools."""

from dataclasses import replace
from typing import Any

import pytest

from livius.domain.audit import Action, AuditEntry
from livius.domain.errors import Invalid
from livius.domain.ids import PrincipalId, WorkspaceId, new_id
from livius.domain.lakehouse import Workspace
from livius.domain.spark_pool import SparkPool
from livius.domain.spark_settings import SparkConfiguration, SparkSettings
from livius.ports.catalog import Outcome
from livius.ports.store import AuditQuery, Store
from support.records import NOW, spark_pool

ADMIN = PrincipalId(new_id())


async def workspace(store: Store) -> Workspace:
    made = Workspace(id=WorkspaceId(new_id()), name=new_id(), created_at=NOW)
    assert await store.add_workspace(made, ADMIN)
    return made


def pool(of: Workspace, name: str = "Lab") -> SparkPool:
    return spark_pool(workspace=of.id, name=name)


def entry(of: Workspace) -> AuditEntry:
    return AuditEntry(
        at=NOW, action=Action.SPARK_SETTINGS_CHANGE, workspace=of.id, result="ok", target="x"
    )


async def count(store: Store, of: Workspace) -> int:
    return len(await store.audit(AuditQuery(workspace=of.id, limit=10)))


async def test_a_workspace_has_the_defaults_until_it_has_settings(store: Store) -> None:
    made = await workspace(store)
    assert await store.spark_configuration(made.id) == SparkConfiguration(settings=SparkSettings())


async def test_settings_are_changed_from_what_they_are(store: Store) -> None:
    made, lab = await workspace(store), None
    lab = pool(made)
    assert await store.add_spark_pool(lab)
    changed = await store.change_spark_settings(
        made.id, lambda present: replace(present.settings, session_timeout=5), audit=entry(made)
    )
    assert isinstance(changed, SparkConfiguration)
    assert changed.settings == SparkSettings(session_timeout=5)
    changed = await store.change_spark_settings(
        made.id,
        lambda present: replace(
            present.settings, default_pool=present.pools[0].id, automatic_log=False
        ),
    )
    expected = SparkSettings(session_timeout=5, default_pool=lab.id, automatic_log=False)
    assert await store.spark_configuration(made.id) == changed
    assert isinstance(changed, SparkConfiguration)
    assert (changed.settings, changed.default_pool) == (expected, lab)
    assert await count(store, made) == 1


async def test_a_change_that_is_refused_changes_nothing(store: Store) -> None:
    made = await workspace(store)

    def refuse(_present: object) -> Any:
        raise Invalid("InvalidInput", "no")

    with pytest.raises(Invalid):
        await store.change_spark_settings(made.id, refuse, audit=entry(made))
    assert (await store.spark_configuration(made.id)).settings == SparkSettings()
    assert await count(store, made) == 0
    gone = WorkspaceId(new_id())
    assert await store.change_spark_settings(gone, refuse) is Outcome.MISSING


async def test_pools_have_names_of_their_own_in_their_workspace(store: Store) -> None:
    made, other = await workspace(store), await workspace(store)
    lab, big = pool(made), pool(made, "Big")
    for one in (lab, big, pool(other)):
        assert await store.add_spark_pool(one)
    assert await store.add_spark_pool(pool(made, "LAB")) is Outcome.TAKEN
    assert await store.add_spark_pool(replace(lab, workspace=WorkspaceId(new_id()))) is (
        Outcome.MISSING
    )
    taken = await store.change_spark_pool(big.id, lambda one: replace(one, name="lab"))
    assert taken is Outcome.TAKEN
    changed = await store.change_spark_pool(lab.id, lambda one: replace(one, max_nodes=9))
    assert changed == replace(lab, max_nodes=9)
    found = (await store.spark_configuration(made.id)).pools
    assert sorted(found, key=lambda one: one.name) == [big, replace(lab, max_nodes=9)]


async def test_the_default_pool_is_not_deleted(store: Store) -> None:
    made = await workspace(store)
    lab = pool(made)
    assert await store.add_spark_pool(lab)
    await store.change_spark_settings(made.id, lambda _: SparkSettings(default_pool=lab.id))
    assert await store.delete_spark_pool(lab.id) is Outcome.IN_USE
    await store.change_spark_settings(made.id, lambda _: SparkSettings())
    assert await store.delete_spark_pool(lab.id)
    assert await store.delete_spark_pool(lab.id) is Outcome.MISSING
    missing = await store.change_spark_pool(lab.id, lambda one: one)
    assert missing is Outcome.MISSING


async def test_settings_and_pools_go_with_their_workspace(store: Store) -> None:
    made = await workspace(store)
    lab = pool(made)
    assert await store.add_spark_pool(lab)
    await store.change_spark_settings(made.id, lambda _: SparkSettings(default_pool=lab.id))
    deleted = await store.delete_workspace(
        made.id, at=NOW, by=ADMIN, reason="", audit_end=lambda _: entry(made)
    )
    assert deleted == []
    assert await store.spark_configuration(made.id) == SparkConfiguration(settings=SparkSettings())
