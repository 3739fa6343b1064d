"""The Spark settings of a workspace: the defaults of its sessions.

A field that is None was never set: then the operator's setting is the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from livius.domain.errors import Invalid
from livius.domain.ids import EnvironmentId, SparkPoolId
from livius.domain.messages import Message
from livius.domain.runtimes import check_runtime
from livius.domain.spark_pool import MOST_NODES, STARTER_POOL, STARTER_POOL_ID, SparkPool

LONGEST_TIMEOUT: Final = 14 * 24 * 60
"""Minutes; Fabric's own upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkSettings:
    """One workspace's settings.

    ``default_pool`` is None for the starter pool. ``environment`` is the default one, which may be
    gone. With ``customizes_compute``, a session may choose
    another pool than the default one. ``session_timeout`` is in minutes. The rest has no effect
    here, and comes back as it was sent.
    """

    runtime: str | None = None
    session_timeout: int | None = None
    default_pool: SparkPoolId | None = None
    environment: EnvironmentId | None = None
    customizes_compute: bool = True
    automatic_log: bool = True
    shares_interactive: bool = True
    shares_pipelines: bool = False
    admits_conservatively: bool = False
    starter_max_nodes: int = 1
    starter_max_executors: int = 1

    @property
    def idle_timeout(self) -> timedelta | None:
        """Return the idle timeout of sessions whose conf has none."""
        return None if self.session_timeout is None else timedelta(minutes=self.session_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkConfiguration:
    """A workspace's settings with its custom pools, the oldest first."""

    settings: SparkSettings
    pools: Sequence[SparkPool] = ()

    @property
    def default_pool(self) -> SparkPool | None:
        """The pool of sessions that name none; None: the starter pool."""
        return next((one for one in self.pools if one.id == self.settings.default_pool), None)

    def pool_named(self, name: str, *, field: str | None = None) -> SparkPool | None:
        """Return a pool by its name in any case; None for the starter pool.

        Raises:
            Invalid: there is none.
        """
        plain = name.strip().lower()
        if plain == STARTER_POOL.lower():
            return None
        for one in self.pools:
            if one.name.lower() == plain:
                return one
        raise self._no_pool(name, field)

    def pool_of(self, identity: str, *, field: str | None = None) -> SparkPool | None:
        """Return a pool by its id; None for the starter pool.

        Raises:
            Invalid: there is none.
        """
        plain = identity.strip().lower()
        if plain == STARTER_POOL_ID:
            return None
        for one in self.pools:
            if one.id == plain:
                return one
        raise self._no_pool(identity, field)

    def pool_referred(
        self, name: str | None, identity: str | None, *, field: str
    ) -> SparkPool | None:
        """Return the pool that a caller means by its name, its id or both.

        Raises:
            Invalid: there is none, or its name and its id don't belong together.
        """
        if name:
            found = self.pool_named(name, field=field)
        elif not identity:
            raise Invalid(
                "InvalidInput",
                Message("%(field)s needs the name or the id of a pool.", field=field),
                field=field,
            )
        else:
            found = self.pool_of(identity, field=field)
        present = STARTER_POOL_ID if found is None else found.id
        if identity and identity.strip().lower() != present:
            raise Invalid(
                "InvalidInput",
                Message(
                    "The pool %(name)s has another id. Send one of the two.",
                    name=repr((name or "")[:64]),
                ),
                field=field,
            )
        return found

    def pool_of_session(
        self, named: str | None, of_environment: SparkPoolId | None
    ) -> tuple[SparkPool | None, bool]:
        """Return the pool of a new session, and whether the settings overrule what it asks for.

        What its conf names is above the pool of its environment, and that above the default one.

        Raises:
            Invalid: there is no such pool.
        """
        default, may_choose = self.default_pool, self.settings.customizes_compute
        if named is not None:
            chosen = self.pool_named(named)
        elif of_environment is not None and may_choose:
            chosen = self.pool_of_environment(of_environment)
        else:
            return default, False
        return (chosen, False) if may_choose else (default, chosen != default)

    def pool_of_environment(self, pool: SparkPoolId) -> SparkPool | None:
        """Return the pool that an environment has; None for the starter pool.

        Raises:
            Invalid: it was deleted.
        """
        try:
            return self.pool_of(pool)
        except Invalid:
            raise Invalid(
                "SparkPoolNotFound",
                Message(
                    "The environment's pool %(pool)s was deleted. Choose another one in the "
                    "environment's instancePool and publish it. The workspace has: %(others)s.",
                    pool=pool,
                    others=self._names(),
                ),
            ) from None

    def _names(self) -> str:
        return ", ".join([STARTER_POOL, *(one.name for one in self.pools)])

    def _no_pool(self, asked: str, field: str | None) -> Invalid:
        return Invalid(
            "SparkPoolNotFound",
            Message(
                "The workspace has no pool %(name)s. It has: %(others)s.",
                name=repr(asked[:64]),
                others=self._names(),
            ),
            field=field,
        )


def check_settings(settings: SparkSettings, *, runtimes: frozenset[str]) -> None:
    """Refuse settings that no session could have.

    Raises:
        Invalid: the message has the rule, ``field`` names the part.
    """
    timeout = settings.session_timeout
    if timeout is not None and not 1 <= timeout <= LONGEST_TIMEOUT:
        raise Invalid(
            "InvalidInput",
            Message(
                "sessionTimeoutInMinutes is a number from 1 to %(most)s.", most=LONGEST_TIMEOUT
            ),
            field="job.sessionTimeoutInMinutes",
        )
    if settings.runtime is not None:
        check_runtime(settings.runtime, runtimes, field="environment.runtimeVersion")
    for name, count in (
        ("maxNodeCount", settings.starter_max_nodes),
        ("maxExecutors", settings.starter_max_executors),
    ):
        if not 1 <= count <= MOST_NODES:
            raise Invalid(
                "InvalidInput",
                Message("%(name)s is a number from 1 to %(most)s.", name=name, most=MOST_NODES),
                field=f"pool.starterPool.{name}",
            )
