"""What Fabric's utilities have beyond ours."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from livius_agent.notebook import NotAvailable

MISSING = {
    "notebook": "only Fabric has notebooks to run. Submit their code as statements",
    "lakehouse": "use Fabric's REST for lakehouses, which Livius serves, or livius lakehouse",
    "variableLibrary": "there are no variable libraries. Keep the values in a file",
    "udf": "there are no user data functions",
    "connections": "there are no connections. Keep the credential in a vault",
    "workspace": "use Fabric's REST for workspaces, which Livius serves",
}


def missing(name: str, why: str) -> Callable[..., Any]:
    """Return a function that says that it isn't there."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise NotAvailable(f"Livius does not have notebookutils.{name}: {why}.")

    refuse.__name__ = name.rpartition(".")[2]
    refuse.__doc__ = f"Not available in Livius: {why}."
    return refuse


class MissingModule(ModuleType):
    """A module all of whose functions say that they aren't there."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"notebookutils.{name}", f"Not available in Livius: {why}.")
        self._why = why

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return missing(f"{self.__name__.partition('.')[2]}.{name}", self._why)
