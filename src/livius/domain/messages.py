"""Sentences for people that pages can translate."""

from __future__ import annotations

from typing import Self


class Message(str):
    """An English sentence with its template and values.

    ``template`` is its key in the catalogue of `livius.language`, with ``%(name)s`` for each of the
    ``values``, which may be sentences themselves. Everywhere else it is plain text: the API, logs
    and commands are in English.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Format a template with its values."""
        made = super().__new__(cls, template % values if values else template)
        made.template = template
        made.values = values
        return made
