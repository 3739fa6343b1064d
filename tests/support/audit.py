"""The audit log, as the operator's command gives it."""

import json
from typing import Any

from support.gateway import Client


def audit_log(client: Client, *options: str) -> list[dict[str, Any]]:
    """The records that the options ask for, the oldest first."""
    printed = client.gateway.livius("audit", "--json", *options)
    # Code that somebody ran may have further characters that Python takes for the end of a line.
    return [json.loads(line) for line in printed.split("\n") if line]
