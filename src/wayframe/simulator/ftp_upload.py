"""Upload of recordings by FTP, as 0x9206 asks for it (1078 5.6.4): whole recordings of the card, one MP4 file each.

Its progress is steered by 0x9207; 0x1206 tells the platform the outcome."""

from __future__ import annotations

import asyncio
import datetime as dt
import ftplib
import io
import struct

from . import clips
from .device import Device, log
from .footage import Render
from .link import Link
from .recordings import recordings
from .wire808 import Msg
from .wire1078 import FtpRequest, Recording

_TIMEOUT_S = 30
_LONGEST_S = 60.0
"""Recordings are cut to the asked window; a longer window comes in files of this length."""
_MOST_FILES = 50


class FtpUpload:
    """One upload. `run` ends with 0x1206; pause, resume and cancel take effect between files."""

    def __init__(self, device: Device, request: FtpRequest, serial: int) -> None:
        self._device = device
        self._request = request
        self._serial = serial
        self._going = asyncio.Event()
        self._going.set()
        self._cancelled = False

    def pause(self) -> None:
        """Hold before the next file."""
        self._going.clear()

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    def cancel(self) -> None:
        """End without the remaining files; the outcome is a failure."""
        self._cancelled = True
        self._going.set()

    async def run(self, link: Link) -> None:
        """Upload everything that was asked for, then report."""
        files = self._files()
        done = bool(files)
        for number, entry in enumerate(files):
            await self._going.wait()
            if self._cancelled:
                done = False
                break
            try:
                await asyncio.to_thread(self._upload, entry, number)
            except (OSError, EOFError, ftplib.Error) as error:
                log.info("%s: FTP upload failed: %r", self._device.config.ident, error)
                done = False
                break
            self._device.stats.ftp_files += 1
        link.write(Msg.FTP_DONE, struct.pack(">HB", self._serial, 0 if done else 1))

    def _files(self) -> list[Recording]:
        """The recordings, cut to the asked window and to files of bounded length."""
        wanted = self._request.selection
        now = self._device.clock()
        if wanted.begin is None:
            return []
        found: list[Recording] = []
        for channel in sorted({entry.channel for entry in recordings(self._device.config, wanted, now)}):
            begin, end = wanted.begin, min(now, wanted.end if wanted.end is not None else now)
            while begin < end and len(found) < _MOST_FILES:
                until = min(end, begin + _LONGEST_S)
                found.append(Recording(channel, begin, until, 0, 1, 1, 0))
                begin = until
        return found

    def _upload(self, entry: Recording, number: int) -> None:
        """Make one file and store it. Blocking; ftplib's errors and OSError when the server refuses."""
        config, request = self._device.config, self._request
        camera = config.camera(entry.channel)
        if camera is None:
            raise FileNotFoundError(f"no camera on channel {entry.channel}")
        video = camera.sub if request.selection.stream == 2 else camera.main
        title = f"{config.title} CH{entry.channel}"
        units = clips.frames(
            video, entry.channel, title, entry.begin, entry.end - entry.begin, Render.LIVE, config.cache
        )
        data = clips.mp4(units, video)
        begin = dt.datetime.fromtimestamp(entry.begin + config.timezone_s, dt.UTC)
        name = f"CH{entry.channel}_{begin:%Y%m%d_%H%M%S}_{number:02d}.mp4"
        with ftplib.FTP(timeout=_TIMEOUT_S) as session:
            session.connect(request.host, request.port)
            session.login(request.user, request.password)
            if request.path.strip("/"):
                session.cwd(request.path)
            session.storbinary(f"STOR {name}", io.BytesIO(data))
