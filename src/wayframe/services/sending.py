"""What `services.hook_calls` and whoever sends HTTP requests for it tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class SendFailed(Exception):
    """A request was not taken."""

    def __init__(self, reason: str, *, retry: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        """For a person."""
        self.retry = retry
        """Whether it may go better later."""


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """One request to somebody else's server."""

    method: str
    url: str
    """As it was checked when it was stored (`model.urls`)."""
    headers: Mapping[str, str]
    body: bytes


class Sender(Protocol):
    """Sends requests to addresses it may."""

    async def send(self, request: OutgoingRequest) -> None:
        """Send it once. Raises `SendFailed` unless the answer is a 2xx."""
