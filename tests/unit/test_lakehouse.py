"""The name that a lakehouse has in the metastore."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livius.domain.ids import LakehouseId
from livius.domain.lakehouse import database_name

ID = LakehouseId("3f2a0000-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("name", "database"),
    [
        ("Bronze", "bronze"),
        ("Sales 2022", "sales_2022"),
        ("a__b", "a_b"),
        ("2022", "lakehouse_2022"),
        ("湖", "lakehouse"),
        ("default", "default_3f2a"),
    ],
)
def test_it_is_the_lakehouse_name_made_an_identifier(name: str, database: str) -> None:
    assert database_name(name, ID, taken=frozenset()) == database


def test_a_taken_name_gets_the_first_digits_of_the_id() -> None:
    assert database_name("Bronze", ID, taken=frozenset({"bronze"})) == "bronze_3f2a"


@given(st.text(max_size=300), st.booleans())
def test_any_name_gives_a_plain_identifier(name: str, has_schemas: bool) -> None:
    found = database_name(name, ID, taken=frozenset(), has_schemas=has_schemas)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", found)
    assert "__" not in found
    assert len(found) <= (60 if has_schemas else 100)  # 128 with a schema's name
