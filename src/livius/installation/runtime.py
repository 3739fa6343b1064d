"""Building a runtime: Python packages, jars and the driver jar, in one read-only folder.

Everything is locked with hashes in the package's data. A runtime is complete when it has a
manifest, which is written last; whatever an interrupted build left is used or replaced.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import ssl
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from livius.installation.commands import run, uv
from livius.installation.java import Java
from livius.installation.progress import Progress, SetupFailed
from livius.installation.recipes import FULL_LOCK, LOCK, Recipe, recipe, recipe_names

DRIVER_JAR: Final = "livius-driver.jar"
_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = re.compile(r"META-INF/[^/]+\.(SF|RSA|DSA|EC)", re.IGNORECASE)
_TRUST_PASSWORD: Final = "changeit"  # noqa: S105 - a trust store holds public certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledRuntime:
    """A complete runtime. ``jars`` is the class path: PySpark's, ours, each sorted."""

    name: str
    folder: Path
    python: Path
    spark_home: Path
    jars: tuple[Path, ...]
    versions: dict[str, str]


def load_runtime(folder: Path, name: str) -> InstalledRuntime | None:
    """Return a complete runtime, or None. Reads the manifest only."""
    root = folder / name
    manifest = read_manifest(root)
    if manifest is None or manifest.get("lock") != recipe(name).lock_digest():
        return None
    spark_home = _spark_home(root)
    return InstalledRuntime(
        name=name,
        folder=root,
        python=root / "venv" / "bin" / "python",
        spark_home=spark_home,
        jars=(*sorted((spark_home / "jars").glob("*.jar")), *sorted((root / "jars").glob("*.jar"))),
        versions=manifest["versions"],
    )


def read_manifest(root: Path) -> dict[str, Any] | None:
    """Return the manifest of a runtime's folder; None if it is incomplete."""
    try:
        found = json.loads((root / _MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def builds_digest(folder: Path) -> str:
    """Return a digest of the runtimes that are built; it differs after each build of one."""
    builds = {name: read_manifest(folder / name) for name in recipe_names()}
    return hashlib.sha256(json.dumps(builds, sort_keys=True).encode()).hexdigest()


def is_driver_jar_current(root: Path) -> bool:
    """Tell whether a runtime's driver jar was made from the present sources."""
    manifest = read_manifest(root)
    return manifest is not None and manifest.get("sources") == recipe(root.name).sources_digest()


def ensure_runtime(
    folder: Path,
    name: str,
    java: Java,
    ivy_settings: Path | None,
    progress: Progress,
    *,
    full: bool = False,
) -> InstalledRuntime:
    """Return the runtime, building what is missing of it. A full one has more packages.

    One that is full stays so.

    Raises:
        SetupFailed: something can't be had; the message says what to do.
    """
    root, made = folder / name, recipe(name)
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.step(f"Waiting for another process that builds the runtime {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        present, before = load_runtime(folder, name), read_manifest(root) or {}
        full, sources = full or before.get("full") is not None, made.sources_digest()
        is_current = present is not None and is_driver_jar_current(root)
        grows = full and before.get("full") != made.full_digest()
        if present is None or grows:
            (root / _MANIFEST).unlink(missing_ok=True)
            _build_packages(root, made, progress, full=full)
            _fetch_jars(root, made, java, ivy_settings, progress, full=full)
        if not is_current:
            remove_signatures(_spark_home(root) / "jars")
            _compile_driver_jar(root, made, java, progress)
        if grows or not is_current:
            _write_manifest(root, made, sources, full=full)
        loaded = load_runtime(folder, name)
    if loaded is None:
        raise SetupFailed(
            f"The runtime in {root} is not complete. Delete the folder and try again."
        )
    return loaded


def _spark_home(root: Path) -> Path:
    found = sorted((root / "venv" / "lib").glob("python3.*/site-packages/pyspark"))
    return found[-1] if found else root / "venv" / "no-pyspark"


def _build_packages(root: Path, made: Recipe, progress: Progress, *, full: bool) -> None:
    """Make the virtual environment. PySpark comes as a source archive of 300 to 450 MB."""
    progress.step(f"Runtime {made.name}: PySpark and its Python packages")
    venv = root / "venv"
    if not (venv / "bin" / "python").exists():
        version = () if made.python is None else ("--python", made.python)
        uv("venv", "--clear", "--quiet", *version, venv, progress=progress)
    with as_file(made.file(LOCK)) as lock:
        # PySpark's build needs these two; taken from the lock, so that nothing unlocked is fetched.
        tools = root / "build-tools.txt"
        tools.write_text(_only(lock, ("setuptools", "wheel")), encoding="utf-8")
        install = ("pip", "install", "--require-hashes", "--no-deps")
        uv(*install, "-r", tools, progress=progress, venv=venv)
        uv(*install, "--no-build-isolation", "-r", lock, progress=progress, venv=venv)
        tools.unlink()
    if full:
        progress.step(f"Runtime {made.name}: the most used packages of Fabric's list")
        with as_file(made.file(FULL_LOCK)) as lock:
            uv(*install, "-r", lock, progress=progress, venv=venv)


def remove_signatures(jars: Path) -> None:
    """Replace each signed jar of a folder by one without its signature.

    Java verifies a signed jar whenever it loads classes from it, and puts none of them into a class
    archive. That these are the right files has been checked by the hash of what they came in.
    """
    for jar in sorted(jars.glob("*.jar")):
        with zipfile.ZipFile(jar) as signed:
            signatures = set(filter(_SIGNATURE.fullmatch, signed.namelist()))
            if not signatures:
                continue
            plain = jar.with_suffix(".plain")
            with zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as archive:
                for entry in signed.infolist():
                    if entry.filename not in signatures:
                        archive.writestr(entry, signed.read(entry))
        plain.replace(jar)  # not in place: the packages' cache may have the same file


def _only(lock: Path, names: Sequence[str]) -> str:
    """Return the lines of a lock that are about the named packages."""
    kept: list[str] = []
    keep = False
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line.startswith((" ", "#")):
            keep = line.partition("==")[0] in names
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _fetch_jars(
    root: Path, made: Recipe, java: Java, settings: Path | None, progress: Progress, *, full: bool
) -> None:
    """Download Delta's jars with the Ivy that PySpark ships, and check each hash."""
    progress.step(f"Runtime {made.name}: Delta's jars")
    jars = root / "jars"
    jars.mkdir(exist_ok=True)
    trust = _trust_store(root / "trust.p12")
    [ivy] = sorted((_spark_home(root) / "jars").glob("ivy-*.jar"))
    for jar in made.jars(full=full):
        file = jars / f"{jar['name']}-{jar['revision']}.jar"
        if _sha256(file) == jar["sha256"]:
            continue
        progress.detail(file.name)
        run(
            (
                java.binary,
                f"-Djavax.net.ssl.trustStore={trust}",
                f"-Djavax.net.ssl.trustStorePassword={_TRUST_PASSWORD}",
                *("-jar", ivy),
                *(("-settings", settings) if settings else ()),
                *("-cache", root / "ivy"),
                *("-dependency", jar["organisation"], jar["name"], jar["revision"]),
                *("-notransitive", "-types", "jar", "-confs", "default"),
                *("-retrieve", f"{jars}/[artifact]-[revision].[ext]"),
            ),
            _Quiet(),
        )
        if _sha256(file) != jar["sha256"]:
            file.unlink(missing_ok=True)
            raise SetupFailed(
                f"{file.name} is not the file that this version of Livius was made with. If a "
                "mirror serves it, the mirror is wrong; else try again."
            )
    shutil.rmtree(root / "ivy", ignore_errors=True)
    trust.unlink()


class _Quiet:
    """Ivy says a page per jar; what went wrong is in the error."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def detail(self, text: str) -> None:
        """Say nothing."""


def _trust_store(path: Path) -> Path:
    """Give Java the system's certificate authorities: a small Java knows public ones only."""
    context = ssl.create_default_context()
    with warnings.catch_warnings():
        # Some old authorities' certificates are odd; whether to trust them is the system's say.
        warnings.simplefilter("ignore")
        certificates = [
            pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(der), f"ca-{number}".encode())
            for number, der in enumerate(context.get_ca_certs(binary_form=True))
        ]
    path.write_bytes(
        pkcs12.serialize_java_truststore(
            certificates, BestAvailableEncryption(_TRUST_PASSWORD.encode())
        )
    )
    return path


def _sha256(path: Path) -> str | None:
    if not path.exists():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _compile_driver_jar(root: Path, made: Recipe, java: Java, progress: Progress) -> None:
    """Compile our Scala sources with the compiler that PySpark ships."""
    progress.step("The driver jar: compiling Livius's part of the driver")
    work = root / "compile"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for source in made.sources():
        (work / source.name).write_bytes(source.read_bytes())
    jar = work / DRIVER_JAR
    path = f"{_spark_home(root)}/jars/*:{root}/jars/*"
    run(
        (
            *(java.binary, "-cp", path, "scala.tools.nsc.Main", "-usejavacp"),
            # Not -release: small Java images lack the data that it needs.
            *("-target:17", "-nowarn", "-d", jar),
            *sorted(work.glob("*.scala")),
        ),
        progress,
    )
    with zipfile.ZipFile(jar, "a") as archive:
        for resource in made.resources():
            archive.writestr(resource.name, resource.read_bytes())
    # Running drivers have the old file open, and keep it.
    jar.replace(root / "jars" / DRIVER_JAR)
    shutil.rmtree(work)


def _write_manifest(root: Path, made: Recipe, sources: str, *, full: bool) -> None:
    manifest = {
        "name": made.name,
        "lock": made.lock_digest(),
        "full": made.full_digest() if full else None,
        "sources": sources,
        "versions": made.versions(),
        "jars": {path.name: _sha256(path) for path in sorted((root / "jars").glob("*.jar"))},
    }
    partial = root / f"{_MANIFEST}.partial"
    partial.write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    partial.replace(root / _MANIFEST)
