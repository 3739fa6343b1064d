"""Users, client applications, consents, grants and sign-ins, in SQL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import ColumnElement

from livius.adapters.store.audit import write, write_if
from livius.adapters.store.engine import Transactions
from livius.adapters.store.portal_sessions import end_portal_sessions
from livius.adapters.store.schema import (
    APPLICATIONS,
    CONSENTS,
    GRANTS,
    PERSONAL_TOKENS,
    ROLES,
    SIGN_INS,
    USERS,
)
from livius.domain.accounts import (
    ClientApplication,
    ClientCertificate,
    ClientSecret,
    Consent,
    Decision,
    Grant,
    GrantKind,
    SignIn,
    User,
)
from livius.domain.audit import Action, AuditEntry
from livius.domain.ids import ClientId, PrincipalId

# These queries look up every caller, every few seconds.
_PRINCIPAL: Final = union_all(
    select(USERS.c.oid).where(USERS.c.oid == bindparam("oid"), USERS.c.disabled_at.is_(None)),
    select(APPLICATIONS.c.object_id).where(APPLICATIONS.c.object_id == bindparam("oid")),
)
_CLIENT: Final = select(APPLICATIONS.c.client_id).where(
    APPLICATIONS.c.client_id == bindparam("client")
)

_EXPIRED_KEPT: Final = timedelta(days=1)
"""How long expired grants are kept: a late client learns "expired", not "unknown"."""


class SqlIdentity:
    """Implements `livius.ports.identity.IdentityStore`."""

    _transactions: Transactions
    _keep_audit: timedelta

    async def knows(self, oid: PrincipalId, client_id: ClientId | None) -> bool:
        """See the port."""
        wanted = {"oid": oid, "client": client_id}

        def work(connection: Connection) -> bool:
            if connection.execute(_PRINCIPAL, wanted).first() is None:
                return False
            return client_id is None or connection.execute(_CLIENT, wanted).first() is not None

        return await self._transactions.run(work)

    async def user(self, oid: PrincipalId) -> User | None:
        """See the port."""
        row = await self._first(USERS, USERS.c.oid == oid)
        return User(**row._asdict()) if row else None

    async def user_named(self, username: str) -> User | None:
        """See the port."""
        row = await self._first(USERS, USERS.c.username == username)
        return User(**row._asdict()) if row else None

    async def users(self) -> Sequence[User]:
        """See the port."""
        query = select(USERS).order_by(USERS.c.username)
        return await self._transactions.run(
            lambda connection: [User(**row._asdict()) for row in connection.execute(query)]
        )

    async def add_user(self, user: User, *, audit: AuditEntry | None = None) -> bool:
        """See the port."""
        return await self._insert(USERS, dataclasses.asdict(user), audit)

    async def set_password(
        self, oid: PrincipalId, password_hash: str, *, audit: AuditEntry | None = None
    ) -> bool:
        """See the port."""
        change = update(USERS).where(USERS.c.oid == oid).values(password_hash=password_hash)

        def work(connection: Connection) -> bool:
            _end_sign_ins(connection, oid)
            done = connection.execute(change).rowcount == 1
            return write_if(done, connection, audit, self._keep_audit)

        return await self._transactions.run(work)

    async def set_user_disabled(
        self, oid: PrincipalId, at: datetime | None, *, audit: AuditEntry | None = None
    ) -> bool:
        """See the port."""
        is_other = USERS.c.disabled_at.is_(None) if at else USERS.c.disabled_at.is_not(None)
        change = update(USERS).where(USERS.c.oid == oid, is_other).values(disabled_at=at)

        def work(connection: Connection) -> bool:
            done = connection.execute(change).rowcount == 1
            if done and at is not None:
                _end_sign_ins(connection, oid)
            return write_if(done, connection, audit, self._keep_audit)

        return await self._transactions.run(work)

    async def remove_user(self, oid: PrincipalId, *, audit: AuditEntry | None = None) -> bool:
        """See the port. Consents, sign-ins and grants go by cascade."""
        removal = delete(USERS).where(USERS.c.oid == oid)

        def work(connection: Connection) -> bool:
            if connection.execute(removal).rowcount == 0:
                return False
            self._end_rights(connection, oid, audit)
            write(connection, audit, self._keep_audit)
            return True

        return await self._transactions.run(work)

    async def application(self, client_id: ClientId) -> ClientApplication | None:
        """See the port."""
        row = await self._first(APPLICATIONS, APPLICATIONS.c.client_id == client_id)
        return _application_of(row) if row else None

    async def applications(self) -> Sequence[ClientApplication]:
        """See the port."""
        query = select(APPLICATIONS).order_by(APPLICATIONS.c.name, APPLICATIONS.c.client_id)
        return await self._transactions.run(
            lambda connection: [_application_of(row) for row in connection.execute(query)]
        )

    async def put_application(
        self, application: ClientApplication, *, audit: AuditEntry | None = None
    ) -> None:
        """See the port."""
        row = _application_row(application)

        def work(connection: Connection) -> None:
            # Updated in place, so that its consents and grants stay.
            key = APPLICATIONS.c.client_id == application.client_id
            if connection.execute(update(APPLICATIONS).where(key).values(row)).rowcount == 0:
                connection.execute(insert(APPLICATIONS).values(row))
            write(connection, audit, self._keep_audit)

        await self._transactions.run(work)

    async def change_application(
        self,
        client_id: ClientId,
        change: Callable[[ClientApplication], ClientApplication],
        *,
        audit: AuditEntry | None = None,
    ) -> ClientApplication | None:
        """See the port."""
        key = APPLICATIONS.c.client_id == client_id

        def work(connection: Connection) -> ClientApplication | None:
            row = connection.execute(select(APPLICATIONS).where(key)).first()
            if row is None:
                return None
            changed = change(_application_of(row))
            connection.execute(update(APPLICATIONS).where(key).values(_application_row(changed)))
            write(connection, audit, self._keep_audit)
            return changed

        return await self._transactions.run(work)

    async def remove_application(
        self, client_id: ClientId, *, audit: AuditEntry | None = None
    ) -> bool:
        """See the port. Its own consents and grants go by cascade."""
        removal = (
            delete(APPLICATIONS)
            .where(APPLICATIONS.c.client_id == client_id)
            .returning(APPLICATIONS.c.object_id)
        )

        def work(connection: Connection) -> bool:
            row = connection.execute(removal).first()
            if row is None:
                return False
            connection.execute(delete(CONSENTS).where(CONSENTS.c.resource == client_id))
            self._end_rights(connection, PrincipalId(row.object_id), audit)
            write(connection, audit, self._keep_audit)
            return True

        return await self._transactions.run(work)

    def _end_rights(
        self, connection: Connection, principal: PrincipalId, audit: AuditEntry | None
    ) -> None:
        """Delete records that have no foreign key to the user or application.

        Principals of another authority have such records too.
        """
        end_portal_sessions(connection, principal)
        roles = delete(ROLES).where(ROLES.c.principal == principal).returning(ROLES.c.workspace)
        tokens = (
            delete(PERSONAL_TOKENS)
            .where(PERSONAL_TOKENS.c.principal == principal)
            .returning(PERSONAL_TOKENS.c.id)
        )
        places = [row.workspace for row in connection.execute(roles).all()]
        ended = [row.id for row in connection.execute(tokens).all()]
        if audit is None:
            return
        because = dataclasses.replace(audit, detail=f"{audit.action}: {audit.target}")
        for place in sorted(places):
            said = dataclasses.replace(
                because, action=Action.ROLE_REMOVE, workspace=place, target=principal
            )
            write(connection, said, self._keep_audit)
        for token in sorted(ended):
            said = dataclasses.replace(because, action=Action.PERSONAL_TOKEN_REVOKE, target=token)
            write(connection, said, self._keep_audit)

    async def consent(
        self, user: PrincipalId, client_id: ClientId, resource: str
    ) -> Consent | None:
        """See the port."""
        row = await self._first(CONSENTS, *_consent_key(user, client_id, resource))
        return _consent_of(row) if row else None

    async def consents(self) -> Sequence[Consent]:
        """See the port."""
        query = select(CONSENTS).order_by(CONSENTS.c.given_at)
        return await self._transactions.run(
            lambda connection: [_consent_of(row) for row in connection.execute(query)]
        )

    async def add_consent(self, consent: Consent, *, audit: AuditEntry | None = None) -> bool:
        """See the port."""
        key = _consent_key(consent.user, consent.client_id, consent.resource)

        def work(connection: Connection) -> None:
            row = connection.execute(select(CONSENTS).where(*key)).first()
            scopes = sorted(consent.scopes | (_consent_of(row).scopes if row else frozenset()))
            connection.execute(delete(CONSENTS).where(*key))
            values = {**dataclasses.asdict(consent), "scopes": scopes}
            connection.execute(insert(CONSENTS).values(values))
            write(connection, audit, self._keep_audit)

        return await self._unless_refused(work)

    async def revoke_consent(
        self, user: PrincipalId, client_id: ClientId, *, audit: AuditEntry | None = None
    ) -> bool:
        """See the port."""

        def work(connection: Connection) -> bool:
            grants, consents = (
                delete(table).where(table.c.user == user, table.c.client_id == client_id)
                for table in (GRANTS, CONSENTS)
            )
            connection.execute(grants)
            done = connection.execute(consents).rowcount > 0
            return write_if(done, connection, audit, self._keep_audit)

        return await self._transactions.run(work)

    async def add_grant(self, grant: Grant) -> bool:
        """See the port."""
        await self._delete(GRANTS, GRANTS.c.expires_at < grant.created_at - _EXPIRED_KEPT)
        return await self._insert(GRANTS, dataclasses.asdict(grant))

    async def renew(self, grant: Grant) -> bool:
        """See the port."""
        family = select(GRANTS.c.key).where(GRANTS.c.family == grant.family).limit(1)

        def work(connection: Connection) -> bool:
            # A family goes with its user and its application, so these are there if it is.
            if connection.execute(family).first() is None:
                return False
            connection.execute(insert(GRANTS).values(dataclasses.asdict(grant)))
            return True

        return await self._transactions.run(work)

    async def grant(self, key: str) -> Grant | None:
        """See the port."""
        row = await self._first(GRANTS, GRANTS.c.key == key)
        return _grant_of(row) if row else None

    async def spend_grant(self, key: str, *, at: datetime) -> bool:
        """See the port."""
        change = (
            update(GRANTS)
            .where(GRANTS.c.key == key, GRANTS.c.spent_at.is_(None))
            .values(spent_at=at)
        )
        return await self._transactions.run(
            lambda connection: connection.execute(change).rowcount == 1
        )

    async def end_family(self, family: str) -> None:
        """See the port."""
        await self._delete(GRANTS, GRANTS.c.family == family)

    async def devices_full_until(
        self, caller: str, *, at: datetime, of_caller: int, of_all: int
    ) -> datetime | None:
        """See the port."""
        return await self._transactions.run(
            lambda connection: _full_until(connection, caller, at, of_caller, of_all)
        )

    async def add_device(self, grant: Grant, *, of_caller: int, of_all: int) -> bool:
        """See the port."""
        expired = delete(GRANTS).where(GRANTS.c.expires_at < grant.created_at - _EXPIRED_KEPT)
        added = insert(GRANTS).values(dataclasses.asdict(grant))

        def work(connection: Connection) -> bool:
            connection.execute(expired)
            if _full_until(connection, grant.caller, grant.created_at, of_caller, of_all):
                return False
            connection.execute(added)
            return True

        try:
            return await self._transactions.run(work)
        except IntegrityError:
            return False

    async def waiting_device(self, user_code: str) -> Grant | None:
        """See the port."""
        row = await self._first(
            GRANTS, GRANTS.c.user_code == user_code, GRANTS.c.decision == Decision.PENDING
        )
        return _grant_of(row) if row else None

    async def decide_device(self, key: str, decision: Decision, user: PrincipalId) -> bool:
        """See the port."""
        change = (
            update(GRANTS)
            .where(GRANTS.c.key == key, GRANTS.c.decision == Decision.PENDING)
            .values(decision=decision, user=user)
        )
        try:
            return await self._transactions.run(
                lambda connection: connection.execute(change).rowcount == 1
            )
        except IntegrityError:
            return False

    async def add_sign_in(
        self, sign_in: SignIn, *, password_hash: str, audit: AuditEntry | None = None
    ) -> bool:
        """See the port."""
        expired = delete(SIGN_INS).where(SIGN_INS.c.expires_at < sign_in.created_at)
        proved = select(USERS.c.oid).where(
            USERS.c.oid == sign_in.user,
            USERS.c.password_hash == password_hash,
            USERS.c.disabled_at.is_(None),
        )

        def work(connection: Connection) -> bool:
            connection.execute(expired)
            if connection.execute(proved).first() is None:
                return False
            connection.execute(insert(SIGN_INS).values(dataclasses.asdict(sign_in)))
            write(connection, audit, self._keep_audit)
            return True

        return await self._transactions.run(work)

    async def sign_in(self, key: str) -> SignIn | None:
        """See the port."""
        row = await self._first(SIGN_INS, SIGN_INS.c.key == key)
        return SignIn(**row._asdict()) if row else None

    async def remove_sign_in(self, key: str) -> None:
        """See the port."""
        await self._delete(SIGN_INS, SIGN_INS.c.key == key)

    async def _first(self, table: Table, *where: ColumnElement[bool]) -> Row[Any] | None:
        query = select(table).where(*where)
        return await self._transactions.run(lambda connection: connection.execute(query).first())

    async def _insert(
        self, table: Table, values: dict[str, Any], audit: AuditEntry | None = None
    ) -> bool:
        """Insert a row; False if a unique value is taken, or a referenced row is gone."""

        def work(connection: Connection) -> None:
            connection.execute(insert(table).values(values))
            write(connection, audit, self._keep_audit)

        return await self._unless_refused(work)

    async def _unless_refused(self, work: Callable[[Connection], None]) -> bool:
        """Run a transaction; False if one of the tables' constraints refuses it."""
        try:
            await self._transactions.run(work)
        except IntegrityError:
            return False
        return True

    async def _delete(self, table: Table, *where: ColumnElement[bool]) -> None:
        await self._transactions.execute(delete(table).where(*where))


def _full_until(
    connection: Connection, caller: str, at: datetime, of_caller: int, of_all: int
) -> datetime | None:
    waiting = select(func.count(), func.min(GRANTS.c.expires_at)).where(
        GRANTS.c.decision == Decision.PENDING, GRANTS.c.expires_at > at
    )
    own = waiting.where(GRANTS.c.caller == caller)
    for query, most in ((own, of_caller), (waiting, of_all)):
        count, first = connection.execute(query).one()
        if count >= most:
            ends: datetime = first
            return ends
    return None


def _application_row(application: ClientApplication) -> dict[str, Any]:
    values = dataclasses.asdict(application)
    values["scopes"] = sorted(application.scopes)
    values["redirect_uris"] = list(application.redirect_uris)
    for name in ("secrets", "certificates"):
        values[name] = [{key: _plain(value) for key, value in one.items()} for one in values[name]]
    return values


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _application_of(row: Row[Any]) -> ClientApplication:
    values = row._asdict()
    values["scopes"] = frozenset(values["scopes"])
    values["redirect_uris"] = tuple(values["redirect_uris"])
    values["secrets"] = tuple(ClientSecret(**_moments(one)) for one in values["secrets"])
    values["certificates"] = tuple(
        ClientCertificate(**_moments(one)) for one in values["certificates"]
    )
    return ClientApplication(**values)


def _moments(kept: dict[str, Any]) -> dict[str, Any]:
    """Read the fields that are moments."""
    return {
        name: datetime.fromisoformat(value)
        if name in ("created_at", "not_before", "not_after")
        else value
        for name, value in kept.items()
    }


def _end_sign_ins(connection: Connection, oid: PrincipalId) -> None:
    connection.execute(delete(SIGN_INS).where(SIGN_INS.c.user == oid))
    connection.execute(delete(GRANTS).where(GRANTS.c.user == oid))
    end_portal_sessions(connection, oid)


def _consent_key(
    user: PrincipalId, client_id: ClientId, resource: str
) -> tuple[ColumnElement[bool], ...]:
    return (
        CONSENTS.c.user == user,
        CONSENTS.c.client_id == client_id,
        CONSENTS.c.resource == resource,
    )


def _consent_of(row: Row[Any]) -> Consent:
    values = row._asdict()
    return Consent(**{**values, "scopes": frozenset(values["scopes"])})


def _grant_of(row: Row[Any]) -> Grant:
    values = row._asdict()
    values["kind"] = GrantKind(values["kind"])
    values["decision"] = Decision(values["decision"])
    return Grant(**values)
