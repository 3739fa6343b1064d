"""What is true of a cell in every language."""

from __future__ import annotations

from typing import Final

_MARK: Final = "\ufeff"
_COMMENTS: Final = ("#", "--", "//")
_CONFIGURE: Final = ("%%configure", "%configure")

NO_CONFIGURE: Final = (
    "%%configure has no effect here: the session runs already. Put its JSON (conf, driverMemory, "
    "executorCores, …) into the body of the request that creates a session, and create a new one."
)


def without_mark(code: str) -> str:
    """Return code without the byte order mark that editors put before it; lines stay theirs."""
    code_begins = len(code) - len(code.lstrip(f"{_MARK} \t\r\n"))
    return code[:code_begins].replace(_MARK, "") + code[code_begins:]


def is_configure(code: str) -> bool:
    """Tell whether a cell begins with sparkmagic's and Fabric's ``%%configure``."""
    for line in code.splitlines():
        text = line.strip()
        if text and not text.startswith(_COMMENTS):
            return text.split(maxsplit=1)[0] in _CONFIGURE
    return False
