"""The paths of an installation's certificates. `livius.installation.tls` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files in PEM. ``ca_file`` and ``intercept_ca_file`` are for others; the keys are 0600."""

    ca_file: Path
    leaf_file: Path
    leaf_key_file: Path
    intercept_ca_file: Path
    intercept_file: Path
    intercept_key_file: Path


def certificates_in(folder: Path) -> Certificates:
    """Return the paths, whether or not the files exist."""
    return Certificates(
        ca_file=folder / "ca.pem",
        leaf_file=folder / "server.pem",
        leaf_key_file=folder / "server.key",
        intercept_ca_file=folder / "intercept-ca.pem",
        intercept_file=folder / "intercept.pem",
        intercept_key_file=folder / "intercept.key",
    )
