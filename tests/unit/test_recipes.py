"""The recipes of runtimes, the page that is made of them, and the command that lists them."""

import json
from pathlib import Path

import pytest

from livius.cli.reference_runtimes import runtimes_page
from livius.cli.runtime import actions
from livius.installation.recipes import FULL_LOCK, LOCK, recipe, recipe_names
from support.gateway import ROOT


def test_the_page_is_what_the_recipes_are() -> None:
    page = ROOT / "docs" / "reference" / "runtimes.md"
    assert page.read_text(encoding="utf-8") == runtimes_page()


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_whole(name: str) -> None:
    one = recipe(name)
    for lock in (LOCK, FULL_LOCK):
        assert set(one.asked(lock)) <= set(one.pinned(lock))
    # What makes a runtime full changes no package that it has anyway.
    base, full = one.pinned(), one.pinned(FULL_LOCK)
    assert {name: full[name] for name in base.keys() & full} == {
        name: base[name] for name in base.keys() & full
    }
    assert one.versions() == {"spark": base["pyspark"], "delta": base["delta-spark"]}
    assert {jar["revision"] for jar in one.jars() if "delta" in jar["name"]} == {
        base["delta-spark"]
    }
    assert len(one.jars(full=True)) == len(one.jars()) + 1
    for java in one.java:
        assert (ROOT / "src" / "livius" / "runtimes" / f"java-{java}.txt").exists()


def test_each_spark_has_sources_of_its_own_with_the_same_names() -> None:
    def own(name: str) -> set[str]:
        folders = {source.parent.name for source in recipe(name).sources()}
        [folder] = folders - {"scala"}
        return {
            source.name for source in recipe(name).sources() if source.parent.name == folder
        } - {"Scala.scala", "Spark.scala"}

    assert own("1.3") == own("2.0")
    assert recipe("1.3").sources_digest() != recipe("2.0").sources_digest()


def test_the_list_says_which_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVIUS_HOME", str(tmp_path))
    monkeypatch.setenv("LIVIUS_RUNTIMES", str(tmp_path / "runtimes"))
    built = tmp_path / "runtimes" / "1.3"
    built.mkdir(parents=True)
    (built / "manifest.json").write_text(
        json.dumps({"lock": recipe("1.3").lock_digest(), "versions": {}}), encoding="utf-8"
    )
    assert actions.list_all(as_json=True) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["1.3"]["folder"] == str(built)
    assert found["2.0"]["folder"] is None
    assert [one["name"] for one in found.values() if one["isDefault"]] == ["2.0"]
    assert actions.list_all(as_json=False) == 0
    assert "livius runtime build 2.0" in capsys.readouterr().out
