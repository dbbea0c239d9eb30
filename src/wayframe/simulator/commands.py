"""What a simulated vehicle does on each platform message: one handler a message id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from . import bodies808 as b808
from . import wire1078 as w1078
from .alarms import AttachmentUpload
from .config import CameraConfig, PlaybackAnswer
from .footage import Codec
from .ftp_upload import FtpUpload
from .link import Key, Link
from .media_stream import MediaStream, StreamPlan
from .recordings import recordings
from .sound import Sound
from .wire808 import Cursor, Frame, Msg, Result, WireError, bcd_time, encode_text, padded, parse_resend
from .wire_attachment import parse_attachment_request

if TYPE_CHECKING:
    from .vehicle import SimulatedVehicle

Handler = Callable[["SimulatedVehicle", Link, Frame, bytes], Awaitable[None]]

_SPEEDS = {0: 1.0, 1: 1.0, 2: 2.0, 3: 4.0, 4: 8.0, 5: 16.0}
_RESET_S = 0.2
"""Pause between the answer to a reset and the end of the link."""


async def obey(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes, delay_s: float) -> None:
    """Handle one platform message; unknown ones get result 3, broken ones result 2, refused ones what was asked for."""
    if delay_s:
        await asyncio.sleep(delay_s)
    refusal = vehicle.config.faults.refuse.get(frame.message_id)
    handler = HANDLERS.get(frame.message_id)
    if refusal is not None:
        _answer(link, frame, refusal)
    elif handler is None:
        _answer(link, frame, Result.UNSUPPORTED)
    else:
        try:
            await handler(vehicle, link, frame, body)
        except WireError:
            _answer(link, frame, Result.MALFORMED)


def _answer(link: Link, frame: Frame, result: int) -> None:
    link.write(Msg.T_GENERAL, b808.general(frame.serial, frame.message_id, result))


# ---- 808 signalling


async def _accept(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    _answer(link, frame, Result.OK)


async def _ignore(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    """Messages that need no answer: the time, and the platform's own resend requests are handled elsewhere."""


async def _resend_parts(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    serial, indexes = parse_resend(body)
    await link.resend(serial, indexes)


async def _set_parameters(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    values = b808.parse_set_parameters(body)
    vehicle.parameters.update(values)
    if interval := int.from_bytes(values.get(0x0029, b""), "big"):
        vehicle.report_s = float(interval)
        vehicle.report_soon()
    if heartbeat := int.from_bytes(values.get(0x0001, b""), "big"):
        vehicle.heartbeat_s = float(heartbeat)
    _answer(link, frame, Result.OK)


async def _query_parameters(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    known = vehicle.parameters
    wanted = list(known) if frame.message_id == Msg.QUERY_ALL_PARAMETERS else b808.parse_query_parameters(body)
    values = {key: known[key] for key in wanted if key in known}
    await link.send(Msg.PARAMETERS, b808.parameters_answer(frame.serial, values))


async def _query_properties(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    await link.send(Msg.PROPERTIES, b808.properties(vehicle.config.identity, vehicle.device.layout))


async def _terminal_control(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    command, _arguments = b808.parse_control(body)
    restarts = {b808.Control.RESET, b808.Control.FACTORY_RESET, b808.Control.CLOSE_DATA_LINK, b808.Control.POWER_OFF}
    if command not in restarts:
        _answer(link, frame, Result.UNSUPPORTED)
        return
    _answer(link, frame, Result.OK)
    await link.drain()
    await asyncio.sleep(_RESET_S)
    if command == b808.Control.FACTORY_RESET:
        vehicle.parameters = dict(b808.DEFAULT_PARAMETERS)
        vehicle.forget_code()
    vehicle.disconnect()


async def _query_position(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    report = b808.location(vehicle.position(), vehicle.config.timezone_s)
    await link.send(Msg.POSITION_ANSWER, frame.serial.to_bytes(2, "big") + report)


async def _tracking(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    cursor = Cursor(body)
    interval = cursor.word()
    vehicle.tracking = (float(interval), vehicle.device.clock() + cursor.dword()) if interval else None
    vehicle.report_soon()
    _answer(link, frame, Result.OK)


async def _text(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    vehicle.texts.append(b808.parse_text(body, vehicle.device.layout).text)
    _answer(link, frame, Result.OK)


async def _vehicle_control(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    _answer(link, frame, Result.OK)
    report = b808.location(vehicle.position(), vehicle.config.timezone_s)
    await link.send(Msg.CONTROL_ANSWER, frame.serial.to_bytes(2, "big") + report)


async def _query_driver(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    now, zone = vehicle.device.clock(), vehicle.config.timezone_s
    name, issuer = encode_text("SIM DRIVER"), encode_text("WAYFRAME")
    card = bytes([1]) + bcd_time(now, zone) + bytes([0, len(name)]) + name + padded("DRV0001", 20)
    card += bytes([len(issuer)]) + issuer + bytes.fromhex("20311231")
    await link.send(Msg.DRIVER, card + (padded("ID0001", 20) if vehicle.device.layout.newer else b""))


# ---- photos


async def _take_photo(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    request = b808.parse_photo_request(body)
    result = 0
    if vehicle.config.camera(request.channel) is None:
        result = 2
    elif request.command == 0xFFFF:
        result = 1
    planned = vehicle.album.plan(request) if result == 0 else []
    await link.send(Msg.PHOTO_ANSWER, b808.photo_answer(frame.serial, result, planned))
    if planned:
        await vehicle.album.shoot(link, request)


async def _media_answer(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    answer = b808.parse_media_answer(body)
    if answer.missing:
        await link.resend(vehicle.album.first_serial(answer.media_id), answer.missing)
    else:
        link.resolve(Key("media", answer.media_id), 0)


async def _query_media(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    zone = vehicle.config.timezone_s
    found = vehicle.album.find(b808.parse_media_filter(body, zone))
    await link.send(Msg.MEDIA_LIST, b808.media_list(frame.serial, found, zone))


async def _upload_media(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    wanted = b808.parse_media_filter(body, vehicle.config.timezone_s)
    _answer(link, frame, Result.OK)
    for media in vehicle.album.find(wanted):
        await vehicle.album.upload(link, media, wanted.delete)


async def _upload_one_media(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    cursor = Cursor(body)
    media = vehicle.album.get(cursor.dword())
    delete = bool(cursor.left) and cursor.byte() == 1
    _answer(link, frame, Result.OK if media else Result.FAILURE)
    if media:
        await vehicle.album.upload(link, media, delete)


# ---- 1078 video


async def _query_attributes(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    config = vehicle.config
    codec = config.cameras[0].main.codec if config.cameras else Codec.H264
    attributes = w1078.AudioVideoAttributes(
        audio_codec=w1078.Payload.AAC if config.sound is Sound.AAC else w1078.Payload.G711A,
        audio_rate=0,
        audio_frame=1024 if config.sound is Sound.AAC else 160,
        video_codec=w1078.Payload.H265 if codec is Codec.H265 else w1078.Payload.H264,
        audio_channels=0 if config.sound is Sound.NONE else 1,
        video_channels=len(config.cameras),
    )
    await link.send(Msg.AV_ATTRIBUTES, w1078.attributes_answer(attributes))


async def _live(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    request = w1078.parse_live(body)
    camera = vehicle.config.camera(request.channel)
    if camera is None or request.data_kind in (w1078.DataKind.BROADCAST, w1078.DataKind.TRANSPARENT):
        _answer(link, frame, Result.FAILURE if camera is None else Result.UNSUPPORTED)
        return
    _answer(link, frame, Result.OK)
    plan = StreamPlan(
        host=request.host,
        port=request.port,
        camera=camera,
        sub_stream=request.sub_stream,
        video=request.data_kind in (w1078.DataKind.AUDIO_VIDEO, w1078.DataKind.VIDEO),
        sound=request.data_kind != w1078.DataKind.VIDEO,
    )
    vehicle.start_stream(vehicle.live, MediaStream(vehicle.device, plan))


async def _live_control(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    control = w1078.parse_live_control(body)
    stream = vehicle.live.get(control.channel)
    _answer(link, frame, Result.OK if stream else Result.FAILURE)
    if stream is None:
        return
    match control.command:
        case w1078.LiveCommand.CLOSE if control.close == 1:
            stream.change(sound=False)
        case w1078.LiveCommand.CLOSE if control.close == 2:
            stream.change(video=False)
        case w1078.LiveCommand.CLOSE | w1078.LiveCommand.CLOSE_TALK:
            stream.stop()
        case w1078.LiveCommand.SWITCH:
            stream.change(sub_stream=control.sub_stream)
        case w1078.LiveCommand.PAUSE:
            stream.pause()
        case w1078.LiveCommand.RESUME:
            stream.resume()


async def _query_recordings(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    zone = vehicle.config.timezone_s
    query = w1078.parse_recording_query(body, zone)
    found = recordings(vehicle.config, query, vehicle.device.clock())
    await link.send(Msg.RECORDINGS, w1078.recordings_answer(frame.serial, found, zone))


async def _playback(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    config, now = vehicle.config, vehicle.device.clock()
    request = w1078.parse_playback(body, config.timezone_s)
    camera = config.camera(request.channel)
    found = recordings(
        config,
        w1078.RecordingQuery(request.channel, request.begin, request.end, 0, request.media % 3, 0, 0),
        now,
    )
    if config.playback_answer is not PlaybackAnswer.LIST:
        _answer(link, frame, Result.OK if found else Result.FAILURE)
    if config.playback_answer is not PlaybackAnswer.GENERAL:
        await link.send(Msg.RECORDINGS, w1078.recordings_answer(frame.serial, found, config.timezone_s))
    if camera is None or not found:
        return
    vehicle.start_stream(
        vehicle.playback, MediaStream(vehicle.device, _playback_plan(config.playback_pace, request, camera, now))
    )


def _playback_plan(pace: float, request: w1078.PlaybackRequest, camera: CameraConfig, now: float) -> StreamPlan:
    fast = _SPEEDS.get(request.speed, 1.0) if request.mode in (1, 2) else 1.0
    return StreamPlan(
        host=request.host,
        port=request.port,
        camera=camera,
        sub_stream=request.stream == 2,
        video=request.media != 1,
        sound=request.media in (0, 1, 3),
        begin=request.begin if request.begin is not None else now - 60,
        end=min(now, request.end) if request.end is not None else None,
        rate=pace * fast,
        key_step={2: -1, 3: 1}.get(request.mode, 0),
    )


async def _playback_control(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    control = w1078.parse_playback_control(body, vehicle.config.timezone_s)
    stream = vehicle.playback.get(control.channel)
    _answer(link, frame, Result.OK if stream else Result.FAILURE)
    if stream is None:
        return
    rate = vehicle.config.playback_pace * _SPEEDS.get(control.speed, 1.0)
    match control.command:
        case w1078.PlaybackCommand.START:
            stream.resume()
        case w1078.PlaybackCommand.PAUSE:
            stream.pause()
        case w1078.PlaybackCommand.STOP:
            stream.stop()
        case w1078.PlaybackCommand.FAST:
            stream.speed(rate, 0)
        case w1078.PlaybackCommand.KEY_FRAMES_BACKWARDS:
            stream.speed(rate, -1)
        case w1078.PlaybackCommand.KEY_FRAMES:
            stream.speed(rate, 1)
        case w1078.PlaybackCommand.SEEK if control.position is not None:
            stream.seek(control.position)


async def _attachments(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    request = parse_attachment_request(body, vehicle.config.dialect)
    alarm = vehicle.alarms.find(request.identifier)
    _answer(link, frame, Result.OK if alarm else Result.FAILURE)
    if alarm:
        await AttachmentUpload(vehicle.device, alarm, request).run()


async def _ftp_upload(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    request = w1078.parse_ftp_request(body, vehicle.config.timezone_s)
    _answer(link, frame, Result.OK)
    upload = vehicle.ftp_uploads[frame.serial] = FtpUpload(vehicle.device, request, frame.serial)
    try:
        await upload.run(link)
    finally:
        del vehicle.ftp_uploads[frame.serial]


async def _ftp_control(vehicle: SimulatedVehicle, link: Link, frame: Frame, body: bytes) -> None:
    cursor = Cursor(body)
    upload, command = vehicle.ftp_uploads.get(cursor.word()), cursor.byte()
    _answer(link, frame, Result.OK if upload else Result.FAILURE)
    if upload:
        {0: upload.pause, 1: upload.resume}.get(command, upload.cancel)()


HANDLERS: Mapping[int, Handler] = {
    Msg.P_RESEND_PARTS: _resend_parts,
    Msg.TIME_ANSWER: _ignore,
    Msg.SET_PARAMETERS: _set_parameters,
    Msg.QUERY_ALL_PARAMETERS: _query_parameters,
    Msg.QUERY_PARAMETERS: _query_parameters,
    Msg.TERMINAL_CONTROL: _terminal_control,
    Msg.QUERY_PROPERTIES: _query_properties,
    Msg.QUERY_POSITION: _query_position,
    Msg.TRACKING: _tracking,
    Msg.CONFIRM_ALARM: _accept,
    Msg.LINK_CHECK: _accept,
    Msg.TEXT: _text,
    Msg.VEHICLE_CONTROL: _vehicle_control,
    Msg.QUERY_DRIVER: _query_driver,
    Msg.MEDIA_ANSWER: _media_answer,
    Msg.TAKE_PHOTO: _take_photo,
    Msg.QUERY_MEDIA: _query_media,
    Msg.UPLOAD_MEDIA: _upload_media,
    Msg.UPLOAD_ONE_MEDIA: _upload_one_media,
    Msg.QUERY_AV_ATTRIBUTES: _query_attributes,
    Msg.LIVE: _live,
    Msg.LIVE_CONTROL: _live_control,
    Msg.LIVE_STATUS: _accept,
    Msg.PLAYBACK: _playback,
    Msg.PLAYBACK_CONTROL: _playback_control,
    Msg.QUERY_RECORDINGS: _query_recordings,
    Msg.FTP_UPLOAD: _ftp_upload,
    Msg.FTP_CONTROL: _ftp_control,
    Msg.REQUEST_ATTACHMENTS: _attachments,
    Msg.PTZ_ROTATE: _accept,
    Msg.PTZ_FOCUS: _accept,
    Msg.PTZ_IRIS: _accept,
    Msg.PTZ_WIPER: _accept,
    Msg.PTZ_INFRARED: _accept,
    Msg.PTZ_ZOOM: _accept,
}
"""Platform message id → handler."""
