"""``az`` in an intercepted tree: `account get-access-token`, which is what AzureCliCredential runs.

It answers as Azure's own does where the sample application is signed in, or the user of
``--as``. Other commands say that they are not here, because they would speak with the real Azure.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from livius.cli.intercept.person import read_person
from livius.cli.intercept.tokens import NoToken, default_scope, get_token
from livius.installation.home import Home

_COMMAND: Final = ("account", "get-access-token")
_DEFAULT: Final = "https://management.core.windows.net/"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(_say(message, code=2))


def main(words: list[str]) -> int:
    """Run one command; return its exit code."""
    if tuple(words[: len(_COMMAND)]) != _COMMAND:
        return _say(
            "livius exec brings an az that gives tokens and nothing else: "
            "az account get-access-token --resource https://api.fabric.microsoft.com. "
            "Run other commands of az outside of it.",
            code=2,
        )
    asked = _parser().parse_args(words[len(_COMMAND) :])
    scope = " ".join(asked.scope or [default_scope(asked.resource or _DEFAULT)])
    try:
        person = read_person(Path(os.environ["LIVIUS_TREE"]))
        token = get_token(Home(Path(os.environ["LIVIUS_HOME"])), scope, person)
    except NoToken as error:
        return _say(str(error))
    if asked.tenant and asked.tenant.lower() != token.tenant:
        return _say(f"There is no tenant {asked.tenant} here. The tenant is {token.tenant}.")
    ends = datetime.fromtimestamp(token.expires_on, UTC).astimezone()
    body = {
        "accessToken": token.text,
        "expiresOn": f"{ends:%Y-%m-%d %H:%M:%S}.000000",
        "expires_on": token.expires_on,
        "subscription": token.tenant,
        "tenant": token.tenant,
        "tokenType": "Bearer",
    }
    if asked.query is not None:
        if asked.query not in body:
            return _say(f"This az knows --query with one of: {', '.join(body)}")
        value = body[asked.query]
        print(value if asked.output == "tsv" else json.dumps(value))
    elif asked.output == "tsv":
        print("\t".join(str(value) for value in body.values()))
    elif asked.output != "none":
        print(json.dumps(body, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="az account get-access-token", allow_abbrev=False)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--resource")
    what.add_argument("--scope", nargs="+")
    parser.add_argument("--tenant", "-t")
    parser.add_argument("--subscription", "--name", "-n", "-s")
    parser.add_argument("--output", "-o", choices=["json", "jsonc", "tsv", "none"], default="json")
    parser.add_argument("--query")
    for flag in ("--only-show-errors", "--verbose", "--debug"):
        parser.add_argument(flag, action="store_true")
    return parser


def _say(message: str, *, code: int = 1) -> int:
    print(f"ERROR: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
