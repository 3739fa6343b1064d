"""Sentences for people that a page can say in another language than English."""

from __future__ import annotations

from typing import Self


class Message(str):
    """An English sentence that remembers what it was made from.

    ``template`` is its key in the catalogue of `livius.language`, with ``%(name)s`` for each of the
    ``values``, which may be sentences themselves. Everywhere
    else it is the plain text: the API, logs and commands speak English.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Say a template, with its values."""
        made = super().__new__(cls, template % values if values else template)
        made.template = template
        made.values = values
        return made
