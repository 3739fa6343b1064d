"""The first reading of a cell, before any language gets it."""

import pytest

from livius_agent.cells import is_configure, without_mark


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("\ufeff1 + 1", "1 + 1"),
        ("\n\ufeff \ufeffselect 1", "\n select 1"),
        ("print('\ufeff')", "print('\ufeff')"),
        ("\ufeff", ""),
        ("", ""),
    ],
)
def test_a_mark_before_the_code_is_left_out(code: str, plain: str) -> None:
    assert without_mark(code) == plain


@pytest.mark.parametrize(
    "code",
    [
        "%%configure\n{}",
        "%%configure -f\n{}",
        "  \n%configure",
        "# first\n\n-- second\n// third\n%%configure\n{}",
    ],
)
def test_configure_is_known_behind_comments(code: str) -> None:
    assert is_configure(code)


@pytest.mark.parametrize(
    "code",
    ["", "# %%configure", "x = 1\n%%configure", "%%configured", "'%%configure'", "#" * 100_000],
)
def test_anything_else_is_no_configure(code: str) -> None:
    assert not is_configure(code)
