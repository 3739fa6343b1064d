"""The reference pages that are made from the code: commands, settings, conf, metrics, runtimes.

``python -m livius.cli.reference`` writes them again, in a clone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from cyclopts import App
from cyclopts.help import format_usage
from pydantic_core import PydanticUndefined

from livius.adapters.metrics import Metrics
from livius.cli.commands import app
from livius.cli.overview import GROUPS
from livius.cli.reference_runtimes import runtimes_page
from livius.domain.conf import (
    ENVIRONMENT_DETAILS,
    ENVIRONMENT_ID,
    IDLE_TIMEOUT,
    LONGEST_IDLE,
    MAX_KEYS,
    MAX_VALUE_CHARS,
    POOL_NAME,
    RUNTIME,
)
from livius.domain.conf_rules import (
    CLASSES,
    EXCEPTIONS,
    FABRIC_CLASSES,
    FORMS,
    OWN_PACKAGES,
    PATHS,
    REFUSALS,
    SET_HERE,
    SIZED_ON_CLUSTERS,
    WITHOUT_EFFECT,
    Form,
    Refusal,
)
from livius.installation.recipes import recipe_names
from livius.settings import Settings
from livius.usecases.sessions import SIZES_TAG, WITHOUT_EFFECT_TAG

_COMMANDS: Final = """\
# Commands

`livius COMMAND --help` prints the same. In a clone the program is `.venv/bin/livius`. Made from the
code; a test keeps it true.

{groups}

## Exit statuses

A failed command prints the reason, and the next step, on standard error.

| status | means |
|---|---|
| 0 | The command succeeded. |
| 1 | It failed. For `sql` and `run`: the query or the code failed. |
| 2 | An option or argument is wrong. Of {callers}: nothing was done. |
| 3 | `status`: no gateway runs. |
| 4 | `status`: a gateway is starting. |
| 126, 127 | `exec`: the program can't be run, or there is no such program. |
| 130, 143 | Ctrl-C, or SIGTERM, ended the command. |
| 141 | {callers}: the output's reader has left, as `head` does. |

`exec` otherwise ends with the program's own status.

## JSON

With `--json`, these commands print JSON on standard output: {with_json}.

`audit` prints one record per line, every other command one document. Later versions may add keys,
so a program should ignore keys that it doesn't know.

{commands}
"""


def commands_page() -> str:
    """Return ``docs/reference/cli.md``."""
    sections = {
        name: text
        for commands in GROUPS.values()
        for command in commands
        for name, text in _sections((app, app[command]), command)
    }
    return _COMMANDS.format(
        groups="\n".join(
            f"* **{group}**: {', '.join(f'[`{name}`](#livius-{name})' for name in commands)}"
            for group, commands in GROUPS.items()
        ),
        callers="`sql`, `run`, `session`, `lakehouse`, `environment`",
        with_json=_listed(name for name, text in sections.items() if "\n* `--json`" in text),
        commands="\n\n".join(sections.values()),
    )


def _sections(path: tuple[App, ...], name: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of a command, then of each command below it."""
    command = path[-1]
    usage = format_usage(app, name.split()).plain.strip()
    with app.app_stack(path):  # so that options have the defaults of `app`
        made = command.generate_docs(recursive=False)
    # Without the library's headings, list of commands and usage (which names the running program).
    _, *parts = re.split(r"^(?:#.*|\*\*Commands.*|```console\n.*\n```)$", made, flags=re.MULTILINE)
    text = next(part for part in map(str.strip, parts) if part)
    heading = "#" * len(path)
    yield name, f"{heading} livius {name}\n\n```console\n{usage}\n```\n\n{text}"
    for below in command:
        if not below.startswith("-") and command[below].show:
            yield from _sections((*path, command[below]), f"{name} {below}")


def metrics_page() -> str:
    """Return ``docs/reference/metrics.md``."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` on the loopback http listener, in Prometheus's text format, without a token.",
        "No label is a name, an id or an address. Times are in seconds. Histograms have `_bucket`,",
        "`_sum` and `_count`.",
        "Made from the code; a test keeps it true.",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for one in Metrics().described():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.what} |")
    lines.append(
        "| `livius_process_…` | gauge | | Processor time, memory and descriptors of the process. |"
    )
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return ``docs/reference/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Environment variables, read once at the start. Durations are seconds, have a unit (`20m`)",
        "or are ISO 8601 (`PT20M`); sizes are bytes or have a unit (`100MiB`). Made from the code;",
        "a test keeps it true.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is PydanticUndefined else _shown(field.default)
        lines.append(f"| `LIVIUS_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return f"{value.days} d" if value.days else f"{value.total_seconds():g} s"
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:  # noqa: PLR2004 - a size
        mebibytes = value / 2**20
        return f"{mebibytes:g} MiB" if mebibytes >= 1 else f"{value // 1024} KiB"
    return f"`{value}`"


_CONF: Final = """\
# Spark conf of a session

How Livius treats each key in the `conf` of a create request. Made from the code; a test keeps it
true. `*` stands for any text; upper and lower case are the same.

The policy is about what a *request* can do before any code of the session runs. A session's own
statements run as the driver does, so `SET` and `spark.conf.set` are not policed: see
[SECURITY.md](../../SECURITY.md).

A key that isn't named here and begins with `spark.` is passed to Spark; any other is only
recorded. The session's tag `{without_effect_tag}` names the keys without effect.
Only the driver gets secrets: a value that matches Spark's redaction pattern (`secret`,
`password`, `token`, `access.key`) itself or by its key, an account key, and a URL with a
password or a signature, is `*********(redacted)` in every record, answer and page. Until the driver
starts it is in the server's memory and in no file: if the server restarts before that, the
session fails with that reason.

There are at most {keys} keys, of letters, digits, dots, dashes, underscores and dollar signs, with
values of at most {characters} characters.

## Taken by Livius

| key | what it does |
|---|---|
| `{idle}` | Ends the session after this long without work: `20m`, `90s`, 1 s to {days} days. |
| `{pool}` | The [pool](../how-to/fabric-rest.md#custom-pools) of the session, or `Starter Pool`. |
| {environment} | The environment to run in, by its id; without it, the workspace's default one. |
| `{runtime}` | The [runtime](runtimes.md): {runtimes}. Default: `LIVIUS_DEFAULT_RUNTIME`. |

## Refused

The request is answered with 400 `SparkConfNotAllowed`, which names the key. These are never
refused: {exceptions}. Neither is a key with the value that each session has anyway: {set_here}.

{refusals}

## Without effect

These keys, most of them Fabric's, are accepted: a request written for Fabric works unchanged.

| key | about |
|---|---|
{nothing}

So is any key whose value is {fabric_classes}, which only Fabric has.

## Sizes

`driverMemory`, `driverCores`, `executorMemory`, `executorCores` and `numExecutors` of the request,
and these keys, are checked and echoed as asked. On a local master there is one JVM, sized by
`LIVIUS_DRIVER_MEMORY` and bounded by a custom pool, and they do nothing; on a cluster they are
passed to Spark, but for the driver's memory. If a request has sizes, or the session has a custom
pool, the effective ones are in the session's tag `{sizes_tag}`.

{sizes}

## Values that are checked

| key | value |
|---|---|
{forms}
| {classes} | a short name, or a class below {packages} |
| {paths} | a path below `Files/` or `Tables/`, or an `abfss://` address |
"""


def conf_page() -> str:
    """Return ``docs/reference/conf.md``."""
    return _CONF.format(
        without_effect_tag=WITHOUT_EFFECT_TAG,
        keys=MAX_KEYS,
        characters=MAX_VALUE_CHARS,
        idle=IDLE_TIMEOUT,
        days=LONGEST_IDLE.days,
        pool=POOL_NAME,
        environment=_listed((ENVIRONMENT_DETAILS, ENVIRONMENT_ID)),
        runtime=RUNTIME,
        runtimes=" or ".join(f"`{name}`" for name in recipe_names()),
        exceptions=_listed(EXCEPTIONS),
        set_here=_listed(f"{key}={value}" for key, value in SET_HERE.items()),
        refusals="\n\n".join(map(_refusal, REFUSALS)),
        nothing="\n".join(f"| `{key}` | {about} |" for key, about in WITHOUT_EFFECT.items()),
        fabric_classes=_listed(FABRIC_CLASSES),
        sizes_tag=SIZES_TAG,
        sizes=_listed(SIZED_ON_CLUSTERS),
        forms="\n".join(
            f"| {_listed(key for key, one in FORMS.items() if one is form)} | {form} |"
            for form in Form
        ),
        classes=_listed(CLASSES),
        packages=_listed(OWN_PACKAGES),
        paths=_listed(PATHS),
    )


def _refusal(refusal: Refusal) -> str:
    why = refusal.why[:1].upper() + refusal.why[1:]
    return f"**{why}.** {refusal.instead}.\n\n{_listed(refusal.patterns)}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def main() -> None:
    """Write the pages of the clone that is the working directory."""
    for name, page in (
        ("cli", commands_page()),
        ("settings", settings_page()),
        ("conf", conf_page()),
        ("metrics", metrics_page()),
        ("runtimes", runtimes_page()),
    ):
        Path("docs", "reference", f"{name}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
