"""The agent's package, apart from ours, for the Python of drivers."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import livius_agent.wire


def ensure_agent(root: Path) -> Path:
    """Return a folder that holds the agent's package and nothing else.

    A driver's Python gets this folder, not ours: it must not find the gateway's packages. The
    name is the content's digest, so that running drivers keep the files that they started with.
    """
    source = Path(livius_agent.wire.__file__).parent
    files = sorted(source.rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = root / "agent" / digest
    if not folder.exists():
        partial = folder.with_name(f"{digest}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        for file in files:
            copy = partial / source.name / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        # Drivers may run as other users; the files are no secret.
        for path in (folder.parent, partial, *partial.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        partial.rename(folder)
    return folder
