"""``livius doctor``: possible problems and their solutions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from livius.cli.checks import CHECKS, Finding, Verdict, read_machine
from livius.cli.console import out, settings
from livius.installation.home import Home

_COLOURS: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


def doctor(*, as_json: bool) -> int:
    """Print all findings; fail if one of them keeps Livius from working."""
    failed = False
    listed = []
    for check, finding in findings():
        failed |= finding.verdict is Verdict.FAIL
        listed.append(
            {
                "check": check,
                "verdict": finding.verdict.value,
                "text": finding.text,
                "next_step": finding.next_step,
            }
        )
        if not as_json:
            _print(finding)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": listed}, indent=2, ensure_ascii=False))
    return 1 if failed else 0


def findings() -> Iterator[tuple[str, Finding]]:
    """Yield the findings of each check, with the check's name."""
    chosen = settings()
    home = Home(chosen.home)
    machine = read_machine(home)
    for check in CHECKS:
        for finding in check(chosen, home, machine):
            yield check.__name__, finding


def _print(finding: Finding) -> None:
    colour = _COLOURS[finding.verdict]
    out.print(f"[{colour}]{finding.verdict:>5}[/]  ", end="")
    out.print(finding.text, markup=False)
    if finding.next_step:
        out.print(f"       {finding.next_step}", markup=False)
