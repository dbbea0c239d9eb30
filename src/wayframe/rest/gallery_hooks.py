"""Hooks over the API: `/api/hooks`, for devices and for whole accounts (gallery-api.md B3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wayframe.model import NotFound
from wayframe.services import Caller
from wayframe.services.hooks import Hooks

from .exchange import Request, Response, WrongMethod
from .gallery_calls import respond


@dataclass(frozen=True, slots=True)
class HooksCall:
    """One authenticated request about hooks."""

    request: Request
    hooks: Hooks
    caller: Caller
    word: str
    """The hook or kind of event in the path; empty if there is none."""


async def listed(call: HooksCall) -> Response:
    """The hooks that the caller may keep; with `device` those that its events go to."""
    return respond({"success": True, "hooks": await call.hooks.visible(call.caller, _device(call))})


async def waiting(call: HooksCall) -> Response:
    """The same, of one kind of event."""
    return respond({"success": True, "hooks": await call.hooks.visible(call.caller, _device(call), call.word)})


async def create(call: HooksCall) -> Response:
    """Make a hook."""
    return respond({"success": True, "hook": await call.hooks.create(call.caller, call.request.json())})


async def change(call: HooksCall) -> Response:
    """Change a hook."""
    return respond({"success": True, "hook": await call.hooks.change(call.caller, call.word, call.request.json())})


async def delete(call: HooksCall) -> Response:
    """Remove a hook."""
    await call.hooks.delete(call.caller, call.word)
    return respond({"success": True})


def _device(call: HooksCall) -> str:
    return call.request.query.get("device", "").strip()


@dataclass(frozen=True, slots=True)
class HooksRoute:
    """A method on a path below `/api/hooks`."""

    method: str
    path: str
    """Pattern; `{…}` stands for any word."""
    handler: Callable[[HooksCall], Awaitable[Response]]

    def word(self, rest: tuple[str, ...]) -> str | None:
        """What `{…}` stands for in a path, empty if there is none; None: this is no path of the route."""
        parts = tuple(filter(None, self.path.split("/")))
        if len(parts) != len(rest):
            return None
        pairs = list(zip(parts, rest, strict=True))
        fits = all(part == given or part.startswith("{") for part, given in pairs)
        return next((given for part, given in pairs if part.startswith("{")), "") if fits else None


RIGHT = ("POST", "media")
"""Method and submodule of `gw/devices` that each of them needs."""
HOOKS_ROUTES = (
    HooksRoute("GET", "", listed),
    HooksRoute("POST", "", create),
    HooksRoute("PATCH", "{hook}", change),
    HooksRoute("DELETE", "{hook}", delete),
    HooksRoute("GET", "events/{eventType}", waiting),
)


def find_hooks(method: str, rest: tuple[str, ...]) -> tuple[HooksRoute, str]:
    """The route of what follows `/api/hooks`, and the word in its path. Raises NotFound, WrongMethod."""
    known = [(route, word) for route in HOOKS_ROUTES if (word := route.word(rest)) is not None]
    if not known:
        raise NotFound(f"there is no /api/hooks/{'/'.join(rest)[:200]}")
    for route, word in known:
        if route.method == ("GET" if method == "HEAD" else method):
            return route, word
    raise WrongMethod(method, sorted({route.method for route, _ in known}))
