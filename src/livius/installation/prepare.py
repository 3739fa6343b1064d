"""Finds or makes the parts that a gateway needs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from livius.adapters.local.archives import ClassArchive
from livius.adapters.local.runtimes import Runtime
from livius.installation.agent import ensure_agent
from livius.installation.certificates import Certificates
from livius.installation.home import Home, Ports
from livius.installation.java import Java, ensure_java, find_java
from livius.installation.launching import check_launch
from livius.installation.progress import Progress, SetupFailed
from livius.installation.runtime import (
    InstalledRuntime,
    check_runtime,
    ensure_runtime,
    load_runtime,
)
from livius.installation.tls import ensure_certificates
from livius.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The parts of an installation that can serve."""

    settings: Settings
    home: Home
    ports: Ports
    java: Java
    runtime: InstalledRuntime
    certificates: Certificates

    def launchable(self) -> Runtime:
        """Return the runtime with the Java that runs it."""
        return _launchable(self.java, self.runtime)

    def class_archive(self) -> ClassArchive:
        """Return the class archive of this runtime and Java, made or not."""
        return _archive(self.home, self.java, self.runtime)


def class_archive(settings: Settings) -> ClassArchive:
    """Return the class archive of the runtime and Java that `prepare` made; it may be missing.

    Raises:
        SetupFailed: runtime or Java are missing.
    """
    return _archive(Home(settings.home), *_found(settings))


def _archive(home: Home, java: Java, runtime: InstalledRuntime) -> ClassArchive:
    folder = runtime.folder / "shared-classes"
    return ClassArchive(_launchable(java, runtime), folder, ensure_agent(home.root))


def _launchable(java: Java, runtime: InstalledRuntime) -> Runtime:
    return Runtime(
        name=runtime.name,
        python=runtime.python,
        spark_home=runtime.spark_home,
        jars=runtime.jars,
        java=java.binary,
    )


def _found(settings: Settings) -> tuple[Java, InstalledRuntime]:
    check_runtime(settings.default_runtime)
    java = find_java(settings.java_home, settings.runtimes_folder / "java")
    runtime = load_runtime(settings.runtimes_folder, settings.default_runtime)
    if java is None or runtime is None:
        raise SetupFailed(
            f"The runtime {settings.default_runtime} is not set up in {settings.runtimes_folder}. "
            "Set it up with: livius up"
        )
    return java, runtime


def prepare(settings: Settings, progress: Progress) -> None:
    """Make missing parts: Java, the runtime, certificates.

    Raises:
        SetupFailed: a part can't be made; the message has the next step.
    """
    check_runtime(settings.default_runtime)
    folder = settings.runtimes_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupFailed(
            f"The runtimes' folder {folder} can't be made: {error.strerror}. Set LIVIUS_RUNTIMES "
            "to a folder that is yours."
        ) from error
    java = ensure_java(settings.java_home, folder / "java", progress)
    ensure_runtime(folder, settings.default_runtime, java, settings.ivy_settings, progress)
    progress.step("Certificates for https on this machine")
    ensure_certificates(Home(settings.home).tls)


def prepared(settings: Settings) -> Prepared:
    """Return the parts that `prepare` made, quickly, for the process with the data folder's lock.

    Raises:
        SetupFailed: a part is missing.
    """
    home = Home(settings.home)
    java, runtime = _found(settings)
    if settings.launch_numbers is not None:
        # Files that are made from now on are closed to others, unless they are given a mode.
        os.umask(0o077)
        agent = ensure_agent(home.root)
        check_launch(settings.launch_numbers, runtime.python, (java.binary, *runtime.jars, agent))
    return Prepared(
        settings=settings,
        home=home,
        ports=home.choose_ports(host=settings.host, https=settings.port, http=settings.http_port),
        java=java,
        runtime=runtime,
        certificates=ensure_certificates(home.tls),
    )
