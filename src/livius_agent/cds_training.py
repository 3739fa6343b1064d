"""A session whose only purpose is to load the classes that sessions need.

    python -m livius_agent.cds_training FOLDER

Java writes them into an archive when it ends, and later drivers map that archive instead of
loading 17,000 classes one by one. So what runs here is what sessions begin with: the metastore,
SQL, Delta, Python's way into the JVM, the Scala interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from livius_agent import jvm as java
from livius_agent.practice import PracticeFailed, Statement, practise
from livius_agent.process import die_with_parent
from livius_agent.redact import Secrets
from livius_agent.spec import CLASSES, DRIVER_SPEC, WORK, DriverSpec, read
from livius_agent.worker import ReplWorker
from livius_agent.zygote_client import Zygote

_STATEMENTS: Final[tuple[Statement, ...]] = (
    ("sql", "select 1"),
    ("sql", "create table trained (id bigint, name string)"),
    ("sql", "insert into trained values (1, 'a'), (2, 'b')"),
    ("sql", "select name, count(*) from trained where id > 0 group by name order by name"),
    ("sql", "update trained set name = 'c' where id = 2"),
    ("sql", "create or replace view trained_view as select * from trained"),
    ("sql", "show tables"),
    ("sql", "describe table extended trained"),
    ("pyspark", "spark.range(10).write.format('delta').mode('append').save('Tables/by_path')"),
    ("pyspark", "spark.table('trained').join(spark.range(3), 'id').toPandas()"),
    ("pyspark", "spark.table('trained_view').show()"),
    ("spark", "1 + 1"),
    ("spark", 'spark.sql("select count(*) as n from trained").show()'),
    ("spark", 'case class Pair(a: Int, b: String)\nSeq(Pair(1, "x")).toDS().map(_.a).collect()'),
)
_METASTORE_WITHIN: Final = 180.0
_ARCHIVED_WITHIN: Final = 180.0
_LOOK_EVERY: Final = 0.05


def main(folder: Path) -> int:
    """Run the session; return Java's exit code. The archive is there if that is 0."""
    die_with_parent()
    os.nice(19)  # people's sessions come first
    spec = read(folder / DRIVER_SPEC, DriverSpec)
    if spec is None:
        sys.stderr.write(f"There is no {DRIVER_SPEC} in {folder}.\n")
        return 2
    with _metastore(spec, folder / "metastore") as port:
        trained = replace(
            spec,
            conf={**spec.conf, "spark.hadoop.hive.metastore.uris": f"thrift://127.0.0.1:{port}"},
            java_options=(*spec.java_options, f"-XX:ArchiveClassesAtExit={folder / CLASSES}"),
        )
        return asyncio.run(_train(trained, folder / WORK))


@contextlib.contextmanager
def _metastore(spec: DriverSpec, folder: Path) -> Iterator[int]:
    """Have a metastore of our own for as long as the training takes."""
    ready = folder / "ready.json"
    folder.mkdir()
    process = subprocess.Popen(
        [
            *(spec.java, *spec.java_options, "-cp", ":".join(spec.jars), "livius.Metastore"),
            *("--data", str(folder / "derby"), "--port", "0", "--ready", str(ready)),
        ],
        stdin=subprocess.DEVNULL,
        cwd=folder,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has one thread
    )
    try:
        yield _port(process, ready)
    finally:
        java.kill(process)


def _port(process: subprocess.Popen[bytes], ready: Path) -> int:
    until = time.monotonic() + _METASTORE_WITHIN
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise PracticeFailed("The metastore of the training did not come up.")
        time.sleep(_LOOK_EVERY)
    return int(json.loads(ready.read_text(encoding="utf-8"))["port"])


async def _train(spec: DriverSpec, work: Path) -> int:
    process, zygote = java.launch(spec, work), Zygote(work)
    listening = asyncio.get_running_loop().create_task(zygote.run())
    try:
        jvm = await java.connect(process, spec, work)
        worker = await ReplWorker.open(
            name=spec.repl,
            jvm=jvm,
            zygote=zygote,
            work=work,
            lakehouse=spec.lakehouse_root,
            row_limit=spec.sql_row_limit,
            patience=spec.cancel_seconds,
            secrets=Secrets(),
            changed=lambda: None,
            progressed=lambda *_: None,
            has_jobs=lambda *_: None,
        )
        working = asyncio.get_running_loop().create_task(worker.run(warm=True))
        await practise(worker, spec.repl, work, _STATEMENTS)
        working.cancel()
        await asyncio.to_thread(jvm.driver.stop)
        # Java ends with its standard input, and only an orderly end writes the archive.
        if process.stdin is not None:
            process.stdin.close()
        return await asyncio.to_thread(process.wait, _ARCHIVED_WITHIN)
    finally:
        listening.cancel()
        zygote.kill()
        java.kill(process)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
