"""A sentence is English text everywhere, and can be said in another language on a page."""

import json

import pytest

from livius.domain.messages import Message
from livius.language import ENGLISH, TRADITIONAL_CHINESE, said

TAKEN = Message("There is a workspace %(name)s. Choose another name.", name="100% <b>%(name)s</b>")


def test_it_is_the_text_itself() -> None:
    assert TAKEN == "There is a workspace 100% <b>%(name)s</b>. Choose another name."
    assert json.dumps({"message": TAKEN}) == json.dumps({"message": str(TAKEN)})
    assert f"{TAKEN}" == str(TAKEN)


def test_without_values_a_per_cent_sign_is_one() -> None:
    assert Message("100%") == "100%"


def test_a_value_that_is_missing_is_a_bug_that_shows_at_once() -> None:
    with pytest.raises(KeyError):
        Message("%(name)s is %(what)s.", name="x")


def test_it_is_said_in_another_language_with_the_same_values() -> None:
    assert said(TAKEN, ENGLISH) == TAKEN
    assert said(TAKEN, TRADITIONAL_CHINESE) == (
        "已有名為 100% <b>%(name)s</b> 的工作區。請選擇其他名稱。"
    )


def test_a_value_that_is_a_sentence_is_said_too() -> None:
    fault = Message("it is not a URI")
    whole = Message("%(uri)s can't be a redirect URI: %(fault)s.", uri="x", fault=fault)
    assert whole == "x can't be a redirect URI: it is not a URI."
    in_chinese = said(whole, TRADITIONAL_CHINESE)
    assert in_chinese.startswith("x 不能作為重新導向 URI")
    assert in_chinese.endswith("它不是 URI。")


def test_what_is_no_key_stays() -> None:
    assert said("Home", TRADITIONAL_CHINESE) == "Home", "a name that happens to be a word of ours"
    assert said(Message("nobody's key"), TRADITIONAL_CHINESE) == "nobody's key"
