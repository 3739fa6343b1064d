"""Environments where drivers run as users of their own: for members of the workspace alone."""

import stat
from pathlib import Path

import pytest

from support.environments import RemoteEnvironment, make_wheel
from support.gateway import Gateway

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_member_imports_what_others_can_not_read(gateway: Gateway, tmp_path: Path) -> None:
    client = gateway.client()
    lab = RemoteEnvironment.create(client, "Lab")
    lab.stage(make_wheel(tmp_path, "livius_apart", "1.0", "WORD = 'blue'\n"))
    version = lab.folder / lab.published()["targetVersion"]
    found = version.stat()
    assert stat.S_IMODE(found.st_mode) == 0o550
    assert (found.st_uid, found.st_gid > 0) == (0, True)
    assert stat.S_IMODE(lab.folder.stat().st_mode) == 0o711
    assert stat.S_IMODE((lab.folder / "staged").stat().st_mode) == 0o700
    with client.session(conf=lab.conf) as session:
        assert session.text("import livius_apart; print(livius_apart.WORD)") == "blue"
        code = f"""
import os
print(os.getuid() > 0, os.access({str(version / "python")!r}, os.W_OK))
try:
    os.listdir({str(lab.folder)!r})
except PermissionError:
    print("closed")
"""
        assert session.text(code) == "True False\nclosed"
