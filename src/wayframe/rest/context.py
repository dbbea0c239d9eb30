"""What handlers work with: where this server stands, and one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from wayframe.model import BadRequest, Json, TooLarge
from wayframe.services import Caller, Entry, Services

from . import fields
from .exchange import Page, Request

if TYPE_CHECKING:
    from .routes import Route


MAX_BATCH = 10_000
"""Objects in one body."""


@dataclass(frozen=True, slots=True)
class Site:
    """The addresses clients are told (rest-api.md 3.2)."""

    public_url: str
    """Scheme, host and port of REST and media, without a slash at the end."""
    secure_url: str = ""
    """The same for clients that come over TLS; empty: `public_url`."""
    mqtt: str = ""
    """`host:port` of MQTT over TLS."""
    mqtt_ws: str = ""
    """`host:port` or `host:port/path` of MQTT over WebSocket."""
    gw: str = ""
    """Host devices connect to; empty: the host of `secure_url`."""
    ftp_port: int = 0
    """Port there that devices upload files to by FTP; 0: the door is shut."""
    name: str = "local"
    """Name of the one region."""


class Call(Struct, frozen=True):
    """One authenticated request on its route."""

    route: Route
    """What was asked for."""
    request: Request
    """How it was asked."""
    params: tuple[str, ...]
    """The variable segments of the path, in order."""
    services: Services
    """What handlers call."""
    site: Site
    """Where this server stands."""
    _caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who asks; on every route that is not open."""
        assert self._caller is not None, f"{self.route.path} is open: it has no caller"
        return self._caller

    @property
    def entity(self) -> str:
        """Entity of the route."""
        assert self.route.entity is not None, f"{self.route.path} names no entity"
        return self.route.entity

    @property
    def linked(self) -> str:
        """Entity of the items that the second variable segment selects."""
        assert self.route.linked is not None, f"{self.route.path} links nothing"
        return self.route.linked

    async def entries(self, selector: str | None = None) -> list[Entry]:
        """The items that the first variable segment selects, among those the caller has the route's right on."""
        chosen = self.params[0] if selector is None else selector
        return await self.services.directory.select(
            self.caller, self.entity, chosen, self.route.method, self.route.submodule
        )

    def paths(self, default: Sequence[str]) -> tuple[str, ...]:
        """Field paths of `fields`, or the default set."""
        return fields.parse(self.request.query.get("fields"), default)

    def page(self) -> Page:
        """`limit` and `offset`. Raises BadRequest."""
        return Page(_natural(self.request.query, "limit"), _natural(self.request.query, "offset") or 0)

    def data_or_body(self) -> dict[str, Json]:
        """The object of a deletion: its body, or `data` where there is no body. Raises BadRequest."""
        body = self.request.json()
        if body is None:
            return self.request.data()
        if not isinstance(body, dict):
            raise BadRequest("the body must be one JSON object")
        return body

    def with_query(self, said: Mapping[str, str]) -> Call:
        """The same call with further query variables; those that are there already win."""
        return replace(self, request=replace(self.request, query={**said, **self.request.query}))

    def objects(self) -> list[dict[str, Json]]:
        """A body that is an array of objects, or one object. Raises BadRequest."""
        body = self.request.json()
        items = body if isinstance(body, list) else [body]
        if not items or not all(isinstance(item, dict) for item in items):
            raise BadRequest("the body must be a JSON array of objects, with at least one, or a single object")
        if len(items) > MAX_BATCH:
            raise TooLarge(f"the body has {len(items)} objects, at most {MAX_BATCH} are taken at once")
        return items


def _natural(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise BadRequest(f"{name} must be a whole number from 0, got {text!r}")
    return int(text)
