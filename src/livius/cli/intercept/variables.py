"""The variables of a program under `livius exec`, and the files that they name."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import certifi

from livius.domain.intercepted_hosts import constraints

PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def present(environment: Mapping[str, str], name: str) -> str | None:
    """Return a proxy variable in either case; the lower one wins, as it does with most programs."""
    return environment.get(name.lower()) or environment.get(name) or None


def variables(
    environment: Mapping[str, str],
    *,
    proxy: str,
    names: frozenset[str],
    only: bool,
    programs: Path,
    bundle: Path,
    node_bundle: Path,
) -> dict[str, str]:
    """Return the variables of an intercepted program, which override its own."""
    spared = _spared(environment, names, only=only)
    return {
        **{name: proxy for upper in PROXIES for name in (upper, upper.lower())},
        "NO_PROXY": spared,
        "no_proxy": spared,
        **dict.fromkeys(_BUNDLES, str(bundle)),
        # Added to Node's own, where the others replace.
        "NODE_EXTRA_CA_CERTS": str(node_bundle),
        # Without it Node's fetch knows no proxy; older versions ignore it.
        "NODE_USE_ENV_PROXY": "1",
        "PATH": f"{programs}:{environment.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
    }


def _spared(environment: Mapping[str, str], names: frozenset[str], *, only: bool) -> str:
    """Return the hosts that are reached without the proxy: loopback, and the person's own."""
    own = (present(environment, "NO_PROXY") or "").split(",")
    kept = [] if only else [one for one in map(str.strip, own) if one and not _covers(one, names)]
    return ",".join(dict.fromkeys([*_LOOPBACK, *kept]))


def _covers(entry: str, names: frozenset[str]) -> bool:
    """Tell whether an entry would spare an intercepted host, as ``*`` does."""
    plain = entry.lower()
    if plain.count(":") == 1:  # a port; an IPv6 address has more
        plain = plain.partition(":")[0]
    plain = plain.removeprefix("*").strip(".")
    return not plain or any(
        f".{domain}".endswith(f".{plain}") or f".{plain}".endswith(f".{domain}")
        for domain in constraints(names)
    )


def write_bundles(
    environment: Mapping[str, str], ours: Sequence[Path], *, bundle: Path, node_bundle: Path
) -> None:
    """Write a program's trusted certificates: those that it trusted before, and our authorities.

    Raises:
        OSError: a file of ours can't be read.
    """
    added = b"".join(path.read_bytes() for path in ours)
    before = [_system_bundle()]
    before += [Path(environment[name]) for name in _BUNDLES if environment.get(name)]
    node = [Path(environment[one]) for one in ("NODE_EXTRA_CA_CERTS",) if environment.get(one)]
    bundle.write_bytes(b"".join([*map(_read, dict.fromkeys(before)), added]))
    node_bundle.write_bytes(b"".join([*map(_read, node), added]))


def _system_bundle() -> Path:
    # OPENSSL's own place first, but not by the variable that may name another.
    places = (ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_BUNDLES, certifi.where())
    return next(path for path in map(Path, places) if path.is_file())


def _read(path: Path) -> bytes:
    """Return a file's or a folder's certificates; what isn't there or readable adds none."""
    try:
        if path.is_dir():
            return b"".join(_read(one) for one in sorted(path.iterdir()) if one.is_file())
        return path.read_bytes().rstrip() + b"\n"
    except OSError:
        return b""
