"""One attachment connection (T/JSATL 12): an alarm's pictures and clips arrive by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wayframe.media import sniff
from wayframe.model import ConnectionInfo, Json, WayframeError
from wayframe.protocols.jt1078.attachment_events import (
    AlarmAnnounced,
    AttachmentEvent,
    Block,
    Closing,
    FileComplete,
    FileStarted,
    KnownAlarm,
    PartialFile,
    Refused,
)
from wayframe.protocols.jt1078.attachments import AttachmentConnection
from wayframe.protocols.jt1078.names import parse_name
from wayframe.services import AlarmUpload, Connection, Entry, NewFile
from wayframe.services.media_files import kind_of
from wayframe.storage import BlobWriter

from .peers import Peer

if TYPE_CHECKING:
    from .gateway import Gateway

_TICK_S = 5.0


class AttachmentPeer(Peer):
    """Writes announced files block by block and stores each when it is whole."""

    __slots__ = ("_connection_id", "_entry", "_gateway", "_machine", "_shown", "_upload", "_writers")

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway.admission)
        self._gateway = gateway
        self._machine = AttachmentConnection(self._lookup)
        self._upload: AlarmUpload | None = None
        self._entry: Entry | None = None
        self._writers: dict[str, BlobWriter] = {}
        self._connection_id = 0
        self._shown = False

    def _lookup(self, number: str) -> KnownAlarm | None:
        found = self._gateway.services.alarms.find(number)
        if found is None:
            return None
        self._upload, self._entry = found
        kept = self._gateway.parts.take(number)
        self._writers.update({name: writer for name, (_, writer) in kept.items()})
        return KnownAlarm(number, {name: part for name, (part, _) in kept.items()})

    # --- socket -------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        self._connection_id = self._gateway.ids.next()
        self.log = self.log.bind(connection=self._connection_id, port="attachments")
        self._gateway.peers.add(self)
        self.wake_at(_TICK_S)

    def received(self, data: bytes) -> None:
        self._handle_all(self._machine.receive(data, self._gateway.clock.now()))

    def tick(self) -> None:
        self._handle_all(self._machine.tick(self._gateway.clock.now()))
        self.wake_at(_TICK_S)

    def _handle_all(self, events: list[AttachmentEvent]) -> None:
        for event in events:
            self._handle(event)
        self.send(self._machine.data_to_send())

    def lost(self, reason: str) -> None:
        self._gateway.peers.discard(self)
        upload, entry = self._upload, self._entry
        if upload is None or entry is None:
            return
        parts: dict[str, tuple[PartialFile, BlobWriter]] = {}
        for part in self._machine.partial():
            if part.name in self._writers:
                parts[part.name] = (part, self._writers.pop(part.name))
        if parts:
            displaced = self._gateway.parts.keep(upload.number, parts, self._gateway.clock.now())
            for _, writer in displaced.values():
                self._gateway.spawn(writer.abandon())
            self.log.warning("attachments_broken_off", files=list(parts), reason=reason)
        for writer in self._writers.values():
            self._gateway.spawn(writer.abandon())
        self._writers.clear()
        if self._shown:
            counters = {"duration": round(self.duration_s, 3), "recv": self.received_bytes, "send": self.sent_bytes}
            connections = self._gateway.services.connections
            connections.remove(entry, self._connection_id, self.close_code, counters)

    # --- events -------------------------------------------------------------------------------------------------

    def _handle(self, event: AttachmentEvent) -> None:
        match event:
            case Block():
                self._write(event)
            case AlarmAnnounced():
                self._announced(event)
            case FileStarted():
                self._begin(event)
            case FileComplete():
                self._gateway.spawn(self._store(event))
            case Refused():
                self.log.warning("attachment_refused", name=event.name, reason=event.reason, source=self.source)
            case Closing():
                self.send(self._machine.data_to_send())
                self.end(4, event.reason)

    def _begin(self, event: FileStarted) -> None:
        entry = self._entry
        if entry is None or event.name in self._writers:
            return
        try:
            self._gateway.services.media.check_room(entry, event.size)
            self._writers[event.name] = self._gateway.begin_blob()
        except WayframeError as error:
            self._gateway.services.media.refused(entry, error.reason, event.name)
            self.end(5, error.reason)

    def _announced(self, event: AlarmAnnounced) -> None:
        upload, entry = self._upload, self._entry
        assert upload is not None and entry is not None
        self.log = self.log.bind(device=entry.id)
        self.log.info("attachments_announced", files=len(event.files), supplement=event.supplement)
        if not self._shown:
            self._shown = True
            info = ConnectionInfo(
                id=self._connection_id, channel_id=upload.channel_id, device_id=entry.id,
                ident=entry.device.ident, source=self.source, established=self._gateway.clock.now(),
                secondary=True,
            )  # fmt: skip
            self._gateway.services.connections.add(entry, Connection(info, self.end))

    def _write(self, event: Block) -> None:
        writer = self._writers.get(event.name)
        if writer is None:
            return
        try:
            writer.pwrite(event.offset, event.data)
        except WayframeError as error:
            if self._entry is not None:
                self._gateway.services.media.refused(self._entry, error.reason, event.name)
            self.end(5, error.reason)

    async def _store(self, event: FileComplete) -> None:
        writer, upload, entry = self._writers.pop(event.name, None), self._upload, self._entry
        if writer is None or upload is None or entry is None:
            return
        try:
            blob = await writer.commit()
            head = await self._gateway.head_of(blob)
            facts = described(event, upload, head)
            await self._gateway.services.media.store_blob(entry, blob, facts)
        except WayframeError as error:
            self.log.warning("attachment_not_stored", name=event.name, reason=error.reason)
            self.end(5, error.reason)
            return
        self._machine.stored(event.name)
        self.send(self._machine.data_to_send())


def described(event: FileComplete, upload: AlarmUpload, head: bytes) -> NewFile:
    """What an attachment is: by its bytes, then its name; its time is the alarm's (jt1078.md 9)."""
    named = parse_name(event.name)
    seen = sniff(head)
    channel = named.channel if named is not None else 0
    parameters: dict[str, Json] = dict(upload.parameters)
    # Only the alarm's own report says that the alarm happened now; its files say which alarm they belong to.
    return NewFile(
        name=event.name,
        kind=kind_of(seen),
        mime=seen.mime,
        created=upload.created,
        channel=channel,
        channel_id=upload.channel_id,
        params={"alarm": upload.identifier},
        message_params=parameters,
    )
