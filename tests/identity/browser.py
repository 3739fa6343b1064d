"""A person with a browser that runs no scripts: follows links, fills forms, keeps cookies."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

_INPUT = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_ACTION = re.compile(r'<form method="post"(?: action="([^"]*)")?')


@dataclass
class Person:
    """Sits at a browser."""

    client: httpx.AsyncClient
    answer: httpx.Response | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        assert self.answer is not None
        return html.unescape(self.answer.text)

    @property
    def status(self) -> int:
        assert self.answer is not None
        return self.answer.status_code

    @property
    def hidden(self) -> dict[str, str]:
        assert self.answer is not None
        return {name: html.unescape(value) for name, value in _INPUT.findall(self.answer.text)}

    async def opens(self, url: str, **params: str) -> Person:
        self.answer = await self.client.get(url, params=params or None)
        return self

    async def presses(self, step: str, **fields: str) -> Person:
        assert self.answer is not None
        data = {**self.hidden, **fields, "step": step}
        url = str(self.answer.request.url)
        self.answer = await self.client.post(url, data=data, headers=self.headers)
        return self

    async def signs_in(self, username: str, password: str | None) -> Person:
        assert 'value="sign-in"' in self.text, self.text
        return await self.presses("sign-in", username=username, password=password or "")

    def arrives(self) -> dict[str, str]:
        """The response that the application gets, in either mode."""
        assert self.answer is not None
        if self.answer.status_code == httpx.codes.SEE_OTHER:
            parts = urlsplit(self.answer.headers["location"])
            return dict(parse_qsl(parts.query or parts.fragment))
        assert self.answer.status_code == httpx.codes.OK, self.text
        action = _ACTION.search(self.answer.text)
        assert action is not None
        assert action[1], self.text
        return self.hidden

    def goes_to(self) -> str:
        assert self.answer is not None
        location: str = self.answer.headers["location"]
        return location


def query_of(url: str) -> dict[str, Any]:
    return dict(parse_qsl(urlsplit(url).query))
