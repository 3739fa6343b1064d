"""Tokens for session code where another authority issues them: none, and a reason."""

import dataclasses

import pytest

from fakes.world import World
from livius.adapters.identity.session_tokens import ProviderSessionTokens
from livius.domain.errors import Forbidden, Invalid, Unavailable
from livius.domain.identity import Scope


async def test_what_no_scope_allows_is_told_first() -> None:
    tokens = ProviderSessionTokens("https://id.example.org/data")
    person = dataclasses.replace(World().admin, scopes=frozenset({Scope.CODE_FABRIC}))
    with pytest.raises(Invalid, match="There is no audience"):
        await tokens.issue(person, "graph")
    with pytest.raises(Forbidden, match=Scope.CODE_SQL):
        await tokens.issue(person, "sql")
    with pytest.raises(Unavailable, match="takes its tokens from"):
        await tokens.issue(person, "pbi")
