"""The variables of an intercepted program, from those that it had before."""

from __future__ import annotations

from pathlib import Path

import pytest

from livius.cli.intercept.variables import variables, write_bundles
from livius.domain.intercepted_hosts import ENTRA, FABRIC, INTERCEPTED, is_intercepted


def set_variables(only: bool = False, **before: str) -> dict[str, str]:
    return variables(
        before,
        proxy="http://livius:x@127.0.0.1:1",
        names=INTERCEPTED,
        only=only,
        programs=Path("/intercept/bin"),
        bundle=Path("/intercept/bundle.pem"),
        node_bundle=Path("/intercept/node.pem"),
    )


def test_every_spelling_of_a_proxy_variable_is_set() -> None:
    found = set_variables()
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        assert found[name] == found[name.lower()] == "http://livius:x@127.0.0.1:1"
    assert found["NO_PROXY"] == found["no_proxy"] == "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("intranet.test, .corp.test ,10.0.0.0/8", "intranet.test,.corp.test,10.0.0.0/8"),
        ("*", ""),
        (".microsoft.com,a.test", "a.test"),
        ("*.microsoftonline.com", ""),
        ("login.microsoftonline.com:443", ""),
        ("onelake.dfs.fabric.microsoft.com", ""),
        ("myvault.vault.azure.net", ""),
        ("azure.net", ""),
        ("learn.microsoft.com", "learn.microsoft.com"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_no_proxy_keeps_what_spares_no_intercepted_host(before: str, kept: str) -> None:
    ours = "localhost,127.0.0.1,::1"
    expected = f"{ours},{kept}" if kept else ours
    assert set_variables(NO_PROXY=before)["no_proxy"] == expected
    assert set_variables(no_proxy=before)["NO_PROXY"] == expected
    assert set_variables(only=True, NO_PROXY=before)["NO_PROXY"] == ours


def test_our_programs_come_first() -> None:
    assert set_variables(PATH="/usr/bin")["PATH"] == "/intercept/bin:/usr/bin"


def test_a_bundle_has_all_that_was_trusted_before(tmp_path: Path) -> None:
    names = ("ours", "requests", "node", "folder/one", "folder/two")
    files = {name: tmp_path / name for name in names}
    (tmp_path / "folder").mkdir()
    for name, path in files.items():
        path.write_text(f"<{name}>")
    before = {
        "REQUESTS_CA_BUNDLE": str(files["requests"]),
        "CURL_CA_BUNDLE": str(tmp_path / "missing"),
        "SSL_CERT_FILE": str(tmp_path / "folder"),
        "NODE_EXTRA_CA_CERTS": str(files["node"]),
    }
    bundle, node = tmp_path / "bundle", tmp_path / "node-bundle"
    write_bundles(before, [files["ours"]], bundle=bundle, node_bundle=node)
    found = bundle.read_text()
    assert "BEGIN CERTIFICATE" in found  # the system's
    assert [name for name in names if f"<{name}>" in found] == [
        "ours", "requests", "folder/one", "folder/two",
    ]  # fmt: skip
    assert node.read_text() == "<node>\n<ours>"


def test_names_are_led_by_whole_labels() -> None:
    for host in ("api.fabric.microsoft.com", "LOGIN.windows.net", "x.vault.azure.net"):
        assert is_intercepted(host)
    for host in ("fabric.microsoft.com", "xapi.fabric.microsoft.com", "a.x.vault.azure.net", ""):
        assert not is_intercepted(host)
    assert not is_intercepted("login.microsoftonline.com", FABRIC)
    assert not ENTRA & FABRIC
