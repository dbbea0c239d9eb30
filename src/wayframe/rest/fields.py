"""`fields=`: which part of an item is shown (rest-api.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wayframe.model import Json

ALIASES = ("connection_id", "command_id", "device_id", "channel_id", "token_id")
"""Names that mean the item's `id` where the item has no field of that name; one client asks for them in link lists."""


def parse(text: str | None, default: Sequence[str]) -> tuple[str, ...]:
    """Field paths of a comma list; the default set when there is none, or nothing in it."""
    named = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    return named or tuple(default)


def project(view: Mapping[str, Json], paths: Iterable[str]) -> dict[str, Json]:
    """The named parts of an item as a nested object. Unknown names yield nothing.

    A path goes into objects by its dots (`configuration.ident`), into arrays element by element (`commands.name`), and
    takes a key that holds dots itself whole (`telemetry.position.speed`).
    """
    wanted = list(paths)
    shown = {path: view[path] for path in wanted if path in view}
    if len(shown) == len(wanted):
        return shown
    picked = _pick(view, wanted)
    return picked if isinstance(picked, dict) else {}


def _pick(value: Json, paths: list[str]) -> Json:
    if isinstance(value, list):
        return [_pick(member, paths) for member in value if isinstance(member, dict)]
    if not isinstance(value, Mapping):
        return None
    shown: dict[str, Any] = {}
    deeper: dict[str, list[str]] = {}
    for path in paths:
        if path in value:
            shown[path] = value[path]
            continue
        head, dot, rest = path.partition(".")
        if dot and isinstance(value.get(head), Mapping | list):
            deeper.setdefault(head, []).append(rest)
        elif path in ALIASES and "id" in value:
            shown[path] = value["id"]
    for head, rests in deeper.items():
        if head not in shown and (part := _pick(value[head], rests)):
            shown[head] = part
    return shown
