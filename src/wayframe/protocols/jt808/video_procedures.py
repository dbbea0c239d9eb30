"""Live video, playback, clips and the list of recordings (JT/T 1078 5.5 and 5.6; reference jt1078.md section 6)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..device import CommandRequest, MediaExpected, MediaKind, MediaNews
from ..jt1078.signalling import (
    LiveControl,
    LiveRequest,
    LiveStatus,
    PlaybackControl,
    PlaybackRequest,
    RecordingItem,
    RecordingList,
    RecordingQuery,
)
from ..jt1078.times import NO_TIME, bcd_to_unix, unix_to_bcd
from .ids import MessageId
from .procedures import Context, Procedure, integer, number, string

CONNECT_S = 15.0
"""The terminal must have opened its media connection after so long."""
KEY_FRAME_S = 20.0
"""The first picture of a stream must have come after so long."""
RECORD_S = 30.0
"""The first picture of a clip must have come after so long."""
STATUS_EVERY_S = 5.0
"""Between two 0x9105."""
LIST_S = 30.0
"""For the first part of a list of recordings, and for any further one."""
MAX_TIMELINE_DAYS = 31
"""Longest span of one video_timeline."""
DAY_S = 86_400

_MAIN, _SUB = 0, 1
_LIVE_AV, _LIVE_VIDEO = 0, 1
_PLAYBACK_STREAMS = {"main": 1, "sub": 2}
_PLAYBACK_STOP = 2
_AV, _VIDEO_OR_AV = 0, 3


class MediaProcedure(Procedure):
    """A command whose media comes over a connection that the terminal opens."""

    kind: MediaKind
    first_picture_s = KEY_FRAME_S

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """`channel` is the logical channel."""
        super().__init__(request, context)
        self.channel = integer(request.properties, "channel", 1)
        self.connected = False
        self.running = False
        self._asked_at = 0.0

    @property
    def _busy(self) -> dict[int, int]:
        """Channels in use of this kind."""
        return self.context.live if self.kind is MediaKind.LIVE else self.context.playing

    @property
    def _address(self) -> str:
        endpoints = self.context.endpoints
        port = endpoints.live_port if self.kind is MediaKind.LIVE else endpoints.playback_port
        return f"{endpoints.host}:{port}"

    def start(self, now: float) -> None:
        """Take the channel and ask for the media."""
        if self.channel in self._busy:
            what = "streaming live" if self.kind is MediaKind.LIVE else "playing a recording"
            self.fail(f"camera {self.channel} is already {what}", retry=self.query)
            return
        self._busy[self.channel] = self.request.id
        self.request_media(now)

    def request_media(self, now: float) -> None:
        """Expect the media, then ask for it: never the other way round."""
        self.connected = self.running = False
        self._asked_at = now
        self.deadline = now + CONNECT_S
        self.context.emit(self.expected())
        message_id, body = self.order()
        self.ask(message_id, body, now)

    def expected(self) -> MediaExpected:
        """What the gateway is to expect."""
        raise NotImplementedError

    def order(self) -> tuple[int, bytes]:
        """The message that asks for the media."""
        raise NotImplementedError

    def stop_sending(self, now: float) -> None:
        """Tell the terminal to stop."""
        raise NotImplementedError

    def accepted(self, now: float) -> None:
        """The media connection is to come."""

    def unanswered(self, now: float) -> None:
        """What counts is the media connection, not the answer."""

    def timed_out(self, now: float) -> None:
        """No connection, or no picture on it."""
        if self.running:
            return
        if not self.connected:
            self._give_up(f"the device did not connect to {self._address} within {CONNECT_S:.0f} s", now)
        else:
            self._give_up(f"no picture came over {self._address} within {self.first_picture_s:.0f} s", now)

    def _give_up(self, reason: str, now: float) -> None:
        self.stop_sending(now)
        self.fail(reason, retry=self.query)

    def media(self, news: MediaNews, now: float, position: float) -> None:
        """Follow the media connection."""
        match news:
            case MediaNews.CONNECTED:
                self.connected = True
                self.settle()
                if not self.running:
                    self.deadline = self._asked_at + self.first_picture_s
            case MediaNews.KEY_FRAME:
                self.connected = self.running = True
                self.deadline = None
                self.began(now)
            case MediaNews.CLOSED if self.connected:
                self.connected = False
                self.closed(now)
            case MediaNews.FINISHED | MediaNews.STOPPED:
                self.cancel(now)
            case MediaNews.STALLED:
                self.stalled(now, position)

    def began(self, now: float) -> None:
        """The first picture came."""

    def closed(self, now: float) -> None:
        """The terminal closed the media connection."""
        if not self.running:
            self.fail(f"the device closed the connection to {self._address} before a picture came", retry=self.query)

    def stalled(self, now: float, position: float) -> None:
        """The recording broke off."""

    def cancel(self, now: float) -> None:
        """Stop the terminal; the gateway keeps what came."""
        self.stop_sending(now)
        self.over = True

    def ended(self) -> None:
        """Free the channel."""
        if self._busy.get(self.channel) == self.request.id:
            del self._busy[self.channel]


class LiveVideo(MediaProcedure):
    """start_videostream."""

    kind = MediaKind.LIVE

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Properties `channel`, `quality`, `audio`."""
        super().__init__(request, context)
        self._stream = _MAIN if string(request.properties, "quality", "sub") == "main" else _SUB
        self._audio = bool(request.properties.get("audio", True))
        self._asked_again = False

    def expected(self) -> MediaExpected:
        """A stream for viewers."""
        return MediaExpected(self.request.id, self.kind, self.context.link.number, self.channel, "stream")

    def order(self) -> tuple[int, bytes]:
        """0x9101; no UDP port, Wayframe listens on TCP only."""
        endpoints = self.context.endpoints
        data_type = _LIVE_AV if self._audio else _LIVE_VIDEO
        message = LiveRequest(endpoints.host, endpoints.live_port, 0, self.channel, data_type, self._stream)
        return message.ID, message.encode()

    def stop_sending(self, now: float) -> None:
        """0x9102 close."""
        message = LiveControl(self.channel, 0, 0, self._stream)
        self.tell(message.ID, message.encode(), now)

    def began(self, now: float) -> None:
        """Tell the terminal how reception is, as long as the stream runs."""
        self.deadline = now + STATUS_EVERY_S

    def closed(self, now: float) -> None:
        """Once more while somebody watches; the gateway says `STOPPED` when nobody does."""
        if self.running and not self._asked_again:
            self._asked_again = True
            self.request_media(now)
        elif self.running:
            self.fail(f"the device closed the connection to {self._address} again")
        else:
            super().closed(now)

    def timed_out(self, now: float) -> None:
        """Send the periodic 0x9105, or give the stream up."""
        if self.running:
            message = LiveStatus(self.channel, 0)
            self.tell(message.ID, message.encode(), now)
            self.deadline = now + STATUS_EVERY_S
        else:
            super().timed_out(now)


class Playback(MediaProcedure):
    """playback_video: a recording as a stream."""

    kind = MediaKind.PLAYBACK
    purpose = "stream"
    answers = frozenset({MessageId.RECORDING_LIST})

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Properties `channel`, `from`, `to` or `duration`, `quality`."""
        super().__init__(request, context)
        given = request.properties
        self._stream = _PLAYBACK_STREAMS.get(string(given, "quality"), 0)
        self._begin = number(given, "from")
        length = number(given, "duration")
        self._end = number(given, "to") or (self._begin + length if length else 0.0)

    def start(self, now: float) -> None:
        """Refuse what no terminal can play, else ask."""
        if self._end and self._end <= self._begin:
            self.fail("`to` must be after `from`")
            return
        try:
            self.order()
        except ValueError as error:
            self.fail(f"the device's clock cannot express that time: {error}")
            return
        super().start(now)

    def expected(self) -> MediaExpected:
        """The rest of the recording."""
        begin = self._begin
        return MediaExpected(
            self.request.id,
            self.kind,
            self.context.link.number,
            self.channel,
            self.purpose,
            begin,
            max(0.0, self._end - begin),
        )

    def order(self) -> tuple[int, bytes]:
        """0x9201 in normal mode; whole seconds around what was asked for."""
        endpoints, offset = self.context.endpoints, self.context.profile.timezone_offset_s
        message = PlaybackRequest(
            host=endpoints.host,
            tcp_port=endpoints.playback_port,
            udp_port=0,
            channel=self.channel,
            media_type=_AV,
            stream=self._stream,
            storage=0,
            mode=0,
            speed=0,
            start=unix_to_bcd(math.floor(self._begin), offset),
            end=unix_to_bcd(math.ceil(self._end), offset) if self._end else NO_TIME,
        )
        return message.ID, message.encode()

    def stop_sending(self, now: float) -> None:
        """0x9202 stop."""
        message = PlaybackControl(self.channel, _PLAYBACK_STOP)
        self.tell(message.ID, message.encode(), now)

    def answered(self, message: object, now: float) -> bool:
        """The standard's answer to 0x9201: what will be sent. Many terminals send 0x0001 instead, some both."""
        if not isinstance(message, RecordingList) or not self.asked_with(message.reply_serial):
            return False
        self.settle()
        if not message.items and not message.total and not self.running:
            self.fail(f"the device has no recording of camera {self.channel} for that time")
        return True


class Clip(Playback):
    """request_video: a recording as a file."""

    purpose = "record"
    query = True
    first_picture_s = RECORD_S

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Properties `channel`, `from`, `duration`, `quality`."""
        super().__init__(request, context)
        self._asked_again = False

    def stalled(self, now: float, position: float) -> None:
        """Ask once more from where it broke off; after that the gateway keeps what there is."""
        # The media connection of the first attempt may still close; that is no news of the second.
        if self._asked_again or position >= self._end:
            self.stop_sending(now)
            self.fail("the recording broke off")
            return
        self._asked_again = True
        self.stop_sending(now)
        self._begin = max(self._begin, position)
        self.request_media(now)


class Timeline(Procedure):
    """video_timeline: which recordings there are, asked day by day of the terminal's clock."""

    query = True
    answers = frozenset({MessageId.RECORDING_LIST})

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Properties `from`, `to`, and `channel` unless for all."""
        super().__init__(request, context)
        properties = request.properties
        self._channel = integer(properties, "channel")
        self._begin, self._end = number(properties, "from"), number(properties, "to")
        self._windows: list[tuple[float, float]] = []
        self._media_type = _VIDEO_OR_AV
        self._items: list[RecordingItem] = []

    def start(self, now: float) -> None:
        """Ask for the first day."""
        if not self._begin < self._end <= self._begin + MAX_TIMELINE_DAYS * DAY_S:
            self.fail(f"`to` must be after `from`, and at most {MAX_TIMELINE_DAYS} days after it")
            return
        self._windows = list(_days(self._begin, self._end, self.context.profile.timezone_offset_s))
        self._ask_window(now)

    def _ask_window(self, now: float) -> None:
        begin, end = self._windows[0]
        offset = self.context.profile.timezone_offset_s
        try:
            span = unix_to_bcd(math.floor(begin), offset), unix_to_bcd(math.ceil(end), offset)
        except ValueError as error:
            self.fail(f"the device's clock cannot express that time: {error}")
            return
        message = RecordingQuery(self._channel, *span, media_type=self._media_type)
        self.deadline = now + LIST_S
        self.ask(message.ID, message.encode(), now)

    def accepted(self, now: float) -> None:
        """The list is to come."""

    def unanswered(self, now: float) -> None:
        """The deadline decides."""

    def refused(self, result: int, now: float) -> None:
        """Some terminals do not know media type 3: ask for audio and video instead."""
        if self._media_type == _VIDEO_OR_AV:
            self._media_type = _AV
            self._ask_window(now)
        else:
            super().refused(result, now)

    def part(self, message_id: int, now: float) -> None:
        """The list is arriving."""
        if message_id in self.answers and self.deadline is not None:
            self.deadline = now + LIST_S

    def answered(self, message: object, now: float) -> bool:
        """Take the list of one day and ask for the next."""
        if not isinstance(message, RecordingList) or not self.asked_with(message.reply_serial):
            return False
        self.settle()
        self._items += message.items
        if not message.items and self._media_type == _VIDEO_OR_AV and not self._items:
            self._media_type = _AV
            self._ask_window(now)
            return True
        if not self._items:
            self._media_type = _VIDEO_OR_AV
        self._windows.pop(0)
        if self._windows:
            self._ask_window(now)
        else:
            self.done(list(self._response()))
        return True

    def timed_out(self, now: float) -> None:
        """The list did not come."""
        self.fail(f"the list of recordings did not come within {LIST_S:.0f} s", retry=True)

    def _response(self) -> Iterable[dict[str, object]]:
        offset = self.context.profile.timezone_offset_s
        # A recording that overlaps a day's end is in two lists; its streams are one recording to a viewer.
        unique = {(item.channel, item.start, item.end): item for item in self._items}
        for item in sorted(unique.values(), key=lambda item: (item.channel, item.start)):
            begin, end = bcd_to_unix(item.start, offset), bcd_to_unix(item.end, offset)
            if begin is None or end is None or end < self._begin or begin > self._end:
                continue
            yield {
                "channel": item.channel,
                "begin": int(begin),
                "end": int(end),
                "size": item.size,
                "stream": {1: "main", 2: "sub"}.get(item.stream, ""),
                "storage": {1: "main", 2: "backup"}.get(item.storage, ""),
                "alarm": item.alarm,
            }


def _days(begin: float, end: float, offset_s: int) -> Iterable[tuple[float, float]]:
    """The span cut at midnight of the terminal's clock."""
    while begin < end:
        midnight = (math.floor((begin + offset_s) / DAY_S) + 1) * DAY_S - offset_s
        # BCD times have whole seconds: the day ends a second before the next begins.
        yield begin, min(end, float(midnight - 1))
        begin = float(midnight)
