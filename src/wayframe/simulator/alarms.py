"""Active safety alarms of a simulated vehicle and the upload of their attachments (T/JSATL 12 chapter 4)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from . import clips, scene
from .bodies808 import Position, item, parse_general
from .device import Device, log
from .footage import Codec, Render, VideoFormat
from .link import Key, Link
from .media_stream import Vanished
from .wire808 import Msg, WireError
from .wire_attachment import (
    AlarmKind,
    Attachment,
    AttachmentRequest,
    FileKind,
    VehicleState,
    alarm_item,
    attachment_list,
    file_blocks,
    file_mark,
    file_name,
    identifier,
    parse_file_end_answer,
    state_blocks,
)

_CLIP = VideoFormat(Codec.H264, 640, 360, 15, 400, 30)
_CLIP_S = 6.0
_FILES = 5
_ROUNDS = 6
"""Times 0x1212 is sent for one file before the vehicle gives up."""
_ATTEMPTS = 3
"""Attachment connections for one alarm."""
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that was raised and whose files can be asked for."""

    kind: AlarmKind
    """What happened."""
    alarm_id: int
    """Running number."""
    position: Position
    """Where and when."""
    identifier: bytes
    """Its identifier on the wire."""


class AlarmBook:
    """The alarms of one vehicle; the oldest are forgotten."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._alarms: OrderedDict[bytes, Alarm] = OrderedDict()
        self._count = 0

    def raise_alarm(self, kind: AlarmKind, timestamp: float) -> Alarm:
        """Note an alarm that happens now."""
        config = self._device.config
        self._count += 1
        self._device.stats.alarms += 1
        ident = identifier(
            config.identity.terminal_id, timestamp, self._count, _FILES, config.dialect, config.timezone_s
        )
        alarm = Alarm(kind, self._count, self._device.position(timestamp), ident)
        self._alarms[ident] = alarm
        while len(self._alarms) > _KEPT:
            self._alarms.popitem(last=False)
        return alarm

    def item(self, alarm: Alarm) -> bytes:
        """The item of 0x0200 that reports it."""
        config = self._device.config
        value = alarm_item(alarm.kind, alarm.alarm_id, alarm.position, alarm.identifier, config.timezone_s)
        return item(alarm.kind.item_id, value)

    def find(self, ident: bytes) -> Alarm | None:
        """The alarm of an identifier."""
        return self._alarms.get(ident)


def attachments(device: Device, alarm: Alarm, number: bytes) -> list[Attachment]:
    """The files of an alarm: three pictures a second apart, the vehicle's state, a clip. Blocking."""
    config = device.config
    moment = alarm.position.timestamp
    camera = config.camera(alarm.kind.channel)
    channel = camera.channel if camera else 1
    title = f"{config.title} {alarm.kind.name}"

    def name(kind: FileKind, index: int, extension: str) -> str:
        return file_name(kind, alarm.kind.channel, alarm.kind, index, number, extension)

    view = scene.view_of(alarm.kind.channel)
    pictures = [scene.jpeg(view, (640, 360), round((moment + offset) * 1000), title, 4) for offset in (-1.0, 0.0, 1.0)]
    units = clips.frames(_CLIP, channel, title, moment - _CLIP_S / 2, _CLIP_S, Render.LIVE, config.cache)
    clip = clips.raw(units) if config.attachment_video == "h264" else clips.mp4(units, _CLIP)
    states = [
        VehicleState(position, position.speed_kmh < 1)
        for position in (device.position(moment + tenths / 10) for tenths in range(-50, 50))
    ]
    return [
        *(Attachment(name(FileKind.IMAGE, index, "jpg"), FileKind.IMAGE, data) for index, data in enumerate(pictures)),
        Attachment(name(FileKind.OTHER, 3, "bin"), FileKind.OTHER, state_blocks(states, config.timezone_s)),
        Attachment(name(FileKind.VIDEO, 4, config.attachment_video), FileKind.VIDEO, clip),
    ]


class AttachmentUpload:
    """Delivers the files of one alarm over connections of its own; a broken one is followed by a supplement."""

    def __init__(self, device: Device, alarm: Alarm, request: AttachmentRequest) -> None:
        self._device = device
        self._alarm = alarm
        self._request = request
        self._sent = 0
        self._vanish_at = device.config.faults.vanish_attachment_bytes

    async def run(self) -> None:
        """Upload until all files are confirmed; ConnectionError or TimeoutError when every attempt fails."""
        left = await asyncio.to_thread(attachments, self._device, self._alarm, self._request.number)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._session(left, supplement=attempt > 1)
                return
            except (OSError, TimeoutError, Vanished) as error:
                log.info("%s: attachment upload broke off: %r", self._device.config.ident, error)
                if attempt == _ATTEMPTS:
                    raise ConnectionError("the attachments could not be delivered") from error
                await asyncio.sleep(1.0)

    async def _session(self, left: list[Attachment], supplement: bool) -> None:
        """One connection; removes from `left` what the platform confirmed."""
        link = await Link.open(self._device, self._request.host, self._request.port)
        listening = asyncio.ensure_future(_listen(link))
        try:
            await self._announce(link, left, supplement)
            for file in tuple(left):
                await self._deliver(link, file)
                left.remove(file)
                self._device.stats.files_uploaded += 1
        except Vanished:
            link.abort()
            raise
        finally:
            listening.cancel()
            link.close()
            await asyncio.gather(listening, return_exceptions=True)

    async def _announce(self, link: Link, files: Sequence[Attachment], supplement: bool) -> None:
        config = self._device.config
        listed = [(file.name, self._size(file)) for file in files]
        body = attachment_list(
            config.identity.terminal_id,
            self._request.identifier,
            self._request.number,
            listed,
            config.dialect,
            supplement,
        )
        result = await link.request(Msg.ATTACHMENT_LIST, body)
        if result != 0:
            raise ConnectionError(f"the platform refused the attachment list with result {result}")

    def _size(self, file: Attachment) -> int:
        return max(0, len(file.data) + self._device.config.faults.attachment_size_lie)

    async def _deliver(self, link: Link, file: Attachment) -> None:
        mark = file_mark(file.name, file.kind, self._size(file))
        await link.request(Msg.FILE_START, mark)
        ranges: list[tuple[int, int]] = [(0, len(file.data))]
        lossy = True
        for _ in range(_ROUNDS):
            for offset, length in ranges:
                await self._send_range(link, file, offset, length, lossy)
            missing = await self._finish(link, file, mark)
            if not missing:
                return
            ranges, lossy = missing, False
            self._device.stats.blocks_resent += len(missing)
        raise ConnectionError(f"{file.name} stays incomplete after {_ROUNDS} rounds")

    async def _finish(self, link: Link, file: Attachment, mark: bytes) -> list[tuple[int, int]]:
        """Send 0x1212 and return the ranges that 0x9212 asks for; none when it is complete."""
        with link.expect(Key("file", file.name)) as answer:
            link.write(Msg.FILE_END, mark)
            async with asyncio.timeout(self._device.config.answer_s):
                ranges = str(await answer)
        return [(int(offset), int(length)) for offset, _, length in (pair.partition(":") for pair in ranges.split())]

    async def _send_range(self, link: Link, file: Attachment, offset: int, length: int, lossy: bool) -> None:
        drop = self._device.config.faults.drop_parts if lossy else 0.0
        for block in file_blocks(file.name, file.data, offset, length, self._device.config.attachment_block):
            if self._device.chance.random() < drop:
                continue
            if self._vanish_at and self._sent + len(block) > self._vanish_at:
                link.write_raw(block[: self._vanish_at - self._sent])
                await link.drain()
                self._vanish_at = 0
                raise Vanished
            link.write_raw(block)
            self._sent += len(block)
            await link.drain()


async def _listen(link: Link) -> None:
    """Hand the platform's answers to those who wait; closes the link when the platform does."""
    try:
        async for frame, body in link.messages():
            if frame.message_id == Msg.P_GENERAL:
                answer = parse_general(body)
                link.resolve(Key("ack", answer.serial), answer.result)
            elif frame.message_id == Msg.FILE_END_ANSWER:
                end = parse_file_end_answer(body)
                pairs = "" if end.complete else " ".join(f"{offset}:{length}" for offset, length in end.missing)
                link.resolve(Key("file", end.name), pairs)
    except (OSError, WireError) as error:
        log.info("attachment link: %r", error)
    finally:
        link.close()
