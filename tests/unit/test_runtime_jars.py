"""The jars of a runtime."""

import os
import zipfile
from pathlib import Path

from livius.installation.runtime import remove_signatures


def make_jar(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name.encode())


def test_signed_jars_lose_their_signature_and_nothing_else(tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    jars.mkdir()
    kept = ("META-INF/MANIFEST.MF", "META-INF/services/a.SF", "a/B.class")
    cached = tmp_path / "cached.jar"
    make_jar(cached, *kept, "META-INF/DUMMY.SF", "META-INF/dummy.dsa")
    os.link(cached, jars / "signed.jar")
    make_jar(jars / "plain.jar", *kept)
    plain = (jars / "plain.jar").stat()
    remove_signatures(jars)
    assert sorted(path.name for path in jars.iterdir()) == ["plain.jar", "signed.jar"]
    assert (jars / "plain.jar").stat() == plain
    with zipfile.ZipFile(jars / "signed.jar") as archive:
        assert archive.namelist() == list(kept)
        assert archive.read("a/B.class") == b"a/B.class"
    with zipfile.ZipFile(cached) as archive:
        assert "META-INF/DUMMY.SF" in archive.namelist()
