"""The server's side of an alarm attachment connection (T/JSATL 12-2017 4.6, reference 9).

On this port 808 frames (7E …) and file blocks (30 31 63 64 …) alternate freely; the first byte tells which. Blocks
leave as they arrive, piece by piece: nothing of a file is kept here but the ranges that have come.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wayframe.protocols.jt808.frames import Frame, FrameError, Header, decode_frame, encode_frame, unescape

from .attachment_events import (
    AlarmAnnounced,
    AnnouncedFile,
    AttachmentEvent,
    AttachmentSettings,
    Block,
    Closing,
    FileComplete,
    FileStarted,
    KnownAlarm,
    PartialFile,
    Refused,
    ResendAsked,
)
from .attachment_messages import AttachmentList, FileEnd, FileEndReply, FileStart
from .packets import MAGIC
from .ranges import RangeSet
from .wire import BodyError, text

FLAG: Final = 0x7E
BLOCK_NAME: Final = 50
"""Bytes of the name in a Su-biao block header."""
_SU_HEADER: Final = 4 + BLOCK_NAME + 8
_MAX_ESCAPED_FRAME: Final = 2 * (21 + 1023 + 1) + 2
_MAX_REPLY_BODY: Final = 900
_LENGTHS: Final = struct.Struct(">II")


@dataclass(slots=True)
class _File:
    alarm_number: str
    name: str
    size: int
    ranges: RangeSet
    type: int = 4
    raw_name: bytes = b""
    resends: int = 0
    complete: bool = False
    stored: bool = False
    abandoned: bool = False


@dataclass(slots=True)
class _OpenBlock:
    """A block whose data is still coming; `file` is None when nobody wants it."""

    file: _File | None
    offset: int
    left: int


class AttachmentConnection:
    """State machine of one attachment connection."""

    def __init__(
        self,
        lookup: Callable[[str], KnownAlarm | None],
        settings: AttachmentSettings | None = None,
    ) -> None:
        """`lookup` finds an alarm by its number; None refuses the terminal."""
        self._lookup = lookup
        self._settings = settings or AttachmentSettings()
        self._buffer = bytearray()
        self._out = bytearray()
        self._events: list[AttachmentEvent] = []
        self._files: dict[bytes, _File] = {}
        self._block: _OpenBlock | None = None
        self._header: Header | None = None
        self._serial = 0
        self._parts: dict[int, dict[int, bytes]] = {}
        self._bad_frames = 0
        self._noise = 0
        self._last_data: float | None = None
        self.closing = False
        """True after `Closing`: nothing more is read."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes held that are not parsed yet."""
        return len(self._buffer) + sum(len(p) for parts in self._parts.values() for p in parts.values())

    def receive(self, data: bytes, now: float) -> list[AttachmentEvent]:
        """Take the next bytes of the connection, read at `now` (Unix seconds). Never raises."""
        if self.closing:
            return []
        self._last_data = now
        self._events = []
        self._buffer += data
        while not self.closing and self._step():
            pass
        if self.closing:
            self._buffer.clear()
        return self._taken()

    def tick(self, now: float) -> list[AttachmentEvent]:
        """Let time pass; ends an idle connection."""
        self._events = []
        if self._last_data is None:
            self._last_data = now
        if not self.closing and now - self._last_data >= self._settings.idle_timeout_s:
            self._close(f"nothing received for {self._settings.idle_timeout_s:g} s")
        return self._taken()

    def stored(self, name: str) -> None:
        """The complete file is safe: tell the terminal (0x9212). Raises `KeyError` for a file that is not complete."""
        for file in self._files.values():
            if file.name == name and file.complete and not file.stored:
                file.stored = True
                self._reply(FileEndReply.ID, FileEndReply(file.raw_name, file.type).encode())
                return
        raise KeyError(f"no complete file {name!r} waits for being stored")

    def data_to_send(self) -> bytes:
        """Bytes for the terminal since the last call."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def partial(self) -> tuple[PartialFile, ...]:
        """The unfinished files that have bytes, for a supplement on a later connection."""
        return tuple(
            PartialFile(file.name, file.size, file.ranges.pairs())
            for file in self._files.values()
            if len(file.ranges) and not file.complete
        )

    # --- bytes ---------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """Consume one unit from the buffer; False when more bytes are needed."""
        buffer = self._buffer
        if not buffer:
            return False
        if self._block is not None:
            self._block_data(self._block)
            return True
        if buffer[0] == FLAG:
            return self._frame()
        if buffer.startswith(MAGIC):
            return self._block_header()
        if len(buffer) < 4 and MAGIC.startswith(buffer):
            return False
        self._skip_noise()
        return True

    def _frame(self) -> bool:
        buffer = self._buffer
        end = buffer.find(FLAG, 1)
        if end < 0:
            if len(buffer) <= _MAX_ESCAPED_FRAME:
                return False
            self._damaged(len(buffer))
            return True
        piece = bytes(buffer[1:end])
        if not piece:
            del buffer[:1]
            return True
        try:
            frame = decode_frame(unescape(piece))
        except FrameError:
            # The closing flag may be the opening one of the next frame.
            self._damaged(end)
            return True
        del buffer[: end + 1]
        self._bad_frames = self._noise = 0
        self._message(frame)
        return True

    def _damaged(self, count: int) -> None:
        del self._buffer[:count]
        self._bad_frames += 1
        if self._bad_frames >= self._settings.max_bad_frames:
            self._close(f"{self._bad_frames} damaged frames in a row")

    def _skip_noise(self) -> None:
        """Drop bytes up to the next flag or magic."""
        buffer = self._buffer
        starts = [at for at in (buffer.find(FLAG), buffer.find(MAGIC)) if at >= 0]
        # The magic may begin in the last three bytes; the first byte is no start, or this would not be noise.
        to = min(starts) if starts else max(1, len(buffer) - 3)
        del buffer[:to]
        self._count_noise(to)

    def _count_noise(self, count: int) -> None:
        self._noise += count
        if self._noise > self._settings.max_noise:
            self._close(f"more than {self._settings.max_noise} bytes that belong to no announced file")

    # --- blocks --------------------------------------------------------------------------------------------

    def _block_header(self) -> bool:
        """Read a block's header: Heilongjiang's if its name was announced, else the fixed one."""
        buffer = self._buffer
        if len(buffer) < 5:
            return False
        length = buffer[4]
        if any(len(name) == length for name in self._files):
            if len(buffer) < 5 + length:
                return False
            file = self._files.get(bytes(buffer[5 : 5 + length]))
            if file is not None:
                return self._open_block(5 + length, file, file.name)
        if len(buffer) < _SU_HEADER:
            return False
        raw_name = bytes(buffer[4 : 4 + BLOCK_NAME])
        return self._open_block(4 + BLOCK_NAME, self._by_block_name(raw_name), text(raw_name))

    def _by_block_name(self, raw_name: bytes) -> _File | None:
        """The announced file a fixed-size name means; longer names are cut there."""
        found = self._files.get(raw_name.strip(b"\x00"))
        if found is None and raw_name[-1:] != b"\x00":
            return next((file for name, file in self._files.items() if name[:BLOCK_NAME] == raw_name), None)
        return found

    def _open_block(self, at: int, file: _File | None, name: str) -> bool:
        if len(self._buffer) < at + _LENGTHS.size:
            return False
        offset, length = _LENGTHS.unpack_from(self._buffer, at)
        del self._buffer[: at + _LENGTHS.size]
        if file is None:
            self._events.append(Refused(name, "block of a file that was not announced"))
            self._count_noise(_SU_HEADER)
        elif offset + length > file.size:
            self._close(f"block {offset}+{length} lies outside the {file.size} bytes of {file.name!r}")
            return True
        else:
            self._noise = 0
        if length:
            self._block = _OpenBlock(file, offset, length)
        return True

    def _block_data(self, block: _OpenBlock) -> None:
        data = bytes(self._buffer[: block.left])
        del self._buffer[: len(data)]
        if block.file is None:
            self._count_noise(len(data))
        elif not block.file.complete:
            file = block.file
            file.ranges.add(block.offset, block.offset + len(data))
            self._events.append(Block(file.alarm_number, file.name, block.offset, data))
            if len(file.ranges) > self._settings.max_ranges:
                self._close(f"{file.name!r} came in more than {self._settings.max_ranges} separate pieces")
        block.offset += len(data)
        block.left -= len(data)
        if block.left == 0:
            self._block = None

    # --- messages ------------------------------------------------------------------------------------------

    def _message(self, frame: Frame) -> None:
        """Answer one frame; parts of a long message are joined first."""
        header, body = frame.header, frame.body
        self._header = header
        if header.encryption:
            self._answer(header, 3)
            return
        if header.package is not None and header.package[0] > 1:
            joined = self._join(header, body)
            if joined is None:
                return
            body = joined
        handler = {
            AttachmentList.ID: self._list,
            FileStart.ID: self._file_start,
            FileEnd.ID: self._file_end,
            0x0002: self._heartbeat,
            0x0001: self._ignore,
        }.get(header.message_id)
        if handler is None:
            self._answer(header, 3)
            return
        try:
            handler(header, body)
        except BodyError as error:
            self._events.append(Refused("", f"message 0x{header.message_id:04X}: {error}"))
            self._answer(header, 2)

    def _join(self, header: Header, body: bytes) -> bytes | None:
        """The whole body once all parts are there; answers the others at once."""
        total, index = header.package or (0, 0)
        if not 1 <= index <= total <= self._settings.max_parts:
            self._answer(header, 2)
            return None
        if header.message_id not in self._parts and len(self._parts) >= 4:
            self._parts.pop(next(iter(self._parts)))
        parts = self._parts.setdefault(header.message_id, {})
        if index in parts and parts[index] != body:
            parts.clear()
        parts[index] = body
        if len(parts) < total or max(parts) > total:
            self._answer(header, 0)
            return None
        del self._parts[header.message_id]
        return b"".join(parts[number] for number in range(1, total + 1))

    def _list(self, header: Header, body: bytes) -> None:
        """0x1210."""
        message = AttachmentList.decode(body)
        known = self._lookup(message.alarm_number)
        if known is None:
            self._answer(header, 1)
            self._close(f"alarm number {message.alarm_number!r} is not known")
            return
        accepted = []
        for listed in message.files:
            raw = listed.raw_name.strip(b"\x00")
            refusal = self._refusal(raw, listed.size)
            if refusal:
                self._events.append(Refused(listed.name, refusal))
                continue
            accepted.append(AnnouncedFile(listed.name, listed.size))
            file = self._files.get(raw)
            if file is None or (file.alarm_number, file.size) != (known.alarm_number, listed.size):
                earlier = known.partial.get(listed.name)
                ranges = earlier.ranges if earlier and earlier.size == listed.size else ()
                self._files[raw] = _File(known.alarm_number, listed.name, listed.size, RangeSet(ranges))
        supplement = message.info_type == 1
        identifier = message.identifier.raw
        self._events.append(AlarmAnnounced(known.alarm_number, identifier, tuple(accepted), supplement))
        self._answer(header, 0)

    def _refusal(self, raw_name: bytes, size: int) -> str:
        """Why a listed file is not accepted; empty if it is."""
        if not raw_name:
            return "file without a name"
        if size > self._settings.max_file:
            return f"{size} bytes are more than the {self._settings.max_file} accepted"
        if raw_name not in self._files and len(self._files) >= self._settings.max_files:
            return f"more than {self._settings.max_files} files on one connection"
        return ""

    def _file_start(self, header: Header, body: bytes) -> None:
        """0x1211."""
        message = FileStart.decode(body)
        file = self._files.get(message.raw_name.strip(b"\x00"))
        if file is None or message.size > self._settings.max_file:
            self._events.append(Refused(message.name, "file was not announced, or is too large"))
            self._answer(header, 1)
            return
        file.type, file.raw_name = message.type, message.raw_name
        if message.size != file.size and not file.complete:
            # The list was written before the recording ended: the later size holds, what came before does not.
            file.size, file.ranges = message.size, RangeSet()
        self._events.append(FileStarted(file.alarm_number, file.name, file.type, file.size))
        self._answer(header, 0)

    def _file_end(self, header: Header, body: bytes) -> None:
        """0x1212: complete, or what is missing. The answer to a complete file waits until it is stored."""
        message = FileEnd.decode(body)
        file = self._files.get(message.raw_name.strip(b"\x00"))
        if file is None or file.abandoned:
            self._events.append(Refused(message.name, "end of a file that was not announced, or is given up"))
            self._answer(header, 1)
            return
        file.type, file.raw_name = message.type, message.raw_name
        if file.stored:
            self._reply(FileEndReply.ID, FileEndReply(file.raw_name, file.type).encode())
        elif file.complete:
            # The terminal is impatient; its answer comes with `stored`.
            return
        elif file.ranges.covers(file.size):
            file.complete = True
            self._events.append(FileComplete(file.alarm_number, file.name, file.type, file.size))
        elif file.resends >= self._settings.max_resends:
            file.abandoned = True
            self._events.append(Refused(file.name, f"still incomplete after {file.resends} resends"))
            self._answer(header, 1)
        else:
            self._ask_again(file)

    def _ask_again(self, file: _File) -> None:
        file.resends += 1
        # The list has a BYTE count, and the answer has to fit into one frame.
        limit = min(255, (_MAX_REPLY_BODY - 4 - len(file.raw_name)) // 8)
        missing = file.ranges.missing(file.size, limit)
        self._events.append(ResendAsked(file.alarm_number, file.name, missing, file.resends))
        self._reply(FileEndReply.ID, FileEndReply(file.raw_name, file.type, missing).encode())

    def _heartbeat(self, header: Header, body: bytes) -> None:
        self._answer(header, 0)

    def _ignore(self, header: Header, body: bytes) -> None:
        """General responses are never answered."""

    # --- answers -------------------------------------------------------------------------------------------

    def _answer(self, header: Header, result: int) -> None:
        """0x8001 to the frame with this header."""
        self._reply(0x8001, struct.pack(">HHB", header.serial, header.message_id, result))

    def _reply(self, message_id: int, body: bytes) -> None:
        header = self._header
        if header is None:
            return
        self._out += encode_frame(message_id, body, layout=header.layout, number=header.number, serial=self._serial)
        self._serial = (self._serial + 1) & 0xFFFF

    def _close(self, reason: str) -> None:
        if not self.closing:
            self.closing = True
            self._events.append(Closing(reason))

    def _taken(self) -> list[AttachmentEvent]:
        events, self._events = self._events, []
        return events


def encode_block(name: bytes, offset: int, data: bytes, *, length_prefixed: bool = False) -> bytes:
    """A file block as terminals send it; `length_prefixed` is the Heilongjiang form."""
    if length_prefixed:
        return MAGIC + bytes((len(name),)) + name + _LENGTHS.pack(offset, len(data)) + data
    if len(name) > BLOCK_NAME:
        raise ValueError(f"a block's name has {BLOCK_NAME} bytes, got {len(name)}")
    return MAGIC + name.ljust(BLOCK_NAME, b"\x00") + _LENGTHS.pack(offset, len(data)) + data
