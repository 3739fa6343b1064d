"""Secrets that a driver was handed don't come out of it."""

import html
import json
import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius_agent import redact
from livius_agent.redact import HANDED_OUT, REDACTED, Redactor, Secrets, redact_logs

SECRET = 'it\'s "s3cret" <&> tail\\end'


def knowing(*secrets: str) -> Secrets:
    known = Secrets()
    for secret in secrets:
        known.add(secret)
    return known


@pytest.mark.parametrize("form", [SECRET, repr(SECRET), json.dumps(SECRET), html.escape(SECRET)])
def test_each_form_that_a_value_is_printed_in(form: str) -> None:
    said = knowing(SECRET).text(f"a {form} b {form}")
    assert "s3cret" not in said
    assert said.count(REDACTED) == 2


def test_values_with_all_that_they_hold() -> None:
    value = {"application/json": {"data": [["x hunter22 y", 1, None]], "hunter22": True}}
    assert knowing("hunter22").value(value) == {
        "application/json": {"data": [[f"x {REDACTED} y", 1, None]], REDACTED: True}
    }


def test_data_that_is_json_already() -> None:
    raw = b'{"data":[["x hunter22 y",1.5,null]]}'
    assert knowing("hunter22").json(raw) == raw.replace(b"hunter22", REDACTED.encode())


def test_of_two_secrets_the_longer_one_goes_first() -> None:
    assert knowing("pass", "password1").text("password1 pass") == f"{REDACTED} {REDACTED}"


def test_what_is_too_short_to_be_told_from_words_stays() -> None:
    assert knowing("abc").text("abcabc") == "abcabc"


def test_nothing_is_searched_before_there_is_a_secret() -> None:
    text = "x" * 1000
    secrets = Secrets()
    assert secrets.text(text) is text
    assert Redactor(secrets).feed(text) is text
    assert secrets.value(known := {"a": text}) is known


@given(
    st.lists(st.text("abc", min_size=4, max_size=9), min_size=1, max_size=3),
    st.lists(st.text("abc ", max_size=6), max_size=12),
    st.data(),
)
def test_pieces_say_what_the_whole_would(
    secrets: list[str], words: list[str], data: st.DataObject
) -> None:
    whole = "".join(part for word in words for part in (word, data.draw(st.sampled_from(secrets))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    known = knowing(*secrets)
    stream = Redactor(known)
    said = "".join(map(stream.feed, pieces)) + stream.end()
    assert not any(secret in said for secret in secrets)
    if len(pieces) == 1:
        assert said == known.text(whole)


def test_a_line_is_told_at_once_and_only_a_beginning_waits() -> None:
    stream = Redactor(knowing("hunter22"))
    assert stream.feed("a line\n") == "a line\n"
    assert stream.feed("my hunt") == "my "
    assert stream.feed("er22!\n") == f"{REDACTED}!\n"
    assert stream.feed("hunting h") == "hunting "
    assert stream.end() == "h"


def test_a_drivers_logs_are_cleaned_by_what_it_was_handed(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / HANDED_OUT)
    secrets.add("hunter22")
    secrets.add("zweiter\nTeil")
    assert stat.S_IMODE((tmp_path / HANDED_OUT).stat().st_mode) == 0o600
    log = tmp_path / "stdout.log"
    log.write_bytes(b"\xff a hunter22 and zweiter\nTeil\n")
    redact_logs(tmp_path, log, tmp_path / "not-there.log")
    assert log.read_bytes() == b"\xff a [REDACTE and [REDACTED]**\n"
    untouched = tmp_path / "other"
    untouched.mkdir()
    log.write_text("hunter22")
    redact_logs(untouched, log)
    assert log.read_text() == "hunter22"


def test_a_secret_between_two_pieces_of_a_large_log_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Secrets(tmp_path / HANDED_OUT).add("hunter22")
    log, text = tmp_path / "stdout.log", b"0123456789 hunter22 " * 10
    monkeypatch.setattr(redact, "_PIECE", 7)
    log.write_bytes(text)
    redact_logs(tmp_path, log)
    assert log.read_bytes() == text.replace(b"hunter22", b"[REDACTE")


def test_a_file_of_secrets_as_large_as_can_be_delays_nobody(tmp_path: Path) -> None:
    lines = [json.dumps(f"{number:04}'<{'x' * 1500}") for number in range(10_000)]
    (tmp_path / HANDED_OUT).write_text("\n".join(lines))
    (tmp_path / "stdout.log").write_bytes(b"a line\n" * 8000)
    before = time.process_time()
    known = Secrets.handed_out(tmp_path)
    known.text("a line\n" * 8000)
    known.masked(b"a line\n" * 8000)
    assert known
    assert time.process_time() - before < 2  # a pattern of them takes ten times as long


def test_a_log_that_still_grows_is_masked_byte_for_byte() -> None:
    secrets = knowing("hunter22-and-more", "pässe")
    data = b"a hunter22-and-more b " + "pässe".encode() + b" c"
    masked = secrets.masked(data)
    assert masked == b"a [REDACTED]******* b [REDAC c"
    assert len(masked) == len(data)
    assert secrets.longest == 17
    assert Secrets().masked(data) == data


@pytest.mark.parametrize("planted", ["pipe", "link", "folder", "odd lines"])
def test_whatever_a_session_plants_there_delays_nobody_and_shows_nothing(
    tmp_path: Path, planted: str
) -> None:
    """Gateway and supervisor read the file in a folder that is the session's own."""
    file, private = tmp_path / HANDED_OUT, tmp_path / "private"
    private.write_text('"of somebody else"\n')
    match planted:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to(private)
        case "folder":
            file.mkdir()
        case _:
            file.write_bytes(b'17\n["hunter22"]\n' + b"[" * 100_000 + b'\n\xff\n"hunter22"\n')
    known = Secrets.handed_out(tmp_path)
    assert known.text("of somebody else") == "of somebody else"
    assert (known.text("hunter22") == REDACTED) is (planted == "odd lines")
