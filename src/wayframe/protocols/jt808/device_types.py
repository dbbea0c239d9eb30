"""Device types of JT/T 808, and the schemas of their commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..descriptions import CommandSpec, DeviceType, ProtocolInfo, Schema, SessionOptions, SettingSpec
from ..device import DeviceSession
from .commands import CONFIRMABLE, CONTROLS
from .message_parameters import MESSAGE_PARAMETERS
from .multimedia import MEDIA_TYPES
from .photo_procedures import RESOLUTIONS
from .session import Jt808Session, SessionSettings
from .terminal_parameters import PARAMETERS, Kind
from .video_procedures import MAX_TIMELINE_DAYS

PROTOCOL_ID = 552
"""flespi's id of JT/T 808."""
_TEXT_LIMIT = 500
_EXAMPLE_TIME = 1_760_000_000


def _form(title: str, properties: Mapping[str, Schema], required: Sequence[str] = ()) -> Schema:
    """An object schema whose form shows the properties in the order given."""
    return {
        "type": "object",
        "title": title,
        "additionalProperties": False,
        "required": list(required),
        "x-view-order": list(properties),
        "properties": dict(properties),
    }


def _integer(title: str, low: int, high: int, description: str = "", default: int | None = None) -> Schema:
    schema: Schema = {"type": "integer", "title": title, "minimum": low, "maximum": high}
    return _described(schema, description, default)


def _number(title: str, low: float, high: float, description: str = "") -> Schema:
    return _described({"type": "number", "title": title, "minimum": low, "maximum": high}, description)


def _choice(title: str, words: Sequence[str], description: str = "", default: str | None = None) -> Schema:
    return _described({"type": "string", "title": title, "enum": list(words)}, description, default)


def _switch(title: str, default: bool, description: str = "") -> Schema:
    return _described({"type": "boolean", "title": title}, description, default)


def _string(title: str, longest: int, description: str = "", *, shortest: int = 1, pattern: str = "") -> Schema:
    schema: Schema = {"type": "string", "title": title, "minLength": shortest, "maxLength": longest}
    return _described({**schema, "pattern": pattern} if pattern else schema, description)


def _described(schema: Schema, description: str, default: object = None) -> Schema:
    if description:
        schema["description"] = description
    if default is not None:
        schema["default"] = default
    return schema


def _example(description: str, **properties: Any) -> Mapping[str, Any]:
    return {"description": description, "properties": {name.rstrip("_"): value for name, value in properties.items()}}


_MAX_TIME = 4_102_444_799
_CHANNEL = _integer("Camera", 1, 64, "Logical channel, counted from 1.")
_FROM = _number("From", 946_684_800, _MAX_TIME, "Begin, Unix seconds.")
_TO = _number("To", 946_684_800, _MAX_TIME, "End, Unix seconds.")
_DURATION = _number("Duration", 1, 3600, "Seconds.")
_RECORDED_QUALITY = _choice("Quality", ("main", "sub"), "Main or sub stream; whichever was recorded if not given.")
_MEDIASTREAM = _choice("Stream format", ("hls", "flv"), default="hls")
_HEX = r"^([0-9A-Fa-f]{2})*$"
_PTZ_ACTIONS = (
    "up", "down", "left", "right", "stop", "zoom_in", "zoom_out", "focus_near", "focus_far", "iris_open",
    "iris_close", "wiper_on", "wiper_off", "infrared_on", "infrared_off",
)  # fmt: skip
_PARAMETER_NAME = r"^([a-z][a-z0-9_]*|0[xX][0-9A-Fa-f]{1,8})$"


def _parameter_schema(kind: Kind, title: str) -> Schema:
    if kind is Kind.STRING:
        return {"type": "string", "title": title, "maxLength": 255}
    if kind is Kind.BYTES:
        return {"type": "string", "title": title, "description": "Hex digits.", "pattern": _HEX, "maxLength": 510}
    return {"type": "integer", "title": title, "minimum": 0, "maximum": (1 << 8 * kind.value) - 1}


_REQUEST_VIDEO = CommandSpec(
    "request_video",
    "Request video",
    "Fetch a recording from the device's memory. The answer is the stored file.",
    _form(
        "Request video",
        {
            "channel": _CHANNEL,
            "from": _FROM,
            "duration": _DURATION,
            "quality": _RECORDED_QUALITY,
            "method": _choice(
                "Method",
                ("auto", "stream", "ftp"),
                "How the clip travels: `stream` plays it back, cut exactly; with `ftp` the device uploads its files.",
                "auto",
            ),
        },
        ("channel", "from", "duration"),
    ),
    (_example("30 s of camera 1", channel=1, from_=_EXAMPLE_TIME, duration=30),),
)
_TAKE_PHOTO = CommandSpec(
    "take_photo",
    "Take photo",
    "Take a picture now. The answer is the stored file.",
    _form(
        "Take photo",
        {
            "channel": {**_CHANNEL, "maximum": 255, "description": "Camera from 1; 100 road, 101 driver (T/JSATL 12)."},
            "resolution": _choice("Resolution", tuple(RESOLUTIONS), "The device takes the nearest it has."),
            "quality": _integer("Quality", 1, 10, "1 is best.", 5),
            "brightness": _integer("Brightness", 0, 255, default=127),
            "contrast": _integer("Contrast", 0, 127, default=63),
            "saturation": _integer("Saturation", 0, 127, default=63),
            "chroma": _integer("Chroma", 0, 255, default=127),
        },
        ("channel",),
    ),
    (_example("Camera 1", channel=1), _example("Camera 2, small", channel=2, resolution="320x240")),
)
_START_VIDEOSTREAM = CommandSpec(
    "start_videostream",
    "Start video stream",
    "Show a camera live. The answer has the link of the stream; it ends when nobody watches for 60 s.",
    _form(
        "Start video stream",
        {
            "channel": _CHANNEL,
            "mediastream": _MEDIASTREAM,
            "quality": _choice("Quality", ("main", "sub"), default="sub"),
            "audio": _switch("Sound", True),
        },
        ("channel",),
    ),
    (_example("Camera 1", channel=1, mediastream="hls"),),
)
_PLAYBACK_VIDEO = CommandSpec(
    "playback_video",
    "Play back video",
    "Show a recording from the device's memory as a stream, without storing it. Without an end it plays until stopped.",
    _form(
        "Play back video",
        {
            "channel": _CHANNEL,
            "from": _FROM,
            "to": _TO,
            "duration": {**_DURATION, "description": "Seconds, instead of `to`."},
            "quality": _RECORDED_QUALITY,
            "mediastream": _MEDIASTREAM,
        },
        ("channel", "from"),
    ),
    (_example("Five minutes of camera 1", channel=1, from_=_EXAMPLE_TIME, duration=300),),
)
_VIDEO_TIMELINE = CommandSpec(
    "video_timeline",
    "Video timeline",
    f"List the recordings in the device's memory; at most {MAX_TIMELINE_DAYS} days at a time.",
    _form(
        "Video timeline",
        {
            "from": _FROM,
            "to": _TO,
            "channel": _integer("Camera", 0, 64, "0 or nothing for all."),
        },
        ("from", "to"),
    ),
    (_example("A day, all cameras", from_=_EXAMPLE_TIME, to=_EXAMPLE_TIME + 86_400),),
)
_SEND_TEXT = CommandSpec(
    "send_text",
    "Send text",
    "Show or read out a text to the driver. Some devices take commands in this form.",
    _form(
        "Send text",
        {
            "text": _string("Text", _TEXT_LIMIT),
            "urgent": _switch("Urgent", False),
            "display": _switch("Show on the terminal", True),
            "speak": _switch("Read out", True),
            "screen": _switch("Show on the advertising screen", False),
            "type": _integer("Type", 1, 2, "1 notice, 2 service (2019 devices).", 1),
        },
        ("text",),
    ),
    (_example("A notice", text="Please call the office"),),
    repeatable=False,
)
_TERMINAL_CONTROL = CommandSpec(
    "terminal_control",
    "Terminal control",
    "Upgrade, connect elsewhere, switch off, reset: the words of message 0x8105.",
    _form(
        "Terminal control",
        {
            "command": _choice("Command", (*CONTROLS, "vendor"), "`vendor` takes its number from `code`."),
            "code": _integer("Vendor command", 0, 255),
            "arguments": _string("Arguments", _TEXT_LIMIT, "Separated by `;`.", shortest=0),
        },
        ("command",),
    ),
    (_example("Reset", command="reset"),),
    repeatable=False,
)
_REBOOT = CommandSpec(
    "reboot", "Reboot", "Restart the device.", _form("Reboot", {}), (_example("Restart"),),
    repeatable=False,
)  # fmt: skip
_FACTORY_RESET = CommandSpec(
    "factory_reset",
    "Factory reset",
    "Set everything back, server address included: the device may not come back.",
    _form("Factory reset", {}),
    (_example("Factory reset"),),
    repeatable=False,
)
_GET_PARAMETERS = CommandSpec(
    "get_parameters",
    "Get parameters",
    "Read terminal parameters by name or id; all if none is named.",
    _form(
        "Get parameters",
        {
            "parameters": {
                "type": "array",
                "title": "Parameters",
                "items": {"type": "string", "pattern": _PARAMETER_NAME},
                "maxItems": 200,
            }
        },
    ),
    (_example("All"), _example("Intervals", parameters=["heartbeat_interval", "report_interval", "0x0030"])),
)
_SET_PARAMETERS = CommandSpec(
    "set_parameters",
    "Set parameters",
    "Change terminal parameters, by name, or by id with the value in hex.",
    _form(
        "Set parameters",
        {
            "parameters": {
                "type": "object",
                "title": "Parameters",
                "minProperties": 1,
                "maxProperties": 50,
                "additionalProperties": False,
                "x-view-order": [spec.name for spec in PARAMETERS.values()],
                "properties": {spec.name: _parameter_schema(spec.kind, spec.title) for spec in PARAMETERS.values()},
                "patternProperties": {
                    "^0[xX][0-9A-Fa-f]{1,8}$": {
                        "type": ["string", "integer"],
                        "description": "Hex digits for unknown ids.",
                    }
                },
            }
        },
        ("parameters",),
    ),
    (_example("Report every 30 s", parameters={"report_interval": 30}),),
    repeatable=False,
)
_GET_PROPERTIES = CommandSpec(
    "get_properties",
    "Get properties",
    "Ask for maker, model, versions and SIM card.",
    _form("Get properties", {}),
    (_example("Ask"),),
)
_GET_ATTRIBUTES = CommandSpec(
    "get_attributes",
    "Get audio and video attributes",
    "Ask for codecs and the number of cameras.",
    _form("Get audio and video attributes", {}),
    (_example("Ask"),),
)
_REQUEST_LOCATION = CommandSpec(
    "request_location",
    "Request location",
    "Ask for the position now. The answer is the report.",
    _form("Request location", {}),
    (_example("Ask"),),
)
_REQUEST_DRIVER = CommandSpec(
    "request_driver",
    "Request driver",
    "Ask whose card is in the device.",
    _form("Request driver", {}),
    (_example("Ask"),),
)
_MEDIA_FILTER = {
    "type": _choice("Kind", tuple(MEDIA_TYPES.values()), default="image"),
    "channel": _integer("Camera", 0, 255, "0 or nothing for all."),
    "event": _integer("Event", 0, 255, "Why it was recorded; 0 by command, 1 by timer.", 0),
    "from": _FROM,
    "to": _TO,
}
_MEDIA_LIST = CommandSpec(
    "media_list",
    "List stored media",
    "List photos that the device holds.",
    _form("List stored media", _MEDIA_FILTER),
    (_example("Photos by timer", type="image", event=1),),
)
_REQUEST_MEDIA = CommandSpec(
    "request_media",
    "Request stored media",
    "Upload a photo that the device holds: one by id (the answer is the file), or all that a filter finds.",
    _form(
        "Request stored media",
        {
            "media_id": _integer("Media id", 0, 0xFFFFFFFF, "As in the list; the filter does not matter then."),
            **_MEDIA_FILTER,
            "delete": _switch("Delete afterwards", False),
        },
    ),
    (_example("One photo", media_id=17), _example("Photos by timer of camera 1", channel=1, event=1)),
)
_SET_REPORT_INTERVAL = CommandSpec(
    "set_report_interval",
    "Track for a while",
    "Report at another interval for some time; 0 ends it.",
    _form(
        "Track for a while",
        {
            "interval": _integer("Interval", 0, 0xFFFF, "Seconds."),
            "duration": _integer("Duration", 0, 0xFFFFFFFF, "Seconds.", 600),
        },
        ("interval",),
    ),
    (_example("Every 5 s for 10 minutes", interval=5, duration=600),),
)
_CONFIRM_ALARM = CommandSpec(
    "confirm_alarm",
    "Confirm alarm",
    "Tell the device that a person has seen its alarm, so that it stops sending it.",
    _form(
        "Confirm alarm",
        {
            "alarms": {
                "type": "array",
                "title": "Alarms",
                "description": "All if none is named.",
                "items": {"type": "string", "enum": list(CONFIRMABLE)},
            },
            "serial": _integer("Serial number", 0, 0xFFFF, "Of the report (event.seqnum); 0 for all.", 0),
        },
    ),
    (_example("The panic button", alarms=["emergency"]),),
    repeatable=False,
)
_VEHICLE_CONTROL = CommandSpec(
    "vehicle_control",
    "Vehicle control",
    "Lock or unlock the doors.",
    _form("Vehicle control", {"doors": _choice("Doors", ("lock", "unlock"))}, ("doors",)),
    (_example("Lock", doors="lock"),),
    repeatable=False,
)
_PTZ = CommandSpec(
    "ptz",
    "Move camera",
    "Turn a camera, zoom, focus, wipe or light.",
    _form(
        "Move camera",
        {
            "channel": _CHANNEL,
            "action": _choice("Action", _PTZ_ACTIONS),
            "speed": _integer("Speed", 0, 255, default=64),
        },
        ("channel", "action"),
    ),
    (_example("Left", channel=1, action="left"),),
    repeatable=False,
)
_CALL_BACK = CommandSpec(
    "call_back",
    "Call a phone",
    "Let the device call a number.",
    _form(
        "Call a phone",
        {"phone": _string("Number", 20, pattern=r"^\+?[0-9]{1,19}$"), "listen": _switch("Only listen", False)},
        ("phone",),
    ),
    (_example("Call", phone="+37060000000"),),
    repeatable=False,
)
_SEND_TRANSPARENT = CommandSpec(
    "send_transparent",
    "Send to a peripheral",
    "Pass bytes or text through to what is attached to the device (message 0x8900).",
    _form(
        "Send to a peripheral",
        {
            "type": _integer("Type", 0, 255, "65, 66 serial ports; 240–255 vendor."),
            "payload": _string("Bytes", 2000, "Hex digits.", pattern=_HEX),
            "text": _string("Text", _TEXT_LIMIT, "Instead of the bytes."),
        },
        ("type",),
    ),
    (_example("A vendor command", type=240, text="STATUS"),),
    repeatable=False,
)
_CUSTOM_MESSAGE = CommandSpec(
    "custom_message",
    "Custom message",
    "Send any message of the protocol; the answer is that the device took it.",
    _form(
        "Custom message",
        {
            "id": _string("Message id", 6, "Four hex digits.", pattern=r"^(0[xX])?[89A-Fa-f][0-9A-Fa-f]{3}$"),
            "body": _string("Body", 8000, "Hex digits.", shortest=0, pattern=_HEX),
        },
        ("id",),
    ),
    (_example("Link check", id="0x8204", body=""),),
    repeatable=False,
)

_TRACKER_COMMANDS = (
    _TAKE_PHOTO, _SEND_TEXT, _TERMINAL_CONTROL, _REBOOT, _FACTORY_RESET, _GET_PARAMETERS, _SET_PARAMETERS,
    _GET_PROPERTIES, _REQUEST_LOCATION, _REQUEST_DRIVER, _MEDIA_LIST, _REQUEST_MEDIA, _SET_REPORT_INTERVAL,
    _CONFIRM_ALARM, _VEHICLE_CONTROL, _CALL_BACK, _SEND_TRANSPARENT, _CUSTOM_MESSAGE,
)  # fmt: skip
_VIDEO_COMMANDS = (
    _REQUEST_VIDEO, _TAKE_PHOTO, _START_VIDEOSTREAM, _PLAYBACK_VIDEO, _VIDEO_TIMELINE, _GET_ATTRIBUTES,
    *_TRACKER_COMMANDS[1:],
)  # fmt: skip

_TRACKER_SETTINGS = (
    SettingSpec("parameters", "Terminal parameters", "get_parameters", "set_parameters", "parameters"),
    SettingSpec("properties", "Maker, model, versions, SIM card", "get_properties"),
)
_VIDEO_SETTINGS = (*_TRACKER_SETTINGS, SettingSpec("attributes", "Audio and video attributes", "get_attributes"))

MDVR = DeviceType(5, "mdvr", "Generic MDVR", {"video": True}, (*_VIDEO_COMMANDS, _PTZ), _VIDEO_SETTINGS)
"""A recorder with several cameras."""
DASHCAM = DeviceType(6, "dashcam", "Dashcam", {"video": True}, _VIDEO_COMMANDS, _VIDEO_SETTINGS)
"""A camera with a tracker in it."""
TRACKER = DeviceType(7, "tracker", "Tracker without video", {"video": False}, _TRACKER_COMMANDS, _TRACKER_SETTINGS)
"""A tracker, at most with a photo camera."""


def _open_session(options: SessionOptions) -> DeviceSession:
    settings = SessionSettings(strict=options.strict, idle_s=options.idle_s)
    return Jt808Session(options.endpoints, options.secret, settings, options.token_hex)


JT808 = ProtocolInfo(
    id=PROTOCOL_ID,
    name="jt808",
    title="JT/T 808",
    transport="tcp",
    device_types=(MDVR, DASHCAM, TRACKER),
    message_parameters=MESSAGE_PARAMETERS,
    open_session=_open_session,
)
"""The protocol, for the registry."""
