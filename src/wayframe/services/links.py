"""Links are rendered at reading: only the uuid is stored, so a new `public_url` heals every link (ruling 15)."""

from __future__ import annotations

from typing import Any

_RENDERED = ("url", "hls", "flv")


class Links:
    """Adds links to whatever names a media uuid, and takes them out before storing."""

    def __init__(self, public_url: str) -> None:
        self.base = public_url.rstrip("/")
        """Scheme, host and port clients reach this server under."""

    def url(self, uuid: str) -> str:
        """The link of a media file or live stream."""
        return f"{self.base}/media/{uuid}"

    def render(self, value: Any) -> Any:
        """A copy in which every object with a `uuid` has its `url`; a stream also the key of its kind."""
        if isinstance(value, dict):
            shown = {key: self.render(member) for key, member in value.items()}
            uuid = value.get("uuid")
            if isinstance(uuid, str) and len(uuid) == 64:
                shown["url"] = self.url(uuid)
                kind = value.get("mediastream")
                if kind in ("hls", "flv"):
                    shown[kind] = shown["url"]
            return shown
        if isinstance(value, list):
            return [self.render(member) for member in value]
        return value

    def strip(self, value: Any) -> Any:
        """A copy without the links that `render` adds."""
        if isinstance(value, dict):
            dropped = _RENDERED if "uuid" in value else ()
            return {key: self.strip(member) for key, member in value.items() if key not in dropped}
        if isinstance(value, list):
            return [self.strip(member) for member in value]
        return value
