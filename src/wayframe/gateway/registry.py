"""Which media connection answers which request: the pending table of jt1078.md 4.3."""

from __future__ import annotations

from dataclasses import dataclass

from wayframe.protocols.device import MediaExpected, MediaKind, MediaNews
from wayframe.protocols.jt1078 import same_number
from wayframe.services import Entry, Feed, Link


@dataclass(slots=True)
class Request:
    """A media connection that a device was asked for, and what goes on with it."""

    expected: MediaExpected
    entry: Entry
    channel_id: int
    link: Link
    """The signalling connection that asked."""
    connected: bool = False
    """Its media connection is open."""
    feed: Feed | None = None
    """Where its frames go; kept over a broken media connection."""

    def news(self, news: MediaNews, position: float = 0.0) -> None:
        """Tell the session that asked."""
        self.link.media_event(self.expected.command_id, news, position)


class Registry:
    """Pending and running media requests."""

    def __init__(self) -> None:
        self._requests: dict[int, Request] = {}

    def expect(self, request: Request) -> None:
        """A device was asked to open a media connection; a retry of the same command replaces the earlier wish."""
        self._requests[request.expected.command_id] = request

    def release(self, command_id: int) -> Request | None:
        """The request is over."""
        return self._requests.pop(command_id, None)

    def request(self, command_id: int) -> Request | None:
        """A request by command."""
        return self._requests.get(command_id)

    def requests_of(self, device_id: int) -> list[Request]:
        """Everything asked of a device."""
        return [request for request in self._requests.values() if request.entry.id == device_id]

    def devices(self) -> set[int]:
        """Devices something is asked of."""
        return {request.entry.id for request in self._requests.values()}

    def match(self, kind: MediaKind, number: bytes, channel: int) -> Request | None:
        """The request a packet belongs to: raw number and channel (jt1078.md 4.3)."""
        for request in self._requests.values():
            expected = request.expected
            if expected.kind is kind and expected.channel == channel and same_number(expected.number, number):
                return request
        return None
