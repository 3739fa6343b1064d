"""What the commands of ``livius runtime`` do."""

from __future__ import annotations

import asyncio
import signal

from rich.table import Table

from livius.adapters.local.archives import ArchiveFailed
from livius.cli.console import ConsoleProgress, fail, out, print_json, settings
from livius.installation.home import Home
from livius.installation.prepare import build_runtime, class_archive, find_runtime
from livius.installation.progress import SetupFailed
from livius.installation.recipes import recipe, recipe_names
from livius.installation.runtime import load_runtime


def build(name: str | None, *, full: bool = False, archive: bool = True) -> int:
    """Build a runtime and what it needs, and print where it is."""
    chosen = settings()
    name = name or chosen.default_runtime
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = ConsoleProgress()
    try:
        Home(chosen.home).create(passable=chosen.launch_numbers is not None)
        built = build_runtime(chosen, name, progress, full=full)
        runtime = find_runtime(chosen, name) if archive else None
        if runtime is not None:
            progress.step("The class archive, with which sessions start sooner (a minute, once)")
            asyncio.run(class_archive(chosen, runtime).make())
    except KeyboardInterrupt:
        progress.close()
        out.print("\nInterrupted. Nothing is lost: the same command goes on from here.")
        return 130
    except (SetupFailed, ArchiveFailed) as error:
        return fail(str(error))
    finally:
        progress.close()
    out.print(str(built.folder))
    return 0


def list_all(*, as_json: bool) -> int:
    """List the runtimes."""
    chosen = settings()
    found = [
        {
            "name": name,
            **recipe(name).versions(),
            "isDefault": name == chosen.default_runtime,
            "folder": None if built is None else str(built.folder),
        }
        for name in recipe_names()
        for built in [load_runtime(chosen.runtimes_folder, name)]
    ]
    if as_json:
        print_json(found)
        return 0
    table = Table("Runtime", "Spark", "Delta", "Built in", box=None)
    for one in found:
        name = f"{one['name']} (default)" if one["isDefault"] else str(one["name"])
        place = one["folder"] or f"not built: livius runtime build {one['name']}"
        table.add_row(name, str(one["spark"]), str(one["delta"]), str(place))
    out.print(table)
    return 0
