"""One request to the gallery, as the parts of its door hand it on."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from wayframe.rest import Request as PlainRequest


@dataclass(slots=True)
class Visit:
    """One request, and what became of it."""

    request: Request
    asked: PlainRequest
    route: str = "/api"
    """Pattern of the path, for metrics."""
    body_read: bool = False
