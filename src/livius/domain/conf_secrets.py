"""Finds the secrets in a caller's conf; every record has a placeholder for them.

The rule is Spark's own (``spark.redaction.regex``): a value is a secret if its key or the value
itself matches. Its pattern is extended by the account keys of Azure storage and by passwords inside
values that no key names: the user part of a URL, a shared access signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

REDACTED: Final = "*********(redacted)"
"""Spark's own placeholder."""
REDACTION_PATTERN: Final = "(?i)secret|password|token|access[.]?key|account[.]key"
"""Spark's default and one more; drivers are started with it."""

_SECRET: Final = re.compile(REDACTION_PATTERN + r"|passwd|://[^/\s:@]*:[^/\s@]+@|[?&;]sig=")


class SecretsLost(Exception):
    """A secret of the conf is no longer in memory."""


def hide(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conf with all secrets redacted."""
    return {key: REDACTED if _is_secret(key, value) else value for key, value in conf.items()}


def secrets_of(conf: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the conf that `hide` redacts."""
    return {key: value for key, value in conf.items() if _is_secret(key, value)}


def reveal(conf: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the conf as it was before `hide`.

    Raises:
        SecretsLost: a secret of the conf is not among those given.
    """
    if any(value == REDACTED and key not in secrets for key, value in conf.items()):
        raise SecretsLost
    return {key: secrets.get(key, value) for key, value in conf.items()}


def _is_secret(key: str, value: object) -> bool:
    # A placeholder that a caller copied from an echo stays as it is: redacted, it would count as a
    # secret.
    text = str(value)
    return text == REDACTED or bool(_SECRET.search(key) or _SECRET.search(text))
