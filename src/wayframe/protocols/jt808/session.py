"""The state machine of one JT/T 808 signalling connection (`wayframe.protocols.device.DeviceSession`).

    NEW ─0x0100, 0x0102, any report (open)─▶ IDENTIFYING ─accept()─▶ KNOWN ─0x0102, any report (open)─▶ authenticated
                                                 └──────refuse()─▶ REFUSED ─60 s─▶ closed

Reports are acknowledged when they are durable, photos confirmed when they are stored; everything else is answered at
once.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from ..device import (
    AttachmentsExpected,
    Close,
    CommandRequest,
    CommandState,
    CommandUpdate,
    DeviceProfile,
    Endpoints,
    Facts,
    Identify,
    MediaNews,
    Note,
    Reports,
    SessionEvent,
)
from ..jt1078.alarms import AlarmIdentifier, SafetyAlarm
from ..jt1078.attachment_messages import AttachmentRequest
from ..jt1078.live_messages import AvAttributes, QueryAvAttributes
from ..jt1078.times import unix_to_bcd
from ..jt1078.wire import BodyError
from .assembly import Assembler, Missing
from .commands import procedure_for
from .facts import attribute_values, parameter_values, property_values
from .frames import Frame, FrameError, FrameSplitter, Header, checksum, decode_frame
from .identity import authentication_code, candidates, is_code
from .ids import MessageId
from .link import Link
from .location import Location, LocationAnswer, LocationBatch
from .mapping import DeviceMessage, Mapped, Moment, map_batch, map_location, map_report
from .messages import KNOWN, Compressed, GeneralResponse, Resend, decode_body
from .multimedia import MAX_RESEND, MediaAnswer, MediaUpload
from .procedures import Context, Procedure
from .terminal import Authentication, Properties, Registration, RegistrationAnswer, ServerTime, VendorTime
from .terminal_parameters import ParameterReport
from .uploads import Uploads, file_of

OK, FAILURE, MALFORMED, UNSUPPORTED = 0, 1, 2, 3
"""Results of a 0x8001."""
_NO_SUCH_TERMINAL = 4
_CLOSE_VIOLATION, _CLOSE_INACTIVE, _CLOSE_UNKNOWN = 4, 17, 18
_HEARTBEAT_PARAMETER = "heartbeat_interval"
_OLD_ALARM_S = 24 * 3600
_MAX_IDENTIFIERS = 1000
_MAX_OUTSTANDING = 2000
_MAX_COMMANDS = 64
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


@dataclass(frozen=True, slots=True)
class _Ack:
    """The message an answer is owed for."""

    serial: int
    message_id: int


class Jt808Session:
    """One signalling connection of a JT/T 808 terminal, without its socket."""

    def __init__(
        self,
        endpoints: Endpoints,
        secret: bytes,
        settings: SessionSettings | None = None,
        token_hex: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        """`secret` derives authentication codes; `token_hex(n)` gives 2·n random hex digits for alarm numbers."""
        self._endpoints = endpoints
        self._secret = secret
        self._settings = settings or SessionSettings()
        self._token_hex = token_hex
        self._splitter = FrameSplitter()
        self._assembler = Assembler()
        self._uploads = Uploads()
        self._link = Link()
        self._events: list[SessionEvent] = []
        self._state = _State.NEW
        self._authenticated = False
        self._proven = False
        self._closed = False
        self._context: Context | None = None
        self._held: list[Frame] = []
        self._procedures: list[Procedure] = []
        self._waiting: list[CommandRequest] = []
        self._owed: dict[int, _Ack] = {}
        self._token = 0
        self._identifiers: OrderedDict[bytes, None] = OrderedDict()
        self._noted: set[str] = set()
        self._heard = 0.0
        self._heartbeat_s = 0.0
        self._known_by: float | None = None
        self._second = 0
        self._in_second = 0

    # --- DeviceSession: bytes and time ----------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the socket."""
        if self._closed:
            return
        self._heard = now
        if self._known_by is None:
            self._known_by = now + self._settings.unknown_s
            if data[:1] not in (b"", b"\x7e"):
                self._note("warning", "unexpected_first_byte", byte=data[0])
        for raw in self._splitter.feed(data):
            self._frame(decode_frame(raw), now)
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
            self._note("warning", "long_message_dropped", reason=dropped.reason, **fields)
        for procedure in list(self._procedures):
            procedure.tick(now)
        for request in [request for request in self._waiting if now >= request.deadline]:
            self._waiting.remove(request)
            self._fail(request.id, "the device has not authenticated itself", retry=True)
        self._sweep()

    def next_tick(self) -> float | None:
        """Unix time at which `tick` is due."""
        if self._closed:
            return None
        times = [self._known_by, self._assembler.next_tick()]
        times.append(self._heard + self._idle_s if self._heard else None)
        times += [procedure.due() for procedure in self._procedures]
        times += [request.deadline for request in self._waiting]
        return min((time for time in times if time is not None), default=None)

    def events(self) -> Sequence[SessionEvent]:
        """Take the events that have gathered."""
        events, self._events = self._events, []
        return events

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
        self._context = Context(self._link, self._endpoints, profile, self._emit)
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
            self._note_once("warning", "other_terminal", number=header.number.hex())
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
        ack = _Ack(header.serial, header.message_id)
        match header.message_id:
            case MessageId.TERMINAL_RESPONSE:
                pass
            case MessageId.HEARTBEAT | MessageId.LOGOUT:
                self._answer(ack, OK, now)
            case MessageId.TIME_QUERY | MessageId.VENDOR_TIME_QUERY:
                self._tell_time(header.message_id, now)
            case _ if header.encryption:
                self._encrypted(ack, now)
            case MessageId.REGISTER | MessageId.AUTHENTICATE:
                self._identify(frame, now)
            case _ if header.message_id not in KNOWN:
                self._answer(ack, UNSUPPORTED, now)
            case _ if self._settings.strict:
                self._answer(ack, FAILURE, now)
            case _:
                self._identify(frame, now)

    def _identify(self, frame: Frame, now: float) -> None:
        header = frame.header
        try:
            details, self._proven = self._introduction(frame)
        except BodyError as error:
            self._malformed(_Ack(header.serial, header.message_id), error, now)
            return
        self._state = _State.IDENTIFYING
        self._held.append(frame)
        self._emit(Identify(candidates(header.number), header.number, self._proven, details))

    def _introduction(self, frame: Frame) -> tuple[dict[str, str], bool]:
        """What a terminal says of itself at the beginning, and whether it presents the code issued to it."""
        header = frame.header
        if header.message_id not in (MessageId.REGISTER, MessageId.AUTHENTICATE):
            return {}, False
        message = decode_body(header.message_id, frame.body, header.layout)
        if isinstance(message, Registration):
            named = {"maker": message.maker, "model": message.model, "terminal_id": message.terminal_id}
            plate = {"vin" if message.plate_color == 0 else "plate": message.plate}
            return {name: value for name, value in {**named, **plate}.items() if value}, False
        assert isinstance(message, Authentication)
        texts = {"imei": message.imei, "software_version": message.software}
        proven = is_code(self._secret, header.number, message.code)
        return {name: value for name, value in texts.items() if value}, proven

    def _turn_away(self, header: Header, now: float) -> None:
        """Answer a terminal that may not connect."""
        if header.message_id == MessageId.REGISTER:
            self._send(MessageId.REGISTER_ANSWER, RegistrationAnswer(header.serial, _NO_SUCH_TERMINAL), now)
        else:
            self._answer(_Ack(header.serial, header.message_id), FAILURE, now)

    # --- messages of a known terminal -----------------------------------------------------------------------------

    def _known(self, frame: Frame, now: float) -> None:
        header = frame.header
        ack = _Ack(header.serial, header.message_id)
        if header.encryption:
            self._encrypted(ack, now)
        elif header.message_id == MessageId.REGISTER:
            code = authentication_code(self._secret, header.number)
            self._send(MessageId.REGISTER_ANSWER, RegistrationAnswer(header.serial, OK, code), now)
        elif header.message_id == MessageId.AUTHENTICATE:
            self._authentication(frame, ack, now)
        elif header.message_id in (MessageId.HEARTBEAT, MessageId.LOGOUT):
            self._answer(ack, OK, now)
            self._authenticated &= header.message_id != MessageId.LOGOUT
        elif header.message_id in (MessageId.TIME_QUERY, MessageId.VENDOR_TIME_QUERY):
            self._tell_time(header.message_id, now)
        elif header.message_id not in KNOWN or not self._is_expected(header.message_id):
            self._note_once("info", f"unsupported_{header.message_id:04x}")
            self._answer(ack, UNSUPPORTED, now)
        elif not self._authenticated and self._settings.strict:
            self._answer(ack, FAILURE, now)
        else:
            if not self._authenticated and header.message_id != MessageId.TERMINAL_RESPONSE:
                self._begin_service(now)
            self._assemble(frame, ack, now)

    @staticmethod
    def _is_expected(message_id: int) -> bool:
        """Whether a terminal may send it on the signalling link."""
        return _FIRST_TERMINAL_ID <= message_id < _FIRST_PLATFORM_ID and message_id not in _ATTACHMENT_LINK_IDS

    def _authentication(self, frame: Frame, ack: _Ack, now: float) -> None:
        try:
            details, proven = self._introduction(frame)
        except BodyError as error:
            self._malformed(ack, error, now)
            return
        if self._settings.strict and not proven:
            self._note_once("warning", "wrong_authentication_code")
            self._answer(ack, FAILURE, now)
            return
        if not proven:
            self._note_once("info", "foreign_authentication_code")
        elif not self._proven:
            # It registered first; now the gateway may let it replace an older connection.
            self._proven = True
            self._emit(Identify(candidates(self._link.number), self._link.number, True, details))
        self._answer(ack, OK, now)
        self._begin_service(now)

    def _begin_service(self, now: float) -> None:
        """The terminal is authenticated: ask what it can do, and begin the commands that waited."""
        if self._authenticated:
            return
        self._authenticated = True
        self._link.send(QueryAvAttributes.ID, b"", now)
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._start(request, now)

    def _assemble(self, frame: Frame, ack: _Ack, now: float) -> None:
        """Join parts, and take the message once it is whole."""
        header = frame.header
        if header.message_id == MessageId.MEDIA_UPLOAD and header.package is None:
            legacy = self._uploads.legacy_part(frame.body)
            if legacy is not None:
                self._answer(ack, OK, now)
                if legacy[1] is not None:
                    self._upload(legacy[1], now)
                return
        if not self._assembler.acceptable(header):
            self._note_once("warning", "impossible_part_numbers", message=f"0x{header.message_id:04X}")
            return
        assembled = self._assembler.add(frame, now)
        if header.package is not None and header.package[0] > 1:
            for procedure in list(self._procedures):
                procedure.part(header.message_id, now)
        if assembled is not None:
            self._message(header.message_id, assembled.body, ack, now)
        elif self._settings.ack_each_part:
            self._answer(ack, OK, now)

    def _message(self, message_id: int, body: bytes, ack: _Ack, now: float) -> None:
        """A whole message."""
        try:
            message = decode_body(message_id, body, self._link.layout)
        except BodyError as error:
            self._malformed(ack, error, now)
            return
        match message:
            case GeneralResponse():
                self._responded(message, now)
            case Location():
                if message.rest:
                    self._note_once("warning", "location_item_cut")
                self._report(map_location(message, self._link.layout, self._moment(now), ack.serial), ack, now)
            case LocationBatch():
                if message.short:
                    self._note_once("warning", "location_batch_cut")
                self._report(map_batch(message, self._link.layout, self._moment(now)), ack, now, batch=True)
            case MediaUpload():
                self._answer(ack, OK, now)
                self._upload(message, now)
            case Resend():
                found = self._link.resend_parts(message.first_serial, message.indexes, now)
                self._answer(ack, OK if found else FAILURE, now)
            case Compressed():
                self._compressed(message, ack, now)
            case _:
                self._other(message_id, message, ack, now)

    def _other(self, message_id: int, message: object, ack: _Ack, now: float) -> None:
        """Answers to commands, and reports of other kinds than locations."""
        self._facts(message)
        self._answered(message_id, message, now)
        if isinstance(message, LocationAnswer):
            mapped = map_location(message.location, self._link.layout, self._moment(now), ack.serial)
            self._report(mapped, ack, now)
            return
        report = map_report(message, self._moment(now))
        if report is None:
            self._answer(ack, OK, now)
        else:
            self._report(Mapped((report,), ()), ack, now)

    def _facts(self, message: object) -> None:
        match message:
            case ParameterReport():
                values = parameter_values(message.content.parameters)
                heartbeat = values.get(_HEARTBEAT_PARAMETER)
                self._heartbeat_s = float(heartbeat) if isinstance(heartbeat, int) else self._heartbeat_s
                self._emit(Facts("parameters", values))
            case Properties():
                self._emit(Facts("properties", property_values(message)))
            case AvAttributes():
                self._emit(Facts("attributes", attribute_values(message)))

    def _compressed(self, message: Compressed, ack: _Ack, now: float) -> None:
        """A message inside a message: with its checksum or without; else just bytes."""
        try:
            body = message.inflate()
        except BodyError as error:
            self._malformed(ack, error, now)
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

    def _report(self, mapped: Mapped, ack: _Ack, now: float, *, batch: bool = False) -> None:
        """Hand messages over; the terminal is answered when they are durable."""
        if not mapped.messages:
            self._answer(ack, OK, now)
            return
        if len(self._owed) >= _MAX_OUTSTANDING:
            self._answer(ack, FAILURE, now)
            return
        self._token += 1
        self._owed[self._token] = ack
        self._emit(Reports(mapped.messages, self._token))
        for alarm, message in mapped.alarms:
            self._request_attachments(alarm, message, now, batch=batch)

    def reports_stored(self, token: int, ok: bool, now: float) -> None:
        """The batch of `Reports.token` is durable (or could not be stored)."""
        ack = self._owed.pop(token, None)
        if ack is not None and not self._closed:
            self._answer(ack, OK if ok else FAILURE, now)

    def _request_attachments(self, alarm: SafetyAlarm, message: DeviceMessage, now: float, *, batch: bool) -> None:
        """Ask for the files of an alarm, once for each identifier (0x9208)."""
        identifier: AlarmIdentifier = alarm.identifier
        created = message.get("timestamp", now)
        assert isinstance(created, float) and self._context is not None
        if not identifier.attachments or identifier.raw in self._identifiers:
            return
        if batch and created < now - _OLD_ALARM_S:
            return
        self._identifiers[identifier.raw] = None
        while len(self._identifiers) > _MAX_IDENTIFIERS:
            self._identifiers.popitem(last=False)
        number = self._token_hex(16)
        moment = identifier.unix_time(self._context.profile.timezone_offset_s)
        self._emit(AttachmentsExpected(number, identifier.raw, created if moment is None else moment, dict(message)))
        port = self._endpoints.attachments_port
        request = AttachmentRequest(self._endpoints.host, port, 0, identifier, number)
        self._link.send(request.ID, request.encode(), now)

    def _upload(self, upload: MediaUpload, now: float) -> None:
        """Hand a photo over; it is confirmed when it is stored."""
        fingerprint = self._uploads.fingerprint(upload)
        if self._uploads.is_storing(fingerprint):
            return
        owner = next((procedure for procedure in self._procedures if procedure.claims(upload, now)), None)
        if owner is None and self._uploads.is_stored(fingerprint):
            self._send(MessageId.MEDIA_ANSWER, MediaAnswer(upload.head.media_id), now)
            return
        if owner is None and self._uploads.full:
            self._note("warning", "photo_dropped", reason="too many wait to be stored")
            return
        self._token += 1
        self._uploads.begin(self._token, upload)
        command_id = owner.request.id if owner else None
        self._emit(file_of(upload, self._token, command_id, self._link.layout, self._moment(now)))
        self._sweep()

    def file_stored(self, token: int, ok: bool, now: float) -> None:
        """The file of `FileReceived.token` is stored (or was refused)."""
        media_id = self._uploads.finish(token, ok)
        if media_id is not None and not self._closed:
            self._send(MessageId.MEDIA_ANSWER, MediaAnswer(media_id), now)

    def _ask_again(self, missing: Missing, now: float) -> None:
        """Name the missing parts: by media id where the head of an upload is known, else by serial."""
        indexes = missing.indexes[:MAX_RESEND]
        if missing.message_id == MessageId.MEDIA_UPLOAD and len(missing.head) >= 4:
            answer = MediaAnswer(int.from_bytes(missing.head[:4], "big"), indexes)
            self._send(MessageId.MEDIA_ANSWER, answer, now)
        else:
            self._send(MessageId.PLATFORM_RESEND, Resend(missing.first_serial, indexes), now)

    # --- DeviceSession: commands ----------------------------------------------------------------------------------

    def execute(self, request: CommandRequest, now: float) -> None:
        """Begin a command."""
        if self._closed or self._context is None:
            self._fail(request.id, "the device is not connected", retry=True)
        elif any(procedure.request.id == request.id for procedure in self._procedures):
            self._note("warning", "command_repeated", command=request.id)
        elif len(self._procedures) + len(self._waiting) >= _MAX_COMMANDS:
            self._fail(request.id, "too many commands are under way", retry=True)
        elif self._authenticated:
            self._start(request, now)
        else:
            self._waiting.append(request)

    def _start(self, request: CommandRequest, now: float) -> None:
        assert self._context is not None
        procedure = procedure_for(request, self._context)
        if procedure is None:
            self._fail(request.id, f"{request.name} is not supported by JT/T 808")
            return
        self._procedures.append(procedure)
        procedure.start(now)
        self._sweep()

    def cancel(self, command_id: int, now: float) -> None:
        """Nobody wants the command any more."""
        self._waiting = [request for request in self._waiting if request.id != command_id]
        for procedure in self._procedures:
            if procedure.request.id == command_id:
                procedure.cancel(now)
        self._sweep()

    def media_event(self, command_id: int, news: MediaNews, now: float, position: float = 0.0) -> None:
        """News from the command's media connection."""
        if self._closed:
            return
        for procedure in list(self._procedures):
            if procedure.request.id == command_id:
                procedure.media(news, now, position)
        self._sweep()

    def _responded(self, response: GeneralResponse, now: float) -> None:
        for procedure in list(self._procedures):
            if procedure.is_answer_to(response.reply_serial, response.reply_id):
                procedure.responded(response.result, now)
                self._sweep()
                return
        if response.result:
            self._note("info", "refused_by_device", message=f"0x{response.reply_id:04X}", result=response.result)

    def _answered(self, message_id: int, message: object, now: float) -> None:
        for procedure in list(self._procedures):
            if message_id in procedure.answers and procedure.answered(message, now):
                break
        self._sweep()

    def _sweep(self) -> None:
        """Let go of procedures that are over."""
        ended = [procedure for procedure in self._procedures if procedure.over]
        self._procedures = [procedure for procedure in self._procedures if not procedure.over]
        for procedure in ended:
            procedure.ended()

    # --- sending and telling --------------------------------------------------------------------------------------

    def _send(
        self, message_id: int, message: RegistrationAnswer | MediaAnswer | Resend | ServerTime, now: float
    ) -> None:
        self._link.send(message_id, message.encode(self._link.layout), now)

    def _answer(self, ack: _Ack, result: int, now: float) -> None:
        """0x8001; general responses themselves are never answered."""
        if ack.message_id != MessageId.TERMINAL_RESPONSE:
            response = GeneralResponse(ack.serial, ack.message_id, result)
            self._link.send(MessageId.PLATFORM_RESPONSE, response.encode(self._link.layout), now)

    def _tell_time(self, message_id: int, now: float) -> None:
        if message_id == MessageId.TIME_QUERY:
            self._send(MessageId.TIME_ANSWER, ServerTime(unix_to_bcd(now, 0)), now)
            return
        utc = datetime.fromtimestamp(now, UTC)
        answer = VendorTime(utc.year, (utc.month, utc.day, utc.hour, utc.minute, utc.second))
        self._link.send(MessageId.VENDOR_TIME_ANSWER, answer.encode(self._link.layout), now)

    def _encrypted(self, ack: _Ack, now: float) -> None:
        self._note_once("warning", "encrypted_message")
        self._answer(ack, UNSUPPORTED, now)

    def _malformed(self, ack: _Ack, error: BodyError, now: float) -> None:
        self._note_once("warning", f"malformed_{ack.message_id:04x}", reason=str(error))
        self._answer(ack, MALFORMED, now)

    def _moment(self, now: float) -> Moment:
        assert self._context is not None
        return Moment(now, self._context.profile.timezone_offset_s)

    def _emit(self, event: SessionEvent) -> None:
        self._events.append(event)

    def _fail(self, command_id: int, reason: str, *, retry: bool = False) -> None:
        self._emit(CommandUpdate(command_id, CommandState.FAILED, reason=reason, retry=retry))

    def _note(self, level: str, event: str, **fields: object) -> None:
        self._emit(Note(level, event, fields))

    def _note_once(self, level: str, event: str, **fields: object) -> None:
        if event not in self._noted:
            self._noted.add(event)
            self._note(level, event, **fields)

    def _close(self, code: int, reason: str) -> None:
        self._closed = True
        self._emit(Close(code, reason))
