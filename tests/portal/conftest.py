"""A served portal, people to visit it, and a browser."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests

from livius.domain.identity import Principal
from livius.domain.session import Session
from support.browsing import Served, site


@pytest.fixture
def served() -> Iterator[Served]:
    with site() as found:
        yield found


@dataclass
class Visitor:
    """A person's browser, as far as forms and links go."""

    served: Served
    caller: Principal | None
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.trust_env = False
        self.http.headers["Accept"] = "text/html"
        self.csrf = ""
        if self.caller is not None:
            name, value = self.served.cookie(self.caller)
            self.http.cookies.set(name, value)
            visit = self.served.desk.visits.find(value)
            assert visit is not None
            self.csrf = visit.csrf

    def get(self, path: str = "", **headers: str) -> requests.Response:
        return self.http.get(
            self.served.url + path, headers=headers, allow_redirects=False, timeout=20
        )

    def post(self, path: str, *, csrf: str | None = None, **form: str) -> requests.Response:
        return self.http.post(
            self.served.url + path,
            data={"csrf": self.csrf if csrf is None else csrf, **form},
            allow_redirects=False,
            timeout=20,
        )


def activity(session: Session) -> str:
    return f"/workspaces/{session.workspace}/activities/{session.id}"


@pytest.fixture
def ada(served: Served) -> Visitor:
    return Visitor(served, served.site.world.admin)
