"""One signalling connection: a protocol session on a socket, joined to the services."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from wayframe.model import Channel, ConnectionInfo, Json, OriginType, WayframeError
from wayframe.model.log_codes import Log
from wayframe.protocols.device import (
    AttachmentsExpected,
    Close,
    CommandRequest,
    CommandState,
    CommandUpdate,
    DeviceProfile,
    DeviceSession,
    Facts,
    FileReceived,
    FilesExpected,
    FilesSent,
    Identify,
    MediaExpected,
    MediaNews,
    Note,
    Reports,
    SessionEvent,
)
from wayframe.services import Connection, Entry

from .peers import Peer
from .registry import Request

if TYPE_CHECKING:
    from .gateway import Gateway, Listening

_DEFAULT_OFFSET_S = 8 * 3600
_TELL_S = 10.0
"""Connections that a limit refuses are logged so often at most, together."""
_UNNOTED_BYTES = 4096
"""Bytes of traffic of a connection that wait until its device is known."""


class SignallingPeer(Peer):
    """Feeds a session, carries out what its events ask for, and reaches the device for commands."""

    __slots__ = (
        "_entry",
        "_gateway",
        "_ident",
        "_listening",
        "_messages",
        "_session",
        "_stranger",
        "_unnoted",
        "_waking",
        "connection_id",
        "proven",
    )

    def __init__(self, gateway: Gateway, listening: Listening) -> None:
        super().__init__(gateway.admission)
        self._gateway = gateway
        self._listening = listening
        self._session: DeviceSession | None = None
        self._entry: Entry | None = None
        self._ident = ""
        self._messages = 0
        self._waking: float | None = None
        self._unnoted: list[tuple[bool, float, bytes]] = []
        self._stranger = 0
        self.connection_id = 0
        self.proven = False

    # --- socket -------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        self.connection_id = self._gateway.ids.next()
        self.log = self.log.bind(connection=self.connection_id, channel=self._listening.channel.id)
        self._gateway.peers.add(self)
        refusal = self._gateway.no_room(self._listening)
        self._listening.open += 1
        if refusal:
            self._turn_away(refusal)
            return
        self._session = self._gateway.open_session(self._listening, self.local_host)
        self._channel_log(Log.CHANNEL_CONNECTED, {})
        self._pump()

    def _turn_away(self, reason: str) -> None:
        """The channel's account has a limit. Logged now and then only: devices come again and again."""
        listening, now = self._listening, self._loop.time()
        listening.refused += 1
        if now - listening.told_at > _TELL_S:
            fields: dict[str, Json] = {"error_text": reason, "count": listening.refused, "close_code": 21}
            listening.refused, listening.told_at = 0, now
            self._channel_log(Log.CHANNEL_ERROR, fields)
        self.end(21, reason)

    def _count(self, size: int) -> bool:
        """Count traffic, where the channel's account has limits. Returns whether the connection may go on."""
        if self._gateway.services.directory.meter.idle:
            return True
        reason = self._gateway.used_up(self._listening.channel)
        if reason:
            self._turn_away(reason)
            return False
        self._gateway.count_traffic(self._listening.channel.id, size)
        return True

    def received(self, data: bytes) -> None:
        if not self._count(len(data)):
            return
        self._note_traffic(data, received=True)
        if self._session is not None:
            self._session.receive(data, self._gateway.clock.now())
            self._pump()

    def tick(self) -> None:
        self._waking = None
        if self._session is not None:
            self._session.tick(self._gateway.clock.now())
            self._pump()

    def send(self, data: bytes) -> None:
        if data:
            self._note_traffic(data, received=False)
            if not self._gateway.services.directory.meter.idle:
                self._gateway.count_traffic(self._listening.channel.id, len(data))
        super().send(data)

    def _note_traffic(self, data: bytes, *, received: bool) -> None:
        """Keep raw traffic where the device, or the channel for whoever is none, wants it; what comes before the peer
        has said who it is waits, as long as it is not much."""
        entry, now, traffic = self._entry, self._gateway.clock.now(), self._gateway.services.traffic
        if entry is not None:
            if traffic.wanted(entry.device):
                traffic.note(entry.id, data, received=received, source=self.source, timestamp=now)
        elif self._stranger:
            traffic.note(self._stranger, data, received=received, source=self.source, timestamp=now)
        elif sum(len(piece) for _, _, piece in self._unnoted) + len(data) <= _UNNOTED_BYTES:
            self._unnoted.append((received, now, data))

    def _note_beginning(self, owner: int, wanted: bool) -> None:
        """Who the peer is, is known: what it said before is its traffic, too."""
        waiting, self._unnoted = self._unnoted, []
        for received, when, data in waiting if wanted else ():
            traffic = self._gateway.services.traffic
            traffic.note(owner, data, received=received, source=self.source, timestamp=when)

    def lost(self, reason: str) -> None:
        began, self._session = self._session is not None, None
        self._listening.open -= 1
        self._gateway.peers.discard(self)
        if not began:  # it was turned away
            return
        counters = self._counters()
        self._channel_log(Log.CHANNEL_CLOSED, {**counters, "close_code": self.close_code, "error_text": reason})
        entry, self._entry = self._entry, None
        if entry is None:
            return
        self.log.info("device_disconnected", reason=reason, close_code=self.close_code)
        self._gateway.link_gone(entry, self)
        self._gateway.services.connections.remove(entry, self.connection_id, self.close_code, counters)

    def _counters(self) -> dict[str, Json]:
        return {
            "duration": round(self.duration_s, 3),
            "msgs": self._messages,
            "recv": self.received_bytes,
            "send": self.sent_bytes,
        }

    def _pump(self) -> None:
        """Carry out events until there are none, send what gathered, and set the next alarm."""
        session = self._session
        if session is None:
            return
        while events := session.events():
            for event in events:
                self._handle(event)
        self.send(session.data_to_send())
        self._plan_tick(session)

    def _plan_tick(self, session: DeviceSession) -> None:
        due = session.next_tick()
        # An alarm that rings too early only asks again: it is moved only when it would ring too late.
        if due is None or (self._waking is not None and self._waking <= due):
            return
        self._waking = due
        self.wake_at(due - self._gateway.clock.now())

    # --- events -------------------------------------------------------------------------------------------------

    def _handle(self, event: SessionEvent) -> None:
        match event:
            case Reports():
                self._reports(event)
            case Identify():
                self._identify(event)
            case CommandUpdate():
                self._command(event)
            case MediaExpected():
                self._media_expected(event)
            case FileReceived():
                self._spawn(self._file(event))
            case AttachmentsExpected():
                self._attachments(event)
            case FilesExpected():
                self._files_expected(event)
            case FilesSent():
                self._gateway.services.transfers.sent(event.command_id, event.ok)
            case Facts():
                self._facts(event)
            case Note():
                self._note(event)
            case Close():
                if self._session is not None:
                    self.send(self._session.data_to_send())
                self.end(event.code, event.reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._gateway.spawn(work)

    def _reports(self, event: Reports) -> None:
        entry = self._entry
        if entry is None:
            return
        self._messages += len(event.messages)
        channel, meter = self._listening.channel, self._gateway.services.directory.meter
        meter.count("channel_messages", channel.cid, len(event.messages), channel.id)
        durable = self._gateway.services.history.deliver(entry, event.messages, self._extra())
        durable.add_done_callback(partial(self._stored, event.token))

    def _extra(self) -> dict[str, Json]:
        channel = self._listening.channel
        return {"channel.id": channel.id, "protocol.id": channel.protocol_id, "peer": self.source}

    def _stored(self, token: int, durable: asyncio.Future[None]) -> None:
        failure = durable.exception()
        entry, session = self._entry, self._session
        if entry is not None and failure is None:
            self._gateway.services.directory.heard(entry, self._gateway.clock.now())
        if session is not None and token:
            session.reports_stored(token, failure is None, self._gateway.clock.now())
            self._pump()

    def _identify(self, event: Identify) -> None:
        channel = self._listening.channel
        directory = self._gateway.services.directory
        entry = directory.device_by_ident(channel.protocol_id, event.candidates)
        ident = event.candidates[0] if event.candidates else ""
        if entry is None and self._gateway.creates_unknown(channel):
            self._spawn(self._create(ident, event))
        elif entry is None:
            self._unknown(channel, ident)
            create = f'POST /gw/devices [{{"device_type_id": {self._gateway.default_type(channel)}, "configuration": '
            hint = f'{create}{{"ident": "{ident}"}}}}]'
            self._channel_log(Log.CHANNEL_UNKNOWN_IDENT, {"ident": ident, "error_text": f"unknown ident; {hint}"})
            self.log.warning("unknown_ident", ident=ident, hint=hint)
            self._refuse(f"ident {ident} is not registered")
        elif not self._gateway.shares(channel.id, entry):
            self._channel_log(
                Log.CHANNEL_UNKNOWN_IDENT, {"ident": ident, "error_text": "the device is in another account"}
            )
            self._refuse(f"ident {ident} belongs to another account")
        elif directory.blocked(entry.cid):
            self._channel_log(Log.CHANNEL_UNKNOWN_IDENT, {"ident": ident, "error_text": "the account is blocked"})
            self._refuse(f"the account of device {entry.id} is blocked")
        elif not entry.device.enabled:
            self._channel_log(Log.CHANNEL_UNKNOWN_IDENT, {"ident": ident, "error_text": "the device is disabled"})
            self._refuse(f"device {entry.id} is disabled")
        else:
            self._accept(entry, event)

    def _unknown(self, channel: Channel, ident: str) -> None:
        """Nobody registered the ident: remember it, and what it sends where the channel wants that."""
        known = self._gateway.services.idents.knocked(channel.id, ident, self.source)
        wanted = self._gateway.services.traffic.wanted(channel)
        self._note_beginning(-known.id, wanted)
        self._stranger = -known.id if wanted else 0

    async def _create(self, ident: str, event: Identify) -> None:
        channel = self._listening.channel
        body = {
            "name": event.details.get("plate") or ident,
            "device_type_id": self._gateway.default_type(channel),
            "configuration": {"ident": ident},
        }
        try:
            entry = await self._gateway.services.directory.create_device(channel.cid, body)
        except WayframeError as error:
            known = self._gateway.services.directory.device_by_ident(channel.protocol_id, event.candidates)
            if known is None:
                self._refuse(error.reason)
                self._pump()
                return
            entry = known
        self._accept(entry, event)
        self._pump()

    def _refuse(self, reason: str) -> None:
        if self._session is not None:
            self._session.refuse(reason, self._gateway.clock.now())

    def _accept(self, entry: Entry, event: Identify) -> None:
        session = self._session
        if session is None:
            return
        older = self._gateway.signalling_of(entry)
        if older is self:
            self.proven |= event.proven
            return
        if older is not None and older.proven and not event.proven:
            self.log.warning("takeover_refused", device=entry.id, ident=entry.device.ident, source=self.source)
            self._refuse("another connection of this device is open, and this one has not presented its code")
            return
        self._entry, self._ident, self.proven = entry, entry.device.ident, event.proven
        self._note_beginning(entry.id, self._gateway.services.traffic.wanted(entry.device))
        self._gateway.services.idents.came(self._listening.channel.id, entry, self.source, event.candidates)
        self.log = self.log.bind(device=entry.id)
        now = self._gateway.clock.now()
        info = ConnectionInfo(
            id=self.connection_id, channel_id=self._listening.channel.id, device_id=entry.id,
            ident=entry.device.ident, source=self.source, established=now,
        )  # fmt: skip
        self._channel_log(Log.CHANNEL_IDENTIFIED, {"ident": entry.device.ident, **event.details})
        self._remember(entry, event.details)
        self.log.info("device_connected", ident=entry.device.ident, source=self.source)
        self._gateway.link_up(entry, self)
        session.accept(profile(entry), now)
        self._gateway.services.connections.add(entry, Connection(info, self.end, link=self))
        self._gateway.services.directory.heard(entry, now)
        if older is not None:
            older.end(12, f"a newer connection from {self.source} took over")

    def _command(self, event: CommandUpdate) -> None:
        commands = self._gateway.services.commands
        if event.state is CommandState.DONE:
            self._spawn(commands.done(event.command_id, event.response))
        elif event.state is CommandState.FAILED:
            self._spawn(self._gateway.command_failed(event.command_id, event.reason, event.retry))

    def _media_expected(self, event: MediaExpected) -> None:
        if self._entry is not None:
            self._gateway.expect_media(Request(event, self._entry, self._listening.channel.id, self))

    def _files_expected(self, event: FilesExpected) -> None:
        if self._entry is not None:
            tell = partial(self.media_event, event.command_id)
            self._gateway.services.transfers.expect(self._entry, self._listening.channel.id, event, tell)

    async def _file(self, event: FileReceived) -> None:
        entry = self._entry
        if entry is None:
            return
        ok = await self._gateway.store_photo(entry, self._listening.channel.id, event)
        if self._session is not None:
            self._session.file_stored(event.token, ok, self._gateway.clock.now())
            self._pump()

    def _attachments(self, event: AttachmentsExpected) -> None:
        if self._entry is not None:
            self._gateway.services.alarms.expect(self._entry, self._listening.channel.id, event)

    def _facts(self, event: Facts) -> None:
        entry = self._entry
        if entry is None:
            return
        self._gateway.services.settings.told(entry, event.topic, event.values)
        if event.topic == "properties":
            self._remember(entry, {name: value for name, value in event.values.items() if isinstance(value, str)})

    def _remember(self, entry: Entry, details: Mapping[str, Any]) -> None:
        """Keep what the device says of itself in its metadata; strings only, some clients take nothing else."""
        said = {f"terminal.{name}": value for name, value in details.items() if value}
        if any(entry.device.metadata.get(name) != value for name, value in said.items()):
            self._spawn(self._gateway.services.directory.add_metadata(entry, said))

    def _note(self, event: Note) -> None:
        getattr(self.log, event.level)(event.event, **event.fields)
        if event.level == "info":
            return
        fields = {"error_text": event.event.replace("_", " "), **event.fields}
        if self._entry is not None:
            self._device_log(fields)
        else:
            self._channel_log(Log.CHANNEL_ERROR, fields)

    def _device_log(self, fields: dict[str, Json]) -> None:
        assert self._entry is not None
        journal = self._gateway.services.journal
        journal.log(Log.DEVICE_NOTE, OriginType.DEVICE, self._entry.id, self._entry.cid, fields)

    def _channel_log(self, kind: Log, fields: dict[str, Json]) -> None:
        channel = self._listening.channel
        fields = {"source": self.source, "transport": "tcp", **fields}
        self._gateway.services.journal.log(kind, OriginType.CHANNEL, channel.id, channel.cid, fields)

    # --- services.Link ------------------------------------------------------------------------------------------

    def execute(self, request: CommandRequest) -> None:
        if self._session is not None:
            self._session.execute(request, self._gateway.clock.now())
            self._pump()

    def cancel(self, command_id: int) -> None:
        request = self._gateway.registry.release(command_id)
        if request is not None and request.feed is not None:
            request.feed.drop()
        self._gateway.services.transfers.drop(command_id)
        if self._session is not None:
            self._session.cancel(command_id, self._gateway.clock.now())
            self._pump()

    def media_event(self, command_id: int, news: MediaNews, position: float = 0.0) -> None:
        if self._session is not None:
            self._session.media_event(command_id, news, self._gateway.clock.now(), position)
            self._pump()
        elif news in (MediaNews.CLOSED, MediaNews.STALLED):
            self._gateway.orphaned(command_id)

    @property
    def ident(self) -> str:
        """The ident under which the device was accepted."""
        return self._ident

    @property
    def channel_id(self) -> int:
        """The channel it came over."""
        return self._listening.channel.id


def profile(entry: Entry) -> DeviceProfile:
    """What a session needs to know of a device. `timezone` is an offset in hours (ruling 6)."""
    configuration = {name: str(value) for name, value in entry.device.configuration.items()}
    try:
        offset = int(float(configuration["timezone"]) * 3600)
    except (KeyError, ValueError):
        offset = _DEFAULT_OFFSET_S
    return DeviceProfile(entry.id, entry.device.ident, offset, configuration)
