"""The jars of a runtime, and what tells one build of it from another."""

import json
import os
import zipfile
from pathlib import Path

from livius.installation.runtime import builds_digest, remove_signatures


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


def test_each_build_of_any_runtime_has_a_digest_of_its_own(tmp_path: Path) -> None:
    digests = [builds_digest(tmp_path)]
    for name, full in (("2.0", None), ("1.3", None), ("1.3", "with more packages")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "manifest.json").write_text(json.dumps({"name": name, "full": full}))
        digests.append(builds_digest(tmp_path))
        assert digests[-1] == builds_digest(tmp_path)
    assert len(set(digests)) == 4
