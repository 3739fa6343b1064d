"""The driver's JVM: SparkSubmit started directly, and our part in it, driven over py4j.

The agent talks to it from several threads at once, each call on a connection of its own, so a
statement that runs for hours never delays the cancel of it.
"""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from livius_agent.process import die_with_parent
from livius_agent.spec import DriverSpec
from livius_agent.wire import Bind

_MAIN: Final = "livius.Submit"
_CONNECTION_FILE: Final = "jvm-connection"
_LOOPBACK: Final = "127.0.0.1"
_LOOK_EVERY: Final = 0.01
_STOP_WITHIN: Final = 1.0


class JvmEnded(Exception):
    """The JVM is gone, with this code of `subprocess`. What it means: `livius_agent.postmortem`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The JVM ended with code {code}.")
        self.code = code


@dataclass(frozen=True, slots=True)
class Jvm:
    """A running JVM. ``driver`` is our object in it, of `livius.Driver`'s API.

    ``statements`` has the job groups of those that run now, in whichever repl.
    """

    process: subprocess.Popen[bytes]
    gateway: Any
    driver: Any
    statements: set[str] = field(default_factory=set)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process, told by the kernel the moment it ends, and return its code."""
    if (code := process.poll()) is not None:
        return code
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(process.pid)
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def launch(spec: DriverSpec, work: Path) -> subprocess.Popen[bytes]:
    """Start Java. It ends when its standard input does, and with us."""
    properties = work / "spark.conf"
    properties.touch(mode=0o600)
    properties.write_text(_properties(spec.conf), encoding="utf-8")
    return subprocess.Popen(
        [
            spec.java,
            *spec.java_options,
            *("-cp", ":".join(spec.jars), _MAIN),
            *("--properties-file", str(properties), "pyspark-shell"),
        ],
        stdin=subprocess.PIPE,
        env={
            **os.environ,
            "_PYSPARK_DRIVER_CONN_INFO_PATH": str(work / _CONNECTION_FILE),
            # The pages of a driver listen where this says, and everywhere if it says nothing.
            **(
                {"SPARK_LOCAL_IP": _LOOPBACK}
                if spec.conf["spark.master"].startswith("local")
                else {}
            ),
            # Each of our threads takes a connection from a pool; none is tied to a thread.
            "PYSPARK_PIN_THREAD": "false",
        },
        cwd=spec.lakehouse_root or unbound_folder(work),
        preexec_fn=die_with_parent,  # noqa: PLW1509 - called before any thread is started
    )


def unbound_folder(work: Path) -> Path:
    """Return where Java of the pool's drivers starts; it can't change its own folder later.

    Once the driver is bound, links to the lakehouse's folders are there.
    """
    folder = work / "lakehouse"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _properties(conf: Mapping[str, str]) -> str:
    return "".join(f"{_escape(key)}={_escape(value)}\n" for key, value in conf.items())


def _escape(text: str) -> str:
    r"""Write text as java.util.Properties reads it back: anything unusual as \uXXXX."""
    units = struct.unpack(f">{len(raw := text.encode('utf-16-be', 'surrogatepass')) // 2}H", raw)
    return "".join(
        chr(unit) if chr(unit).isascii() and chr(unit).isalnum() else f"\\u{unit:04x}"
        for unit in units
    )


async def connect(process: subprocess.Popen[bytes], spec: DriverSpec, work: Path) -> Jvm:
    """Wait for Java's py4j server, then have our part start Spark, bound if it is known to what.

    Raises:
        JvmEnded: it did before that.
        Exception: Spark did not start; py4j's error has the Java exception.
    """
    file = work / _CONNECTION_FILE
    while not file.exists():
        if (code := process.poll()) is not None:
            raise JvmEnded(code)
        await asyncio.sleep(_LOOK_EVERY)
    return await asyncio.to_thread(_start_spark, process, spec, work, file)


def _start_spark(process: subprocess.Popen[bytes], spec: DriverSpec, work: Path, file: Path) -> Jvm:
    from py4j.java_gateway import GatewayParameters, JavaGateway

    port, token = _read_connection(file)
    gateway = JavaGateway(
        gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True)
    )
    classes = work / "classes"
    classes.mkdir(mode=0o700)
    driver = gateway.jvm.livius.Driver.start(str(classes))
    if spec.lakehouse_root is not None:
        driver.bind(spec.lakehouse_root, spec.database, {})
    return Jvm(process, gateway, driver)


def bind(jvm: Jvm, work: Path, to: Bind) -> None:
    """Bind a driver of the pool to its session's lakehouse and conf.

    Raises:
        Exception: that failed; py4j's error has the Java exception.
    """
    folder = unbound_folder(work)
    for entry in Path(to.lakehouse_root).iterdir():
        (folder / entry.name).symlink_to(entry)
    settings = {"spark.hadoop.fs.livius.onelake.names": to.names, "spark.app.name": to.name}
    jvm.driver.bind(to.lakehouse_root, to.database, {**to.conf, **settings})


def _read_connection(file: Path) -> tuple[int, str]:
    """Return port and secret as PySpark's own server writes them; the file appears whole."""
    raw = file.read_bytes()
    file.unlink()
    (port, length) = struct.unpack_from(">ii", raw)
    return port, raw[8 : 8 + length].decode()


def stop(jvm: Jvm) -> None:
    """Stop Spark if it lets itself be stopped quickly, then end Java."""
    stopping = threading.Thread(target=_stop_spark, args=(jvm,), daemon=True)
    stopping.start()
    stopping.join(_STOP_WITHIN)
    kill(jvm.process)


def _stop_spark(jvm: Jvm) -> None:
    from py4j.protocol import Py4JError

    try:
        jvm.driver.stop()
    except (Py4JError, OSError):
        return


def kill(process: subprocess.Popen[bytes]) -> None:
    """End Java, politely first."""
    process.terminate()
    deadline = time.monotonic() + _STOP_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    process.kill()
    process.wait()
