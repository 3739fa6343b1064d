"""Starting what Livius is measured against."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from livius_agent.spec import python_path
from support.gateway import Gateway, runtimes_folder

ROOT = Path(__file__).parents[1]
PYTHON = runtimes_folder() / "2.0" / "venv" / "bin" / "python"
CONNECT = ROOT / ".livius" / "bench" / "connect"


def driver_spec(gateway: Gateway) -> Path:
    """The newest driver's own description of itself."""
    found = (gateway.home / "drivers").glob("*/driver.json")
    return max(found, key=lambda path: path.stat().st_mtime)


def install_connect() -> None:
    """Bring what a Spark Connect client needs beside PySpark."""
    if not CONNECT.exists():
        lock = ROOT / "bench" / "connect.txt"
        install = ("pip", "install", "--quiet", "--require-hashes", "--no-deps")
        uv = Path(sys.executable).with_name("uv")
        target = ("--python", PYTHON, "--target", CONNECT)
        subprocess.run([uv, *install, *target, "-r", lock], check=True)


class Floor:
    """`bench/floor.py` with the conf of the driver that runs; ``connect`` by Spark Connect."""

    def __init__(self, spec: dict[str, Any], *, connect: bool = False) -> None:
        ours = {"spark.driver.extraClassPath": ":".join(spec["jars"][-7:])}
        conf = {**spec["conf"], **ours, "spark.driver.memory": "1g"}
        for key in ("spark.local.dir", "spark.submit.deployMode", "spark.app.name"):
            conf.pop(key, None)
        if connect:
            conf.pop("spark.master")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [PYTHON, ROOT / "bench" / "floor.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={
                **{
                    name: value for name, value in os.environ.items() if "PROXY" not in name.upper()
                },
                "JAVA_HOME": str(Path(spec["java"]).parent.parent),
                "PYTHONPATH": str(CONNECT) if connect else "",
            },
        )
        self.start_seconds = self._ask({"conf": conf, "connect": connect})

    def _ask(self, question: dict[str, Any]) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"plain PySpark ended:\n{self._log.read().decode()[-3000:]}")
        return float(json.loads(line)["seconds"])

    def run(self, work: str, table: str = "") -> float:
        """Do this work once; the milliseconds that it took there."""
        return self._ask({"work": work, "table": table}) * 1000

    def end(self) -> None:
        """Close its input, which ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def by_hand(spec: Path, agent: Path, repls: int = 0) -> dict[str, Any]:
    """Start a driver's Java by hand; see `bench/by_hand.py`."""
    with tempfile.TemporaryDirectory(prefix="livius-bench-") as folder:
        (Path(folder) / "driver.json").write_bytes(spec.read_bytes())
        done = subprocess.run(
            [PYTHON, "-s", ROOT / "bench" / "by_hand.py", folder, str(repls)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": python_path(agent)},
        )
    if done.returncode:
        raise RuntimeError(f"the driver by hand ended:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
