"""Chinese, Japanese and Korean in figures, with the font of a package that a full runtime has.

matplotlib's own fonts lack their characters. Ours stands behind whichever font a figure has, so
that nobody needs to name it, and a style such as seaborn's, which sets fonts, does not lose it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_PACKAGE: Final = "noto_cjk_sans_otc"
_FILE: Final = "NotoSansCJK-Regular.ttc"
_MANAGER: Final = "matplotlib.font_manager"


def watch() -> None:
    """Add the font when matplotlib is imported, which takes long and is not for every session."""
    sys.meta_path.insert(0, _Watch())


class _Watch(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MANAGER:
            return None
        package, found = find_spec(_PACKAGE), PathFinder.find_spec(fullname, path, target)
        if package is None or package.origin is None or found is None or found.origin is None:
            return None
        found.loader = _Loader(fullname, found.origin)
        return found


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        package = find_spec(_PACKAGE)
        if package is not None and package.origin is not None:
            font = Path(package.origin).with_name(_FILE)
            module.fontManager.addfont(font)
            module.get_font = _behind(module.get_font, font)  # type: ignore[attr-defined]


def _behind(get_font: Callable[..., Any], font: Path) -> Callable[..., Any]:
    """Return matplotlib's function that opens fonts, with one more for what the others lack."""

    def get(
        paths: str | bytes | PathLike[Any] | Iterable[Any], *arguments: Any, **more: Any
    ) -> Any:
        first = [paths] if isinstance(paths, (str, bytes, PathLike)) else paths
        return get_font([*first, font], *arguments, **more)

    return get
