"""Sign-in without a human: `livius exec --as`, for CI and for tests.

It uses the authority's pages like a browser without scripts: it fills in username and password,
consents to the application's request, and sends the result to the waiting program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx

from livius.cli.intercept.person import Person

_MOST_PAGES: Final = 8
_ANSWERED_WITHIN: Final = 60.0
_SIGN_IN: Final = "sign-in"
_GOES_ON: Final = (_SIGN_IN, "allow", "code", "continue")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class SignInFailed(Exception):
    """The sign-in failed; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result that a browser sends to the program: a form to post, or an address to open.

    ``url`` is None if the last page needs nothing more, as at the end of a device's sign-in.
    """

    url: str | None
    posted: Mapping[str, str] | None = None

    def fields(self) -> Mapping[str, str]:
        """Return the parameters."""
        return self.posted or dict(parse_qsl(urlsplit(self.url or "").query))


def sign_in(person: Person, url: str) -> Answer:
    """Follow an authorization request to its result.

    Raises:
        SignInFailed: a page refused, or is not the authority's.
    """
    try:
        with httpx.Client(trust_env=False, timeout=_ANSWERED_WITHIN) as http:
            return _walk(person, http, url)
    except httpx.HTTPError as error:
        raise SignInFailed(f"The authority did not answer: {error}") from None


def _walk(person: Person, http: httpx.Client, url: str) -> Answer:
    start = urlsplit(url)
    answer = http.get(url)
    for _ in range(_MOST_PAGES):
        here = str(answer.url)
        if answer.has_redirect_location:
            goes_to = urljoin(here, answer.headers["location"])
            if _origin(goes_to) != (start.scheme, start.netloc):
                return Answer(goes_to)
            answer = http.get(goes_to)
            continue
        page = _Page(answer.text)
        if page.action and _origin(urljoin(here, page.action)) != (start.scheme, start.netloc):
            return Answer(urljoin(here, page.action), page.fields)
        if page.step is None and answer.is_error:
            raise SignInFailed(page.said or f"The page answered {answer.status_code}.")
        if page.step is None:
            return Answer(None)
        if page.problem:
            raise SignInFailed(page.problem)
        data = {**page.fields, "step": page.step}
        if page.step == _SIGN_IN:
            data |= {"username": person.username, "password": person.password}
        answer = http.post(here, data=data)
    raise SignInFailed("The pages lead nowhere.")


class _Page(HTMLParser):
    """The forms and texts of one page of the authority."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self._steps: set[str] = set()
        self._words: dict[str, list[str]] = {"lead": [], "problem": []}
        self._open = ""
        self.feed(text)

    @property
    def step(self) -> str | None:
        """Return the button that continues."""
        return next((step for step in _GOES_ON if step in self._steps), None)

    @property
    def said(self) -> str:
        """Return the page's text."""
        return " ".join(self._words["lead"])

    @property
    def problem(self) -> str:
        """Return the error of the previous form."""
        return " ".join(self._words["problem"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect forms, their fields and buttons."""
        found = {name: value or "" for name, value in attrs}
        name, value = found.get("name", ""), found.get("value", "")
        if tag == "form":
            self.action = found.get("action", "")
        elif tag == "input" and name:
            self.fields[name] = value
        elif tag == "button" and name == "step":
            self._steps.add(value)
        elif found.get("class") in self._words:
            self._open = found["class"]

    def handle_endtag(self, tag: str) -> None:
        """End the text of an element."""
        if tag in ("p", "div"):
            self._open = ""

    def handle_data(self, data: str) -> None:
        """Collect text."""
        if self._open and data.strip():
            self._words[self._open].append(data.strip())


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def finish(answer: Answer) -> None:
    """Send the result to the waiting program."""
    if answer.url is None:
        return
    with httpx.Client(trust_env=False, timeout=_ANSWERED_WITHIN) as http:
        if answer.posted is None:
            http.get(answer.url)
        else:
            http.post(answer.url, data=dict(answer.posted))


def finish_with_error(url: str, reason: str) -> None:
    """Tell the waiting program about the failure, so that it doesn't wait for ever."""
    asked = dict(parse_qsl(urlsplit(url).query))
    goes_to = asked.get("redirect_uri", "")
    if urlsplit(goes_to).hostname not in _LOOPBACK:
        return
    fields = {
        "error": "access_denied",
        "error_description": reason,
        "state": asked.get("state", ""),
    }
    if asked.get("response_mode") == "form_post":
        finish(Answer(goes_to, fields))
    else:
        finish(Answer(f"{goes_to}?{urlencode(fields)}"))
