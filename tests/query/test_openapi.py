"""The OpenAPI document says what the API does, held against what it really answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.query import document
from proxy.query.api import ROUTES
from proxy.query.encoding import encode
from proxy.query.openapi import openapi
from proxy.task import Status
from tests.query.conftest import Ask
from tests.query.examples import BARE, FULL

DOCUMENT = openapi("9.9")
KINDS: dict[str, Any] = {
    "string": str, "integer": int, "number": int | float, "boolean": bool, "null": type(None), "array": list, "object": dict,
}  # fmt: skip


def wrong(value: Any, schema: dict[str, Any], at: str = "$") -> list[str]:
    """Where `value` is not what `schema` says, by the part of JSON Schema that our document uses; no property more is right."""
    if "$ref" in schema:
        return wrong(value, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], at)
    if "anyOf" in schema:
        return [] if any(not wrong(value, option, at) for option in schema["anyOf"]) else [f"{at}: none of anyOf"]
    types = schema.get("type", list(KINDS))
    types = [types] if isinstance(types, str) else types
    if not any(isinstance(value, KINDS[name]) and (not isinstance(value, bool) or name == "boolean") for name in types):
        return [f"{at}: {value!r} is not {types}"]
    problems = [f"{at}: {value!r} is none of the enum"] if "enum" in schema and value not in schema["enum"] else []
    if isinstance(value, dict) and "properties" in schema:
        named = schema["properties"]
        problems += [f"{at}: lacks {name}" for name in schema["required"] if name not in value]
        problems += [f"{at}: has {name}" for name in value if name not in named]
        problems += [problem for name in named.keys() & value for problem in wrong(value[name], named[name], f"{at}.{name}")]
    if isinstance(value, list) and "items" in schema:
        problems += [problem for number, item in enumerate(value) for problem in wrong(item, schema["items"], f"{at}[{number}]")]
    return problems


def written(value: Any) -> Any:
    return json.loads(encode(value))


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize("task", [FULL, BARE])
def test_tasks_are_as_described(task):
    assert wrong(written(document.of_task(task)), ref("Task")) == []
    assert wrong(written(document.of_summary(task)), ref("Found")) == []


def test_the_checker_sees_what_is_wrong():
    task = written(document.of_task(FULL))
    for name, bad in {
        "ending": "fine",
        "created_at": 7,
        "usage": {},
        "pieces": [["x", 1]],
        "flag": "good",
        "stream": "yes",
    }.items():
        assert wrong({**task, name: bad}, ref("Task"))
    assert wrong({**task, "more": 1}, ref("Task"))
    del task["cost"]
    assert wrong(task, ref("Task")) == ["$: lacks cost"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_every_route_answers_what_the_document_says(ask: Ask, route):
    client = await ask()
    id = {"session": "long", "user": "bob"}.get(route.name, "t-full")
    async with client.get(route.path.replace("{id}", id)) as answer:
        assert answer.status == 200
        content = DOCUMENT["paths"][route.path]["get"]["responses"]["200"]["content"]
        assert list(content) == [answer.content_type]
        if answer.content_type == "application/json":
            assert wrong(await answer.json(), content["application/json"]["schema"]) == []


def test_the_status_and_the_errors_are_as_described():
    assert wrong(written(document.of_status(Status(store_error="x", reasons=("x",)))), ref("Status")) == []
    assert wrong(document.of_error("m", type="t", code="c", param="p"), ref("Error")) == []


async def test_the_document_itself_is_served(ask: Ask):
    async with (await ask()).get("/api/openapi.json") as answer:
        assert await answer.json() == written(DOCUMENT)


def test_every_reference_leads_somewhere_and_every_schema_is_used():
    text = json.dumps(DOCUMENT)
    names = set(DOCUMENT["components"]["schemas"])
    assert {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]} == names


def test_every_parameter_of_a_route_is_in_the_document():
    for route in ROUTES:
        listed = DOCUMENT["paths"][route.path]["get"].get("parameters", [])
        assert [one["name"] for one in listed if one["in"] == "query"] == [parameter.name for parameter in route.parameters]
        assert [one["name"] for one in listed if one["in"] == "path"] == (["id"] if route.has_id else [])
