"""Messages of channels: what devices sent over one (rest-api.md 5.1).

A message is stored once, with its device. A channel shows those that came over it in the last `messages_ttl` seconds.
What is deleted from a channel is only hidden there: the devices keep it, as they keep it past the channel's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from wayframe.model import Channel, Clock, Conflict, Json
from wayframe.model.query import HistoryQuery
from wayframe.storage import HistoryMessage, StateTable
from wayframe.storage.messages import MessageStore

from .directory import Directory
from .entries import CHANNELS, Entry
from .history import chosen_messages, shown_message
from .idents import Idents

_STATE = "channel.hidden."
_MOST_HIDDEN = 1000
"""Deletions a channel remembers; each is forgotten when what it hides is past the channel's time anyway."""
_PAGE = 2_000
_LARGEST_PAGE = 20_000
"""Of many devices: to name them costs the same for a page of any size."""


class Hidden(NamedTuple):
    """A deletion. Times in Unix seconds."""

    first: float
    last: float
    """Device times of what is hidden, both inclusive."""
    when: float
    """What arrives after this is shown again."""


class ChannelHistory:
    """What came over channels."""

    def __init__(
        self, messages: MessageStore, state: StateTable, directory: Directory, idents: Idents, clock: Clock
    ) -> None:
        self._messages = messages
        self._state = state
        self._directory = directory
        self._idents = idents
        self._clock = clock
        self._hidden: dict[int, list[Hidden]] = {}

    async def load(self) -> None:
        """Read what was deleted; what was of a channel that is gone is forgotten."""
        for key, stored in (await self._state.all(_STATE)).items():
            channel_id = int(key.removeprefix(_STATE))
            if self._directory.find(CHANNELS, channel_id) is not None:
                self._hidden[channel_id] = msgspec.json.decode(stored, type=list[Hidden])
            else:
                await self._state.delete([key])

    async def messages(self, channels: Sequence[Entry], query: HistoryQuery) -> list[dict[str, Json]]:
        """Messages of channels in time order. Raises `BadRequest` for a bad filter."""
        now, devices = self._clock.now(), self._devices(channels)
        rules = {entry.id: self._rule(entry, devices, now) for entry in channels}
        oldest = min((now - _ttl(entry) for entry in channels), default=now)

        def shown(row: HistoryMessage) -> dict[str, Json] | None:
            if row.server_timestamp < oldest:
                return None
            message = shown_message(devices[row.device_id], row.body)
            shows = rules.get(_channel(message))
            return message if shows is not None and shows(row) else None

        page = min(max(_PAGE, len(devices) // 5), _LARGEST_PAGE)
        pages = self._messages.scan(sorted(devices), query.from_, query.to, query.reverse, page, arrived=oldest)
        return await chosen_messages(pages, shown, query, now)

    async def delete(self, channels: Sequence[Entry], query: HistoryQuery) -> list[dict[str, Json]]:
        """Hide messages of a time span. Raises `Conflict` for a channel of which too many pieces were deleted."""
        now = self._clock.now()
        first = -1e300 if query.from_ is None else query.from_
        last = 1e300 if query.to is None else query.to
        for entry in channels if first <= last else ():
            spans = [span for span in self._hidden.get(entry.id, []) if span.when >= now - _ttl(entry)]
            spans = [span for span in spans if not (first <= span.first and span.last <= last)]
            if len(spans) >= _MOST_HIDDEN:
                raise Conflict(f"channel {entry.id} has {len(spans)} deletions: delete a longer span", item_id=entry.id)
            spans.append(Hidden(first, last, now))
            await self._state.put({f"{_STATE}{entry.id}": msgspec.json.encode(spans)})
            self._hidden[entry.id] = spans
        return [{"id": entry.id} for entry in channels]

    def _devices(self, channels: Sequence[Entry]) -> dict[int, Entry]:
        """Devices of these channels' accounts that came over them, by id."""
        found: dict[int, Entry] = {}
        for channel in channels:
            accounts = self._directory.visible_accounts(channel.cid)
            entries = (self._directory.device(device_id) for device_id in self._idents.device_ids([channel.id]))
            found.update({entry.id: entry for entry in entries if entry is not None and entry.cid in accounts})
        return found

    def _rule(self, entry: Entry, devices: Mapping[int, Entry], now: float) -> Callable[[HistoryMessage], bool]:
        """Whether a channel shows a message that came over it."""
        since, hidden = now - _ttl(entry), self._hidden.get(entry.id, [])
        accounts = self._directory.visible_accounts(entry.cid)

        def shows(row: HistoryMessage) -> bool:
            if row.server_timestamp < since or devices[row.device_id].cid not in accounts:
                return False
            return not any(s.first <= row.timestamp <= s.last and row.server_timestamp <= s.when for s in hidden)

        return shows


def _ttl(entry: Entry) -> int:
    assert isinstance(entry.item, Channel)
    return entry.item.messages_ttl


def _channel(message: dict[str, Json]) -> int:
    """The channel a message came over, 0 for none; files that came are news of the house, not what a device sent."""
    channel_id = message.get("channel.id")
    return channel_id if isinstance(channel_id, int) and "media" not in message else 0
