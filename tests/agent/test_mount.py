"""The sentence for code that names a place which this machine can't show."""

import pytest

from livius_agent.mount import PLACE, with_hint


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (f"[Errno 2] No such file or directory: '{PLACE}/Files/a b/x.csv'", "Files/a b/x.csv"),
        (
            f"[PATH_NOT_FOUND] Path does not exist: file:{PLACE}/Files/x.csv. SQLSTATE",
            "Files/x.csv",
        ),
        (f"{PLACE}/Files/x.csv (No such file or directory)", "Files/x.csv"),
        (f"cannot list {PLACE}", "."),
    ],
)
def test_it_names_the_path_to_write(message: str, path: str) -> None:
    said = with_hint(message)
    assert said is not None
    assert said.startswith(message)
    assert f"write {path} instead" in said


@pytest.mark.parametrize("message", [None, "", "No such file: '/data/x'", "/lakehouse/other"])
def test_other_errors_stay_as_they_are(message: str | None) -> None:
    assert with_hint(message) == message
