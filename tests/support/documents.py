"""The blocks of a page of the documentation, and what the page says that they print."""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LEFT_OUT = "…"


@dataclass(frozen=True)
class Block:
    """Code to paste. `prints` is the text block behind it, None where there is none."""

    code: str
    prints: str | None = None

    def is_printed(self, output: str) -> bool:
        """Whether the lines that the page shows are in an output; … stands for any text."""
        assert self.prints is not None
        parts = [re.escape(part) for part in self.prints.strip().split(_LEFT_OUT)]
        return re.search(".*".join(parts), output.replace("\r\n", "\n"), re.DOTALL) is not None


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks with this word behind their fence, in order."""
    fenced = _FENCED.findall(page.read_text(encoding="utf-8"))
    found = []
    for (name, code), (after, text) in zip(fenced, [*fenced[1:], ("", "")], strict=True):
        if name == language:
            found.append(Block(code, text if after == "text" else None))
    return found
