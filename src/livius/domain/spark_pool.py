"""Custom pools: kinds of compute that an Admin of a workspace defines for its sessions.

A pool is a size of node, and how many of them there may be. Where Spark runs inside the driver, all
nodes of a pool together bound the driver: it never gets more than the operator's settings allow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from livius.domain.errors import Invalid
from livius.domain.ids import SparkPoolId, WorkspaceId
from livius.domain.messages import Message

STARTER_POOL: Final = "Starter Pool"
STARTER_POOL_ID: Final = SparkPoolId("00000000-0000-0000-0000-000000000000")
"""The starter pool is in each workspace's list, and in no record."""
MOST_NODES: Final = 200
MOST_POOLS: Final = 100
"""Of one workspace."""
_NAME: Final = re.compile(r"[A-Za-z0-9_ -]{1,64}", re.ASCII)
_GIBIBYTE: Final = 1024
_UNITS: Final = {"m": 1, "g": _GIBIBYTE, "t": _GIBIBYTE * _GIBIBYTE}


class NodeSize(StrEnum):
    """The sizes of nodes, from the smallest to the largest."""

    SMALL = "Small"
    MEDIUM = "Medium"
    LARGE = "Large"
    XLARGE = "XLarge"
    XXLARGE = "XXLarge"


@dataclass(frozen=True, slots=True)
class Compute:
    """Cores, and the memory of Spark's processes in MiB."""

    cores: int
    memory_mb: int


NODES: Final[Mapping[NodeSize, Compute]] = {
    NodeSize.SMALL: Compute(4, 28 * _GIBIBYTE),
    NodeSize.MEDIUM: Compute(8, 56 * _GIBIBYTE),
    NodeSize.LARGE: Compute(16, 112 * _GIBIBYTE),
    NodeSize.XLARGE: Compute(32, 224 * _GIBIBYTE),
    NodeSize.XXLARGE: Compute(64, 400 * _GIBIBYTE),
}
"""What Spark has of one node (Fabric contract 7.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolShape:
    """What an Admin says of a pool.

    ``scales``: its nodes come and go; ``allocates``: so do its executors.
    """

    name: str
    node_size: NodeSize
    scales: bool
    min_nodes: int
    max_nodes: int
    allocates: bool
    min_executors: int
    max_executors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkPool(PoolShape):
    """One custom pool."""

    id: SparkPoolId
    workspace: WorkspaceId
    created_at: datetime

    @property
    def compute(self) -> Compute:
        """What a session may have of it at most. An executor takes a node."""
        node = NODES[self.node_size]
        nodes = min(self.max_nodes, self.max_executors) if self.allocates else self.max_nodes
        return Compute(node.cores * nodes, node.memory_mb * nodes)


def check_pool(pool: PoolShape) -> None:
    """Refuse a pool that Fabric would not accept.

    Raises:
        Invalid: the message has the rule, ``field`` names the part.
    """
    if not _NAME.fullmatch(pool.name) or not pool.name.strip():
        raise Invalid(
            "InvalidInput",
            Message(
                "A pool's name has 1 to 64 letters, digits, dashes, underscores and spaces, and is "
                "not blank."
            ),
            field="name",
        )
    if pool.name.strip().lower() == STARTER_POOL.lower():
        raise Invalid(
            "InvalidInput",
            Message("The name %(name)s is reserved. Choose another one.", name=STARTER_POOL),
            field="name",
        )
    _check_range("autoScale", "NodeCount", pool.min_nodes, pool.max_nodes)
    _check_range("dynamicExecutorAllocation", "Executors", pool.min_executors, pool.max_executors)


def _check_range(field: str, of: str, least: int, most: int) -> None:
    if not 1 <= least <= most <= MOST_NODES:
        raise Invalid(
            "InvalidInput",
            Message(
                "%(field)s needs 1 <= min%(of)s <= max%(of)s <= %(most)s.",
                field=field,
                of=of,
                most=MOST_NODES,
            ),
            field=field,
        )


def bounds_of(pool: SparkPool | None, own: Compute | None) -> Compute | None:
    """Return what a driver has that a pool bounds; None: all that the operator's settings give it.

    ``own`` is that, where Spark runs inside the driver.
    """
    return None if pool is None or own is None else bound_by(own, pool.compute)


def bound_by(own: Compute, pool: Compute) -> Compute | None:
    """Return what a driver has that a pool bounds; None if its own size is within the pool."""
    bounded = Compute(min(own.cores, pool.cores), min(own.memory_mb, pool.memory_mb))
    return None if bounded == own else bounded


def mebibytes(text: str) -> int:
    """Return the MiB of a heap as Java writes it: 1g, 768m."""
    return int(text[:-1]) * _UNITS[text[-1].lower()]
