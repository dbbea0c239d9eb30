"""The media connection: bytes of one TCP connection in, identity and complete frames out.

Source: JT/T 1078-2016 5.5 for the packet, reference 4.2 and 4.3 for everything the standard leaves open (resync,
sequence numbers, number length). Sans-IO: the caller passes bytes and the time.
"""

from __future__ import annotations

import struct
from collections import deque
from functools import lru_cache
from typing import Any, Final

from .frames import Channel, Frames, Head, TooLarge
from .identity import length_by_structure
from .limits import RateWindow
from .media_events import (
    ChannelSeen,
    Identified,
    MatchRequest,
    MediaCounters,
    MediaEvent,
    MediaSettings,
    Violation,
)
from .packets import HEADER_LENGTHS, KINDS, MAGIC, MAX_BODY, MediaKind, Part
from .sequence import ScopeLearner, SequenceScope

# One precompiled struct per header form: magic, M/PT, sequence, (number skipped), channel, type/part, then what the
# data type has: timestamp, (interval to the key frame skipped), interval to the last frame; body length last.
_FORMS: Final = {
    (length, data_type): struct.Struct(f">4sxBH{length}xBB{tail}")
    for length in (6, 10)
    for data_type, tail in enumerate(("Q2xHH", "Q2xHH", "Q2xHH", "QH", "H"))
}
_NO_PACKET: Final = -4
"""The magic that is no packet is skipped."""
_MIDDLE_MARKS: Final = {data_type << 4 | Part.FIRST: bytes((data_type << 4 | Part.MIDDLE,)) for data_type in range(3)}
"""Type and part of a frame's middle packets by those of its first."""
_LONGEST_WAIT: Final = 256 * 1024
"""Bytes of a frame that may wait for its end as they came; a longer one is taken apart while it comes."""


@lru_cache(maxsize=1024)
def _parts(number_length: int, size: int, count: int) -> struct.Struct:
    """Cuts `count` video packets of one length at once, each into magic, sequence, number with channel, (type/part
    skipped), times with body length, body."""
    return struct.Struct(">" + f"4s2xH{number_length + 1}sx14s{size}s" * count)


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
        self._channels: dict[int, Channel] = {}
        self._scope = SequenceScope.CONNECTION
        self._next_sequence = -1
        self._video: Channel | None = None
        self._learner = ScopeLearner()
        self._opened: float | None = None
        self._undecided_since: float | None = None
        self._now = 0.0
        self.counters = MediaCounters()
        """Running totals."""
        self._frames = Frames(self._settings, self.counters)
        self.closed = False
        """True after a `Violation`."""

    @property
    def number(self) -> bytes:
        """Raw number field; empty until identified."""
        return self._number

    @property
    def buffered_bytes(self) -> int:
        """Bytes held: unparsed ones and unfinished frames."""
        return len(self._buffer) + self._frames.open_bytes

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
        if self._rate.exceeded(len(data), now):
            limit = self._settings.max_rate_bps / 1e6
            self._violate(f"more than {limit:g} Mbit/s over {self._settings.rate_window_s} s")
        else:
            self._take(data)
        return self._news()

    def _news(self) -> list[MediaEvent]:
        events, self._frames.events = self._frames.events, []
        return events

    def tick(self, now: float) -> list[MediaEvent]:
        """Let time pass: an undecided number length, a connection nobody asked for. Call it about once a second."""
        if self.closed:
            return []
        self._now = now
        if self._opened is None:
            self._opened = now
        settings = self._settings
        waited = now - (self._undecided_since if self._undecided_since is not None else now)
        if waited >= settings.undecided_timeout_s and not self._number_length and self._fallback():
            self._take(b"")
        if not (self._matched or settings.allow_unsolicited or self.closed):
            self._match_late()
            if not self._matched and now - self._opened >= settings.unsolicited_timeout_s:
                self._violate(f"no request asked for this media within {settings.unsolicited_timeout_s:g} s")
        return self._news()

    # --- packets -------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        """Parse what came; what is left of a packet waits in the buffer."""
        try:
            if self._video is not None and not self._buffer and not self._lost:
                # Most reads begin with a frame and end with one: nothing needs to be copied.
                data = data[self._run(self._video, data, 0) :]
            self._buffer += data
            if len(self._buffer) >= self._need:
                del self._buffer[: self._parse(self._buffer)]
        except TooLarge as error:
            self._violate(str(error))

    def _parse(self, buffer: bytearray) -> int:
        """Parse whole packets and say where they end; `_need` says how many bytes the next try wants."""
        at = 0
        end = len(buffer)
        while not self.closed:
            if self._video is not None and not self._lost:
                at = self._run(self._video, buffer, at)
                if end - at < self._need:
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
            taken = self._packet(buffer, at, end - at)
            if taken == 0:
                break
            if taken < 0:
                self._lose()
                self._noise -= taken
            at += abs(taken)
        return at

    def _packet(self, data: bytearray, at: int, left: int) -> int:
        """Bytes of the packet at `at`; 0 if more bytes are needed, `_NO_PACKET` if the magic there is chance."""
        if not self._number_length:
            decided = self._decide(at, left)
            if decided <= 0:
                return decided
        length = self._number_length
        if left < length + 10:
            self._need = length + 10
            return 0
        data_type = data[at + length + 9] >> 4
        if data_type > 4 or (self._resyncing and data[at + 8 : at + 8 + length] != self._number):
            # Noise may hold the magic, hardly the magic and this terminal's number behind it.
            return _NO_PACKET
        header = HEADER_LENGTHS[length, data_type]
        if left < header:
            self._need = header
            return 0
        form = _FORMS[length, data_type]
        timestamp = interval = 0
        if data_type <= 2:
            _, mpt, sequence, channel, kind_part, timestamp, interval, size = form.unpack_from(data, at)
        elif data_type == 3:
            _, mpt, sequence, channel, kind_part, timestamp, size = form.unpack_from(data, at)
        else:
            _, mpt, sequence, channel, kind_part, size = form.unpack_from(data, at)
        part = kind_part & 0x0F
        if part > 3 or size > MAX_BODY:
            return _NO_PACKET
        total = header + int(size)
        if left < total:
            self._need = total
            return 0
        state = self._arrived(channel, KINDS[data_type], sequence)
        if state is not None:
            body = bytes(data[at + header : at + total])
            self._frames.add(state, part, Head(data_type, mpt & 0x7F, timestamp, interval), body)
        return total

    def _run(self, state: Channel, data: bytes | bytearray, at: int) -> int:
        """Take the whole frames that simply go on with the channel's video; the offset of what is no such frame.

        Sets `_need` to 4, or to more than there is where only the end of a frame is missing. Does nothing that
        `_packet` would not do, at a fraction of its cost: nearly all frames of a stream pass here.
        """
        self._need = 4
        expected = first = self._expected(state)
        while MediaKind.VIDEO not in state.open:
            taken, packets = self._frame(state, data, at, expected)
            if not packets:
                if taken and len(data) - at < _LONGEST_WAIT:
                    self._need = len(data) - at + 1
                break
            at += taken
            self.counters.packets += packets
            expected = expected + packets & 0xFFFF
        if expected != first:
            self._noise = 0
            self._resyncing = False
            self._next_sequence = state.next_sequence = state.next_by_kind[MediaKind.VIDEO] = expected
        return at

    def _frame(self, state: Channel, data: bytes | bytearray, at: int, sequence: int) -> tuple[int, int]:
        """Take the frame at `at` if it is whole and regular: first and middle parts of one length, then the last part.

        Returns its bytes and packets. No packets: nothing taken, and the bytes say whether more of it has to come (1)
        or it is for `_packet` to look at (0).
        """
        length = self._number_length
        unpack, header = _FORMS[length, 0].unpack_from, HEADER_LENGTHS[length, 0]
        left = len(data) - at
        if left < header:
            return 0, 0
        magic, mpt, its_sequence, channel, kind_part, timestamp, interval, size = unpack(data, at)
        part = kind_part & 0x0F
        if (
            magic != MAGIC
            or its_sequence != sequence
            or channel != state.number
            or kind_part >= 0x30
            or part > Part.FIRST
            or size > MAX_BODY
        ):
            return 0, 0
        last_at, last_size = at, size
        fields: tuple[Any, ...] = ()
        if part == Part.FIRST:
            # Packets of one length have their marks at even distances: behind the middle ones comes the last.
            marks = bytes(data[at + length + 9 :: header + size])
            count = len(marks) - len(marks[1:].lstrip(_MIDDLE_MARKS[kind_part]))
            last_at += count * (header + size)
            if len(data) - last_at < header:
                return int(len(marks) == count or marks[count] == kind_part + 1), 0
            magic, _, its_sequence, channel, last_mark, _, _, last_size = unpack(data, last_at)
            fields = _parts(length, size, count).unpack_from(data, at)
            if (
                magic != MAGIC
                or its_sequence != sequence + count
                or channel != state.number
                or last_mark != kind_part + 1
                or last_size > MAX_BODY
                or fields[0::5].count(MAGIC) != count
                or fields[1::5] != tuple(range(sequence, sequence + count))
                or fields[2::5].count(fields[2]) != count
                or fields[3::5].count(fields[3]) != count
            ):
                return 0, 0
        body_at = last_at + header
        if len(data) < body_at + last_size:
            return 1, 0
        whole = b"".join((*fields[4::5], data[body_at : body_at + last_size]))
        self._frames.whole(state, Head(kind_part >> 4, mpt & 0x7F, timestamp, interval), whole)
        return body_at + last_size - at, len(fields) // 5 + 1

    def _expected(self, state: Channel) -> int:
        """Sequence number of the channel's next video packet."""
        if self._scope is SequenceScope.CONNECTION:
            return self._next_sequence
        return state.next_sequence if self._scope is SequenceScope.CHANNEL else state.next_by_kind[MediaKind.VIDEO]

    def _arrived(self, channel: int, kind: MediaKind, sequence: int) -> Channel | None:
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

    # --- sequence numbers ----------------------------------------------------------------------------------

    def _check_sequence(self, state: Channel, kind: MediaKind, sequence: int) -> None:
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

    def _drop_damaged(self, state: Channel, kind: MediaKind) -> None:
        """After a gap: unfinished frames may miss a part, and following pictures the one they refer to."""
        self.counters.gaps += 1
        whole = self._scope is SequenceScope.CONNECTION
        single = self._scope is SequenceScope.KIND
        for channel in self._channels.values() if whole else (state,):
            for damaged in (kind,) if single else tuple(MediaKind):
                if damaged in channel.open:
                    self._frames.drop(channel, damaged)
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
        self._frames.events.append(Identified(self._number, channel, length, matched))
        accepted = matched or self._settings.allow_unsolicited
        self._channels[channel] = Channel(channel, accepted)
        return 1

    def _fallback(self) -> bool:
        """Take an undecided number as 6 bytes long if its packet's header has come that far."""
        if len(self._buffer) < 15 or not self._buffer.startswith(MAGIC):
            return False
        self._need = 0
        return self._identify(6, matched=False) == 1

    def _open_channel(self, channel: int) -> Channel | None:
        if len(self._channels) >= self._settings.max_channels:
            self._violate(f"more than {self._settings.max_channels} channels on one connection")
            return None
        matched = self._match(self._number, channel)
        state = Channel(channel, matched or self._settings.allow_unsolicited)
        self._channels[channel] = state
        self._matched = self._matched or matched
        self._frames.events.append(ChannelSeen(channel, matched))
        return state

    def _accept(self, state: Channel) -> bool:
        """Ask once more about a channel that nobody asked for when it appeared."""
        if not self._match(self._number, state.number):
            return False
        state.accepted = self._matched = True
        self._frames.events.append(Identified(self._number, state.number, self._number_length, True))
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
        self._buffer.clear()
        for state in self._channels.values():
            for kind in list(state.open):
                self._frames.drop(state, kind)
        self._frames.events.append(Violation(reason))
