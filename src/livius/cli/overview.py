"""The help of ``livius --help``: all commands in groups, one per line. It imports nothing."""

from __future__ import annotations

from typing import Final

GROUPS: Final = {
    "Start": {
        "up": "Set up what is missing, start the gateway, say what to try next.",
        "open": "Open the portal in the browser, with the first user signed in.",
        "status": "Say whether a gateway serves, where, and with how many sessions.",
        "down": "Stop the gateway of this data folder, with its sessions and its metastore.",
        "serve": "Serve in this process, without set-up: for a service manager.",
        "runtime": "Build and list runtimes, without starting anything.",
    },
    "Work": {
        "sql": "Run SQL and print the rows of its last statement.",
        "run": "Run a file's code in a session: Python, SQL, Scala, or a notebook.",
        "session": "List, show and end sessions, and read their logs.",
        "lakehouse": "List and create lakehouses, and load your own files into their tables.",
        "environment": "List, create and publish environments: libraries of sessions.",
        "exec": "Run a program that was written for Fabric, with no change.",
        "env": "Print the variables that `exec` sets, as exports for your shell.",
        "kernel": "Install a Jupyter kernel in which programs written for Fabric run.",
    },
    "Access": {
        "identity": "Users, client applications, consents and keys of the embedded authority.",
        "workspace": "Assign, list and remove roles in a workspace; rename and delete workspaces.",
        "token": "Print an access token; make personal access tokens.",
        "secret": "Keep secrets for sessions, in vaults of this installation.",
    },
    "Monitor": {
        "doctor": "Find problems that could keep Livius from working here.",
        "logs": "Show the gateway's log.",
        "audit": "Show who did what, with which result, from where.",
    },
}

_HEAD: Final = """\
Usage: livius COMMAND [--help]

Livius speaks the Microsoft Fabric Livy API in front of Apache Spark. Begin with `livius up`: it
sets up what is missing (Java, Spark, certificates, a sample lakehouse), starts the gateway and says
what to try next. `livius doctor` finds out why something doesn't work.
"""
_TAIL: Final = """\
Settings are environment variables: LIVIUS_HOME (the data folder; another one is another
installation), LIVIUS_PORT, LIVIUS_HTTP_PORT, LIVIUS_DRIVER_MEMORY and others; see
docs/reference/settings.md. docs/reference/cli.md has all commands and options."""


def overview() -> str:
    """Return the help of ``livius`` itself."""
    width = max(len(name) for commands in GROUPS.values() for name in commands)
    groups = [
        "\n".join([group, *(f"  {name:<{width}}  {text}" for name, text in commands.items()), ""])
        for group, commands in GROUPS.items()
    ]
    return "\n".join([_HEAD, *groups, _TAIL])
