"""Every text of the portal is there in each language."""

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from livius.language import ENGLISH, LOCALE, TRADITIONAL_CHINESE, accepted, translations
from portal.conftest import Visitor
from support.catalogue import Message, messages

_PLACE = re.compile(r"%\((\w+)\)[sd]")
_CHINESE = "\u4e00-\u9fff「」"
_HALF_WIDTH = re.compile(f"[{_CHINESE}][,:;!?]|[,;:!?][{_CHINESE}]|[\uff08\uff09]")
"""Punctuation is full-width, but for parentheses, which Microsoft sets half-width."""


@pytest.mark.parametrize("file", sorted(LOCALE.glob("*.po")), ids=lambda file: file.stem)
def test_no_text_lacks_its_translation_and_none_is_left_over(file: Path) -> None:
    with file.open("rb") as opened:
        catalogue = read_po(opened)
    translated: dict[Message, object] = {
        one.id if isinstance(one.id, str) else (one.id[0], one.id[1]): one.string
        for one in catalogue
        if one.id
    }
    wanted = messages()
    assert [one for one in wanted if not translated.get(one)] == []
    assert sorted(set(translated) - set(wanted), key=str) == []
    for one, string in translated.items():
        places = set(_PLACE.findall(str(one)))
        for form in string if isinstance(string, list | tuple) else [string]:
            assert set(_PLACE.findall(str(form))) == places, one
            assert form, one


def test_chinese_has_chinese_punctuation() -> None:
    with (LOCALE / "zh_TW.po").open("rb") as opened:
        texts = [str(one.string) for one in read_po(opened)]
    assert [text for text in texts if _HALF_WIDTH.search(text)] == []


@pytest.mark.parametrize("word", ["語句", "租戶", "客戶端", "會話"])
def test_chinese_has_microsofts_terms(word: str) -> None:
    with (LOCALE / "zh_TW.po").open("rb") as opened:
        texts = [str(one.string) for one in read_po(opened)]
    assert [text for text in texts if word in text] == []


def test_roles_have_their_names_in_each_language(ada: Visitor) -> None:
    ada.post("/workspaces", name="Mine")
    assert ">Admin</td>" in ada.get("/workspaces").text
    ada.post("/preferences", language="zh-TW", next="/portal")
    assert ">系統管理員</td>" in ada.get("/workspaces").text


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", TRADITIONAL_CHINESE),
        ("en-US,en;q=0.9,zh-TW;q=0.8", ENGLISH),
        ("de, zh-Hant;q=0.5, en;q=0.3", TRADITIONAL_CHINESE),
        ("zh-TW;q=0, en", ENGLISH),
        ("de", ENGLISH),
        ("", ENGLISH),
        ("*", ENGLISH),
        (";;;q=zh", ENGLISH),
        ("zh-TW;q=0.0.1,en;q=0.5", ENGLISH),
        ("x" * 10_000, ENGLISH),
    ],
)
def test_the_browser_says_which_language(header: str, language: object) -> None:
    assert accepted(header) is language


def test_the_chosen_language_goes_before_the_browsers(ada: Visitor) -> None:
    assert "監視中樞" in ada.get("/monitor", **{"Accept-Language": "zh-TW"}).text
    answer = ada.post("/preferences", language="en", next="/portal/monitor")
    assert answer.headers["location"] == "/portal/monitor"
    page = ada.get("/monitor", **{"Accept-Language": "zh-TW"})
    assert "Monitoring hub" in page.text
    assert '<html lang="en"' in page.text


def test_what_is_not_on_offer_is_not_chosen(ada: Visitor) -> None:
    answer = ada.post("/preferences", language="xx", theme="<b>", next="https://elsewhere.test")
    assert "set-cookie" not in answer.headers
    assert answer.headers["location"] == "/portal"


def test_plurals_are_formed() -> None:
    words = translations(TRADITIONAL_CHINESE)
    assert words.ngettext("%(num)d row", "%(num)d rows", 5) == "%(num)d 列"


def test_what_is_refused_is_said_in_the_readers_language(ada: Visitor) -> None:
    assert ada.post("/workspaces", name="<Taken>").status_code == 303
    refused = ada.post("/workspaces", name="<Taken>").text
    assert "There is a workspace &lt;Taken&gt;. Choose another name." in refused
    ada.post("/preferences", language="zh-TW", next="/portal")
    refused = ada.post("/workspaces", name="<Taken>").text
    assert "已有名為 &lt;Taken&gt; 的工作區。請選擇其他名稱。" in refused
    assert "沒有使用此識別碼的項目" in ada.get("/workspaces/x/settings").text
