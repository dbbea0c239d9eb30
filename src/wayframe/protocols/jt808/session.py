"""The state machine of one JT/T 808 signalling connection (`wayframe.protocols.device.DeviceSession`).

    NEW ─0x0100, 0x0102, any report (open)─▶ IDENTIFYING ─accept()─▶ KNOWN ─0x0102, any report (open)─▶ authenticated
                                                 └──────refuse()─▶ REFUSED ─60 s─▶ closed

Reports are acknowledged when they are durable, photos confirmed when they are stored; everything else is answered at
once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ..device import (
    Close,
    CommandRequest,
    DeviceProfile,
    Endpoints,
    Facts,
    Identify,
    MediaNews,
    Reports,
    SessionEvent,
)
from ..jt1078.live_messages import AvAttributes, QueryAvAttributes
from ..jt1078.wire import BodyError
from .alarm_files import AlarmFiles
from .assembly import Assembler, Missing
from .desk import Desk
from .facts import attribute_values, parameter_values, property_values
from .frames import Frame, FrameError, FrameSplitter, Header, checksum, decode_frame
from .identity import authentication_code, candidates, introduction
from .ids import MessageId
from .link import Link
from .location import Location, LocationAnswer, LocationBatch
from .mapping import Mapped, Moment, map_batch, map_location, map_report
from .messages import KNOWN, Compressed, GeneralResponse, Resend, decode_body
from .multimedia import MAX_RESEND, MediaAnswer, MediaUpload
from .outbox import FAILURE, OK, UNSUPPORTED, Ack, Outbox
from .procedures import Context
from .terminal import Properties, RegistrationAnswer
from .terminal_parameters import ParameterReport
from .uploads import Uploads, file_of

_NO_SUCH_TERMINAL = 4
_CLOSE_VIOLATION, _CLOSE_INACTIVE, _CLOSE_UNKNOWN = 4, 17, 18
_HEARTBEAT_PARAMETER = "heartbeat_interval"
_MAX_OUTSTANDING = 2000
_FIRST_TERMINAL_ID, _FIRST_PLATFORM_ID = 0x0001, 0x8000
_ATTACHMENT_LINK_IDS = frozenset({0x1210, 0x1211, 0x1212})


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What an operator may change."""

    strict: bool = False
    """Serve only terminals that present the code this platform issued; else an ident that is configured is enough."""
    ack_each_part: bool = True
    """Answer every part of a long message, not only the last; some terminals stop without."""
    idle_s: float = 180.0
    """Silence after which the connection is closed; or three heartbeat intervals, if that is longer."""
    unknown_s: float = 60.0
    """How long a connection without a known ident stays open."""
    unauthenticated_per_s: int = 50
    """Most messages a second before authentication."""
    held_frames: int = 256
    """Most frames held while the ident is looked up."""


class _State(Enum):
    NEW = auto()
    IDENTIFYING = auto()
    KNOWN = auto()
    REFUSED = auto()


class Jt808Session:
    """One signalling connection of a JT/T 808 terminal, without its socket."""

    def __init__(
        self,
        endpoints: Endpoints,
        secret: bytes,
        settings: SessionSettings | None = None,
        token_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """`secret` derives authentication codes; `token_hex(n)` gives 2·n random hex digits: alarm numbers, logins."""
        self._endpoints = endpoints
        self._secret = secret
        self._settings = settings or SessionSettings()
        self._splitter = FrameSplitter()
        self._assembler = Assembler()
        self._uploads = Uploads()
        self._link = Link()
        self._outbox = Outbox(self._link)
        self._desk = Desk(self._outbox)
        self._state = _State.NEW
        self._authenticated = False
        self._proven = False
        self._closed = False
        self._context: Context | None = None
        self._held: list[Frame] = []
        self._owed: dict[int, Ack] = {}
        self._token = 0
        self._token_hex = token_hex
        self._alarm_files = AlarmFiles(endpoints, token_hex)
        self._heard = 0.0
        self._heartbeat_s = 0.0
        self._begun = False
        self._known_by: float | None = None
        self._second = 0
        self._in_second = 0

    # --- DeviceSession: bytes and time ----------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the socket."""
        if self._closed:
            return
        self._heard = now
        if not self._begun:
            self._begun = True
            self._known_by = now + self._settings.unknown_s
            if data[:1] not in (b"", b"\x7e"):
                self._outbox.note("warning", "unexpected_first_byte", byte=data[0])
        for raw in self._splitter.feed(data):
            self._frame(decode_frame(raw, intact=True), now)
            if self._closed:
                return
        if reason := self._splitter.hopeless:
            self._close(_CLOSE_VIOLATION, reason)

    def tick(self, now: float) -> None:
        """Let timers run."""
        if self._closed:
            return
        if self._known_by is not None and now >= self._known_by:
            self._close(_CLOSE_UNKNOWN, f"no known ident within {self._settings.unknown_s:.0f} s")
            return
        if self._heard and now >= self._heard + self._idle_s:
            self._close(_CLOSE_INACTIVE, f"nothing heard for {self._idle_s:.0f} s")
            return
        for missing in self._assembler.tick(now):
            self._ask_again(missing, now)
        for dropped in self._assembler.dropped():
            fields = {"message": f"0x{dropped.message_id:04X}", "total": dropped.total, "received": dropped.received}
            self._outbox.note("warning", "long_message_dropped", reason=dropped.reason, **fields)
        self._desk.tick(now)

    def next_tick(self) -> float | None:
        """Unix time at which `tick` is due."""
        if self._closed:
            return None
        idle = self._heard + self._idle_s if self._heard else None
        due = None
        # Asked after every message: most sessions only wait for silence.
        for time in (idle, self._known_by, self._assembler.next_tick(), self._desk.due()):
            if time is not None and (due is None or time < due):
                due = time
        return due

    def events(self) -> Sequence[SessionEvent]:
        """Take the events that have gathered."""
        return self._outbox.take_events()

    def data_to_send(self) -> bytes:
        """Take the bytes that have gathered."""
        return self._link.take()

    @property
    def _idle_s(self) -> float:
        return max(self._settings.idle_s, 3 * self._heartbeat_s)

    # --- DeviceSession: identity ----------------------------------------------------------------------------------

    def accept(self, profile: DeviceProfile, now: float) -> None:
        """The ident belongs to a registered, enabled device."""
        if self._closed or self._state is _State.REFUSED:
            return
        if self._context is not None:
            self._context.profile = profile
            return
        self._state = _State.KNOWN
        self._known_by = None
        self._context = Context(self._link, self._endpoints, profile, self._outbox.emit, token_hex=self._token_hex)
        held, self._held = self._held, []
        for frame in held:
            if not self._closed:
                self._known(frame, now)

    def refuse(self, reason: str, now: float) -> None:
        """The ident is unknown or may not connect."""
        if self._closed or self._state is _State.REFUSED:
            return
        if self._state is _State.KNOWN:
            self._close(_CLOSE_UNKNOWN, reason)
            return
        self._state = _State.REFUSED
        self._known_by = now + self._settings.unknown_s
        held, self._held = self._held, []
        for frame in held:
            self._turn_away(frame.header, now)

    def _frame(self, frame: Frame, now: float) -> None:
        header = frame.header
        if not self._authenticated and self._floods(now):
            self._close(_CLOSE_VIOLATION, "too many messages before authentication")
            return
        if self._state is _State.IDENTIFYING:
            if len(self._held) >= self._settings.held_frames:
                self._close(_CLOSE_VIOLATION, "too many messages while the ident is looked up")
            else:
                self._held.append(frame)
            return
        if self._state is _State.KNOWN and not self._same_terminal(header):
            self._outbox.note_once("warning", "other_terminal", number=header.number.hex())
            return
        self._link.layout, self._link.number = header.layout, header.number
        if self._state is _State.NEW:
            self._greet(frame, now)
        elif self._state is _State.REFUSED:
            self._turn_away(header, now)
        else:
            self._known(frame, now)

    def _floods(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        return self._in_second > self._settings.unauthenticated_per_s

    def _same_terminal(self, header: Header) -> bool:
        """Some terminals change between 6 and 10 bytes; the number is the same then but for leading zeros."""
        known, heard = self._link.number, header.number
        return heard == known or heard.hex().lstrip("0") == known.hex().lstrip("0")

    def _greet(self, frame: Frame, now: float) -> None:
        """A message of a terminal that has not said who it is."""
        header = frame.header
        ack = Ack(header.serial, header.message_id)
        match header.message_id:
            case MessageId.TERMINAL_RESPONSE:
                pass
            case MessageId.HEARTBEAT | MessageId.LOGOUT:
                self._outbox.answer(ack, OK, now)
            case MessageId.TIME_QUERY | MessageId.VENDOR_TIME_QUERY:
                self._outbox.tell_time(header.message_id, now)
            case _ if header.encryption:
                self._outbox.encrypted(ack, now)
            case MessageId.REGISTER | MessageId.AUTHENTICATE:
                self._identify(frame, now)
            case _ if header.message_id not in KNOWN:
                self._outbox.answer(ack, UNSUPPORTED, now)
            case _ if self._settings.strict:
                self._outbox.answer(ack, FAILURE, now)
            case _:
                self._identify(frame, now)

    def _identify(self, frame: Frame, now: float) -> None:
        header = frame.header
        try:
            hello = introduction(frame, self._secret)
        except BodyError as error:
            self._outbox.malformed(Ack(header.serial, header.message_id), error, now)
            return
        self._state = _State.IDENTIFYING
        self._proven = hello.proven
        self._held.append(frame)
        self._outbox.emit(Identify(candidates(header.number), header.number, hello.proven, hello.details))

    def _turn_away(self, header: Header, now: float) -> None:
        """Answer a terminal that may not connect."""
        if header.message_id == MessageId.REGISTER:
            self._outbox.send(MessageId.REGISTER_ANSWER, RegistrationAnswer(header.serial, _NO_SUCH_TERMINAL), now)
        else:
            self._outbox.answer(Ack(header.serial, header.message_id), FAILURE, now)

    # --- messages of a known terminal -----------------------------------------------------------------------------

    def _known(self, frame: Frame, now: float) -> None:
        header = frame.header
        ack = Ack(header.serial, header.message_id)
        if header.encryption:
            self._outbox.encrypted(ack, now)
        elif header.message_id == MessageId.REGISTER:
            code = authentication_code(self._secret, header.number)
            self._outbox.send(MessageId.REGISTER_ANSWER, RegistrationAnswer(header.serial, OK, code), now)
        elif header.message_id == MessageId.AUTHENTICATE:
            self._authentication(frame, ack, now)
        elif header.message_id in (MessageId.HEARTBEAT, MessageId.LOGOUT):
            self._outbox.answer(ack, OK, now)
            if header.message_id == MessageId.LOGOUT:
                self._authenticated = False
                self._desk.close()
        elif header.message_id in (MessageId.TIME_QUERY, MessageId.VENDOR_TIME_QUERY):
            self._outbox.tell_time(header.message_id, now)
        elif header.message_id not in KNOWN or not self._is_expected(header.message_id):
            self._outbox.note_once("info", f"unsupported_{header.message_id:04x}")
            self._outbox.answer(ack, UNSUPPORTED, now)
        elif not self._authenticated and self._settings.strict:
            self._outbox.answer(ack, FAILURE, now)
        else:
            if not self._authenticated and header.message_id != MessageId.TERMINAL_RESPONSE:
                self._begin_service(now)
            self._assemble(frame, ack, now)

    @staticmethod
    def _is_expected(message_id: int) -> bool:
        """Whether a terminal may send it on the signalling link."""
        return _FIRST_TERMINAL_ID <= message_id < _FIRST_PLATFORM_ID and message_id not in _ATTACHMENT_LINK_IDS

    def _authentication(self, frame: Frame, ack: Ack, now: float) -> None:
        hello = introduction(frame, self._secret)
        if self._settings.strict and not hello.proven:
            self._outbox.note_once("warning", "wrong_authentication_code")
            self._outbox.answer(ack, FAILURE, now)
            return
        if not hello.proven:
            self._outbox.note_once("info", "foreign_authentication_code")
        elif not self._proven:
            # It registered first; now the gateway may let it replace an older connection.
            self._proven = True
            number = frame.header.number
            self._outbox.emit(Identify(candidates(number), number, True, hello.details))
        self._outbox.answer(ack, OK, now)
        self._begin_service(now)

    def _begin_service(self, now: float) -> None:
        """The terminal is authenticated: ask what it can do, and begin the commands that waited."""
        if self._authenticated:
            return
        self._authenticated = True
        self._link.send(QueryAvAttributes.ID, b"", now)
        assert self._context is not None
        self._desk.open(self._context, now)

    def _assemble(self, frame: Frame, ack: Ack, now: float) -> None:
        """Join parts, and take the message once it is whole."""
        header = frame.header
        if header.message_id == MessageId.MEDIA_UPLOAD and header.package is None:
            legacy = self._uploads.legacy_part(frame.body)
            if legacy is not None:
                self._outbox.answer(ack, OK, now)
                if legacy[1] is not None:
                    self._upload(legacy[1], now)
                return
        if not self._assembler.acceptable(header):
            self._outbox.note_once("warning", "impossible_part_numbers", message=f"0x{header.message_id:04X}")
            return
        assembled = self._assembler.add(frame, now)
        if header.package is not None and header.package[0] > 1:
            self._desk.part(header.message_id, now)
        if assembled is not None:
            self._message(header.message_id, assembled.body, ack, now)
        elif self._settings.ack_each_part:
            self._outbox.answer(ack, OK, now)

    def _message(self, message_id: int, body: bytes, ack: Ack, now: float) -> None:
        """A whole message."""
        try:
            message = decode_body(message_id, body, self._link.layout)
        except BodyError as error:
            self._outbox.malformed(ack, error, now)
            return
        match message:
            case GeneralResponse():
                self._desk.responded(message, now)
            case Location():
                if message.rest:
                    self._outbox.note_once("warning", "location_item_cut")
                self._report(map_location(message, self._link.layout, self._moment(now), ack.serial), ack, now)
            case LocationBatch():
                if message.short:
                    self._outbox.note_once("warning", "location_batch_cut")
                self._report(map_batch(message, self._link.layout, self._moment(now)), ack, now, batch=True)
            case MediaUpload():
                self._outbox.answer(ack, OK, now)
                self._upload(message, now)
            case Resend():
                found = self._link.resend_parts(message.first_serial, message.indexes, now)
                self._outbox.answer(ack, OK if found else FAILURE, now)
            case Compressed():
                self._compressed(message, ack, now)
            case _:
                self._other(message_id, message, ack, now)

    def _other(self, message_id: int, message: object, ack: Ack, now: float) -> None:
        """Answers to commands, and reports of other kinds than locations."""
        self._facts(message)
        self._desk.answered(message_id, message, now)
        if isinstance(message, LocationAnswer):
            mapped = map_location(message.location, self._link.layout, self._moment(now), ack.serial)
            self._report(mapped, ack, now)
            return
        report = map_report(message, self._moment(now))
        if report is None:
            self._outbox.answer(ack, OK, now)
        else:
            self._report(Mapped((report,), ()), ack, now)

    def _facts(self, message: object) -> None:
        match message:
            case ParameterReport():
                values = parameter_values(message.content.parameters)
                heartbeat = values.get(_HEARTBEAT_PARAMETER)
                self._heartbeat_s = float(heartbeat) if isinstance(heartbeat, int) else self._heartbeat_s
                self._outbox.emit(Facts("parameters", values))
            case Properties():
                self._outbox.emit(Facts("properties", property_values(message)))
            case AvAttributes():
                self._outbox.emit(Facts("attributes", attribute_values(message)))

    def _compressed(self, message: Compressed, ack: Ack, now: float) -> None:
        """A message inside a message: with its checksum or without; else just bytes."""
        try:
            body = message.inflate()
        except BodyError as error:
            self._outbox.malformed(ack, error, now)
            return
        for raw in (body, body + bytes((checksum(body),)) if body else b""):
            try:
                inner = decode_frame(raw)
            except FrameError:
                continue
            if inner.header.message_id in KNOWN and inner.header.message_id != MessageId.COMPRESSED:
                self._message(inner.header.message_id, inner.body, ack, now)
                return
        self._report(Mapped(({"timestamp": now, "payload.hex": body.hex()},), ()), ack, now)

    # --- reports, alarms, photos ----------------------------------------------------------------------------------

    def _report(self, mapped: Mapped, ack: Ack, now: float, *, batch: bool = False) -> None:
        """Hand messages over; the terminal is answered when they are durable."""
        if not mapped.messages:
            self._outbox.answer(ack, OK, now)
            return
        if len(self._owed) >= _MAX_OUTSTANDING:
            self._outbox.answer(ack, FAILURE, now)
            return
        self._token += 1
        self._owed[self._token] = ack
        self._outbox.emit(Reports(mapped.messages, self._token))
        for alarm, message in mapped.alarms:
            asked = self._alarm_files.request(alarm, message, self._moment(now).offset_s, now, batch=batch)
            if asked is not None:
                self._outbox.emit(asked[0])
                self._link.send(asked[1].ID, asked[1].encode(), now)

    def reports_stored(self, token: int, ok: bool, now: float) -> None:
        """The batch of `Reports.token` is durable (or could not be stored)."""
        ack = self._owed.pop(token, None)
        if ack is not None and not self._closed:
            self._outbox.answer(ack, OK if ok else FAILURE, now)

    def _upload(self, upload: MediaUpload, now: float) -> None:
        """Hand a photo over; it is confirmed when it is stored."""
        fingerprint = self._uploads.fingerprint(upload)
        if self._uploads.is_storing(fingerprint):
            return
        command_id = self._desk.claim(upload, now)
        if command_id is None and self._uploads.is_stored(fingerprint):
            self._outbox.send(MessageId.MEDIA_ANSWER, MediaAnswer(upload.head.media_id), now)
            return
        if command_id is None and self._uploads.full:
            self._outbox.note("warning", "photo_dropped", reason="too many wait to be stored")
            return
        self._token += 1
        self._uploads.begin(self._token, upload)
        self._outbox.emit(file_of(upload, self._token, command_id, self._link.layout, self._moment(now)))

    def file_stored(self, token: int, ok: bool, now: float) -> None:
        """The file of `FileReceived.token` is stored (or was refused)."""
        media_id = self._uploads.finish(token, ok)
        if media_id is not None and not self._closed:
            self._outbox.send(MessageId.MEDIA_ANSWER, MediaAnswer(media_id), now)

    def _ask_again(self, missing: Missing, now: float) -> None:
        """Name the missing parts: by media id where the head of an upload is known, else by serial."""
        indexes = missing.indexes[:MAX_RESEND]
        if missing.message_id == MessageId.MEDIA_UPLOAD and len(missing.head) >= 4:
            answer = MediaAnswer(int.from_bytes(missing.head[:4], "big"), indexes)
            self._outbox.send(MessageId.MEDIA_ANSWER, answer, now)
        else:
            self._outbox.send(MessageId.PLATFORM_RESEND, Resend(missing.first_serial, indexes), now)

    # --- DeviceSession: commands ----------------------------------------------------------------------------------

    def execute(self, request: CommandRequest, now: float) -> None:
        """Begin a command."""
        if self._closed or self._context is None:
            self._outbox.fail(request.id, "the device is not connected", retry=True)
        else:
            self._desk.execute(request, now)

    def cancel(self, command_id: int, now: float) -> None:
        """Nobody wants the command any more."""
        self._desk.cancel(command_id, now)

    def media_event(self, command_id: int, news: MediaNews, now: float, position: float = 0.0) -> None:
        """News from the command's media connection."""
        if not self._closed:
            self._desk.media_event(command_id, news, now, position)

    # --- small things ---------------------------------------------------------------------------------------------

    def _moment(self, now: float) -> Moment:
        assert self._context is not None
        return Moment(now, self._context.profile.timezone_offset_s)

    def _close(self, code: int, reason: str) -> None:
        self._closed = True
        self._outbox.emit(Close(code, reason))
