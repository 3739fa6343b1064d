"""Fabric's utilities for a session's code: what can be done here, and a clear word for what can't.

Signatures and defaults are those that Fabric documents for Spark notebooks.
"""

import sys

from notebookutils import credentials, env, fs, runtime, session
from notebookutils._missing import MISSING, MissingModule

for _name, _why in MISSING.items():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = MissingModule(_name, _why)

_HELP = """\
fs           files of the lakehouse, of OneLake and of this machine
credentials  tokens and secrets
env          who runs this session, and where, by Synapse's names
runtime      where and for whom this session runs
session      ends the session

Each has a help() of its own. The other modules that Fabric has are not available in Livius."""


def help(module: str = "") -> None:
    """List the modules, or describe one."""
    if not module:
        print(_HELP)
        return
    getattr(sys.modules[__name__], module).help()


from notebookutils import mssparkutils  # noqa: E402 - it is this package by its old name

__all__ = ["credentials", "env", "fs", "help", "mssparkutils", "runtime", "session"]
