"""An activity's logs by line, in a real browser too."""

import re

import pytest
from playwright.sync_api import Page, expect

from livius.domain.session import EndCause, Session
from livius.usecases.log_reading import COUNTED, MOST_LINES
from portal.conftest import Look, Visitor, Windows, activity
from support.browsing import Served
from support.chromium import check, fits

INFO = b"26/01/01 10:00:00 INFO TaskSetManager: Finished task in stage 0.0 (TID 1) in 9 ms\n"
ERROR = b"26/01/01 10:00:01 ERROR Executor: <b>no\njava.lang.Error: no\n\tat a.B(C.java:1)\n"
WARN = b'{"ts":"2026-01-01","level":"WARN","msg":"slow"}\n'


def print_log(served: Served, session: Session, text: bytes, name: str = "stderr") -> None:
    served.site.world.logs.printed[session.driver, name] = text


def numbers(page: str) -> list[str]:
    return re.findall(r'tabindex="-1"[^>]*>([^<]*)</a>', page)


def address(page: str, label: str) -> str:
    found = re.search(rf'href="/portal([^"]*)"[^>]*>{label}', page)
    assert found is not None, label
    return found[1].replace("&amp;", "&")


def test_the_last_lines_are_shown_and_the_others_are_a_click_away(
    served: Served, ada: Visitor
) -> None:
    session = served.site.session()
    print_log(served, session, b"".join(b"line %06d <b>\n" % n for n in range(40_000)))
    page = ada.get(f"{activity(session)}/logs").text
    assert "line 039999 &lt;b&gt;" in page
    assert numbers(page) == [str(n) for n in range(40_001 - MOST_LINES, 40_001)]
    earlier = ada.get(address(page, "Earlier lines")).text
    assert numbers(earlier)[-1] == str(40_000 - MOST_LINES)
    assert numbers(ada.get(address(earlier, "Later lines")).text)[0] == str(40_001 - MOST_LINES)
    first = ada.get(f"{activity(session)}/logs?at=0").text
    assert "line 000000" in first
    assert "Earlier lines" not in first


def test_a_line_has_an_address_that_stays(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    lines = [b"line %05d\n" % n for n in range(5000)]
    print_log(served, session, b"".join(lines))
    first = ada.get(f"{activity(session)}/logs?at=110").text
    link = re.search(r'id="o110"><a href="/portal([^"]*)"', first)
    assert link is not None
    assert link[1].endswith("log=stderr&amp;at=110#o110")
    print_log(served, session, b"".join(lines * 3))
    again = ada.get(link[1].replace("&amp;", "&").split("#")[0]).text
    assert re.search(r'id="o110"><a [^>]*>11</a><span>line 00010<', again)


def test_entries_have_their_levels_and_traces(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    print_log(served, session, INFO * 3 + ERROR + WARN + b"printed \x1b[31mred\x1b[0m\n")
    page = ada.get(f"{activity(session)}/logs").text
    assert page.count('class="of-error"') == 2  # the line, and its level's name
    assert page.count('class="of-error more-of"') == 2
    assert '<b class="of-warn">WARN</b>' in page
    assert "&lt;b&gt;no" in page
    assert '<span class="a1">red</span>' in page
    errors = ada.get(f"{activity(session)}/logs?errors=1").text
    assert numbers(errors) == ["4", "5", "6"]
    print_log(served, session, INFO, "stdout")
    assert "No entry of this log is an error." in (
        ada.get(f"{activity(session)}/logs?log=stdout&errors=1").text
    )


def test_a_log_of_fifty_megabytes_is_searched_and_counted_in_parts(
    served: Served, ada: Visitor
) -> None:
    session = served.site.session()
    count = 50 * 2**20 // len(INFO)
    text = INFO * count + b"26/01/01 ERROR Needle \xff <x>\n" + INFO
    print_log(served, session, text, "stdout")
    page = ada.get(f"{activity(session)}/logs?log=stdout&q=needle").text
    assert "Match 1 of 1" in page
    assert "<mark>Needle</mark>" in page
    assert "&lt;x&gt;" in page
    assert set(numbers(page)) == {"·"}
    at = text.index(b"26/01/01 ERROR")
    found = None
    for _request in range(len(text) // COUNTED + 1):
        path = f"{activity(session)}/logs/counted?log=stdout&at={at}"
        found = ada.get(path).json()["numbers"]
    assert found == [count + 1]
    assert str(count + 1) in numbers(ada.get(f"{activity(session)}/logs?log=stdout").text)
    whole = ada.get(f"{activity(session)}/logs/stdout")
    assert len(whole.content) == len(text)
    assert "attachment" in whole.headers["content-disposition"]
    many = ada.get(f"{activity(session)}/logs?log=stdout&q=tasksetmanager").text
    assert "Match 200 of 200" in many
    further = ada.get(address(many, "Search further up")).text
    assert "Match 200 of 200" in further
    assert address(further, "Search further up") != address(many, "Search further up")


@pytest.mark.parametrize(
    "query",
    [
        *("log=passwd", "log=../x", "at=-5", "at=99999999", "q=%00", "q=", "hit=7&q=o", "q=%C3"),
        *("before=-1", "from=99999999999999999999", "errors=1&before=5", "until=0&q=o", "at=0x1"),
    ],
)
def test_odd_questions_about_logs_are_answered(served: Served, ada: Visitor, query: str) -> None:
    session = served.site.session()
    print_log(served, session, b"one\n")
    for part in ("", "/lines", "/counted"):
        assert ada.get(f"{activity(session)}/logs{part}?{query}").status_code == 200


def test_there_is_no_other_log(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    assert ada.get(f"{activity(session)}/logs/secret").status_code == 404
    assert ada.get(f"{activity(session)}/logs/stderr").text == ""
    assert "Nothing was printed" in ada.get(f"{activity(session)}/logs").text


def test_the_gateways_own_log_says_what_it_did(served: Served, ada: Visitor) -> None:
    session = served.site.session()
    served.site.run(session, "secret_code()")
    page = ada.get(f"{activity(session)}/logs?log=livy").text
    assert "statement 0 (pyspark) running" in page
    assert "secret_code" not in page


AT_END = "box => box.scrollTop + box.clientHeight >= box.scrollHeight - 8"


def test_a_log_is_followed_until_one_scrolls_up_and_again_at_its_end(
    page: Page, served: Served
) -> None:
    session = served.site.session()
    text = INFO * 200 + b"incompl"
    print_log(served, session, text)
    page.goto(served.url + activity(session) + "/logs")
    box, lines, follow = page.locator("#log"), page.locator(".lines li"), page.locator("#follow")
    expect(lines).to_have_count(201)
    assert box.evaluate(AT_END)
    text += b"ete\n" + ERROR
    print_log(served, session, text)
    expect(lines).to_have_count(204)
    expect(lines.nth(200)).to_contain_text("incomplete")
    expect(lines.nth(203)).to_have_class("of-error more-of")
    expect(lines.last.locator("a")).to_have_text("204")
    assert box.evaluate(AT_END)
    box.evaluate("box => { box.scrollTop = 0; }")
    expect(follow).to_have_attribute("aria-pressed", "false")
    text += INFO * 5
    with page.expect_event("console", lambda said: said.text == "grown"):
        page.evaluate("document.body.addEventListener('live-log', () => console.log('grown'))")
        print_log(served, session, text)
    assert lines.count() == 204
    assert box.evaluate("box => box.scrollTop") == 0
    box.evaluate("box => { box.scrollTop = box.scrollHeight; }")
    expect(follow).to_have_attribute("aria-pressed", "true")
    expect(lines).to_have_count(209)
    # More than fits is the log's new end, in place of all.
    text += INFO * 5000
    print_log(served, session, text)
    expect(lines.last.locator("a")).to_have_text("5209")
    expect(lines).to_have_count(MOST_LINES)
    follow.focus()
    page.keyboard.press("Enter")
    expect(follow).to_have_attribute("aria-pressed", "false")


def test_errors_alone_are_followed_with_their_traces(page: Page, served: Served) -> None:
    session = served.site.session()
    print_log(served, session, INFO * 20)
    page.goto(served.url + activity(session) + "/logs")
    page.get_by_label("Errors only").check()
    expect(page.locator("#no-lines")).to_be_visible()
    print_log(served, session, INFO * 20 + ERROR[:60])
    lines = page.locator(".lines li")
    expect(lines).to_have_count(2)
    expect(page.locator("#no-lines")).to_have_count(0)
    print_log(served, session, INFO * 20 + ERROR + INFO + ERROR)
    expect(lines).to_have_count(6)
    expect(lines.locator("a")).to_have_text(["21", "22", "23", "25", "26", "27"])
    served.site.fail(session, EndCause.DRIVER_DIED, "x")
    page.reload()
    expect(page.locator("#follow")).to_have_count(0)


def test_matches_are_stepped_through_in_place_and_beyond(page: Page, served: Served) -> None:
    session = served.site.session()
    print_log(served, session, b"a Needle\n" + INFO * 3000 + b"needle, needle\n" + INFO + b"needle")
    page.goto(served.url + activity(session) + "/logs")
    page.keyboard.press("/")
    page.keyboard.type("NEEDLE")
    page.keyboard.press("Enter")
    status, hit = page.locator("#matches [role=status]"), page.locator(".lines .hit")
    expect(status).to_have_text("Match 3 of 3")
    expect(page.locator("mark")).to_have_count(3)
    expect(hit.locator("a")).to_have_text("3004")
    url = page.url
    earlier = page.locator("[data-step='-1']")
    earlier.focus()
    page.keyboard.press("Enter")
    expect(status).to_have_text("Match 2 of 3")
    expect(hit.locator("a")).to_have_text("3002")
    assert page.url == url  # in place
    earlier.click()
    expect(status).to_have_text("Match 1 of 3")
    expect(hit.locator("a")).to_have_text("1")
    expect(earlier).to_have_attribute("aria-disabled", "true")
    page.locator("[data-step='1']").click()
    expect(hit.locator("a")).to_have_text("3002")


def test_a_number_links_to_its_line_and_wrapping_is_kept(page: Page, served: Served) -> None:
    session = served.site.session()
    print_log(served, session, b"".join(b"line %d %s\n" % (n, b"x " * 400) for n in range(500)))
    page.goto(served.url + activity(session) + "/logs")
    wrap, box = page.locator("#wrap"), page.locator("#log")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    wrap.click()
    expect(wrap).to_have_attribute("aria-pressed", "true")
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")
    number = page.locator(".lines li a", has_text="444").first
    number.click()
    page.wait_for_url(re.compile(r"at=\d+#o\d+"))
    expect(page.locator(".hit")).to_contain_text("line 443")
    expect(page.locator(".hit")).to_be_in_viewport()
    expect(wrap).to_have_attribute("aria-pressed", "true")


def test_logs_are_usable_at_any_width(windows: Windows, served: Served, look: Look) -> None:
    session = served.site.session()
    print_log(served, session, INFO * 30 + WARN + ERROR + b"x" * 5000)
    page = windows.open(look)
    for query in ("", "?errors=1", "?q=task", "?q=nothing", "?at=0"):
        page.goto(f"{served.url}{activity(session)}/logs{query}")
        check(page, f"logs{query} {look}")
        assert fits(page)
