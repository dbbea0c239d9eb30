"""The media connection: bytes of one TCP connection in, identity and complete frames out.

Source: JT/T 1078-2016 5.5 for the packet, reference 4.2 and 4.3 for everything the standard leaves open (resync,
damaged frames, number length, wrong payload types). Sans-IO: the caller passes bytes and the time.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .audio import strip_prefix
from .identity import length_by_structure
from .limits import RateWindow
from .media_events import (
    ChannelSeen,
    CodecCorrected,
    Identified,
    MatchRequest,
    MediaCounters,
    MediaEvent,
    MediaFrame,
    MediaSettings,
    Violation,
)
from .packets import HEADER_LENGTHS, KINDS, MAGIC, MAX_BODY, MediaKind, Part, codec_name, inspect_nals
from .sequence import ScopeLearner, SequenceScope


class _Head(NamedTuple):
    """What the first packet of a frame says about it."""

    data_type: int
    payload_type: int
    timestamp_ms: int
    interval_ms: int


@dataclass(slots=True)
class _Assembly:
    """A frame whose last part has not come yet."""

    head: _Head
    body: bytearray


@dataclass(slots=True)
class _Channel:
    """State of one logical channel."""

    number: int
    accepted: bool
    waiting: bool = True
    key_begun: bool = False
    sps_seen: bool = False
    video_codec: str | None = None
    next_sequence: int = -1
    next_by_kind: dict[MediaKind, int] = field(default_factory=dict)
    open: dict[MediaKind, _Assembly] = field(default_factory=dict)


# One precompiled struct per header form: magic, M/PT, sequence, (number skipped), channel, type/part, then what the
# data type has: timestamp, (interval to the key frame skipped), interval to the last frame; body length last.
_FORMS: Final = {
    (length, data_type): struct.Struct(f">4sxBH{length}xBB{tail}")
    for length in (6, 10)
    for data_type, tail in enumerate(("Q2xHH", "Q2xHH", "Q2xHH", "QH", "H"))
}
_NO_PACKET: Final = -4
"""The magic that is no packet is skipped."""
_CONTINUES: Final = (Part.LAST, Part.MIDDLE)
_LOOKED_INTO: Final = ("h264", "h265")

# What frames that open with an ordinary slice begin with: no need to look further.
_PLAIN_SLICES: Final = {
    "h264": frozenset(b"\x00\x00\x00\x01" + bytes((head,)) for head in (0x01, 0x21, 0x41, 0x61)),
    "h265": frozenset(b"\x00\x00\x00\x01" + bytes((head,)) for head in (0x00, 0x02)),
}


class MediaConnection:
    """Parser and assembler of one media connection."""

    def __init__(self, match: MatchRequest, settings: MediaSettings | None = None) -> None:
        """`match` is asked with the raw number and the channel; see `same_number` for comparing."""
        self._match = match
        self._settings = settings or MediaSettings()
        self._buffer = bytearray()
        self._need = 1
        self._number_length = 0
        self._number = b""
        self._matched = False
        self._lost = False
        self._resyncing = False
        self._noise = 0
        self._resync_times: deque[float] = deque()
        self._rate = RateWindow(self._settings.max_rate_bps, self._settings.rate_window_s)
        self._open_bytes = 0
        self._channels: dict[int, _Channel] = {}
        self._scope = SequenceScope.CONNECTION
        self._next_sequence = -1
        self._video: _Channel | None = None
        self._learner = ScopeLearner()
        self._opened: float | None = None
        self._undecided_since: float | None = None
        self._now = 0.0
        self._events: list[MediaEvent] = []
        self.counters = MediaCounters()
        """Running totals."""
        self.closed = False
        """True after a `Violation`."""

    @property
    def number(self) -> bytes:
        """Raw number field; empty until identified."""
        return self._number

    @property
    def buffered_bytes(self) -> int:
        """Bytes held: unparsed ones and unfinished frames."""
        return len(self._buffer) + self._open_bytes

    @property
    def sequence_scope(self) -> SequenceScope:
        """How this device counts its packets, as far as seen."""
        return self._scope

    def waiting_for_key(self, channel: int) -> bool:
        """True while video of the channel is held back until an I frame."""
        state = self._channels.get(channel)
        return state is None or state.waiting

    def receive(self, data: bytes, now: float) -> list[MediaEvent]:
        """Take the next bytes of the connection, read at `now` (Unix seconds). Never raises."""
        if self.closed:
            return []
        self._now = now
        if self._opened is None:
            self._opened = now
        self.counters.bytes += len(data)
        self._events = []
        if self._rate.exceeded(len(data), now):
            limit = self._settings.max_rate_bps / 1e6
            self._violate(f"more than {limit:g} Mbit/s over {self._settings.rate_window_s} s")
        else:
            self._take(data)
        events, self._events = self._events, []
        return events

    def tick(self, now: float) -> list[MediaEvent]:
        """Let time pass: an undecided number length, a connection nobody asked for. Call it about once a second."""
        if self.closed:
            return []
        self._now = now
        if self._opened is None:
            self._opened = now
        self._events = []
        settings = self._settings
        waited = now - (self._undecided_since if self._undecided_since is not None else now)
        if waited >= settings.undecided_timeout_s and not self._number_length and self._fallback():
            self._parse()
        if not (self._matched or settings.allow_unsolicited or self.closed):
            self._match_late()
            if not self._matched and now - self._opened >= settings.unsolicited_timeout_s:
                self._violate(f"no request asked for this media within {settings.unsolicited_timeout_s:g} s")
        events, self._events = self._events, []
        return events

    # --- packets -------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Parse what came; what is left of a packet waits in the buffer."""
        if self._video is not None and not self._buffer and not self._lost:
            # Most reads begin with a packet and end with one: nothing needs to be copied.
            with memoryview(data) as view:
                self._buffer += view[self._run(self._video, view, 0, len(data)) :]
        else:
            self._buffer += data
        if len(self._buffer) >= self._need:
            self._parse()

    def _parse(self) -> None:
        """Parse whole packets from the front of the buffer; `_need` says how many bytes the next try wants."""
        buffer = self._buffer
        at = 0
        end = len(buffer)
        with memoryview(buffer) as view:
            while not self.closed:
                if self._video is not None and not self._lost:
                    at = self._run(self._video, view, at, end)
                    if self.closed or end - at < self._need:
                        break
                if end - at < 4:
                    self._need = 4
                    break
                if self._lost or not buffer.startswith(MAGIC, at):
                    at = self._search(at)
                    if self._lost:
                        self._need = 4
                        break
                    continue
                taken = self._packet(view, at, end - at)
                if taken == 0:
                    break
                if taken < 0:
                    self._lose()
                    self._noise -= taken
                at += abs(taken)
        del buffer[:at]
        if self.closed:
            buffer.clear()

    def _packet(self, view: memoryview, at: int, left: int) -> int:
        """Bytes of the packet at `at`; 0 if more bytes are needed, `_NO_PACKET` if the magic there is chance."""
        if not self._number_length:
            decided = self._decide(at, left)
            if decided <= 0:
                return decided
        length = self._number_length
        if left < length + 10:
            self._need = length + 10
            return 0
        data_type = view[at + length + 9] >> 4
        if data_type > 4 or (self._resyncing and view[at + 8 : at + 8 + length] != self._number):
            # Noise may hold the magic, hardly the magic and this terminal's number behind it.
            return _NO_PACKET
        header = HEADER_LENGTHS[length, data_type]
        if left < header:
            self._need = header
            return 0
        form = _FORMS[length, data_type]
        timestamp = interval = 0
        if data_type <= 2:
            _, mpt, sequence, channel, kind_part, timestamp, interval, size = form.unpack_from(view, at)
        elif data_type == 3:
            _, mpt, sequence, channel, kind_part, timestamp, size = form.unpack_from(view, at)
        else:
            _, mpt, sequence, channel, kind_part, size = form.unpack_from(view, at)
        part = kind_part & 0x0F
        if part > 3 or size > MAX_BODY:
            return _NO_PACKET
        total = header + int(size)
        if left < total:
            self._need = total
            return 0
        state = self._arrived(channel, KINDS[data_type], sequence)
        if state is not None:
            with view[at + header : at + total] as body:
                self._assemble(state, part, _Head(data_type, mpt & 0x7F, timestamp, interval), body)
        return total

    def _run(self, state: _Channel, view: memoryview, at: int, end: int) -> int:
        """Take the packets that simply go on with the channel's video; the offset of the first other one.

        Sets `_need` to 4, or to the length of a packet of that kind that is not whole yet. Does nothing that
        `_packet` would not do, at a third of its cost: nearly all packets of a stream pass here.
        """
        unpack, header = _FORMS[self._number_length, 0].unpack_from, HEADER_LENGTHS[self._number_length, 0]
        number, expected = state.number, self._next_sequence
        if self._scope is not SequenceScope.CONNECTION:
            expected = state.next_by_kind[MediaKind.VIDEO]
            if self._scope is SequenceScope.CHANNEL:
                expected = state.next_sequence
        assembly = state.open.get(MediaKind.VIDEO)
        largest = self._settings.max_frame
        first = at
        count = 0
        self._need = 4
        while end - at >= header:
            magic, mpt, sequence, channel, kind_part, timestamp, interval, size = unpack(view, at)
            to = at + header + size
            part = kind_part & 0x0F
            if (
                magic != MAGIC
                or kind_part >= 0x30
                or channel != number
                or sequence != expected
                or size > MAX_BODY
                or part > 3
                or (assembly is None) is (part > 1)
            ):
                break
            if to > end:
                self._need = header + size
                break
            if assembly is None:
                head = _Head(kind_part >> 4, mpt & 0x7F, timestamp, interval)
                if head.data_type == 0:
                    state.key_begun = True
                if part == 0:
                    self._finish(state, head, bytes(view[at + header : to]))
                else:
                    assembly = state.open[MediaKind.VIDEO] = _Assembly(head, bytearray(view[at + header : to]))
                    self._open_bytes += size
            else:
                body = assembly.body
                body += view[at + header : to]
                self._open_bytes += size
                if len(body) > largest or self._open_bytes > self._settings.max_open:
                    self._grow(state, MediaKind.VIDEO, 0)
                    return at
                if part == 2:
                    del state.open[MediaKind.VIDEO]
                    self._open_bytes -= len(body)
                    self._finish(state, assembly.head, bytes(body))
                    assembly = None
            expected = expected + 1 & 0xFFFF
            count += 1
            at = to
        if at > first:
            self._noise = 0
            self._resyncing = False
            self.counters.packets += count
            self._next_sequence = state.next_sequence = state.next_by_kind[MediaKind.VIDEO] = expected
        return at

    def _arrived(self, channel: int, kind: MediaKind, sequence: int) -> _Channel | None:
        """Count a whole packet; the channel it belongs to, None if nobody wants it."""
        self._noise = 0
        self._resyncing = False
        self.counters.packets += 1
        state = self._channels.get(channel) or self._open_channel(channel)
        if state is None:
            return None
        self._check_sequence(state, kind, sequence)
        if not state.accepted and not self._accept(state):
            self.counters.skipped_unmatched += 1
            return None
        if kind is MediaKind.VIDEO:
            self._video = state if self._scope is not SequenceScope.NONE else None
        return state

    def _assemble(self, state: _Channel, part: int, head: _Head, body: memoryview) -> None:
        """Put the part where it belongs; deliver the frame it completes."""
        kind = KINDS[head.data_type]
        if part in _CONTINUES:
            self._continue(state, kind, part, body)
            return
        if kind in state.open:
            self._drop(state, kind)
        if head.data_type == 0:
            state.key_begun = True
        if part == Part.ATOMIC:
            self._finish(state, head, bytes(body))
        else:
            state.open[kind] = _Assembly(head, bytearray(body))
            self._grow(state, kind, len(body))

    def _continue(self, state: _Channel, kind: MediaKind, part: int, body: memoryview) -> None:
        """A middle or last part; without an open frame it is ignored."""
        assembly = state.open.get(kind)
        if assembly is None:
            if part == Part.LAST and kind is MediaKind.VIDEO and state.waiting:
                self.counters.skipped_before_key += 1
            return
        assembly.body += body
        self._grow(state, kind, len(body))
        if part == Part.LAST and not self.closed:
            del state.open[kind]
            self._open_bytes -= len(assembly.body)
            self._finish(state, assembly.head, bytes(assembly.body))

    def _grow(self, state: _Channel, kind: MediaKind, size: int) -> None:
        self._open_bytes += size
        if len(state.open[kind].body) > self._settings.max_frame:
            self._violate(f"a frame of channel {state.number} is larger than {self._settings.max_frame} bytes")
        elif self._open_bytes > self._settings.max_open:
            self._violate(f"unfinished frames hold more than {self._settings.max_open} bytes")

    def _drop(self, state: _Channel, kind: MediaKind) -> None:
        """Throw an unfinished frame away."""
        self._open_bytes -= len(state.open.pop(kind).body)
        self.counters.dropped_frames += 1

    # --- frames --------------------------------------------------------------------------------------------

    def _finish(self, state: _Channel, head: _Head, data: bytes) -> None:
        """All parts of a frame are there: deliver it, or keep it back."""
        kind = KINDS[head.data_type]
        key = False
        interval: int | None = None
        if kind is MediaKind.VIDEO:
            codec, key = self._inspect(state, head, data)
            if state.waiting:
                # Only H.264 and H.265 are looked into; other codecs' word is taken.
                if not key or (codec in _LOOKED_INTO and not state.sps_seen):
                    self.counters.skipped_before_key += 1
                    return
                state.waiting = False
                state.key_begun = True
            interval = head.interval_ms if head.interval_ms != 0xFFFF else None
        elif kind is MediaKind.AUDIO:
            if self._settings.wait_for_key and not state.key_begun:
                return
            codec = self._settings.audio_codec or codec_name(head.payload_type)
            data = strip_prefix(codec, data, self._settings.hisilicon)
        else:
            codec = codec_name(head.payload_type)
        self.counters.frames += 1
        self._events.append(
            MediaFrame(
                state.number,
                kind,
                codec,
                key,
                head.timestamp_ms,
                interval,
                data,
                head.data_type,
                head.payload_type,
            )
        )

    def _inspect(self, state: _Channel, head: _Head, data: bytes) -> tuple[str, bool]:
        """Codec of a video frame and whether it is a key frame, by its NAL units as well as by its header."""
        forced = self._settings.video_codec
        codec = forced or state.video_codec or codec_name(head.payload_type)
        key = head.data_type == 0
        if codec in ("avs", "svac") or data[:5] in _PLAIN_SLICES.get(codec, ()):
            return codec, key
        nals = inspect_nals(data, codec)
        state.sps_seen = state.sps_seen or nals.has_sps
        if nals.codec and nals.codec != codec and not forced:
            codec = state.video_codec = nals.codec
            self._events.append(CodecCorrected(state.number, head.payload_type, codec))
        return codec, key or (nals.has_key_slice and codec in _LOOKED_INTO)

    # --- sequence numbers ----------------------------------------------------------------------------------

    def _check_sequence(self, state: _Channel, kind: MediaKind, sequence: int) -> None:
        """Notice missing packets; learn how the device counts when numbers alternate exactly."""
        following = (sequence + 1) & 0xFFFF
        by_kind = state.next_by_kind.get(kind, sequence)
        by_channel = state.next_sequence if state.next_sequence >= 0 else sequence
        by_connection = self._next_sequence if self._next_sequence >= 0 else sequence
        expected = (by_connection, by_channel, by_kind, sequence)[self._scope]
        if sequence != expected:
            self._drop_damaged(state, kind)
            self._scope = self._learner.gap(by_channel == sequence, by_kind == sequence, following == expected)
        self._next_sequence = state.next_sequence = state.next_by_kind[kind] = following

    def _drop_damaged(self, state: _Channel, kind: MediaKind) -> None:
        """After a gap: unfinished frames may miss a part, and following pictures the one they refer to."""
        self.counters.gaps += 1
        whole = self._scope is SequenceScope.CONNECTION
        single = self._scope is SequenceScope.KIND
        for channel in self._channels.values() if whole else (state,):
            for damaged in (kind,) if single else tuple(MediaKind):
                if damaged in channel.open:
                    self._drop(channel, damaged)
                if damaged is MediaKind.VIDEO:
                    channel.waiting = True

    # --- identity ------------------------------------------------------------------------------------------

    def _decide(self, at: int, left: int) -> int:
        """Fix the number length by the first packet (reference 4.3): 1 done, 0 more bytes needed, or `_NO_PACKET`."""
        forced = self._settings.number_length
        for length in (forced,) if forced else (6, 10):
            if left < length + 9:
                return self._undecided(length + 9)
            if self._asked(at, length):
                return self._identify(length, matched=True, at=at)
        if forced:
            return self._identify(forced, matched=False, at=at)
        if left < 20:
            return self._undecided(20)
        length = length_by_structure(self._buffer, at)
        if length == 0:
            return self._undecided(left + 1)
        return self._identify(length, matched=False, at=at) if length > 0 else _NO_PACKET

    def _undecided(self, need: int) -> int:
        self._need = need
        if self._undecided_since is None:
            self._undecided_since = self._now
        return 0

    def _asked(self, at: int, length: int) -> bool:
        number = bytes(self._buffer[at + 8 : at + 8 + length])
        return self._match(number, self._buffer[at + 8 + length])

    def _identify(self, length: int, *, matched: bool, at: int = 0) -> int:
        self._number_length = length
        self._number = bytes(self._buffer[at + 8 : at + 8 + length])
        self._matched = matched
        channel = self._buffer[at + 8 + length]
        self._events.append(Identified(self._number, channel, length, matched))
        accepted = matched or self._settings.allow_unsolicited
        self._channels[channel] = _Channel(channel, accepted)
        return 1

    def _fallback(self) -> bool:
        """Take an undecided number as 6 bytes long if its packet's header has come that far."""
        if len(self._buffer) < 15 or not self._buffer.startswith(MAGIC):
            return False
        return self._identify(6, matched=False) == 1

    def _open_channel(self, channel: int) -> _Channel | None:
        if len(self._channels) >= self._settings.max_channels:
            self._violate(f"more than {self._settings.max_channels} channels on one connection")
            return None
        matched = self._match(self._number, channel)
        state = _Channel(channel, matched or self._settings.allow_unsolicited)
        self._channels[channel] = state
        self._matched = self._matched or matched
        self._events.append(ChannelSeen(channel, matched))
        return state

    def _accept(self, state: _Channel) -> bool:
        """Ask once more about a channel that nobody asked for when it appeared."""
        if not self._match(self._number, state.number):
            return False
        state.accepted = self._matched = True
        self._events.append(Identified(self._number, state.number, self._number_length, True))
        return True

    def _match_late(self) -> None:
        for state in self._channels.values():
            if not state.accepted:
                self._accept(state)

    # --- noise and limits ----------------------------------------------------------------------------------

    def _search(self, at: int) -> int:
        """Offset of the next magic, or as far as the noise is known not to hold one; sets `_lost` accordingly."""
        self._lose()
        found = self._buffer.find(MAGIC, at)
        # A magic may begin in the last three bytes.
        to = found if found >= 0 else max(at, len(self._buffer) - 3)
        self._noise += to - at
        self._lost = found < 0
        if self._noise > self._settings.max_noise:
            self._violate(f"{self._settings.max_noise} bytes without a media packet")
        return to

    def _lose(self) -> None:
        """Packet boundaries are lost; one loss lasts until the next whole packet."""
        if self._resyncing:
            return
        self._resyncing = True
        self.counters.resyncs += 1
        times = self._resync_times
        times.append(self._now)
        while times and self._now - times[0] > self._settings.resync_window_s:
            times.popleft()
        if len(times) >= self._settings.max_resyncs:
            window = self._settings.resync_window_s
            self._violate(f"packet boundaries lost {len(times)} times within {window:g} s")

    def _violate(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        for state in self._channels.values():
            state.open.clear()
        self._open_bytes = 0
        self._events.append(Violation(reason))
