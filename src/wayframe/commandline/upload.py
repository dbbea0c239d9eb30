"""One file on its way into a device's media store: what goes with it, and sending it (rest-api.md 8.3)."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import Api, segment
from .errors import CommandError
from .transfers import Watched

TYPES = ("video", "image", "tacho")
"""Kinds an upload may name."""
_TACHO = frozenset({".ddd", ".v1b", ".v2b", ".c1b", ".c2b", ".tgd", ".esm"})
"""Extensions of tachograph files (rest-api.md 8.1)."""
_STREAMS = frozenset({".ts", ".264", ".265", ".h264", ".h265", ".hevc", ".grec", ".dav", ".asf"})
"""Extensions that recorders use and mimetypes does not know, or takes for something else."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a file besides its bytes."""

    kind: str
    """`video`, `image` or `tacho`."""
    created: float | None = None
    """When it was recorded, Unix seconds; None: now."""
    name: str = ""
    """Name it gets; empty: its own."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What belongs to the recording, such as `channel`."""
    params: dict[str, Any] = field(default_factory=dict)
    """Attributes of the user's own."""
    message_params: dict[str, Any] = field(default_factory=dict)
    """Parameters of the device message that announces it."""

    def data(self) -> dict[str, Any]:
        """The `data` part."""
        meta = self.meta if self.created is None else {**self.meta, "created": self.created}
        more = {"params": self.params, "message_params": self.message_params}
        return {"type": self.kind, "meta": meta, **{name: value for name, value in more.items() if value}}


def kind_of(name: str) -> str:
    """The kind that a name's extension tells; empty: none that belongs into a media store."""
    suffix = Path(name).suffix.lower()
    if suffix in _TACHO:
        return "tacho"
    if suffix in _STREAMS:
        return "video"
    family = (mimetypes.guess_type(name)[0] or "").partition("/")[0]
    return {"image": "image", "video": "video", "audio": "video"}.get(family, "")


def checked_kind(kind: str, name: str, said_by: str = "--type") -> str:
    """The kind asked for, or else that of the name, or else video. Raises CommandError."""
    if kind and kind not in TYPES:
        raise CommandError(f"{said_by} must be one of {', '.join(TYPES)}, got {kind!r}", exit_code=2)
    return kind or kind_of(name) or "video"


def send(
    api: Api, device: str, file: Path, about: About, moved: Callable[[int], object] = lambda count: None
) -> list[Any]:
    """Send a file into the media store of the devices a selector names; returns one file object a device.

    Raises CommandError; what `moved` raises breaks it off.
    """
    name = sendable(about.name or file.name)
    mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
    try:
        with file.open("rb") as source:
            watched = Watched(source, moved)
            parts = [("file", (name, watched, mime)), ("data", (None, json.dumps(about.data())))]
            return api.send_parts(f"/gw/devices/{segment(device)}/media", parts)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None


def sendable(name: str) -> str:
    """A file name as a form can carry it: bytes that are no UTF-8, quotes and backslashes become `_`."""
    text = name.encode(errors="replace").decode()
    return "".join("_" if sign in '"\\' or not sign.isprintable() else sign for sign in text)
