"""Every conf key of a runtime's Spark and Delta, as JSON: run by the runtime's own Python.

``registered`` has the keys that ConfigBuilder registers, with their defaults: each object whose
class file speaks of ConfigBuilder is loaded, and the registry is read. ``settable`` has those that
a running Spark takes. ``named`` has the strings of
all class files that look like a key: what is read without being registered, such as
``spark.launcher.port``.
"""

import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyspark
from pyspark.java_gateway import launch_gateway

_KEY = re.compile(rb"spark\.[a-zA-Z][\w.$-]*")
_BUILDERS = {
    b"org/apache/spark/internal/config/ConfigBuilder",
    b"org/apache/spark/internal/config/ConfigBuilder$",
    b"buildConf",
}
_ENTRY = "org.apache.spark.internal.config.ConfigEntry"
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 15: 3, 16: 2, 19: 2, 20: 2} | dict.fromkeys(
    (9, 10, 11, 12, 17, 18), 4
)


def texts(raw: bytes) -> Iterator[bytes]:
    """Give the texts of a class file's constant pool."""
    count, at, number = int.from_bytes(raw[8:10], "big"), 10, 1
    while number < count:
        tag, at = raw[at], at + 1
        if tag == 1:
            size = int.from_bytes(raw[at : at + 2], "big")
            yield raw[at + 2 : at + 2 + size]
            at += 2 + size
        else:
            at += _SIZES[tag]
            number += tag in (5, 6)  # these take two places
        number += 1


def main(folder: Path) -> None:
    own = sorted(folder.glob("*.jar"))
    jars = [*sorted((Path(pyspark.__file__).parent / "jars").glob("*spark*.jar")), *own]
    objects, named = set(), set()
    for jar in jars:
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                raw = archive.read(name) if name.endswith(".class") else b""
                if b"spark." in raw or b"ConfigBuilder" in raw:
                    found = set(texts(raw))
                    named |= {text.decode() for text in found if _KEY.fullmatch(text)}
                    if name.endswith("$.class") and found & _BUILDERS:
                        objects.add(name.removesuffix(".class").replace("/", "."))
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--driver-class-path {os.pathsep.join(map(str, own))} pyspark-shell"
    )
    gateway = launch_gateway()
    java = gateway.jvm.java.lang.Class
    loader = gateway.jvm.java.lang.ClassLoader.getSystemClassLoader()
    for name in sorted(objects):
        java.forName(name, True, loader)
    companion = java.forName(f"{_ENTRY}$")
    known = companion.getDeclaredField("knownConfigs")
    known.setAccessible(True)
    entries = known.get(companion.getField("MODULE$").get(None)).values()
    registered = {entry.key(): entry.defaultValueString() or "" for entry in list(entries)}
    conf = gateway.jvm.org.apache.spark.sql.internal.SQLConf()
    settable = sorted(key for key in registered if conf.isModifiable(key))
    gateway.shutdown()
    keys = {"registered": registered, "settable": settable, "named": sorted(named)}
    json.dump(keys, sys.stdout)


main(Path(sys.argv[1]))
