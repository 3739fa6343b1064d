"""The gateway's own calls of the metastore, by Thrift."""

from __future__ import annotations

import asyncio
import json
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from livius.adapters.local.lakehouses import lakehouse_folder
from livius.domain.contents import Column, View
from livius.domain.errors import NotFound, Unavailable
from livius.domain.lakehouse import Lakehouse, LakehouseTable
from livius.domain.messages import Message

_INTERFACE: Final = Path(__file__).with_name("metastore.thrift")
_VIEW: Final = "VIRTUAL_VIEW"
_SOCKET_MILLIS: Final = 8000
_WITHIN: Final = 10.0
_AT_ONCE: Final = 4
_MOST_VIEWS: Final = 1000
_MOST_COLUMNS: Final = 100
_AT_A_TIME: Final = 200
_LONGEST_TEXT: Final = 64 * 1024
_LONGEST_WORDS: Final = 1000
_SCHEMA: Final = "spark.sql.sources.schema"

_Found = TypeVar("_Found")


class MetastoreClient:
    """Implements `livius.ports.metastore.Metastore`.

    ``port`` returns the metastore's port; None while it does not answer. Lakehouses are below
    ``root``. ``apart``: drivers run as users of their own, and the metastore answers only them.
    """

    def __init__(self, port: Callable[[], int | None], root: Path, *, apart: bool) -> None:
        self._port = port
        self._root = root
        self._apart = apart
        self._threads = ThreadPoolExecutor(_AT_ONCE, "metastore")
        self._connections = _Connections()
        weakref.finalize(self, self._connections.close)

    async def views(self, lakehouse: Lakehouse) -> Sequence[str]:
        """See the port."""

        def found(client: Any) -> list[str]:
            return sorted(
                _name(lakehouse, database, view)
                for database in _databases(client, lakehouse)
                for view in client.get_tables_by_type(database, "*", _VIEW)
            )[:_MOST_VIEWS]

        return await self._ask(found)

    async def view(self, lakehouse: Lakehouse, name: str) -> View:
        """See the port."""
        schema, _, plain = name.rpartition(".")
        database = _database(lakehouse, schema or None)

        table = None
        if bool(schema) == lakehouse.has_schemas:
            table = await self._ask(lambda client: _named(client, database, plain))
        if table is None or table.tableType != _VIEW:
            raise NotFound(
                "ViewNotFound", Message("There is no view %(name)s in this lakehouse.", name=name)
            )
        return _view(name, table)

    async def register(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        """See the port."""
        database, folder = _database(lakehouse, table.schema), self._folder(lakehouse, table)

        def register(client: Any) -> None:
            known = _interface()
            # The database may not be there yet: when it is made, its tables are registered.
            no_database = known.InvalidObjectException, known.NoSuchObjectException
            with suppress(known.AlreadyExistsException, *no_database):
                if _named(client, database, table.folder) is None:
                    client.create_table(_delta_table(database, table.folder.lower(), folder))

        await self._ask(register)

    async def forget(self, lakehouse: Lakehouse, table: LakehouseTable) -> None:
        """See the port."""
        database, folder = _database(lakehouse, table.schema), self._folder(lakehouse, table)

        def forget(client: Any) -> None:
            # Its own name first: reading all tables takes long where there are many.
            if not _drop(client, database, _named(client, database, table.folder), folder):
                for one in _tables(client, database):
                    _drop(client, database, one, folder)

        await self._ask(forget)

    def _folder(self, lakehouse: Lakehouse, table: LakehouseTable) -> Path:
        tables = lakehouse_folder(self._root, lakehouse.workspace, lakehouse.id) / "Tables"
        return tables.joinpath(*table.parts)

    async def _ask(self, work: Callable[[Any], _Found]) -> _Found:
        """Return what a thread gets from a client.

        Raises:
            Unavailable: the metastore does not answer.
        """
        if self._apart:
            raise Unavailable(
                "MetastoreApart",
                Message(
                    "This server runs sessions as users of their own, and its metastore answers "
                    "only them. Use SQL in a session."
                ),
            )
        port = self._port()
        if port is None:
            raise _silent()

        ask = partial(self._connections.ask, port, work)
        try:
            async with asyncio.timeout(_WITHIN):
                return await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except (TimeoutError, OSError, EOFError, _errors()) as error:
            raise _silent() from error


def _silent() -> Unavailable:
    return Unavailable(
        "MetastoreUnavailable",
        Message("The metastore does not answer now. Try again in a minute."),
    )


@cache
def _interface() -> Any:
    import thriftpy2  # takes a while to import, and not every gateway needs it

    return thriftpy2.load(str(_INTERFACE), module_name="livius_metastore_thrift")


def _errors() -> type[Exception]:
    from thriftpy2.thrift import TException

    found: type[Exception] = TException
    return found


class _Connections:
    """Connections that wait for their next use: a new one costs the metastore a third of a second.

    Threads share it.
    """

    def __init__(self) -> None:
        self._idle: deque[tuple[int, Any]] = deque()

    def ask(self, port: int, work: Callable[[Any], _Found]) -> _Found:
        """Return what a client at a port answers."""
        try:
            of, client = self._idle.pop()
        except IndexError:
            return self._use(port, _connected(port), work)
        if of != port:
            client.close()
            return self._use(port, _connected(port), work)
        try:
            return self._use(port, client, work)
        except TimeoutError:
            raise
        except (OSError, EOFError, _broken()):
            # Another metastore is there than when it connected. Each work can be done twice.
            return self._use(port, _connected(port), work)

    def _use(self, port: int, client: Any, work: Callable[[Any], _Found]) -> _Found:
        try:
            found = work(client)
        except BaseException:
            client.close()
            raise
        self._idle.append((port, client))
        return found

    def close(self) -> None:
        """Close the idle ones."""
        while self._idle:
            self._idle.pop()[1].close()


def _broken() -> type[Exception]:
    from thriftpy2.transport import TTransportException

    found: type[Exception] = TTransportException
    return found


def _connected(port: int) -> Any:
    from thriftpy2.rpc import make_client

    return make_client(_interface().ThriftHiveMetastore, "127.0.0.1", port, timeout=_SOCKET_MILLIS)


def _database(lakehouse: Lakehouse, schema: str | None) -> str:
    return lakehouse.database if schema is None else f"{lakehouse.database}__{schema.lower()}"


def _databases(client: Any, lakehouse: Lakehouse) -> Sequence[str]:
    if not lakehouse.has_schemas:
        return [lakehouse.database]
    prefix = _database(lakehouse, "")
    found: list[str] = client.get_databases(f"{prefix}*")
    return [one for one in found if one.startswith(prefix)]


def _name(lakehouse: Lakehouse, database: str, view: str) -> str:
    schema = database.removeprefix(_database(lakehouse, "")) if lakehouse.has_schemas else ""
    return f"{schema}.{view}" if schema else view


def _named(client: Any, database: str, name: str) -> Any:
    try:
        return client.get_table(database, name.lower())
    except _interface().NoSuchObjectException:
        return None


def _drop(client: Any, database: str, table: Any, folder: Path) -> bool:
    """Drop a table if its files are in a folder, but not the files; tell whether they are."""
    if table is None or table.tableType == _VIEW or _folder(table) != folder:
        return False
    with suppress(_interface().NoSuchObjectException):  # another one was quicker
        client.drop_table(database, table.tableName, False)  # noqa: FBT003 - the files
    return True


def _tables(client: Any, database: str) -> Iterable[Any]:
    names = client.get_all_tables(database)
    for at in range(0, len(names), _AT_A_TIME):
        yield from client.get_table_objects_by_name(database, names[at : at + _AT_A_TIME])


def _folder(table: Any) -> Path | None:
    """Return where a table's files are on this machine; None: elsewhere, or not known."""
    storage = table.sd
    if storage is None:
        return None
    parameters = (storage.serdeInfo.parameters if storage.serdeInfo else None) or {}
    place = urlsplit(parameters.get("path") or storage.location or "")
    return Path(unquote(place.path)) if place.scheme == "file" and place.path else None


def _delta_table(database: str, name: str, folder: Path) -> Any:
    """Return an external table as `DeltaFolders.scala` makes it: Delta's log has its columns."""
    known, location = _interface(), folder.as_uri().replace("file:///", "file:/", 1)
    serde = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
    storage = known.StorageDescriptor(
        cols=[known.FieldSchema("col", "array<string>", "from deserializer")],
        location=location,
        inputFormat="org.apache.hadoop.mapred.SequenceFileInputFormat",
        outputFormat="org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
        numBuckets=-1,
        serdeInfo=known.SerDeInfo(serde, {"serialization.format": "1", "path": location}),
        bucketCols=[],
        sortCols=[],
        parameters={},
    )
    return known.Table(
        tableName=name,
        dbName=database,
        owner="livius",
        createTime=int(time.time()),
        sd=storage,
        partitionKeys=[],
        parameters={
            "EXTERNAL": "TRUE",
            "spark.sql.sources.provider": "delta",
            "spark.sql.sources.schema": '{"type":"struct","fields":[]}',
            "spark.sql.partitionProvider": "catalog",
        },
        tableType="EXTERNAL_TABLE",
    )


def _view(name: str, table: Any) -> View:
    text = table.viewOriginalText or ""
    comment = (table.parameters or {}).get("comment", "")
    return View(
        name=name,
        text=text[:_LONGEST_TEXT],
        columns=_columns(table),
        comment=comment[:_LONGEST_WORDS],
        created_at=datetime.fromtimestamp(table.createTime, UTC) if table.createTime else None,
        is_cut=len(text) > _LONGEST_TEXT,
    )


def _columns(table: Any) -> Sequence[Column]:
    """Return the columns: as Spark writes them beside Hive's, else Hive's own."""
    parameters = table.parameters or {}
    count = parameters.get(f"{_SCHEMA}.numParts", "0")
    parts = range(int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0)  # noqa: PLR2004
    text = parameters.get(_SCHEMA) or "".join(
        parameters.get(f"{_SCHEMA}.part.{part}", "") for part in parts
    )
    try:
        fields = json.loads(text)["fields"]
        found = [(one["name"], one["type"], one.get("metadata", {})) for one in fields]
        return [
            _column(name, kind if isinstance(kind, str) else kind["type"], about.get("comment"))
            for name, kind, about in found[:_MOST_COLUMNS]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        cols = (table.sd.cols if table.sd else None) or []
        return [_column(one.name, one.type, one.comment) for one in cols[:_MOST_COLUMNS]]


def _column(name: Any, kind: Any, comment: Any) -> Column:
    return Column(
        name=str(name)[:_LONGEST_WORDS],
        type=str(kind)[:_LONGEST_WORDS],
        nullable=True,
        comment=str(comment or "")[:_LONGEST_WORDS],
    )
