"""Workspaces' Spark settings and custom pools, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from livius.adapters.store.audit import write
from livius.adapters.store.engine import Transactions
from livius.adapters.store.names import is_name_taken, name_key
from livius.adapters.store.schema import SPARK_POOLS, SPARK_SETTINGS, WORKSPACES
from livius.domain.audit import AuditEntry
from livius.domain.ids import SparkPoolId, WorkspaceId
from livius.domain.spark_pool import MOST_POOLS, NodeSize, SparkPool
from livius.domain.spark_settings import SparkConfiguration, SparkSettings
from livius.ports.catalog import Outcome


class SqlSparkConfigurations:
    """Implements `livius.ports.spark_settings.SparkConfigurations`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def spark_configuration(self, workspace: WorkspaceId) -> SparkConfiguration:
        """See the port."""
        return await self._transactions.run(lambda connection: _found(connection, workspace))

    async def change_spark_settings(
        self,
        workspace: WorkspaceId,
        change: Callable[[SparkConfiguration], SparkSettings],
        *,
        audit: AuditEntry | None = None,
    ) -> SparkConfiguration | Outcome:
        """See the port."""
        key = SPARK_SETTINGS.c.workspace == workspace

        def work(connection: Connection) -> SparkConfiguration | Outcome:
            if not _has_workspace(connection, workspace):
                return Outcome.MISSING
            present = _found(connection, workspace)
            changed = change(present)
            rest = dataclasses.asdict(changed)
            values = {"default_pool": rest.pop("default_pool"), "settings": rest}
            if connection.execute(update(SPARK_SETTINGS).where(key).values(values)).rowcount == 0:
                connection.execute(insert(SPARK_SETTINGS).values(workspace=workspace, **values))
            write(connection, audit, self._keep_audit)
            return dataclasses.replace(present, settings=changed)

        return await self._transactions.run(work)

    async def add_spark_pool(
        self, pool: SparkPool, *, most: int = MOST_POOLS, audit: AuditEntry | None = None
    ) -> Outcome:
        """See the port."""
        # Pools of one workspace are counted and inserted one after the other.
        place = select(WORKSPACES.c.id).where(WORKSPACES.c.id == pool.workspace).with_for_update()
        number = (
            select(func.count())
            .select_from(SPARK_POOLS)
            .where(SPARK_POOLS.c.workspace == pool.workspace)
        )

        def work(connection: Connection) -> Outcome:
            if connection.execute(place).first() is None:
                return Outcome.MISSING
            if _is_taken(connection, pool):
                return Outcome.TAKEN
            if connection.execute(number).scalar_one() >= most:
                return Outcome.FULL
            connection.execute(insert(SPARK_POOLS).values(_named(pool)))
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work, sees_taken=True)

    async def change_spark_pool(
        self,
        pool: SparkPoolId,
        change: Callable[[SparkPool], SparkPool],
        *,
        audit: AuditEntry | None = None,
    ) -> SparkPool | Outcome:
        """See the port."""
        key = SPARK_POOLS.c.id == pool

        def work(connection: Connection) -> SparkPool | Outcome:
            row = connection.execute(select(SPARK_POOLS).where(key)).first()
            if row is None:
                return Outcome.MISSING
            changed = change(_pool_of(row))
            if _is_taken(connection, changed):
                return Outcome.TAKEN
            connection.execute(update(SPARK_POOLS).where(key).values(_named(changed)))
            write(connection, audit, self._keep_audit)
            return changed

        return await self._transactions.run(work, sees_taken=True)

    async def delete_spark_pool(
        self, pool: SparkPoolId, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """See the port."""
        key = SPARK_POOLS.c.id == pool
        is_default = select(SPARK_SETTINGS.c.workspace).where(SPARK_SETTINGS.c.default_pool == pool)
        gone = delete(SPARK_POOLS).where(key, ~is_default.exists())

        def work(connection: Connection) -> Outcome:
            if connection.execute(gone).rowcount == 0:
                found = connection.execute(select(SPARK_POOLS.c.id).where(key)).first()
                return Outcome.MISSING if found is None else Outcome.IN_USE
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work)


def delete_spark_configuration(connection: Connection, workspace: WorkspaceId) -> None:
    """Delete a workspace's settings and pools, inside of a transaction."""
    for table in (SPARK_SETTINGS, SPARK_POOLS):
        connection.execute(delete(table).where(table.c.workspace == workspace))


def _found(connection: Connection, workspace: WorkspaceId) -> SparkConfiguration:
    key = SPARK_SETTINGS.c.workspace == workspace
    row = connection.execute(select(SPARK_SETTINGS).where(key)).first()
    pools = (
        select(SPARK_POOLS)
        .where(SPARK_POOLS.c.workspace == workspace)
        .order_by(SPARK_POOLS.c.created_at, SPARK_POOLS.c.id)
    )
    return SparkConfiguration(
        settings=SparkSettings()
        if row is None
        else SparkSettings(**row.settings, default_pool=row.default_pool),
        pools=tuple(_pool_of(one) for one in connection.execute(pools)),
    )


def _has_workspace(connection: Connection, workspace: WorkspaceId) -> bool:
    query = select(WORKSPACES.c.id).where(WORKSPACES.c.id == workspace)
    return connection.execute(query).first() is not None


def _is_taken(connection: Connection, pool: SparkPool) -> bool:
    return is_name_taken(connection, SPARK_POOLS, pool.name, but=pool.id, workspace=pool.workspace)


def _named(pool: SparkPool) -> dict[str, Any]:
    return {**dataclasses.asdict(pool), "name_key": name_key(pool.name)}


def _pool_of(row: Row[Any]) -> SparkPool:
    values = row._asdict()
    del values["name_key"]
    return SparkPool(**values | {"node_size": NodeSize(row.node_size)})
