"""How set-up tells what it does."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told before anything that may take more than a moment."""

    def step(self, text: str) -> None:
        """A new step begins; the one before it is done."""
        ...

    def detail(self, text: str) -> None:
        """Something worth seeing happens within the step."""
        ...


class SetupFailed(Exception):
    """Set-up can't go on. The message says what to do next."""
