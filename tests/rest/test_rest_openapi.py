"""The description agrees with the routes."""

from __future__ import annotations

import json
from typing import Any

from wayframe.rest import ROUTES, openapi
from wayframe.rest.gallery import GALLERY_ROUTES
from wayframe.rest.gallery_hooks import HOOKS_ROUTES


def test_every_route_is_described_once() -> None:
    document = openapi("1", "http://x")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert {(route.method, route.path) for route in ROUTES} <= described
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_every_route_of_the_gallery_is_described_with_its_shapes() -> None:
    paths = openapi("1", "http://x")["paths"]
    described = {
        (method.upper(), path): operation for path, item in paths.items() for method, operation in item.items()
    }
    wanted = [(route.method, f"/api/gallery/{{device}}/{route.path}") for route in GALLERY_ROUTES]
    wanted += [(route.method, "/".join(filter(None, ("/api/hooks", route.path)))) for route in HOOKS_ROUTES]
    for key in wanted:
        operation = described[key]
        assert operation["summary"], key
        if key[0] in ("PUT", "PATCH"):
            assert "requestBody" in operation, key
        assert {"200", "401", "403", "404"} <= {*operation["responses"]}, key


def test_every_reference_leads_somewhere() -> None:
    document = openapi("1", "http://x")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= known
    assert document["openapi"] == "3.1.0"
    json.dumps(document)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for member in value.values() for found in _references(member)]
    if isinstance(value, list):
        return [found for member in value for found in _references(member)]
    return []


def test_path_variables_are_parameters() -> None:
    for path, item in openapi("1", "http://x")["paths"].items():
        named = {part.strip("{}") for part in path.split("/") if part.startswith("{")}
        for operation in item.values():
            assert {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"} == named
