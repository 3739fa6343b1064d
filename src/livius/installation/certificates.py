"""Where an installation's certificates are. `livius.installation.tls` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files in PEM. ``ca_file`` and ``led_ca_file`` are for others; the keys are 0600."""

    ca_file: Path
    leaf_file: Path
    leaf_key_file: Path
    led_ca_file: Path
    led_file: Path
    led_key_file: Path


def certificates_in(folder: Path) -> Certificates:
    """Return where the files are, made or not."""
    return Certificates(
        ca_file=folder / "ca.pem",
        leaf_file=folder / "server.pem",
        leaf_key_file=folder / "server.key",
        led_ca_file=folder / "led-ca.pem",
        led_file=folder / "led.pem",
        led_key_file=folder / "led.key",
    )
