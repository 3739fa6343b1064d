"""Reports of set-up's progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called before each step that may take more than a moment."""

    def step(self, text: str) -> None:
        """A new step begins; the one before it is done."""
        ...

    def detail(self, text: str) -> None:
        """Something worth seeing happens within the step."""
        ...


class SetupFailed(Exception):
    """Set-up failed. The message has the next step."""
