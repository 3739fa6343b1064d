"""Finds or makes the parts that a gateway needs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from livius.adapters.local.archives import ClassArchive
from livius.adapters.local.runtimes import Runtime
from livius.installation.agent import ensure_agent
from livius.installation.certificates import Certificates
from livius.installation.home import Home, Ports
from livius.installation.java import ensure_java, find_java
from livius.installation.launching import check_launch
from livius.installation.progress import Progress, SetupFailed
from livius.installation.recipes import recipe, recipe_names
from livius.installation.runtime import InstalledRuntime, ensure_runtime, load_runtime
from livius.installation.tls import ensure_certificates
from livius.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The parts of an installation that can serve. ``runtime`` is the default one.

    ``metastore_runtime`` is the newest that is built. A newer one opens what an older one made, but
    not the other way round.
    """

    settings: Settings
    home: Home
    ports: Ports
    runtime: Runtime
    metastore_runtime: Runtime
    certificates: Certificates


def find_runtime(settings: Settings, name: str) -> Runtime | None:
    """Return a built runtime with the Java that runs it; None if one of them is missing.

    Raises:
        SetupFailed: this version has no such runtime, or LIVIUS_JAVA_HOME is wrong.
    """
    java = find_java(settings.java_home, settings.runtimes_folder, recipe(name).java)
    installed = load_runtime(settings.runtimes_folder, name)
    if java is None or installed is None:
        return None
    return Runtime(
        name=name,
        folder=installed.folder,
        python=installed.python,
        spark_home=installed.spark_home,
        jars=installed.jars,
        java=java.binary,
    )


def class_archive(settings: Settings, runtime: Runtime) -> ClassArchive:
    """Return the class archive of a runtime; it may be missing."""
    agent = ensure_agent(Home(settings.home).root)
    return ClassArchive(runtime, runtime.folder / "shared-classes", agent)


def build_runtime(
    settings: Settings, name: str, progress: Progress, *, full: bool = False
) -> InstalledRuntime:
    """Make what is missing of a runtime and of the Java for it.

    Raises:
        SetupFailed: a part can't be made; the message has the next step.
    """
    versions, folder = recipe(name).java, settings.runtimes_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupFailed(
            f"The runtimes' folder {folder} can't be made: {error.strerror}. Set LIVIUS_RUNTIMES "
            "to a folder that is yours."
        ) from error
    java = ensure_java(settings.java_home, folder, versions, progress)
    return ensure_runtime(folder, name, java, settings.ivy_settings, progress, full=full)


def prepare(settings: Settings, progress: Progress) -> None:
    """Make missing parts: Java, the default runtime, certificates.

    Raises:
        SetupFailed: a part can't be made; the message has the next step.
    """
    build_runtime(settings, settings.default_runtime, progress)
    progress.step("Certificates for https on this machine")
    ensure_certificates(Home(settings.home).tls)


def prepared(settings: Settings) -> Prepared:
    """Return the parts that `prepare` made, quickly, for the process with the data folder's lock.

    Raises:
        SetupFailed: a part is missing.
    """
    home = Home(settings.home)
    runtime = find_runtime(settings, settings.default_runtime)
    if runtime is None:
        raise SetupFailed(
            f"The runtime {settings.default_runtime} is not set up in {settings.runtimes_folder}. "
            "Set it up with: livius up"
        )
    if settings.launch_numbers is not None:
        # Files that are made from now on are closed to others, unless they are given a mode.
        os.umask(0o077)
        agent = ensure_agent(home.root)
        check_launch(settings.launch_numbers, runtime.python, (runtime.java, *runtime.jars, agent))
    return Prepared(
        settings=settings,
        home=home,
        ports=home.choose_ports(host=settings.host, https=settings.port, http=settings.http_port),
        runtime=runtime,
        metastore_runtime=_newest_runtime(settings) or runtime,
        certificates=ensure_certificates(home.tls),
    )


def _newest_runtime(settings: Settings) -> Runtime | None:
    found = (find_runtime(settings, name) for name in reversed(recipe_names()))
    return next((one for one in found if one is not None), None)
