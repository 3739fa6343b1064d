"""A served portal, people to visit it, and a browser."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
import requests
from arro3.core import Array, DataType, Table
from deltalake import write_deltalake
from playwright.sync_api import Browser, BrowserContext, Page

from fakes.world import World
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.local.lakehouse_edits import LocalLakehouseEdits
from livius.adapters.local.lakehouse_uploads import LocalLakehouseUploads
from livius.adapters.local.os_users import SharedOsUser
from livius.adapters.local.table_claims import TableClaims
from livius.adapters.store import SqlStore, open_store
from livius.domain.accounts import ClientApplication
from livius.domain.ids import ClientId, LakehouseId, new_id
from livius.domain.lakehouse import LakehouseTable
from livius.domain.portal_session import form_token
from livius.domain.principal import Principal
from livius.domain.session import Session
from support.browsing import Served, site
from support.chromium import chromium


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    uploads = LocalLakehouseUploads(tmp_path, tmp_path / "unfinished", SharedOsUser())
    edits = LocalLakehouseEdits(tmp_path, tmp_path / "removed", SharedOsUser(), TableClaims())
    contents = LocalLakehouseBrowser(tmp_path)
    with site(World(browser=contents, uploads=uploads, edits=edits)) as found:
        for name in ("Files", "Tables"):
            (tmp_path.joinpath(*found.site.world.place) / name).mkdir(parents=True)
        yield found


@pytest.fixture
def lakehouse(served: Served, tmp_path: Path) -> Path:
    """The folder of the lakehouse that there is."""
    return tmp_path.joinpath(*served.site.world.place)


def lay_traps(lakehouse: Path, home: Path, text: str) -> Path:
    """Lay links and a pipe among the files; return the folder outside to which one leads."""
    outside = home / "outside"
    outside.mkdir()
    (outside / "x").write_text(text)
    (lakehouse / "Files" / "link").symlink_to(outside)
    (lakehouse / "Files" / "loop").symlink_to("loop")
    os.mkfifo(lakehouse / "Files" / "pipe")
    return outside


def write_table(
    served: Served,
    lakehouse: Path,
    name: str,
    columns: dict[str, list[str]],
    *,
    schema: str | None = None,
) -> None:
    """Append rows to a Delta table of texts."""
    table = Table.from_pydict(
        {key: Array(values, DataType.string()) for key, values in columns.items()}
    )
    write_deltalake(lakehouse / "Tables" / (schema or "") / name, table, mode="append")
    served.site.world.lakehouses.present[LakehouseId(lakehouse.name)] = [
        LakehouseTable(folder=name, format="delta", schema=schema)
    ]


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
            self.csrf = form_token(value)

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

    def put(self, path: str, data: object, **headers: str) -> requests.Response:
        return self.http.put(
            self.served.url + path,
            data=data,  # type: ignore[arg-type] # bytes, or an iterator of them
            headers={"X-CSRF": self.csrf, "HX-Request": "true", **headers},
            allow_redirects=False,
            timeout=20,
        )


def activity(session: Session) -> str:
    return f"/workspaces/{session.workspace}/activities/{session.id}"


@pytest.fixture
def ada(served: Served) -> Visitor:
    return Visitor(served, served.site.world.admin)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module alone: while it is open, no other event loop runs in this thread."""
    with chromium() as found:
        yield found


@dataclass(frozen=True)
class Look:
    """What a person likes to see, and the size of the window."""

    language: str = "en"
    scheme: Literal["light", "dark"] = "light"
    width: int = 1440
    height: int = 900

    def __str__(self) -> str:
        return f"{self.language} {self.scheme} {self.width}"


@pytest.fixture(params=[Look(), Look("zh-TW", "dark", 390)], ids=str)
def look(request: pytest.FixtureRequest) -> Look:
    """Two looks that differ in everything."""
    found: Look = request.param
    return found


@dataclass
class Windows:
    """Browser windows in which people have signed in, each with cookies of its own."""

    browser: Browser
    served: Served
    contexts: list[BrowserContext] = field(default_factory=list)

    def context(
        self, look: Look = Look(), caller: Principal | None = None, *, scripts: bool = True
    ) -> BrowserContext:
        made = self.browser.new_context(
            locale=look.language,
            color_scheme=look.scheme,
            viewport={"width": look.width, "height": look.height},
            java_script_enabled=scripts,
        )
        self.contexts.append(made)
        made.set_default_timeout(10_000)
        self.served.sign_in(made, caller)
        return made

    def open(self, look: Look = Look(), caller: Principal | None = None) -> Page:
        """A window whose scripts must not fail."""
        return watched(self.context(look, caller).new_page())


def watched(page: Page) -> Page:
    page.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
    return page


@pytest.fixture
def windows(browser: Browser, served: Served) -> Iterator[Windows]:
    found = Windows(browser, served)
    yield found
    for context in found.contexts:
        context.close()


@pytest.fixture
def context(windows: Windows) -> BrowserContext:
    return windows.context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A window whose scripts must not fail."""
    return watched(context.new_page())


@pytest.fixture
def strict_page(page: Page) -> Page:
    """A window that also says nothing, and meets no content security policy."""
    page.on("dialog", lambda one: pytest.fail(f"a text became a script: {one.message}"))
    page.on("console", lambda one: pytest.fail(one.text) if one.type == "error" else None)
    return page


@dataclass
class Owned:
    """A directory with one application, and the application's page."""

    served: Served
    store: SqlStore
    first: ClientApplication

    @property
    def path(self) -> str:
        return f"/applications/{self.first.client_id}"

    def now(self) -> ClientApplication | None:
        return self.served.site.do(self.store.application(self.first.client_id))

    def there(self) -> ClientApplication:
        found = self.now()
        assert found is not None
        return found


@pytest.fixture
def owned(served: Served, tmp_path: Path) -> Iterator[Owned]:
    """Ada is an owner here."""
    store = SqlStore(open_store(tmp_path / "directory.db"))
    first = ClientApplication(
        client_id=ClientId(new_id()),
        name="nightly",
        object_id=new_id(),
        created_at=served.site.world.clock.now(),
        redirect_uris=("http://localhost",),
    )
    served.site.do(store.put_application(first))
    context = served.portal_app.context
    owners = frozenset({served.site.world.admin.oid})
    served.portal_app.context = replace(
        context, directory=store, rules=replace(context.rules, owners=owners)
    )
    yield Owned(served, store, first)
    store.close()
