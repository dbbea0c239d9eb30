"""A feed: where the frames of one requested media connection go, a live stream or a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wayframe.protocols.device import MediaNews

Close = Callable[[int, str], None]
"""Closes the media connection with a close code and a reason."""
Tell = Callable[[MediaNews, float], None]
"""Tells the session of the device what was decided; the number is a position in Unix seconds."""


class Feed(Protocol):
    """Takes frames with an output clock that starts at 0 with each media connection."""

    @property
    def urgent(self) -> bool:
        """Whether a viewer would notice that a frame waited for a fifth of a second."""

    def attach(self, connection_id: int, close: Close, tell: Tell) -> None:
        """A media connection for it is open, the first or one more after a break."""

    def video(self, codec: str, data: bytes, key: bool, pts_ms: int, now: float) -> None:
        """One Annex B access unit."""

    def audio(self, codec: str, data: bytes, pts_ms: int, rate: int, channels: int) -> None:
        """One sound payload."""

    def tick(self, now: float) -> None:
        """About once a second while the media connection is open."""

    def closed(self, now: float) -> None:
        """The media connection is gone."""

    def stop(self, reason: str) -> None:
        """A person ended it."""

    def drop(self) -> None:
        """Nobody wants it any more: end without a result."""

    def give_up(self, reason: str) -> bool:
        """The device will not send more. Returns whether what came is worth keeping and is being finished."""
