"""Transfers: files that a device was asked to upload by FTP, from the login it was given to the media store.

A transfer ends when the device says so (0x1206), or when nothing more came for a while; only then are its files stored,
for a device whose link broke takes a file up again where it was.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from wayframe.media import sniff
from wayframe.model import BadRequest, Clock, Json, TooLarge, WayframeError
from wayframe.protocols.device import FilesExpected, MediaNews
from wayframe.storage import BlobStore, BlobWriter

from .background import Background
from .commands import Commands
from .entries import Entry
from .media import MediaStore
from .media_files import NewFile, kind_of

log = structlog.get_logger(__name__)

FIRST_S = 120.0
"""The first file must have begun after so long."""
QUIET_S = 30.0
"""With whole files and no word from the device, so long after the last of them it is over (some never say so)."""
RESUME_S = 120.0
"""A file that broke off may be taken up again for so long."""
LONGEST_S = 7200.0
MAX_FILES = 200
"""Most files of one transfer."""
MAX_SESSIONS = 4
"""Most connections of one login at once."""
_LOOK_S = 1.0
"""The wall clock may be set: what it says is looked at so often."""
_STEP = 1 << 20
_HEAD = 4096
_TIME = re.compile(r"(?<!\d)(20\d{6})[_-]?(\d{6})(?!\d)")


@dataclass(frozen=True, slots=True)
class _End:
    reason: str
    """Why it is not all that was asked for; empty if it is."""


class Incoming:
    """One file on its way in."""

    def __init__(self, transfer: Transfer, name: str, writer: BlobWriter) -> None:
        self.name = name
        """As the device calls it; never a path of ours."""
        self.writer = writer
        self.whole = False
        """The device ended it in good order."""
        self.open = False
        """Bytes are coming."""
        self.head = b""
        """Its first bytes, to tell what it is."""
        self._transfer = transfer
        self._at = 0

    def resume(self, offset: int) -> None:
        """Bytes come, from `offset` on."""
        self._at, self.open, self.whole = offset, True, False

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises `TooLarge`, `StorageFull`."""
        self._transfer.reserve(max(0, self._at + len(data) - self.writer.size))
        if self._at == len(self.head) < _HEAD:
            self.head += data[: _HEAD - self._at]
        self.writer.pwrite(self._at, data)
        self._at += len(data)

    def ended(self, whole: bool) -> None:
        """No more bytes for now."""
        if self.open:
            self.open, self.whole = False, whole
            self._transfer.news()


class Transfer:
    """One request: its login, and the folder behind it as its device sees it."""

    def __init__(
        self,
        owner: Transfers,
        entry: Entry,
        channel_id: int,
        expected: FilesExpected,
        tell: Callable[[MediaNews], None],
    ) -> None:
        self.entry = entry
        self.channel_id = channel_id
        self.expected = expected
        self.tell = tell
        self.files: dict[str, Incoming] = {}
        self.said: bool | None = None
        """What the device said of the outcome; None: nothing yet."""
        self.changed = asyncio.Event()
        self.storing = False
        """It is over, and its files are on their way to the media store."""
        self._owner = owner
        self._sessions: set[Callable[[str], None]] = set()
        self._connected = False
        self._began = self._last = owner.clock.now()
        self._reserved = 0

    # --- for the door -------------------------------------------------------------------------------------------

    def enter(self, close: Callable[[str], None]) -> bool:
        """A connection logged in; `close` ends it. False if this login has too many."""
        if len(self._sessions) >= MAX_SESSIONS:
            return False
        self._sessions.add(close)
        self._connected = True
        return True

    def leave(self, close: Callable[[str], None]) -> None:
        """That connection is gone."""
        self._sessions.discard(close)

    def size(self, name: str) -> int | None:
        """Bytes that came of a file so far; None if there is none."""
        file = self.files.get(name)
        return None if file is None else file.writer.size

    def begin(self, name: str, offset: int | None) -> Incoming:
        """A file comes, from an offset, or (None) where it broke off. Raises `BadRequest`, `StorageFull`."""
        file, size = self.files.get(name), self.size(name) or 0
        if offset is None:
            offset = size
        if file is not None and file.open:
            raise BadRequest("this file is coming over another connection")
        if offset > size:
            raise BadRequest(f"only {size} bytes of this file came so far, it cannot go on at {offset}")
        if file is None and len(self.files) >= MAX_FILES:
            raise BadRequest(f"one request takes {MAX_FILES} files")
        if file is not None and offset == 0:
            self._owner.spawn_abandon(self.files.pop(name).writer)
            file = None
        if file is None:
            file = self.files[name] = Incoming(self, name, self._owner.begin_blob())
        file.resume(offset)
        self.news()
        return file

    # --- for its files ------------------------------------------------------------------------------------------

    def reserve(self, more: int) -> None:
        """Hold room for further bytes in the store of the device, in steps. Raises `TooLarge`, `StorageFull`."""
        total = sum(file.writer.size for file in self.files.values()) + more
        if total > self._reserved:
            step = max(_STEP, total - self._reserved)
            self._owner.reserve(self.entry, total, step)
            self._reserved += step

    def news(self) -> None:
        """Something happened."""
        self._last = self._owner.clock.now()
        self.changed.set()

    # --- for the owner ------------------------------------------------------------------------------------------

    def verdict(self, now: float) -> _End | float:
        """How it ended, or the seconds after which to ask again."""
        files, quiet, left = self.files.values(), now - self._last, self._began + LONGEST_S - now
        if left <= 0:
            return _End("it was not complete after two hours")
        if any(file.open for file in files):
            return left
        if self.said is False:
            never = "" if self._connected else ", and did not connect"
            return _End(f"the device reported that its upload to ftp://{self.expected.address} failed{never}")
        if not files:
            if self.said:
                why = f"the device says it uploaded, but nothing came to ftp://{self.expected.address}"
                return _after(QUIET_S - quiet) or _End(why)
            did = "uploaded nothing" if self._connected else "did not connect"
            why = f"the device {did} to ftp://{self.expected.address} within {FIRST_S:.0f} s"
            return _after(self._began + FIRST_S - now) or _End(why)
        if self.said:
            return _End("")
        if all(file.whole for file in files):
            return _after(QUIET_S - quiet) or _End("")
        return _after(RESUME_S - quiet) or _End("the upload broke off and was not taken up again")

    def shut(self, reason: str) -> None:
        """Close its connections; nothing more is written."""
        for close in list(self._sessions):
            close(reason)
        self._owner.release(self.entry, self._reserved)
        self._reserved = 0


def _after(seconds: float) -> float:
    return max(0.0, seconds)


class Transfers:
    """Every transfer under way."""

    def __init__(
        self, *, media: MediaStore, commands: Commands, blobs: BlobStore, clock: Clock, max_upload: int
    ) -> None:
        self.clock = clock
        self._max_upload = max_upload
        self.begin_blob = blobs.begin_now
        self._media = media
        self._commands = commands
        self._running: dict[int, Transfer] = {}
        self._background = Background("transfers")

    # --- begin and end ------------------------------------------------------------------------------------------

    def expect(self, entry: Entry, channel_id: int, expected: FilesExpected, tell: Callable[[MediaNews], None]) -> None:
        """A device is told to upload; `tell` reaches the procedure behind it. A repetition replaces what was before."""
        self.drop(expected.command_id)
        transfer = self._running[expected.command_id] = Transfer(self, entry, channel_id, expected, tell)
        self._background.spawn(self._watch(transfer))

    def sent(self, command_id: int, ok: bool) -> None:
        """The device says that its upload ended."""
        transfer = self._running.get(command_id)
        if transfer is not None:
            transfer.said = ok
            transfer.news()

    def drop(self, command_id: int) -> None:
        """Nobody wants the files any more, or the device will not send them. What is being stored goes on."""
        transfer = self._running.get(command_id)
        if transfer is None or transfer.storing:
            return
        del self._running[command_id]
        transfer.shut("canceled")
        transfer.changed.set()
        for file in transfer.files.values():
            self.spawn_abandon(file.writer)

    def drop_of(self, device_id: int) -> None:
        """The same for everything that is asked of a device."""
        for command_id in [each for each, transfer in self._running.items() if transfer.entry.id == device_id]:
            self.drop(command_id)

    def carries(self, command_id: int) -> bool:
        """Whether files of a command are awaited or being stored: it needs no repetition."""
        return command_id in self._running

    def login(self, user: str, password: str) -> Transfer | None:
        """The transfer behind a login."""
        for transfer in self._running.values():
            if transfer.storing:
                continue
            if hmac.compare_digest(transfer.expected.user.encode(), user.encode()):
                right = hmac.compare_digest(transfer.expected.password.encode(), password.encode())
                return transfer if right else None
        return None

    async def stop(self) -> None:
        """Forget what is under way; finish what is being stored."""
        for command_id, transfer in list(self._running.items()):
            if transfer.verdict(self.clock.now()) != _End(""):
                self.drop(command_id)
        await self._background.settle(5)

    # --- room ---------------------------------------------------------------------------------------------------

    def reserve(self, entry: Entry, total: int, more: int) -> None:
        """Hold room for `more` bytes of a transfer that will have `total`. Raises `TooLarge`, `StorageFull`."""
        quota, device = self._media.quota, entry.device
        quota.check_disk(more)
        if total > (most := min(self._max_upload, quota.limit(device))):
            raise TooLarge(f"the upload is larger than {most} bytes, the most the store of device {device.id} takes")
        if not device.media_rotate and quota.over(device, more):
            raise quota.full(device)
        quota.reserve(device.id, more)

    def release(self, entry: Entry, size: int) -> None:
        """Give back what `reserve` held."""
        self._media.quota.reserve(entry.id, -size)

    def spawn_abandon(self, writer: BlobWriter) -> None:
        """Drop a file that is not wanted."""
        self._background.spawn(writer.abandon())

    # --- the end ------------------------------------------------------------------------------------------------

    async def _watch(self, transfer: Transfer) -> None:
        command_id = transfer.expected.command_id
        while self._running.get(command_id) is transfer:
            found = transfer.verdict(self.clock.now())
            if isinstance(found, _End):
                transfer.storing = True
                transfer.shut("the transfer is over")
                try:
                    await self._finish(transfer, found.reason)
                finally:
                    if self._running.get(command_id) is transfer:
                        del self._running[command_id]
                return
            transfer.changed.clear()
            try:
                async with asyncio.timeout(min(found, _LOOK_S)):
                    await transfer.changed.wait()
            except TimeoutError:
                continue

    async def _finish(self, transfer: Transfer, reason: str) -> None:
        files = [file for file in transfer.files.values() if file.writer.size]
        for file in transfer.files.values():
            if file not in files:
                await file.writer.abandon()
        if not files:
            transfer.tell(MediaNews.STOPPED)
            await self._commands.failed(transfer.expected.command_id, reason or "the uploaded files are empty", True)
            return
        transfer.tell(MediaNews.FINISHED)
        # The command's own file last: with it the command is complete.
        for file in files[:0:-1]:
            await self._store(transfer, file, reason, command_id=0)
        refused = await self._store(transfer, files[0], reason, command_id=transfer.expected.command_id)
        if refused:
            await self._commands.failed(transfer.expected.command_id, f"the file could not be stored: {refused}", False)

    async def _store(self, transfer: Transfer, file: Incoming, reason: str, *, command_id: int) -> str:
        """Bring one file to the media store. Returns why not, or an empty text."""
        try:
            facts = described(file, transfer, reason, command_id)
            await self._media.store_blob(transfer.entry, await file.writer.commit(), facts)
        except WayframeError as error:
            log.warning("transfer_not_stored", device=transfer.entry.id, reason=error.reason)
            return error.reason
        return ""


def described(file: Incoming, transfer: Transfer, reason: str, command_id: int) -> NewFile:
    """What an uploaded file is: by its bytes; its time by its name, where that lies near what was asked for."""
    seen, expected = sniff(file.head), transfer.expected
    meta: dict[str, Json] = {"command_id": expected.command_id}
    why = reason if file.whole else reason or "the upload broke off"
    if why:
        meta |= {"partial": True, "partial_reason": why}
    return NewFile(
        name=file.name,
        kind=kind_of(seen),
        mime=seen.mime,
        created=time_in_name(file.name, expected),
        channel=expected.channel,
        channel_id=transfer.channel_id,
        meta=meta,
        command_id=command_id,
    )


def time_in_name(name: str, expected: FilesExpected) -> float:
    """Begin of a recording: `20260529_042640` of the device's clock in its name, else the begin of the request."""
    for date, time in _TIME.findall(name.rpartition("/")[2]):
        try:
            local = datetime.strptime(date + time, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        found = local.timestamp() - expected.timezone_offset_s
        if expected.start - 86_400 < found < expected.start + expected.duration:
            return found
    return expected.start
