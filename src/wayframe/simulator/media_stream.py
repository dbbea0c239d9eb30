"""A media connection of a simulated vehicle: live video, playback from the memory card, or sound alone (1078 5.5).

The terminal opens the connection to the address it was told, sends in real time (live) or at its own pace (playback),
and closes at the end."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass

from . import sound
from .config import CameraConfig, Timestamps
from .device import Device, log
from .footage import Codec, Render, Source, VideoFormat, VideoFrame, frame_at, frame_time_ms, open_source
from .link import CONNECT_S
from .sound import Sound
from .wire1078 import FrameKind, MediaPacketizer, Payload

_BEHIND_S = 2.0
"""A live stream that is later than this skips to the present, as a camera does that cannot keep up."""
_SOUND_STEP_MS = 60
"""Milliseconds of sound sent at once when there is no video to set the beat."""
_PAYLOADS = {Codec.H264: Payload.H264, Codec.H265: Payload.H265}
_SOUND_PAYLOADS = {Sound.G711A: Payload.G711A, Sound.AAC: Payload.AAC}


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What a media connection shall carry."""

    host: str
    """Media server."""
    port: int
    """TCP port."""
    camera: CameraConfig
    """Which camera."""
    sub_stream: bool
    """Sub stream instead of main."""
    video: bool
    """Send the picture."""
    sound: bool
    """Send the sound."""
    begin: float | None = None
    """Unix seconds of playback; None for live."""
    end: float | None = None
    """Unix seconds at which playback ends; None when it catches up with the present."""
    rate: float = 1.0
    """Speed against real time; 0 as fast as the link goes."""
    key_step: int = 0
    """0 all frames, 1 key frames only, -1 key frames backwards."""


class Vanished(Exception):
    """The vehicle broke off on purpose (fault `vanish_…`)."""


class MediaStream:
    """One running media connection. `run` returns when it is over; the other methods steer it."""

    def __init__(self, device: Device, plan: StreamPlan) -> None:
        self._device = device
        self.plan = plan
        self._packets = MediaPacketizer(device.number, plan.camera.channel)
        self._going = asyncio.Event()
        self._going.set()
        self._stopped = asyncio.Event()
        self._again = False
        self._restart: float | None = plan.begin
        self._anchor = (0.0, 0.0)
        self._sent = 0
        self._first_ms: int | None = None
        self._key_ms = self._frame_ms = 0
        self._sound_number: int | None = None
        self._stall_left = device.config.faults.stall_s
        self._writer: asyncio.StreamWriter

    @property
    def live(self) -> bool:
        """Whether it shows the present."""
        return self.plan.begin is None

    # ---- steering

    def stop(self) -> None:
        """End the stream and close the connection."""
        self._stopped.set()
        self._going.set()

    def pause(self) -> None:
        """Hold the stream."""
        self._going.clear()

    def resume(self) -> None:
        """Go on: a live stream with the present, playback where it was held."""
        self._restart = None if self.live else self._frame_ms / 1000
        self._again = True
        self._going.set()

    def change(self, *, sub_stream: bool | None = None, video: bool | None = None, sound: bool | None = None) -> None:
        """Switch to the other stream, or leave out picture or sound."""
        plan = self.plan
        self.plan = dataclasses.replace(
            plan,
            sub_stream=plan.sub_stream if sub_stream is None else sub_stream,
            video=plan.video if video is None else video,
            sound=plan.sound if sound is None else sound,
        )
        self._restart = None if self.live else self._frame_ms / 1000
        self._again = True

    def seek(self, position: float) -> None:
        """Go on from another time of the recording."""
        self._restart, self._again = position, True
        self._going.set()

    def speed(self, rate: float, key_step: int) -> None:
        """Another speed or direction from here on."""
        self.plan = dataclasses.replace(self.plan, rate=rate, key_step=key_step)
        self.seek(self._frame_ms / 1000)

    # ---- running

    async def run(self) -> None:
        """Connect, send until the end, close. OSError and TimeoutError when the connection fails or breaks."""
        stats = self._device.stats
        if self.live:
            stats.live_streams += 1
        else:
            stats.playbacks += 1
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, self._writer = await asyncio.open_connection(self.plan.host, self.plan.port)
        except (OSError, TimeoutError):
            stats.media_failures += 1
            raise
        sending = asyncio.ensure_future(self._send_all())
        watching = asyncio.ensure_future(_until_closed(reader))
        stopping = asyncio.ensure_future(self._stopped.wait())
        jobs = (sending, watching, stopping)
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            elif watching.done():
                log.info("%s: media connection closed by the platform", self._device.config.ident)
        except Vanished:
            self._writer.transport.abort()
        except OSError:
            stats.media_failures += 1
            raise
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            self._writer.close()

    async def _send_all(self) -> None:
        while not self._stopped.is_set():
            await self._going.wait()
            self._again = False
            if not self.plan.video:
                over = await self._send_sound()
            elif self.plan.key_step:
                over = await self._send_key_frames()
            else:
                over = await self._send_frames()
            if over:
                await self._writer.drain()
                return

    def _begin(self) -> float:
        """The time to begin at; sets the anchor that ties media time to the clock."""
        now = self._device.clock()
        begin = now if self._restart is None else self._restart
        self._anchor = (begin, now)
        self._sound_number = None
        return begin

    def _end(self) -> float:
        return self.plan.end if self.plan.end is not None else self._device.clock()

    def _interrupted(self) -> bool:
        return self._again or self._stopped.is_set() or not self._going.is_set()

    async def _send_frames(self) -> bool:
        """All frames from the beginning or the point of return; True at the end of the recording."""
        video = self._format()
        number = frame_at(self._begin(), video.fps)
        source = await self._open(video, number, align=not self.live)
        while not self._interrupted():
            frame = await self._next(source)
            if not self.live and frame.timestamp_ms >= self._end() * 1000:
                return True
            await self._due(frame.timestamp_ms)
            await self._send_frame(frame, video)
            if self.live and self._device.clock() - frame.timestamp_ms / 1000 > _BEHIND_S:
                self._again = True
        return False

    async def _send_key_frames(self) -> bool:
        """Key frames only, forwards or backwards."""
        video = self._format()
        number = frame_at(self._begin(), video.fps)
        number -= number % video.gop
        while not self._interrupted():
            timestamp = frame_time_ms(number, video.fps)
            if not (self.plan.begin or 0) * 1000 - 10_000 < timestamp < self._end() * 1000:
                return True
            source = await self._open(video, number, align=True)
            await self._due(timestamp)
            await self._send_frame(await self._next(source), video)
            number += video.gop * self.plan.key_step
        return False

    async def _send_sound(self) -> bool:
        """Sound without pictures."""
        now_ms = round(self._begin() * 1000)
        while not self._interrupted():
            if not self.live and now_ms >= self._end() * 1000:
                return True
            await self._due(now_ms)
            self._write_sound(now_ms)
            await self._writer.drain()
            self._frame_ms = now_ms
            now_ms += _SOUND_STEP_MS
        return False

    def _format(self) -> VideoFormat:
        return self.plan.camera.sub if self.plan.sub_stream else self.plan.camera.main

    async def _open(self, video: VideoFormat, number: int, *, align: bool) -> Source:
        config = self._device.config
        title = f"{config.title} CH{self.plan.camera.channel}"

        def opened() -> Source:
            return open_source(
                video, self.plan.camera.channel, title, number, config.render, align=align, cache=config.cache
            )

        return await asyncio.to_thread(opened)

    async def _next(self, source: Source) -> VideoFrame:
        if self._device.config.render is Render.LOOP:
            return source.next()
        return await asyncio.to_thread(source.next)

    async def _due(self, timestamp_ms: int) -> None:
        """Wait until it is time for a frame, by the rate and the anchor; then the stall that was asked for."""
        media, wall = self._anchor
        if self.plan.rate > 0:
            ahead = wall + abs(timestamp_ms / 1000 - media) / self.plan.rate - self._device.clock()
            # A recording begins at the key frame before the wanted time: what lies before it costs no time.
            await asyncio.sleep(max(0.0, ahead) if timestamp_ms / 1000 > media or self.plan.key_step else 0)
        else:
            await asyncio.sleep(0)
        faults = self._device.config.faults
        first = timestamp_ms if self._first_ms is None else self._first_ms
        if self._stall_left and abs(timestamp_ms - first) >= faults.stall_after_s * 1000:
            stall, self._stall_left = self._stall_left, 0.0
            await asyncio.sleep(stall)

    # ---- packets

    async def _send_frame(self, frame: VideoFrame, video: VideoFormat) -> None:
        stamp = frame.timestamp_ms
        if self._first_ms is None:
            self._first_ms = self._frame_ms = stamp
        if frame.key:
            self._key_ms = stamp
        if self.plan.sound and not self.plan.key_step:
            self._write_sound(stamp)
        since_key, since_frame = max(0, stamp - self._key_ms), max(0, stamp - self._frame_ms)
        kind = FrameKind.I if frame.key else FrameKind.P
        self._write(
            self._packets.video(frame.data, kind, _PAYLOADS[video.codec], self._stamp(stamp), since_key, since_frame)
        )
        self._frame_ms = stamp
        await self._writer.drain()
        stats = self._device.stats
        stats.frames += 1
        if self.live:
            stats.late_ms = max(stats.late_ms, self._device.clock() * 1000 - stamp)

    def _write_sound(self, until_ms: int) -> None:
        """All sound frames that begin before a time and were not sent yet; the first call only takes a start."""
        config = self._device.config
        if config.sound is Sound.NONE:
            return
        length = sound.frame_ms(config.sound)
        last = int(until_ms / length)
        number = last if self._sound_number is None else self._sound_number
        while number < last:
            frame = sound.frame(config.sound, number)
            data = frame.data
            if config.faults.hisilicon_audio and config.sound is Sound.G711A:
                data = sound.hisilicon(data)
            payload = _SOUND_PAYLOADS[config.sound]
            self._write(self._packets.audio(data, payload, self._stamp(frame.timestamp_ms)))
            number += 1
        self._sound_number = number

    def _stamp(self, timestamp_ms: int) -> int:
        """The device timestamp, true or wrong as the faults want it."""
        first = self._first_ms if self._first_ms is not None else timestamp_ms
        match self._device.config.faults.timestamps:
            case Timestamps.ZERO_BASED:
                return max(0, timestamp_ms - first)
            case Timestamps.FROZEN:
                return first
            case Timestamps.JUMPING:
                return timestamp_ms + (timestamp_ms // 4000 % 2 * 121 - 60) * 1000
            case _:
                return timestamp_ms

    def _write(self, packets: list[bytes]) -> None:
        """Put the packets of one frame on the wire, without those that chance takes."""
        faults = self._device.config.faults
        if faults.drop_media:
            packets = [packet for packet in packets if self._device.chance.random() >= faults.drop_media]
        data = b"".join(packets)
        if faults.vanish_media_bytes and self._sent + len(data) > faults.vanish_media_bytes:
            self._writer.write(data[: faults.vanish_media_bytes - self._sent])
            raise Vanished
        self._writer.write(data)
        self._sent += len(data)
        self._device.stats.media_bytes += len(data)


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """Read and forget what the platform sends (talk, broadcast) until it closes."""
    while await reader.read(65536):
        pass
