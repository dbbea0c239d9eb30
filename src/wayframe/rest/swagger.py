"""`/gw/api.json`: the routes of a module and the schemas of bodies in the form of Swagger 2.0, as flespi publishes it.

MediaBox reads `definitions["media.file.post"]`; generators of clients read `basePath` and the parameters of `paths`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from .schemas import TYPES, definitions

if TYPE_CHECKING:
    from .routes import Route

_REF = "#/definitions/{name}"


@cache
def swagger(base: str, routes: tuple[Route, ...]) -> dict[str, Any]:
    """The whole document of a module.

    Args:
        base: `/gw`; the paths are given without it.
    """
    return {
        "swagger": "2.0",
        "info": {"title": f"Wayframe {base}", "version": "1"},
        "basePath": base,
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        "security": [{"token": []}],
        "paths": _paths(base, routes),
        "definitions": definitions(),
    }


def _paths(base: str, routes: Iterable[Route]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.path.startswith(f"{base}/"):
            path = paths.setdefault(route.path.removeprefix(base), {"parameters": _selectors(route)})
            path[route.method.lower()] = {
                "summary": route.summary,
                "parameters": _parameters(route),
                "responses": {"200": {"description": "Done"}},
            }
    return {path: operations for path, operations in paths.items() if path != "/api.json"}


def _selectors(route: Route) -> list[dict[str, Any]]:
    """The variable segments of a path, the same for all its methods."""
    named = [part.strip("{}") for part in route.segments if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "type": "string"} for name in named]


def _parameters(route: Route) -> list[dict[str, Any]]:
    """What a method takes beside the selectors."""
    found: list[dict[str, Any]] = [{"name": "x-flespi-cid", "in": "header", "type": "integer"}]
    if route.data is not None:
        found.append({"name": "data", "in": "query", "type": "string"})
    elif route.method in ("GET", "POST", "PUT", "PATCH") and not route.upload:
        found.append({"name": "fields", "in": "query", "type": "string"})
    if route.upload:
        found += [
            {"name": "file", "in": "formData", "type": "file"},
            {"name": "data", "in": "formData", "type": "string"},
        ]
    elif route.body is not None:
        found.append({"name": "data", "in": "body", "schema": _schema(route)})
    return found


def _schema(route: Route) -> dict[str, Any]:
    known = route.body in TYPES
    one: dict[str, Any] = {"$ref": _REF.format(name=route.body.__name__)} if known else {"type": "object"}
    return {"type": "array", "items": one} if route.batch else one
