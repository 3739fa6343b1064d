"""The OpenAPI document, and its page. That it is true is seen to by every other wire test."""

import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from livius.api.openapi import _BY_HAND
from livius.api.openapi_examples import example_of
from wire.conftest import Wire
from wire.documented import Documented

APPLICATION = (
    "/v1/workspaces/{workspace}/lakehouses/{lakehouse}/livySessions/{session}"
    "/applications/{application}"
)


async def fetched(wire: Wire) -> dict[str, Any]:
    answer = await wire.client.get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


async def test_what_is_written_by_hand_belongs_to_a_route_and_every_reference_leads_somewhere(
    wire: Wire,
) -> None:
    document = await fetched(wire)
    for method, path in _BY_HAND:
        assert method in document["paths"].get(path, {}), (method, path)
    for reference in re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')):
        assert reference in document["components"]["schemas"]


async def test_every_operation_has_a_shape_but_those_without_a_body_and_those_that_pass_spark_on(
    wire: Wire,
) -> None:
    document = await fetched(wire)
    without = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "delete" or path.endswith("/sessions/{session}")
        for status, response in operation["responses"].items()
        if status.startswith("2") and "content" in response
        if not any(one.get("schema") for one in response["content"].values())
    }
    assert {path for _, path in without if "/applications/" in path} == {
        f"{APPLICATION}",
        f"{APPLICATION}/{{path}}",
    }
    others = {path for _, path in without if "/applications/" not in path}
    assert all("notebooks" in path or "sparkJobDefinitions" in path for path in others), others


async def test_each_operation_names_its_path_parameters_its_token_and_its_errors(
    wire: Wire,
) -> None:
    document = await fetched(wire)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            if not path.startswith("/v1/"):
                continue
            assert operation["security"] == [{"token": []}]
            assert "default" in operation["responses"]
            named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


async def test_an_answer_that_is_not_as_documented_is_found(wire: Wire) -> None:
    check = Documented(await fetched(wire))
    request = httpx.Request("GET", "https://livius.test/v1/workspaces")
    await check(httpx.Response(200, json={"value": []}, request=request))
    for wrong in ({}, {"value": None}, {"value": [], "more": 1}, {"value": [{"id": "x"}]}):
        with pytest.raises(ValidationError):
            await check(httpx.Response(200, json=wrong, request=request))
    with pytest.raises(ValidationError):
        await check(httpx.Response(404, json={"message": "no"}, request=request))
    with pytest.raises(AssertionError):
        await check(httpx.Response(201, json={"value": []}, request=request))


async def test_the_page_has_every_operation_and_nothing_from_elsewhere(wire: Wire) -> None:
    document = await fetched(wire)
    answer = await wire.client.get("/docs")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    for path in document["paths"]:
        assert path in answer.text
    assert "``" not in answer.text.partition('id="shapes"')[0]
    assert "Delete a lakehouse; its files only with <code>hardDelete</code>." in answer.text
    assert re.findall("<script[^>]*>", answer.text) == ['<script src="/docs.js" defer>']
    assert " style=" not in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="shape-{name}"' in answer.text
    links = set(re.findall('href="#([^"]+)"', answer.text))
    assert links <= set(re.findall('id="([^"]+)"', answer.text))
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", answer.text)
    assert (await wire.client.get("/docs.css")).headers["content-type"].startswith("text/css")
    script = await wire.client.get("/docs.js")
    assert script.headers["content-type"].startswith("text/javascript")
    themed = await wire.client.get("/docs", headers={"Cookie": "livius_theme=dark"})
    assert 'data-theme="dark"' in themed.text
    forged = await wire.client.get("/docs", headers={"Cookie": 'livius_theme="><b>'})
    assert 'data-theme="auto"' in forged.text


async def test_examples_of_bodies_are_what_the_document_describes(wire: Wire) -> None:
    document = await fetched(wire)
    schemas = document["components"]["schemas"]
    seen = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None:
                continue
            example = example_of(body["schema"], schemas)
            whole = {**body["schema"], "components": document["components"]}
            Draft202012Validator(whole).validate(example)
            assert example, (method, path)
            seen += 1
    assert seen > 10
