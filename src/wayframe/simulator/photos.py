"""Photos of a simulated vehicle (S13 8.50–8.57): taken on command, kept in an album, uploaded in parts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from . import scene
from .bodies808 import PHOTO_SIZES, MediaEvent, MediaFilter, PhotoRequest, StoredMedia, media_event, media_upload
from .device import Device, log
from .link import Key, Link
from .wire808 import Msg

_CONFIRM_S = 60.0
"""Seconds to wait for 0x8800 after the last part."""
_ALBUM = 200
_MOST = 20
"""Most pictures of one command."""


class Album:
    """The pictures in a vehicle's memory, and their way to the platform."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._media: OrderedDict[int, StoredMedia] = OrderedDict()
        self._first_serials: dict[int, int] = {}
        self._next_id = 1
        if device.config.cameras:
            now = device.clock()
            for age in range(6, 0, -1):
                self.take(device.config.cameras[0].channel, MediaEvent.TIMER, now - age * 600)

    def take(
        self, channel: int, event: MediaEvent, timestamp: float, resolution: int = 2, quality: int = 5
    ) -> StoredMedia:
        """Put a picture of a moment into the album; the oldest one goes when it is full."""
        width, height = PHOTO_SIZES.get(resolution, (640, 480))
        media = StoredMedia(self._next_id, channel, event, self._device.position(timestamp), width, height, quality)
        self._next_id += 1
        self._media[media.media_id] = media
        while len(self._media) > _ALBUM:
            self._media.popitem(last=False)
        return media

    def find(self, wanted: MediaFilter) -> list[StoredMedia]:
        """Pictures a filter matches, oldest first."""
        return [media for media in self._media.values() if wanted.matches(media)]

    def get(self, media_id: int) -> StoredMedia | None:
        """One picture."""
        return self._media.get(media_id)

    def forget(self, media_id: int) -> None:
        """Delete a picture."""
        self._media.pop(media_id, None)

    def first_serial(self, media_id: int) -> int:
        """Serial of the first part of its last upload, 0 if there was none."""
        return self._first_serials.get(media_id, 0)

    def plan(self, request: PhotoRequest) -> list[int]:
        """Media ids of the pictures a command will make."""
        count = min(request.command, _MOST)
        return list(range(self._next_id, self._next_id + count))

    async def shoot(self, link: Link, request: PhotoRequest) -> None:
        """Take the pictures of a command one by one and upload them unless they are to be kept."""
        for number in range(min(request.command, _MOST)):
            if number:
                await asyncio.sleep(request.interval_s)
            media = self.take(
                request.channel, MediaEvent.COMMAND, self._device.clock(), request.resolution, request.quality
            )
            if request.store:
                link.write(Msg.MEDIA_EVENT, media_event(media))
            else:
                await self.upload(link, media)

    async def upload(self, link: Link, media: StoredMedia, delete: bool = False) -> None:
        """Send one picture and wait for the platform's confirmation; TimeoutError when it stays away."""
        config = self._device.config
        title = f"{config.title} CH{media.channel}"
        data = await asyncio.to_thread(
            scene.jpeg,
            scene.view_of(media.channel),
            (media.width, media.height),
            round(media.position.timestamp * 1000),
            title,
            media.quality,
        )
        with link.expect(Key("media", media.media_id)) as confirmed:
            first = await link.upload(media_upload(media, data, config.timezone_s))
            self._first_serials = {**self._first_serials, media.media_id: first}
            async with asyncio.timeout(_CONFIRM_S):
                await confirmed
        self._device.stats.photos += 1
        log.info("%s: photo %d of channel %d delivered", config.ident, media.media_id, media.channel)
        if delete:
            self.forget(media.media_id)
