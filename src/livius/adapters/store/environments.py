"""Environments and their versions, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    RowMapping,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    insert,
    select,
    update,
)

from livius.adapters.store.audit import write, write_if
from livius.adapters.store.engine import Transactions
from livius.adapters.store.names import is_name_taken, name_key
from livius.adapters.store.operations import (
    insert_operation,
    operation_of,
    succeed_operation,
)
from livius.adapters.store.schema import (
    DRIVERS,
    ENVIRONMENT_VERSIONS,
    ENVIRONMENTS,
    OPERATIONS,
    SESSIONS,
    WORKSPACES,
)
from livius.domain.audit import AuditEntry
from livius.domain.driver import LIVE as LIVE_DRIVERS
from livius.domain.environment import (
    KEEPS_WARM,
    Compute,
    DynamicAllocation,
    Environment,
    EnvironmentVersion,
    Library,
    Publish,
)
from livius.domain.ids import EnvironmentId, EnvironmentVersionId, OperationId, WorkspaceId
from livius.domain.operation import LIVE as LIVE_OPERATIONS
from livius.domain.operation import Operation
from livius.domain.session import LIVE
from livius.ports.catalog import Outcome

_ENVIRONMENT = select(ENVIRONMENTS).where(ENVIRONMENTS.c.id == bindparam("of"))
_PUBLISH: Select[Any] = select(ENVIRONMENT_VERSIONS, *OPERATIONS.c).outerjoin(
    OPERATIONS, OPERATIONS.c.id == ENVIRONMENT_VERSIONS.c.operation
)


class SqlEnvironments:
    """Implements `livius.ports.environments.Environments`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def add_environment(
        self, environment: Environment, *, audit: AuditEntry | None = None
    ) -> Outcome:
        """See the port."""
        place = select(WORKSPACES.c.id).where(WORKSPACES.c.id == environment.workspace)

        def work(connection: Connection) -> Outcome:
            if connection.execute(place).first() is None:
                return Outcome.MISSING
            if _is_taken(connection, environment):
                return Outcome.TAKEN
            connection.execute(insert(ENVIRONMENTS).values(_row(environment)))
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work, sees_taken=True)

    async def environment(self, environment: EnvironmentId) -> Environment | None:
        """See the port."""
        row = await self._transactions.run(
            lambda connection: connection.execute(_ENVIRONMENT, {"of": environment}).first()
        )
        return _environment_of(row) if row else None

    async def list_environments(self, workspace: WorkspaceId) -> Sequence[Environment]:
        """See the port."""
        query = (
            select(ENVIRONMENTS)
            .where(ENVIRONMENTS.c.workspace == workspace)
            .order_by(ENVIRONMENTS.c.created_at, ENVIRONMENTS.c.id)
        )
        return await self._transactions.run(
            lambda connection: [_environment_of(row) for row in connection.execute(query)]
        )

    async def change_environment(
        self,
        environment: EnvironmentId,
        change: Callable[[Environment], Environment],
        *,
        audit: AuditEntry | None = None,
    ) -> Environment | Outcome:
        """See the port."""
        # An update that changes nothing keeps the row for this transaction, in every database.
        hold = (
            update(ENVIRONMENTS)
            .where(ENVIRONMENTS.c.id == environment)
            .values(id=ENVIRONMENTS.c.id)
            .returning(ENVIRONMENTS)
        )

        def work(connection: Connection) -> Environment | Outcome:
            row = connection.execute(hold).first()
            if row is None:
                return Outcome.MISSING
            changed = change(_environment_of(row))
            if _is_taken(connection, changed):
                return Outcome.TAKEN
            connection.execute(
                update(ENVIRONMENTS).where(ENVIRONMENTS.c.id == environment).values(_row(changed))
            )
            write(connection, audit, self._keep_audit)
            return changed

        return await self._transactions.run(work, sees_taken=True)

    async def delete_environment(
        self, environment: EnvironmentId, *, audit: AuditEntry | None = None
    ) -> bool:
        """See the port."""
        gone = delete(ENVIRONMENTS).where(ENVIRONMENTS.c.id == environment)
        return await self._transactions.run(
            lambda connection: write_if(
                connection.execute(gone).rowcount == 1, connection, audit, self._keep_audit
            )
        )

    async def add_publish(
        self,
        version: EnvironmentVersion,
        operation: Operation,
        *,
        audit: AuditEntry | None = None,
    ) -> Outcome:
        """See the port."""
        of = update(ENVIRONMENTS).where(ENVIRONMENTS.c.id == version.environment)

        def work(connection: Connection) -> Outcome:
            # The row is this transaction's from here on.
            if connection.execute(of.values(id=ENVIRONMENTS.c.id)).rowcount == 0:
                return Outcome.MISSING
            if not insert_operation(connection, operation, alone=True):
                return Outcome.IN_USE
            connection.execute(of.values(latest=version.id))
            connection.execute(insert(ENVIRONMENT_VERSIONS).values(_version_row(version)))
            write(connection, audit, self._keep_audit)
            return Outcome.DONE

        return await self._transactions.run(work)

    async def publish(self, version: EnvironmentVersionId) -> Publish | None:
        """See the port."""
        query = _PUBLISH.where(ENVIRONMENT_VERSIONS.c.id == version)
        return await self._transactions.run(lambda connection: _one(connection, query))

    async def publish_of(self, operation: OperationId) -> Publish | None:
        """See the port."""
        query = _PUBLISH.where(ENVIRONMENT_VERSIONS.c.operation == operation)
        return await self._transactions.run(lambda connection: _one(connection, query))

    async def latest_publishes(self, workspace: WorkspaceId) -> Sequence[Publish]:
        """See the port."""
        latest = select(ENVIRONMENTS.c.latest).where(ENVIRONMENTS.c.workspace == workspace)
        query = _PUBLISH.where(ENVIRONMENT_VERSIONS.c.id.in_(latest))
        return await self._transactions.run(
            lambda connection: [_publish_of(row) for row in connection.execute(query).mappings()]
        )

    async def warm_versions(self, *, most: int) -> Sequence[EnvironmentVersion]:
        """See the port."""
        versions = ENVIRONMENT_VERSIONS.c
        query = (
            select(ENVIRONMENT_VERSIONS)
            .join(ENVIRONMENTS, ENVIRONMENTS.c.published == versions.id)
            # Few have the word; whether it is a key with the right value is Python's to see.
            .where(cast(versions.compute, Text).contains(KEEPS_WARM, autoescape=True))
            .order_by(versions.published_at.desc(), versions.id)
        )

        def work(connection: Connection) -> Sequence[EnvironmentVersion]:
            found = (_version_of(row._asdict()) for row in connection.execute(query))
            return list(islice((one for one in found if one.compute.keeps_warm), most))

        return await self._transactions.run(work)

    async def set_publish_log(self, version: EnvironmentVersionId, log: str) -> None:
        """See the port."""
        await self._transactions.execute(
            update(ENVIRONMENT_VERSIONS).where(ENVIRONMENT_VERSIONS.c.id == version).values(log=log)
        )

    async def finish_publish(
        self, version: EnvironmentVersionId, *, packages: Sequence[Library], at: datetime
    ) -> bool:
        """See the port."""
        operation = select(ENVIRONMENT_VERSIONS.c.operation).where(
            ENVIRONMENT_VERSIONS.c.id == version
        )
        is_wanted = ENVIRONMENTS.c.latest == version
        becomes_published = update(ENVIRONMENTS).where(is_wanted).values(published=version)
        done = (
            update(ENVIRONMENT_VERSIONS)
            .where(ENVIRONMENT_VERSIONS.c.id == version)
            .values(packages=_libraries_row(packages), published_at=at)
        )

        def work(connection: Connection) -> bool:
            succeeded = succeed_operation(
                connection,
                connection.execute(operation).scalar_one(),
                at=at,
                result={"version": version},
                given=select(ENVIRONMENTS.c.id).where(is_wanted).exists(),
            )
            if not succeeded:
                return False
            connection.execute(becomes_published)
            connection.execute(done)
            return True

        return await self._transactions.run(work)

    async def forget_versions(self) -> None:
        """See the port."""
        versions = ENVIRONMENT_VERSIONS.c
        wanted = select(ENVIRONMENTS.c.id).where(
            (ENVIRONMENTS.c.published == versions.id) | (ENVIRONMENTS.c.latest == versions.id)
        )
        used = select(SESSIONS.c.id).where(
            SESSIONS.c.environment == versions.id, SESSIONS.c.phase.in_(LIVE)
        )
        waits = select(DRIVERS.c.id).where(
            DRIVERS.c.environment == versions.id, DRIVERS.c.phase.in_(LIVE_DRIVERS)
        )
        made = select(OPERATIONS.c.id).where(
            OPERATIONS.c.id == versions.operation, OPERATIONS.c.phase.in_(LIVE_OPERATIONS)
        )
        await self._transactions.execute(
            delete(ENVIRONMENT_VERSIONS).where(
                ~wanted.exists(), ~used.exists(), ~waits.exists(), ~made.exists()
            )
        )

    async def recorded_versions(self) -> frozenset[EnvironmentVersionId]:
        """See the port."""
        query = select(ENVIRONMENT_VERSIONS.c.id)
        return await self._transactions.run(
            lambda connection: frozenset(row.id for row in connection.execute(query))
        )

    async def recorded_environments(self) -> frozenset[EnvironmentId]:
        """See the port."""
        query = select(ENVIRONMENTS.c.id)
        return await self._transactions.run(
            lambda connection: frozenset(row.id for row in connection.execute(query))
        )


def _is_taken(connection: Connection, environment: Environment) -> bool:
    return is_name_taken(
        connection,
        ENVIRONMENTS,
        environment.name,
        but=environment.id,
        workspace=environment.workspace,
    )


def _row(environment: Environment) -> dict[str, Any]:
    return {
        **_plain(environment),
        "compute": _compute_row(environment.compute),
        "libraries": _libraries_row(environment.libraries),
        "name_key": name_key(environment.name),
    }


def _environment_of(row: Row[Any]) -> Environment:
    values = row._asdict()
    del values["name_key"]
    return Environment(
        **{
            **values,
            "compute": _compute_of(values["compute"]),
            "libraries": _libraries_of(values["libraries"]),
        }
    )


def _version_row(version: EnvironmentVersion) -> dict[str, Any]:
    return {
        **_plain(version),
        "compute": _compute_row(version.compute),
        "libraries": _libraries_row(version.libraries),
        "packages": _libraries_row(version.packages),
        "files": list(version.files),
    }


def _version_of(values: Mapping[str, Any]) -> EnvironmentVersion:
    return EnvironmentVersion(
        **{
            **values,
            "compute": _compute_of(values["compute"]),
            "libraries": _libraries_of(values["libraries"]),
            "packages": _libraries_of(values["packages"]),
            "files": tuple(values["files"]),
        }
    )


def _one(connection: Connection, query: Select[Any]) -> Publish | None:
    row = connection.execute(query).mappings().first()
    return _publish_of(row) if row else None


def _publish_of(row: RowMapping) -> Publish:
    version = _version_of({column.name: row[column] for column in ENVIRONMENT_VERSIONS.c})
    operation = None
    if row[OPERATIONS.c.id] is not None:
        operation = operation_of({column.name: row[column] for column in OPERATIONS.c})
    return Publish(version, operation)


def _plain(record: Environment | EnvironmentVersion) -> dict[str, Any]:
    return {entry.name: getattr(record, entry.name) for entry in dataclasses.fields(record)}


def _libraries_row(libraries: Sequence[Library]) -> list[list[str]]:
    return [[one.name, one.wanted] for one in libraries]


def _libraries_of(row: Sequence[Sequence[str]]) -> tuple[Library, ...]:
    return tuple(Library(name=name, wanted=wanted) for name, wanted in row)


def _compute_row(compute: Compute) -> dict[str, Any]:
    dynamic = compute.dynamic
    return {
        **{entry.name: getattr(compute, entry.name) for entry in dataclasses.fields(compute)},
        "dynamic": dynamic and dataclasses.asdict(dynamic),
        "properties": dict(compute.properties),
    }


def _compute_of(row: Mapping[str, Any]) -> Compute:
    dynamic = row["dynamic"]
    return Compute(**{**row, "dynamic": dynamic and DynamicAllocation(**dynamic)})
