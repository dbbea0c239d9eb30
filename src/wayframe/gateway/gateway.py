"""The gateway as a whole: its listeners, who is connected, and what joins sessions, media connections and services."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from wayframe.media import sniff
from wayframe.model import Channel, Clock, Ids, WayframeError
from wayframe.protocols.device import DeviceSession, Endpoints, FileReceived, MediaKind, MediaNews
from wayframe.services import CHANNELS, Background, Entry, Feed, NewFile, Services
from wayframe.services.media_files import kind_of
from wayframe.storage import Blob, BlobStore, BlobWriter

from .attachments import AttachmentPeer
from .media import MediaPeer
from .parts import KeptParts
from .peers import Admission, Peer
from .registry import Registry, Request
from .rounds import Rounds
from .signalling import SignallingPeer

log = structlog.get_logger("wayframe.gateway")

_BACKLOG = 512
_MAINTENANCE_S = 60.0
SessionFactory = Callable[[Channel, Endpoints], DeviceSession]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway listens and what it tells devices."""

    host: str
    """Address to bind."""
    ports: dict[int, int]
    """Default signalling port by protocol id; 0 takes a free one."""
    live_port: int
    playback_port: int
    attachments_port: int
    public_host: str
    """Host devices are told; empty: the local address of their signalling connection."""
    public_live_port: int
    """Port devices are told, 0 for the bound one; so with the next two."""
    public_playback_port: int
    public_attachments_port: int
    ftp_port: int
    """FTP port devices are told; 0: this server takes no files by FTP."""
    max_connections: int
    max_per_address: int
    unknown_idents: str
    """`refuse` or `create`, where the channel does not say."""


@dataclass(slots=True)
class Listening:
    """A channel with its open port."""

    channel: Channel
    server: asyncio.Server
    open: int = 0
    """Signalling connections over it."""
    refused: int = 0
    """Connections refused since that was logged."""
    told_at: float = -math.inf
    """When it was logged last, in seconds of the event loop."""

    @property
    def port(self) -> int:
        """The bound port."""
        return port_of(self.server)


class Gateway:
    """Opens a port for each channel and for media, and owns every device connection."""

    def __init__(
        self,
        settings: GatewaySettings,
        services: Services,
        blobs: BlobStore,
        session_factory: SessionFactory,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.settings = settings
        self.services = services
        self.clock = clock
        self.ids = ids
        self.admission = Admission(settings.max_connections, settings.max_per_address)
        self.registry = Registry()
        self.parts = KeptParts()
        self.rounds = Rounds()
        self.peers: set[Peer] = set()
        self._blobs = blobs
        self._session_factory = session_factory
        self._signalling: dict[int, SignallingPeer] = {}
        self._listening: dict[int, Listening] = {}
        self._media: dict[str, asyncio.Server] = {}
        self._changing = asyncio.Lock()
        """Channels open, move and close one after the other, in the order in which they were changed."""
        self._background = Background("gateway")
        self.spawn = self._background.spawn

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the media ports, then a port for every enabled channel."""
        loop, settings = asyncio.get_running_loop(), self.settings

        async def listen(port: int, peer: Callable[[], Peer]) -> asyncio.Server:
            return await loop.create_server(peer, settings.host, port, backlog=_BACKLOG)

        self._media = {
            "live": await listen(settings.live_port, lambda: MediaPeer(self, MediaKind.LIVE)),
            "playback": await listen(settings.playback_port, lambda: MediaPeer(self, MediaKind.PLAYBACK)),
            "attachments": await listen(settings.attachments_port, lambda: AttachmentPeer(self)),
        }

    async def open_channel(self, channel: Channel) -> None:
        """Listen for a channel, or stop, or move to another port, as the item and its account now say."""
        async with self._changing:
            await self._open_channel(channel)

    async def _open_channel(self, channel: Channel) -> None:
        known = self._listening.get(channel.id)
        port = int(channel.configuration.get("port") or self.settings.ports.get(channel.protocol_id, -1))
        wanted = channel.enabled and not self.services.directory.blocked(channel.cid)
        same = known is not None and known.channel.cid == channel.cid  # else everybody is looked at again
        if known is not None and wanted and same and (port in (0, known.port)):
            known.channel = channel
            return
        if known is not None:
            self._close_channel(channel.id)
        if not wanted or port < 0:
            return
        loop = asyncio.get_running_loop()

        def peer() -> Peer:
            return SignallingPeer(self, self._listening[channel.id])

        try:
            server = await loop.create_server(peer, self.settings.host, port, backlog=_BACKLOG, start_serving=False)
        except OSError as error:
            log.error("channel_not_listening", channel=channel.id, port=port, error=str(error))
            return
        self._listening[channel.id] = Listening(channel, server)
        await server.start_serving()
        log.info("channel_listening", channel=channel.id, port=port_of(server), protocol=channel.protocol_id)

    async def close_channel(self, channel_id: int) -> None:
        """Stop listening for a channel and close its devices."""
        async with self._changing:
            self._close_channel(channel_id)

    def _close_channel(self, channel_id: int) -> None:
        listening = self._listening.pop(channel_id, None)
        if listening is None:
            return
        listening.server.close()
        for peer in list(self.peers):  # also those that have not said who they are
            if isinstance(peer, SignallingPeer) and peer.channel_id == channel_id:
                peer.end(21, "the channel was closed")

    async def stop(self) -> None:
        """Close every port and connection, and wait for what is being stored."""
        servers = [listening.server for listening in self._listening.values()] + list(self._media.values())
        for server in servers:
            server.close()
        for peer in list(self.peers):
            peer.end(7, "the server restarts")
        await asyncio.sleep(0)
        for peer in list(self.peers):
            peer.end(7, "the server restarts", abort=True)
        await self._background.settle(3)
        await self.parts.clear()

    async def run(self) -> None:
        """Regular upkeep, until cancelled."""
        while True:
            await asyncio.sleep(_MAINTENANCE_S)
            await self.parts.expire(self.clock.now())

    # --- ports --------------------------------------------------------------------------------------------------

    def ports(self) -> dict[str, int]:
        """Bound ports by use: `live`, `playback`, `attachments`, and `channel-<id>`."""
        named = {name: port_of(server) for name, server in self._media.items()}
        return named | {f"channel-{item}": listening.port for item, listening in self._listening.items()}

    def uri(self, channel: Channel) -> str:
        """`host:port` devices of a channel connect to."""
        listening = self._listening.get(channel.id)
        port = listening.port if listening else self.settings.ports.get(channel.protocol_id, 0)
        return f"{self.settings.public_host or self.settings.host}:{port}"

    def endpoints(self, local_host: str) -> Endpoints:
        """The addresses a device is told."""
        settings, ports = self.settings, self.ports()
        return Endpoints(
            settings.public_host or local_host,
            settings.public_live_port or ports["live"],
            settings.public_playback_port or ports["playback"],
            settings.public_attachments_port or ports["attachments"],
            settings.ftp_port,
        )

    # --- sessions -----------------------------------------------------------------------------------------------

    def no_room(self, listening: Listening) -> str:
        """Why a channel takes no further connection: a limit of its account; empty if it does."""
        directory, channel = self.services.directory, listening.channel
        if directory.meter.idle:
            return ""
        most = directory.limits.value(channel.cid, "channel_connections")
        if most and listening.open >= most:
            return f"channel {channel.id} has all the connections it may have: `channel_connections` is {most}"
        return self.used_up(channel)

    def used_up(self, channel: Channel) -> str:
        """Which rate of a channel is used up; empty for none."""
        for name in ("channel_traffic", "channel_messages"):
            if (shut := self.services.directory.meter.shut(name, channel.cid, channel.id)) is not None:
                return shut.reason
        return ""

    def count_traffic(self, channel_id: int, size: int) -> str:
        """Count bytes of a connection over a channel. Returns why it has to end, if it has to."""
        entry = self.services.directory.find(CHANNELS, channel_id)
        if entry is None:
            return ""
        assert isinstance(entry.item, Channel)
        self.services.directory.meter.count("channel_traffic", entry.cid, size, channel_id)
        return self.used_up(entry.item)

    def open_session(self, listening: Listening, local_host: str) -> DeviceSession:
        """A new session for a connection of a channel."""
        return self._session_factory(listening.channel, self.endpoints(local_host))

    def creates_unknown(self, channel: Channel) -> bool:
        """Whether a channel registers devices by itself."""
        return bool(channel.configuration.get("unknown_idents", self.settings.unknown_idents) == "create")

    def default_type(self, channel: Channel) -> int:
        """Device type of devices that a channel registers by itself."""
        types = self.services.directory.catalogue.protocol(channel.protocol_id).device_types
        return int(channel.configuration.get("device_type_id", types[0].id))

    def check_account(self, account_id: int) -> None:
        """An account was changed: what it, or one below it, may no longer have is closed; what it may again, opened."""
        directory = self.services.directory
        family = directory.visible_accounts(account_id)
        for channel in directory.entries(CHANNELS):
            if channel.cid in family:
                assert isinstance(channel.item, Channel)
                self.spawn(self.open_channel(channel.item))
        if directory.blocked(account_id):
            for device_id in self.services.connections.devices() | self.registry.devices():
                self.check_device(device_id)

    def check_device(self, device_id: int) -> None:
        """Cut off a device that is gone, disabled, of a blocked account, or known by another ident now."""
        entry, peer = self.services.directory.device(device_id), self._signalling.get(device_id)
        if entry is None:
            if peer is not None:
                peer.end(23, "the device was deleted")
        elif not entry.device.enabled:
            self._cut_off(entry, "the device was disabled")
        elif self.services.directory.blocked(entry.cid):
            self._cut_off(entry, "the account of the device is blocked")
        elif peer is not None and entry.device.ident != peer.ident:
            peer.end(18, "the device has another ident now")
        elif peer is not None and not self.shares(peer.channel_id, entry):
            self._cut_off(entry, "the device is of another account now")

    def shares(self, channel_id: int, entry: Entry) -> bool:
        """Whether a device may come over a channel, by their accounts."""
        channel = self.services.directory.find(CHANNELS, channel_id)
        return channel is not None and entry.cid in self.services.directory.visible_accounts(channel.cid)

    def _cut_off(self, entry: Entry, reason: str) -> None:
        """Close every connection of a device, and forget those it was asked for."""
        for request in self.registry.requests_of(entry.id):
            self.registry.release(request.expected.command_id)
        self.services.transfers.drop_of(entry.id)
        for connection in self.services.connections.of(entry.id):
            connection.close(23, reason)

    def signalling_of(self, entry: Entry) -> SignallingPeer | None:
        """The open signalling connection of a device."""
        return self._signalling.get(entry.id)

    def link_up(self, entry: Entry, peer: SignallingPeer) -> None:
        """A device's signalling connection is identified."""
        self._signalling[entry.id] = peer

    def link_gone(self, entry: Entry, peer: SignallingPeer) -> None:
        """It is closed."""
        if self._signalling.get(entry.id) is peer:
            del self._signalling[entry.id]

    # --- media --------------------------------------------------------------------------------------------------

    def expect_media(self, request: Request) -> None:
        """A device was asked to open a media connection, for the first time or once more."""
        known = self.registry.request(request.expected.command_id)
        if known is not None and known.feed is not None:
            if known.link is request.link:
                request.feed = known.feed
            else:  # the command begins anew on a new connection: what an earlier one brought does not belong before it
                known.feed.drop()
        self.registry.expect(request)

    def feed(self, request: Request, connection_id: int, close: Callable[[int, str], None]) -> Feed:
        """Where the frames of a request go; a recording that broke off goes on where it was."""
        if request.feed is None:
            expected = request.expected
            if expected.purpose == "record":
                request.feed = self.services.recordings.begin(request.entry, expected, request.channel_id)
            else:
                request.feed = self.services.live.begin(request.entry, expected)
        request.feed.attach(connection_id, close, lambda news, position: self._media_news(request, news, position))
        return request.feed

    def _media_news(self, request: Request, news: MediaNews, position: float) -> None:
        """A feed has come to a decision: the device is told, and the request ends with the feed."""
        current = self.registry.request(request.expected.command_id) or request
        current.news(news, position)
        if news in (MediaNews.FINISHED, MediaNews.STOPPED):
            self.registry.release(request.expected.command_id)

    def media_runs(self, command_id: int) -> bool:
        """Whether media of a command is flowing or being stored: it needs its device no more, nor a repetition."""
        request = self.registry.request(command_id)
        if request is not None and request.connected:
            return True
        services = self.services
        return (
            services.recordings.carries(command_id)
            or services.transfers.carries(command_id)
            or services.media.carries(command_id)
        )

    def orphaned(self, command_id: int) -> None:
        """Media of a command broke off, and the session that could ask for it again is gone."""
        commands = self.services.commands
        request = self.registry.request(command_id)
        if request is None or commands.find(command_id) is None:
            return
        reason = "the signalling and the media connection were lost"
        if commands.may_repeat(command_id) and request.feed is not None:
            self.registry.release(command_id)
            request.feed.drop()
            self.spawn(commands.failed(command_id, reason, retry=True))
        else:
            self.spawn(self.command_failed(command_id, reason, retry=True))

    async def command_failed(self, command_id: int, reason: str, retry: bool) -> None:
        """A session gave a command up; what a recording has so far is kept as a partial file."""
        request = self.registry.release(command_id)
        if request is not None and request.feed is not None and request.feed.give_up(reason):
            return
        self.services.transfers.drop(command_id)
        if self.services.transfers.carries(command_id):  # its files are here already
            return
        await self.services.commands.failed(command_id, reason, retry)

    async def store_photo(self, entry: Entry, channel_id: int, event: FileReceived) -> bool:
        """Store a file that came over signalling. Returns whether it is durable."""
        seen = sniff(event.data[:4096])
        facts = NewFile(
            name=event.name, kind=kind_of(seen), mime=seen.mime, created=event.created, channel=event.channel,
            channel_id=channel_id, message_params=event.parameters, command_id=event.command_id or 0,
        )  # fmt: skip
        try:
            writer = await self._blobs.begin()
            writer.write(event.data)
            await self.services.media.store_blob(entry, await writer.commit(), facts)
        except WayframeError as error:
            log.warning("photo_not_stored", device=entry.id, reason=error.reason)
            if event.command_id:
                await self.services.commands.failed(event.command_id, error.reason, retry=False)
            return False
        return True

    # --- blobs for attachments ----------------------------------------------------------------------------------

    def begin_blob(self) -> BlobWriter:
        """A temporary file for blocks that come in any order."""
        return self._blobs.begin_now()

    async def head_of(self, blob: Blob) -> bytes:
        """The first bytes of a blob, to tell what it is."""

        def read() -> bytes:
            with self._blobs.path(blob.key).open("rb") as file:
                return file.read(4096)

        return await asyncio.to_thread(read)


def port_of(server: asyncio.Server) -> int:
    """The port a server is bound to."""
    return int(server.sockets[0].getsockname()[1]) if server.sockets else 0
