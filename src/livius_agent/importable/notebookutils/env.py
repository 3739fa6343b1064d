"""The user and place of this session: Synapse's names for parts of `runtime.context`.

What a session of Livius does not have, such as a pool, is None.
"""

from livius_agent import notebook as _notebook


def _context(name: str) -> str | None:
    found: str | None = _notebook.ask("context")[name]
    return found


def getUserName() -> str | None:
    """Return the name of the session's creator."""
    return _context("userName")


def getUserId() -> str | None:
    """Return the id of the session's creator: a user's, or an application's."""
    return _context("userId")


def getJobId() -> str | None:
    """Return the session's id, which is the id of its Livy job."""
    return _context("activityId")


def getWorkspaceName() -> str | None:
    """Return the workspace's name."""
    return _context("currentWorkspaceName")


def getPoolName() -> str | None:
    """Return None: sessions of Livius don't come from a pool."""
    return _context("poolName")


def getClusterId() -> str | None:
    """Return the id of the session's driver."""
    return _context("clusterId")


help = _notebook.helper(
    globals(),
    ("getUserName", "getUserId", "getJobId", "getWorkspaceName", "getPoolName", "getClusterId"),
)
