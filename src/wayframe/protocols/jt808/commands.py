"""Commands that are one question and one answer, as a table, and `procedure_for` for all commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..device import CommandRequest
from ..jt1078.live_messages import (
    AvAttributes,
    PtzFocus,
    PtzInfrared,
    PtzIris,
    PtzRotate,
    PtzWiper,
    PtzZoom,
    QueryAvAttributes,
)
from ..jt1078.times import bcd_to_unix, unix_to_bcd
from .facts import attribute_values, parameter_values, property_values
from .ftp_procedures import FtpClip
from .ids import MessageId
from .location import AlarmConfirmation, LocationAnswer, Tracking
from .mapping import Moment, map_base, map_location
from .messages import CallBack, Control, Message, Text, Transparent, VehicleControl
from .multimedia import MEDIA_EVENTS, MEDIA_TYPES, MediaFilter, MediaList, UploadMedia
from .photo_procedures import Photo, StoredMedia
from .procedures import Context, Procedure, integer, number, string
from .terminal import DriverIdentity, Properties
from .terminal_parameters import ParameterReport, QueryParameters, SetParameters, parameter, parameter_id
from .video_procedures import Clip, LiveVideo, Playback, Timeline

Given = Mapping[str, object]
"""Validated properties of a command."""
Order = tuple[int, bytes]
"""Message id and body."""

_AFTERWARDS_S = 15.0
_PLACE = ("timestamp", "position.latitude", "position.longitude")
_RESET, _FACTORY_RESET = 4, 5
_DISPLAY, _SPEAK, _SCREEN = 1 << 2, 1 << 3, 1 << 4
_MEDIA_TYPE_CODES = {name: code for code, name in MEDIA_TYPES.items()}
_PTZ_DIRECTIONS = {"stop": 0, "up": 1, "down": 2, "left": 3, "right": 4}
_PTZ_SWITCHES: Mapping[str, Callable[[int], PtzFocus | PtzIris | PtzWiper | PtzInfrared | PtzZoom]] = {
    "focus_far": lambda channel: PtzFocus(channel, 0),
    "focus_near": lambda channel: PtzFocus(channel, 1),
    "iris_open": lambda channel: PtzIris(channel, 0),
    "iris_close": lambda channel: PtzIris(channel, 1),
    "wiper_off": lambda channel: PtzWiper(channel, 0),
    "wiper_on": lambda channel: PtzWiper(channel, 1),
    "infrared_off": lambda channel: PtzInfrared(channel, 0),
    "infrared_on": lambda channel: PtzInfrared(channel, 1),
    "zoom_in": lambda channel: PtzZoom(channel, 0),
    "zoom_out": lambda channel: PtzZoom(channel, 1),
}
CONTROLS = {
    "upgrade": 1,
    "connect": 2,
    "power_off": 3,
    "reset": _RESET,
    "factory_reset": _FACTORY_RESET,
    "close_data_link": 6,
    "close_radio": 7,
}
"""Command words of 0x8105 by the words of terminal_control."""
CONFIRMABLE = {"emergency": 0, "danger": 3, "area": 20, "route": 21, "segment_time": 22, "ignition": 27, "movement": 28}
"""Alarm bits that a platform may confirm (0x8203), by the words of confirm_alarm."""


def _order(message_id: int, message: Message, context: Context) -> Order:
    return message_id, message.encode(context.link.layout)


# --- questions -------------------------------------------------------------------------------------------------------


def _send_text(given: Given, context: Context) -> Order:
    urgency = given.get("urgent") is True
    type_2019 = 2 if urgency else 3
    flags = (type_2019 if context.link.layout.is_2019 else int(urgency)) | (
        (_DISPLAY if given.get("display", True) else 0)
        | (_SPEAK if given.get("speak", True) else 0)
        | (_SCREEN if given.get("screen") else 0)
    )
    return _order(MessageId.TEXT, Text(flags, string(given, "text"), integer(given, "type", 1)), context)


def _control(given: Given, context: Context) -> Order:
    word = CONTROLS.get(string(given, "command"), integer(given, "code"))
    return _order(MessageId.CONTROL, Control(word, string(given, "arguments")), context)


def _set_parameters(given: Given, context: Context) -> Order:
    values = given.get("parameters")
    wanted = values.items() if isinstance(values, Mapping) else ()
    parameters = tuple(parameter(str(name), value) for name, value in wanted)
    if not parameters:
        raise ValueError("parameters must name at least one parameter")
    return _order(MessageId.SET_PARAMETERS, SetParameters(parameters), context)


def _get_parameters(given: Given, context: Context) -> Order:
    names = given.get("parameters")
    if not isinstance(names, list) or not names:
        return MessageId.QUERY_ALL_PARAMETERS, b""
    ids = tuple(parameter_id(name) for name in map(str, names))
    return _order(MessageId.QUERY_PARAMETERS, QueryParameters(ids), context)


def _filter(given: Given, context: Context) -> MediaFilter:
    offset = context.profile.timezone_offset_s
    kind = _MEDIA_TYPE_CODES.get(string(given, "type", "image"), 0)
    found = MediaFilter(kind, integer(given, "channel"), integer(given, "event"))
    if "from" in given:
        found = replace(found, start=unix_to_bcd(number(given, "from"), offset))
    if "to" in given:
        found = replace(found, end=unix_to_bcd(number(given, "to"), offset))
    return found


def _request_media(given: Given, context: Context) -> Order:
    return _order(MessageId.UPLOAD_MEDIA, UploadMedia(_filter(given, context), int(bool(given.get("delete")))), context)


def _confirm(given: Given, context: Context) -> Order:
    names = given.get("alarms")
    words = names if isinstance(names, list) and names else list(CONFIRMABLE)
    bits = sum(1 << CONFIRMABLE[word] for word in set(map(str, words)) & set(CONFIRMABLE))
    return _order(MessageId.CONFIRM_ALARM, AlarmConfirmation(integer(given, "serial"), bits), context)


def _vehicle_control(given: Given, context: Context) -> Order:
    return _order(MessageId.VEHICLE_CONTROL, VehicleControl(given.get("doors") == "lock"), context)


def _ptz(given: Given, context: Context) -> Order:
    action, channel = string(given, "action"), integer(given, "channel", 1)
    switch = _PTZ_SWITCHES.get(action)
    if switch is not None:
        turn = switch(channel)
        return turn.ID, turn.encode()
    rotate = PtzRotate(channel, _PTZ_DIRECTIONS.get(action, 0), integer(given, "speed", 64))
    return rotate.ID, rotate.encode()


def _custom(given: Given, context: Context) -> Order:
    body = bytes.fromhex(string(given, "body"))
    return int(string(given, "id"), 16), body


def _transparent(given: Given, context: Context) -> Order:
    text = given.get("text")
    payload = text.encode("gbk", "replace") if isinstance(text, str) else bytes.fromhex(string(given, "payload"))
    return _order(MessageId.TRANSPARENT_DOWN, Transparent(integer(given, "type"), payload), context)


# --- answers ---------------------------------------------------------------------------------------------------------


def _location(message: LocationAnswer, context: Context, now: float) -> object:
    moment = Moment(now, context.profile.timezone_offset_s)
    return map_location(message.location, context.link.layout, moment).messages[0]


def _media_list(message: MediaList, context: Context, now: float) -> object:
    moment = Moment(now, context.profile.timezone_offset_s)
    found = []
    for item in message.items:
        place = map_base(item.location, context.link.layout, moment)
        entry: dict[str, object] = {
            "media_id": item.media_id,
            "type": MEDIA_TYPES.get(item.type, str(item.type)),
            "channel": item.channel,
            "event": MEDIA_EVENTS.get(item.event, str(item.event)),
        }
        entry.update({name: place[name] for name in _PLACE if name in place})
        found.append(entry)
    return found


def _driver(message: DriverIdentity, context: Context, now: float) -> object:
    moment = bcd_to_unix(message.time or "0" * 12, context.profile.timezone_offset_s)
    return {
        "present": message.status == 1,
        "timestamp": moment,
        "name": message.name,
        "licence": message.licence,
        "issuer": message.issuer,
        "valid_until": message.valid_until,
    }


@dataclass(frozen=True, slots=True)
class Simple:
    """A command of one message."""

    order: Callable[[Given, Context], Order]
    """Its message; raises `ValueError` for what no schema can check."""
    answer: int | None = None
    """Id of the message that answers it, if 0x0001 does not."""
    kind: type[object] = object
    """Record of that message."""
    read: Callable[..., object] | None = None
    """The response from record, context and time."""
    query: bool = False
    """Whether doing it again later is safe."""
    patient: bool = False
    """The answer may be missing although 0x0001 came: then that is the answer."""
    once: bool = False
    """Never sent twice, whatever its message."""


def _plain(message_id: int) -> Callable[[Given, Context], Order]:
    return lambda given, context: (message_id, b"")


SIMPLE: Mapping[str, Simple] = {
    "send_text": Simple(_send_text),
    "terminal_control": Simple(_control),
    "reboot": Simple(lambda given, context: _order(MessageId.CONTROL, Control(_RESET), context)),
    "factory_reset": Simple(lambda given, context: _order(MessageId.CONTROL, Control(_FACTORY_RESET), context)),
    "set_parameters": Simple(_set_parameters),
    "get_parameters": Simple(
        _get_parameters,
        MessageId.PARAMETERS,
        ParameterReport,
        lambda message, context, now: parameter_values(message.content.parameters),
        query=True,
    ),
    "get_properties": Simple(
        _plain(MessageId.QUERY_PROPERTIES),
        MessageId.PROPERTIES,
        Properties,
        lambda message, context, now: property_values(message),
        query=True,
    ),
    "get_attributes": Simple(
        _plain(QueryAvAttributes.ID),
        MessageId.AV_ATTRIBUTES,
        AvAttributes,
        lambda message, context, now: attribute_values(message),
        query=True,
    ),
    "request_location": Simple(
        _plain(MessageId.QUERY_LOCATION), MessageId.LOCATION_ANSWER, LocationAnswer, _location, query=True
    ),
    "request_driver": Simple(
        _plain(MessageId.QUERY_DRIVER), MessageId.DRIVER_IDENTITY, DriverIdentity, _driver, query=True
    ),
    "media_list": Simple(
        lambda given, context: _order(MessageId.QUERY_MEDIA, _filter(given, context), context),
        MessageId.MEDIA_LIST,
        MediaList,
        _media_list,
        query=True,
    ),
    "request_media": Simple(_request_media),
    "set_report_interval": Simple(
        lambda given, context: _order(
            MessageId.TRACKING, Tracking(integer(given, "interval"), integer(given, "duration")), context
        )
    ),
    "confirm_alarm": Simple(_confirm),
    "vehicle_control": Simple(
        _vehicle_control, MessageId.VEHICLE_CONTROL_ANSWER, LocationAnswer, _location, patient=True
    ),
    "ptz": Simple(_ptz),
    "call_back": Simple(
        lambda given, context: _order(
            MessageId.CALL_BACK, CallBack(int(given.get("listen") is True), string(given, "phone")), context
        )
    ),
    "send_transparent": Simple(_transparent),
    "custom_message": Simple(_custom, once=True),
}
"""Commands of one message, by name."""


class OneMessage(Procedure):
    """Any command of `SIMPLE`."""

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """The name picks the row of the table."""
        super().__init__(request, context)
        self._simple = SIMPLE[request.name]
        self.query = self._simple.query
        self.once = self._simple.once
        if self._simple.answer is not None:
            self.answers = frozenset({self._simple.answer})

    def start(self, now: float) -> None:
        """Send the message, or say why the properties make none."""
        try:
            message_id, body = self._simple.order(self.request.properties, self.context)
        except ValueError as error:
            self.fail(str(error))
            return
        self.ask(message_id, body, now)

    def accepted(self, now: float) -> None:
        """That is all, or the answer is to come."""
        if self._simple.answer is None:
            self.done("accepted")
        else:
            self.deadline = now + _AFTERWARDS_S

    def answered(self, message: object, now: float) -> bool:
        """The answer, if it names our message; some terminals put 0 there, and some answers name none."""
        simple = self._simple
        if simple.read is None or not isinstance(message, simple.kind):
            return False
        serial = getattr(message, "reply_serial", None)
        if serial and not self.asked_with(serial):
            return False
        self.done(simple.read(message, self.context, now))
        return True

    def timed_out(self, now: float) -> None:
        """The device took the message but sent no answer."""
        if self._simple.patient:
            self.done("accepted")
        else:
            self.fail(f"the device accepted but sent no answer within {_AFTERWARDS_S:.0f} s", retry=self.query)


def procedure_for(request: CommandRequest, context: Context) -> Procedure | None:
    """The procedure of a command, None if JT/T 808 has no counterpart."""
    if request.name == "request_media" and "media_id" in request.properties:
        return StoredMedia(request, context)
    if request.name == "request_video" and request.properties.get("method") == "ftp":
        return FtpClip(request, context)
    made = _PROCEDURES.get(request.name)
    if made is not None:
        return made(request, context)
    return OneMessage(request, context) if request.name in SIMPLE else None


_PROCEDURES: Mapping[str, type[Procedure]] = {
    "take_photo": Photo,
    "start_videostream": LiveVideo,
    "playback_video": Playback,
    "request_video": Clip,
    "video_timeline": Timeline,
}

COMMANDS: frozenset[str] = frozenset(_PROCEDURES) | frozenset(SIMPLE)
"""Names of all commands."""
