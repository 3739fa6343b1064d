"""The machine's pip settings for the pip of sessions."""

from configparser import RawConfigParser
from pathlib import Path

from livius.adapters.local.pip_settings import pip_settings


def read(text: str) -> dict[str, str]:
    parser = RawConfigParser()
    parser.read_string(text)
    return dict(parser["global"]) if parser.has_section("global") else {}


def test_variables_win_over_the_users_file(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    file.write_text("[global]\nindex-url = https://one.example/%40simple\ntimeout = 5\n")
    text = pip_settings({"HOME": str(tmp_path), "PIP_INDEX_URL": "https://two.example/simple"})
    assert read(text) == {"index-url": "https://two.example/simple", "timeout": "5"}


def test_a_named_file_counts_and_devnull_means_none(tmp_path: Path) -> None:
    legacy = tmp_path / ".pip" / "pip.conf"
    legacy.parent.mkdir()
    legacy.write_text("[global]\ntimeout = 5\n")
    named = tmp_path / "named.conf"
    named.write_text("[global]\nretries = 2\n")
    home = {"HOME": str(tmp_path)}
    assert read(pip_settings(home | {"PIP_CONFIG_FILE": str(named)})) == {
        "timeout": "5",
        "retries": "2",
    }
    assert read(pip_settings(home | {"PIP_CONFIG_FILE": "/dev/null"})) == {}


def test_where_to_install_is_not_taken_over(tmp_path: Path) -> None:
    text = pip_settings({"HOME": str(tmp_path), "PIP_TARGET": "/opt", "PIP_USER": "1"})
    assert read(text) == {}
