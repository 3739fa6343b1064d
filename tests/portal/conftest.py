"""A served portal, people to visit it, and a browser."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import requests
from arro3.core import Array, DataType, Table
from deltalake import write_deltalake

from fakes.world import World
from livius.adapters.local.lakehouse_browser import LocalLakehouseBrowser
from livius.adapters.store import SqlStore, open_store
from livius.domain.accounts import ClientApplication
from livius.domain.ids import ClientId, new_id
from livius.domain.lakehouse import LakehouseTable
from livius.domain.portal_session import form_token
from livius.domain.principal import Principal
from livius.domain.session import Session
from support.browsing import Served, site


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with site(World(browser=LocalLakehouseBrowser(tmp_path))) as found:
        for name in ("Files", "Tables"):
            (tmp_path.joinpath(*found.site.world.place) / name).mkdir(parents=True)
        yield found


@pytest.fixture
def lakehouse(served: Served, tmp_path: Path) -> Path:
    """The folder of the lakehouse that there is."""
    return tmp_path.joinpath(*served.site.world.place)


def write_table(served: Served, lakehouse: Path, name: str, columns: dict[str, list[str]]) -> None:
    """Append rows to a Delta table of texts."""
    table = Table.from_pydict(
        {key: Array(values, DataType.string()) for key, values in columns.items()}
    )
    write_deltalake(lakehouse / "Tables" / name, table, mode="append")
    world = served.site.world
    world.lakehouses.present[world.lakehouse.id] = [LakehouseTable(folder=name, format="delta")]


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


def activity(session: Session) -> str:
    return f"/workspaces/{session.workspace}/activities/{session.id}"


@pytest.fixture
def ada(served: Served) -> Visitor:
    return Visitor(served, served.site.world.admin)


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
